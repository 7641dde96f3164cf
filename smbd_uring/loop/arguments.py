"""Checks and conversions of effects' arguments that every way of performing them shares.

Knows: what the kernel's calls take.  Must not know: how the call is made.

Names come from other machines.  Whatever the layers above have checked already, one that reaches a call here
is a single component, and a path is below a directory handle unless the configuration gave it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Final

from smbd_uring.ports import Buffer, FileStatus, OpenAt

OFFSET_MAX: Final = (1 << 63) - 1
"""loff_t is signed."""

_FLAGS_MAX: Final = (1 << 32) - 1
_O_TMPFILE: Final = os.O_TMPFILE & ~os.O_DIRECTORY


def refused(number: int, what: str) -> OSError:
    """An OSError of our own making: the kernel would have said the same, or worse, would not."""
    return OSError(number, f"{os.strerror(number)}: {what}")


_TICKS_1601_TO_1970: Final = 116_444_736_000_000_000
"""In 100 ns."""

_DOTS: Final = frozenset({b"", b".", b".."})


def component(name: bytes) -> bytes:
    """`name` if it is one directory entry's name; OSError(EINVAL) for "", ".", "..", a slash or a NUL."""
    if name in _DOTS or b"/" in name or b"\0" in name:
        raise refused(errno.EINVAL, "not a single name")
    return name


def components(names: Sequence[bytes]) -> Sequence[bytes]:
    """`names`, each as `component` has it; looked at all together, since there are hundreds."""
    everything = b"/".join(names)
    if everything.count(b"/") != len(names) - 1 or b"\0" in everything or not _DOTS.isdisjoint(names):
        for name in names:
            component(name)
    return names


def component_or_self(name: bytes) -> bytes:
    """As `component`, but the empty name (the directory itself) may pass."""
    return component(name) if name else name


def open_path(effect: OpenAt) -> bytes:
    """The effect's path; OSError(EINVAL) when it has a NUL, ENOENT when empty, EINVAL when relative to
    nothing."""
    if b"\0" in effect.path:
        raise refused(errno.EINVAL, "NUL in a path")
    if effect.directory is None and not effect.path.startswith(b"/"):
        raise refused(errno.EINVAL, "a path without a directory must be absolute")
    return effect.path


def path_below(path: bytes) -> bytes:
    """`path` unless it has a NUL: OSError(EINVAL).  Where it may lead is for openat2's `resolve` to say."""
    if b"\0" in path:
        raise refused(errno.EINVAL, "NUL in a path")
    return path


def open_flags(flags: int) -> int:
    """`flags` with O_CLOEXEC, and O_LARGEFILE where it has a value and may stand; OSError(EINVAL) out of
    range."""
    if not 0 <= flags <= _FLAGS_MAX:
        raise refused(errno.EINVAL, "open flags")
    return flags | os.O_CLOEXEC | (0 if flags & os.O_PATH else os.O_LARGEFILE)


def open_mode(flags: int, mode: int) -> int:
    """The mode openat2 may be given: it refuses any but 0 when nothing is created."""
    return mode & 0o7777 if flags & (os.O_CREAT | _O_TMPFILE) else 0


def file_range(offset: int, length: int) -> None:
    """OSError(EINVAL) unless [offset, offset + length) lies in what a file offset can say."""
    if not (0 <= offset <= OFFSET_MAX and 0 <= length <= OFFSET_MAX - offset):
        raise refused(errno.EINVAL, "file range")


def lock_range(offset: int, length: int) -> None:
    """OSError(EINVAL) unless there are bytes in [offset, offset + length) and each has an offset."""
    if not (0 <= offset <= OFFSET_MAX and 0 < length <= OFFSET_MAX + 1 - offset):
        raise refused(errno.EINVAL, "lock range")


def xattr_name(name: bytes) -> bytes:
    """`name` unless it is empty or has a NUL: OSError(EINVAL)."""
    if not name or b"\0" in name:
        raise refused(errno.EINVAL, "xattr name")
    return name


def xattr_or_none(name: bytes) -> bytes:
    """As `xattr_name`, but the empty name (no xattr) may pass."""
    return xattr_name(name) if name else name


def created_time(status: FileStatus) -> bytes:
    """When a new file was made, as `ports.CreateFile` stores it."""
    created_ns = min(status.modified_ns, status.changed_ns) if status.born_ns is None else status.born_ns
    return (created_ns // 100 + _TICKS_1601_TO_1970).to_bytes(8, "little")


def byte_view(data: Buffer) -> memoryview:
    """`data` as a view of single bytes, without copying."""
    view = memoryview(data)
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")


def magic_path(handle: int) -> bytes:
    """The path that leads to the very file behind a descriptor, O_PATH ones included.

    A process may always follow its own descriptors (same thread group), so no permission but the file's
    matters.
    """
    return b"/proc/self/fd/%d" % handle
