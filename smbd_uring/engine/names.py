"""A name from the wire becomes path components, or is refused.

Knows: [MS-FSCC] 2.1.5 (pathname), [MS-SMB2] 3.3.5.9.  Must not know: shares, the file system.

No component that comes out of here is empty, "." or "..", contains a separator or NUL, or is longer than a Linux file
system can store: what the kernel is given cannot climb, whatever the client sent.
"""

from __future__ import annotations

from smbd_uring import limits
from smbd_uring.engine.errors import SmbError
from smbd_uring.wire.ntstatus import NtStatus

FORBIDDEN = frozenset('"*:<>?|/') | frozenset(chr(code) for code in range(0x20))
"""[MS-FSCC] 2.1.5.2, and the slash, which Linux would take for a separator.  The colon introduces a stream."""

DATA_STREAM = "::$DATA"
"""The unnamed stream by its full name: the file itself."""


def components_of(name: str) -> tuple[str, ...]:
    r"""Split `a\b\c`.  The empty name is the share's root, ().

    SmbError: OBJECT_NAME_INVALID, OBJECT_PATH_SYNTAX_BAD (climbing), INVALID_PARAMETER (a leading separator).
    """
    if name.startswith("\\"):
        raise SmbError(NtStatus.INVALID_PARAMETER)
    if name.upper().endswith(DATA_STREAM):
        name = name[: -len(DATA_STREAM)]
        if not name or name.endswith("\\"):
            raise SmbError(NtStatus.OBJECT_NAME_INVALID)
    if name.endswith("\\"):
        name = name[:-1]
    if not name:
        return ()
    if len(name.encode("utf-8")) > limits.PATH_BYTES_MAX:
        raise SmbError(NtStatus.OBJECT_NAME_INVALID)
    components = tuple(name.split("\\"))
    if len(components) > limits.PATH_COMPONENTS_MAX:
        raise SmbError(NtStatus.OBJECT_NAME_INVALID)
    for component in components:
        _check(component)
    return components


def _check(component: str) -> None:
    if component in ("", "."):
        raise SmbError(NtStatus.OBJECT_NAME_INVALID)
    if component == "..":
        raise SmbError(NtStatus.OBJECT_PATH_SYNTAX_BAD)
    if not FORBIDDEN.isdisjoint(component):
        raise SmbError(NtStatus.OBJECT_NAME_INVALID)
    if len(component.encode("utf-8")) > limits.NAME_BYTES_MAX:
        raise SmbError(NtStatus.OBJECT_NAME_INVALID)
