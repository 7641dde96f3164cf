"""A name from the wire becomes path components, or is refused.

Knows: [MS-FSCC] 2.1.5 (pathname), [MS-SMB2] 3.3.5.9.  Must not know: shares, the file system.

No component that comes out of here is empty, "." or "..", contains a separator or NUL, or is longer than a Linux file
system can store: what the kernel is given cannot climb, whatever the client sent.
"""

from __future__ import annotations

import string
from functools import lru_cache

from smbd_uring import limits
from smbd_uring.engine.errors import SmbError
from smbd_uring.wire.ntstatus import NtStatus

FORBIDDEN = frozenset('"*:<>?|/') | frozenset(chr(code) for code in range(0x20))
"""[MS-FSCC] 2.1.5.2, and the slash, which Linux would take for a separator.  The colon introduces a stream."""

CACHED_CHARACTERS_MAX = 256
CACHED_NAMES_MAX = 4096
"""Names remembered with their components, and how long one may be: about 4 MiB when everything is full."""

SHORT_NAME_CHARACTERS = frozenset(string.ascii_letters + string.digits + "$%'-_@~`!(){}^#&")
DATA_STREAM = "::$DATA"
"""The unnamed stream by its full name: the file itself."""


class LastComponentError(SmbError):
    """Nothing has, or can have, a name whose last component is that; whether the folder before it is there comes
    first.  `parent` is that folder."""

    def __init__(self, parent: tuple[str, ...]) -> None:
        super().__init__(NtStatus.OBJECT_NAME_INVALID)
        self.parent = parent


def components_of(name: str) -> tuple[str, ...]:
    r"""Split `a\b\c`.  The empty name is the share's root, (); separators too many do not count, and `..` takes back
    the component before it.

    SmbError: OBJECT_NAME_INVALID, OBJECT_PATH_NOT_FOUND (what is wrong is not the last component),
    OBJECT_PATH_SYNTAX_BAD (climbing out of the share), INVALID_PARAMETER (a leading separator).
    """
    if len(name) <= CACHED_CHARACTERS_MAX:
        return _cached(name)
    return _split(name)


def _split(name: str) -> tuple[str, ...]:
    if name.startswith("\\"):
        raise SmbError(NtStatus.INVALID_PARAMETER)
    if name.upper().endswith(DATA_STREAM):
        name = name[: -len(DATA_STREAM)]
        if not name or name.endswith("\\"):
            raise SmbError(NtStatus.OBJECT_NAME_INVALID)
    parts = [part for part in name.split("\\") if part]
    if len(parts) > limits.PATH_COMPONENTS_MAX or len(name.encode("utf-8")) > limits.PATH_BYTES_MAX:
        raise SmbError(NtStatus.OBJECT_PATH_NOT_FOUND)
    components: list[str] = []
    for position, part in enumerate(parts):
        if part == "..":
            if not components:
                raise SmbError(NtStatus.OBJECT_PATH_SYNTAX_BAD)
            components.pop()
        else:
            _check(part, tuple(components), is_last=position == len(parts) - 1)
            components.append(part)
    return tuple(components)


_cached = lru_cache(CACHED_NAMES_MAX)(_split)
"""Clients ask for the same few names again and again; a refusal is not remembered."""


def _check(component: str, parent: tuple[str, ...], is_last: bool) -> None:
    if component == "." or len(component.encode("utf-8")) > limits.NAME_BYTES_MAX:
        raise LastComponentError(parent) if is_last else SmbError(NtStatus.OBJECT_PATH_NOT_FOUND)
    if not FORBIDDEN.isdisjoint(component):
        raise SmbError(NtStatus.OBJECT_NAME_INVALID)


def is_short_name(name: str) -> bool:
    """Whether a name is its own 8.3 name ([MS-FSCC] 2.1.5.2.1)."""
    base, dot, extension = name.partition(".")
    if not 1 <= len(base) <= 8 or len(extension) > 3 or (dot and not extension):
        return False
    return SHORT_NAME_CHARACTERS.issuperset(base + extension)
