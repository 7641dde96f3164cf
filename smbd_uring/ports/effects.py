"""Effects on files, and what they result in.

Knows: the file-system calls that Linux has.  Must not know: SMB, how an effect is performed.

An *effect* is a value that a coroutine awaits.  `await ReadAt(handle, 0, 4096)` suspends the coroutine; a driver (the
ring, epoll, or the simulator) performs the effect and resumes the coroutine with the result, or raises `OSError` (with
`errno` set) inside it.  Every effect's docstring names its result.

Paths and names are `bytes` as the kernel has them.  Times are integers in nanoseconds since the Unix epoch.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Generic, NamedTuple, NewType, TypeVar

Result = TypeVar("Result")

Handle = NewType("Handle", int)
"""An open file as the driver names it.  The engine stores it and hands it back; it never looks inside."""

Buffer = bytes | bytearray | memoryview


class Effect(Generic[Result]):
    """Something only a driver can do; awaiting it yields it to the driver and returns what the driver answers."""

    __slots__ = ()

    def __await__(self) -> Generator[Effect[Any], Any, Result]:
        result: Result = yield self
        return result


@dataclass(frozen=True, slots=True)
class Credentials:
    """The Unix identity a file operation runs with.

    A driver that may not change identity (an unprivileged server) performs everything as itself.
    """

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


# --- results -----------------------------------------------------------------------------------------------------


class FileStatus(NamedTuple):
    """What statx tells of one file.  Sizes in bytes, times in nanoseconds since the epoch."""

    device: int
    inode: int
    mode: int
    link_count: int
    uid: int
    gid: int
    size: int
    allocated: int
    accessed_ns: int
    modified_ns: int
    changed_ns: int
    born_ns: int | None
    """Creation time, or None where the file system does not keep one."""

    @property
    def identity(self) -> tuple[int, int]:
        """(device, inode): the file itself, whatever its name."""
        return (self.device, self.inode)


class LookedUp(NamedTuple):
    """A file that was found: a new handle, its status, and the value of the xattr asked for, or None."""

    handle: Handle
    status: FileStatus
    value: bytes | None


class Created(NamedTuple):
    """A file that was made: its handle; its status, or None when the kernel would not tell; why its xattr was not set,
    as errno, 0 when it was."""

    handle: Handle
    status: FileStatus | None
    error: int


@dataclass(slots=True)
class VolumeStatus:
    """What statfs tells of a file system.  Blocks are `block_size` bytes."""

    block_size: int
    total_blocks: int
    free_blocks: int
    available_blocks: int
    """Blocks an ordinary user may still take."""
    total_files: int
    free_files: int
    name_length_max: int
    file_system_type: int
    file_system_id: int


class DirectoryEntry(NamedTuple):
    """One entry as getdents64 gives it; `kind` is the DT_* value (0 where the file system does not say)."""

    name: bytes
    inode: int
    kind: int


# --- effects on files --------------------------------------------------------------------------------------------
# `credentials=None` means the server's own identity.


@dataclass(slots=True)
class OpenAt(Effect[Handle]):
    """openat2(directory, path, flags | O_CLOEXEC, mode, resolve).  `directory=None` only for a share's root,
    whose absolute path comes from the configuration and never from the wire.  Result: the new handle."""

    directory: Handle | None
    path: bytes
    flags: int
    mode: int = 0
    resolve: int = 0
    credentials: Credentials | None = None


@dataclass(slots=True)
class Reopen(Effect[Handle]):
    """Open the file behind `handle` (usually O_PATH) again with other flags, permission checked by the kernel for
    `credentials`.  Result: the new handle; the old one stays open."""

    handle: Handle
    flags: int
    credentials: Credentials | None = None


@dataclass(slots=True)
class CloseHandle(Effect[None]):
    """Close `handle`.  Result: None.  The handle is gone even when the kernel reports an error."""

    handle: Handle


@dataclass(slots=True)
class ReadAt(Effect[Buffer]):
    """pread.  Result: the bytes, fewer than `length` only at the end of the file (drivers retry short reads)."""

    handle: Handle
    offset: int
    length: int


@dataclass(slots=True)
class WriteAt(Effect[int]):
    """pwrite of all of `data` (drivers retry short writes).  Result: bytes written; OSError when not all were."""

    handle: Handle
    offset: int
    data: Buffer
    credentials: Credentials | None = None


@dataclass(slots=True)
class Synchronize(Effect[None]):
    """fsync (fdatasync when `data_only`).  Result: None, once the file's data is on the disk."""

    handle: Handle
    data_only: bool = False


class RangeLock(IntEnum):
    """How an open file holds a range of bytes in the kernel's table of locks, where other programs see it."""

    NONE = 0
    SHARED = 1
    EXCLUSIVE = 2


@dataclass(slots=True)
class SetRangeLock(Effect[bool]):
    """F_OFD_SETLK: hold `length` (not 0) bytes from `offset` on as `kind` says, whatever this open file held of them
    before; `offset` + `length` is at most 1 << 63, which stands for everything behind `offset`.

    Result: whether it was done; not when another open file or a process is in the way.  The locks of an open file go
    when it is closed.  OSError: EBADF when SHARED and not open for reading, or EXCLUSIVE and not for writing.
    """

    handle: Handle
    offset: int
    length: int
    kind: RangeLock


@dataclass(slots=True)
class CheckRangeLock(Effect[bool]):
    """F_OFD_GETLK with the arguments of `SetRangeLock`, `kind` not NONE.  Result: whether another open file or a
    process is in the way."""

    handle: Handle
    offset: int
    length: int
    kind: RangeLock


@dataclass(slots=True)
class Stat(Effect[FileStatus]):
    """statx of `name` in `directory`; an empty name means `directory` itself (any kind of handle, O_PATH included).
    A symlink is not followed.  Result: FileStatus."""

    directory: Handle
    name: bytes = b""
    credentials: Credentials | None = None


@dataclass(slots=True)
class LookUp(Effect[LookedUp]):
    """openat2(directory, path, flags | O_CLOEXEC, 0, resolve), then what `Describe` does, in one step; `flags` have
    O_PATH or O_RDONLY.  Result: LookedUp; its handle is the caller's to close.  When any of it fails nothing stays
    open."""

    directory: Handle
    path: bytes
    flags: int
    resolve: int
    xattr: bytes
    credentials: Credentials | None = None


@dataclass(slots=True)
class Visit(Effect[FileStatus]):
    """openat2(directory, path, flags | O_CLOEXEC, 0, resolve), statx, faccessat2 as `CheckAccess` does where `mode` is
    not 0, and close, in one step; `flags` have O_PATH or O_RDONLY.  Result: FileStatus.  OSError when any of it
    fails."""

    directory: Handle
    path: bytes
    flags: int
    resolve: int
    mode: int
    credentials: Credentials | None = None


@dataclass(slots=True)
class CreateFile(Effect[Created]):
    """openat2(directory, path, flags | O_CREAT | O_EXCL | O_CLOEXEC, mode, resolve), then set the xattr to `value` and,
    after it, when the file was created: the status's `born_ns` or else the earlier of its last two times, as 64 bits,
    little-endian, of 100 ns since 1601.  An empty `xattr` sets none.  All in one step.

    Result: Created, with the status after that; the handle is the caller's to close whatever else failed.  OSError when
    there is no new file.
    """

    directory: Handle
    path: bytes
    flags: int
    mode: int
    resolve: int
    xattr: bytes
    value: bytes
    credentials: Credentials | None = None


@dataclass(slots=True)
class Describe(Effect[tuple[FileStatus, bytes | None]]):
    """statx and one xattr of the file behind `handle` (any kind of handle).  An empty `xattr` asks for none.
    Result: (FileStatus, value); the value is None when there is none, or not for these credentials."""

    handle: Handle
    xattr: bytes
    credentials: Credentials | None = None


@dataclass(slots=True)
class DescribeAt(Effect[tuple[FileStatus, bytes | None]]):
    """What `LookUp` finds with O_PATH, without a handle: what was opened for it is closed again.
    Result: (FileStatus, value) as of `Describe`."""

    directory: Handle
    path: bytes
    resolve: int
    xattr: bytes
    credentials: Credentials | None = None


@dataclass(slots=True)
class StatVolume(Effect[VolumeStatus]):
    """fstatfs.  Result: VolumeStatus."""

    handle: Handle


@dataclass(slots=True)
class CheckAccess(Effect[None]):
    """faccessat2(handle, "", mode, AT_EMPTY_PATH | AT_EACCESS) for `credentials`; `mode` is R_OK|W_OK|X_OK.
    Result: None when the kernel grants it, else OSError(EACCES or EROFS)."""

    handle: Handle
    mode: int
    credentials: Credentials | None = None


@dataclass(slots=True)
class Truncate(Effect[None]):
    """ftruncate to `size` bytes.  The handle must be open for writing.  Result: None."""

    handle: Handle
    size: int
    credentials: Credentials | None = None


@dataclass(slots=True)
class Allocate(Effect[None]):
    """fallocate(handle, mode, offset, length).  Result: None."""

    handle: Handle
    mode: int
    offset: int
    length: int
    credentials: Credentials | None = None


@dataclass(slots=True)
class MakeDirectory(Effect[None]):
    """mkdirat.  Result: None."""

    directory: Handle
    name: bytes
    mode: int
    credentials: Credentials | None = None


@dataclass(slots=True)
class Unlink(Effect[None]):
    """unlinkat, with AT_REMOVEDIR when `is_directory`.  Result: None."""

    directory: Handle
    name: bytes
    is_directory: bool
    credentials: Credentials | None = None


@dataclass(slots=True)
class Remove(Effect[None]):
    """Open the directory `path` below `directory` as openat2 with `resolve` does (the empty path is `directory` itself)
    and unlink `name` in it if that is the file `identity` (device, inode), in one step.  Result: None.

    OSError: ENOENT when the name is another file's, ELOOP when it is a symlink, else as the kernel gives it.  Between
    the comparison and the removal the name can change hands only through somebody else's rename at that moment.
    """

    directory: Handle
    path: bytes
    resolve: int
    name: bytes
    identity: tuple[int, int]
    is_directory: bool
    credentials: Credentials | None = None


@dataclass(slots=True)
class Rename(Effect[None]):
    """renameat2(old_directory, old_name, new_directory, new_name, flags).  Result: None."""

    old_directory: Handle
    old_name: bytes
    new_directory: Handle
    new_name: bytes
    flags: int = 0
    credentials: Credentials | None = None


@dataclass(slots=True)
class Link(Effect[None]):
    """linkat(old_directory, old_name, new_directory, new_name, 0): the symlink itself is never followed.
    Result: None."""

    old_directory: Handle
    old_name: bytes
    new_directory: Handle
    new_name: bytes
    credentials: Credentials | None = None


@dataclass(slots=True)
class SetTimes(Effect[None]):
    """utimensat on the file behind `handle`; None leaves that time alone.  Result: None."""

    handle: Handle
    accessed_ns: int | None
    modified_ns: int | None
    credentials: Credentials | None = None


@dataclass(slots=True)
class SetMode(Effect[None]):
    """chmod of the file behind `handle` to the permission bits `mode`.  Result: None."""

    handle: Handle
    mode: int
    credentials: Credentials | None = None


@dataclass(slots=True)
class GetXattr(Effect[bytes]):
    """getxattr of the file behind `handle` (O_PATH allowed).  Result: the value; OSError(ENODATA) when absent,
    OSError(EOPNOTSUPP) where the file system has none."""

    handle: Handle
    name: bytes
    credentials: Credentials | None = None


@dataclass(slots=True)
class SetXattr(Effect[None]):
    """setxattr of the file behind `handle` (O_PATH allowed).  Result: None."""

    handle: Handle
    name: bytes
    value: bytes
    credentials: Credentials | None = None


@dataclass(slots=True)
class ListDirectory(Effect[list[DirectoryEntry]]):
    """All entries of the directory but "." and "..", from its beginning, in the kernel's order, whatever was listed
    through this handle before.  `handle` is open for reading.  Result: list of DirectoryEntry."""

    handle: Handle


class NameChange(NamedTuple):
    """What happened to a name in a watched directory; renaming is one name gone and one come.

    The empty name says that the watch is over, because the directory is gone or its file system is.
    """

    watch: int
    name: bytes
    is_there: bool


@dataclass(slots=True)
class WatchNames(Effect[int]):
    """From now on take down which names come and go in a directory, whoever does it.  Result: the number of the watch;
    a directory watched already keeps its own.

    OSError: EOPNOTSUPP where not every change would be seen (another machine's files), ENOSPC when there are too many
    watches.  `handle` is open for reading and says who may.
    """

    handle: Handle


@dataclass(slots=True)
class UnwatchNames(Effect[None]):
    """End a watch.  Changes taken down before still come, the end of the watch after them.  Result: None, also when it
    is over already."""

    watch: int


@dataclass(slots=True)
class TakeNameChanges(Effect[list[NameChange] | None]):
    """What was taken down since the last time, in order, and complete: a change that anybody has finished is in it.
    Result: list of NameChange, or None when there was too much and some is lost; which, nobody knows."""


@dataclass(slots=True)
class StatEntries(Effect[Collection[tuple[FileStatus, bytes | None] | None]]):
    """statx and one xattr of many names in one directory, in one step.  Symlinks are not followed.
    Result: for each name, in order, (FileStatus, xattr value or None), or None when the name is gone or may not be
    seen."""

    directory: Handle
    names: Sequence[bytes]
    xattr: bytes
    credentials: Credentials | None = None
