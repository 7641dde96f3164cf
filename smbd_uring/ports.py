"""What the engine asks of the world: effects, questions for the companion, and the protocols that answer them.

Knows: names both sides of the sans-I/O line need.  Must not know: sockets, clocks, SMB, how any effect is performed.

An *effect* is a value that a coroutine awaits.  `await ReadAt(handle, 0, 4096)` suspends the coroutine; a driver (the
ring, epoll, or the simulator) performs the effect and resumes the coroutine with the result, or raises `OSError` (with
`errno` set) inside it.  Every effect's docstring names its result.

Paths and names are `bytes` as the kernel has them.  Times are integers in nanoseconds since the Unix epoch.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any, Generic, NewType, Protocol, TypeVar

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


@dataclass(slots=True)
class FileStatus:
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


@dataclass(slots=True)
class DirectoryEntry:
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


@dataclass(slots=True)
class Stat(Effect[FileStatus]):
    """statx of `name` in `directory`; an empty name means `directory` itself (any kind of handle, O_PATH included).
    A symlink is not followed.  Result: FileStatus."""

    directory: Handle
    name: bytes = b""
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


@dataclass(slots=True)
class StatEntries(Effect[list[tuple[FileStatus, bytes | None] | None]]):
    """statx and one xattr of many names in one directory, in one step.  Symlinks are not followed.
    Result: for each name (FileStatus, xattr value or None), or None when the name is gone or may not be seen."""

    directory: Handle
    names: Sequence[bytes]
    xattr: bytes
    credentials: Credentials | None = None


# --- questions for the companion ---------------------------------------------------------------------------------


class AccountFlags(IntFlag):
    """Status of an account in login and tree messages (ksmbd's user flags)."""

    OK = 1
    BAD_PASSWORD = 2
    BAD_UID = 4
    BAD_USER = 8
    GUEST_ACCOUNT = 16
    DELAY_SESSION = 32
    EXTENSION = 64


class ShareFlags(IntFlag):
    """What a share is configured to be (ksmbd's share flags; ENCRYPT_DATA is this project's own)."""

    AVAILABLE = 1 << 0
    BROWSEABLE = 1 << 1
    WRITEABLE = 1 << 2
    READONLY = 1 << 3
    GUEST_OK = 1 << 4
    GUEST_ONLY = 1 << 5
    STORE_DOS_ATTRS = 1 << 6
    OPLOCKS = 1 << 7
    PIPE = 1 << 8
    HIDE_DOT_FILES = 1 << 9
    INHERIT_OWNER = 1 << 10
    STREAMS = 1 << 11
    FOLLOW_SYMLINKS = 1 << 12
    ACL_XATTR = 1 << 13
    UPDATE = 1 << 14
    CROSSMNT = 1 << 15
    CONTINUOUS_AVAILABILITY = 1 << 16
    HIDE_UNREADABLE = 1 << 17
    TIME_MACHINE = 1 << 18
    WIDE_LINKS = 1 << 19
    ENCRYPT_DATA = 1 << 20


class TreeFlags(IntFlag):
    """What the companion grants a tree connect."""

    GUEST = 1
    READ_ONLY = 2
    WRITABLE = 4
    ADMIN = 8
    UPDATE = 16


class TreeStatus(IntEnum):
    """The companion's verdict on a tree connect."""

    OK = 0
    NO_MEMORY = 1
    NO_SHARE = 2
    NO_USER = 3
    INVALID_USER = 4
    HOST_DENIED = 5
    CONNECTION_EXISTS = 6
    TOO_MANY_CONNECTIONS = 7
    TOO_MANY_SESSIONS = 8
    ERROR = 9


@dataclass(slots=True)
class LoginAnswer:
    """An account as the companion knows it.  `nt_hash` is 16 bytes, or empty when the account may not log on."""

    account: str
    flags: AccountFlags
    credentials: Credentials
    nt_hash: bytes


@dataclass(slots=True)
class ShareAnswer:
    """A share's configuration.  Masks and modes are Unix permission bits; forced ids are None when not forced."""

    name: str
    path: str
    flags: ShareFlags
    create_mask: int
    directory_mask: int
    force_create_mode: int
    force_directory_mode: int
    force_uid: int | None
    force_gid: int | None
    veto_list: tuple[str, ...] = ()


@dataclass(slots=True)
class TreeAnswer:
    """Whether the account may use the share, and how."""

    status: TreeStatus
    flags: TreeFlags


class CompanionUnavailable(Exception):  # noqa: N818 - a state of the world, not a mistake
    """The companion did not answer in time or is not running; raised inside the coroutine that asked."""


@dataclass(slots=True)
class AskLogin(Effect[LoginAnswer | None]):
    """Look an account up; the empty name asks for the anonymous (guest) account.
    Result: LoginAnswer, or None when there is no such account and it is not mapped to guest."""

    account: str


@dataclass(slots=True)
class AskShare(Effect[ShareAnswer | None]):
    """A share's configuration by name, any case.  Result: ShareAnswer, or None when there is none."""

    name: str


@dataclass(slots=True)
class AskTree(Effect[TreeAnswer]):
    """May this account connect to this share from this address?  Result: TreeAnswer."""

    account: str
    account_flags: AccountFlags
    session_id: int
    tree_id: int
    share: str
    address: str


@dataclass(slots=True)
class TellTreeDisconnect(Effect[None]):
    """A tree is gone.  Result: None at once; a companion that is away is not waited for."""

    session_id: int
    tree_id: int


@dataclass(slots=True)
class TellLogout(Effect[None]):
    """A session is gone (`flags` has BAD_PASSWORD when a logon failed).  Result: None at once."""

    account: str
    flags: AccountFlags


# --- the engine's driver -----------------------------------------------------------------------------------------


class Driver(Protocol):
    """Performs what the engine wants.  Every method only queues: none calls back into the engine before it returns.

    A driver feeds the engine by `connection_made`, `data_received`, `data_sent`, `connection_lost`, `completed` and
    `tick`, one call at a time, all from one thread, each with `now` (seconds on a clock that never goes back).
    """

    def perform(self, token: object, effect: Effect[Any]) -> None:
        """Perform `effect` and later call `engine.completed(token, result, error, now)` exactly once."""

    def send(self, connection_id: int, segments: Sequence[Buffer]) -> None:
        """Send the segments, after everything sent before on that connection.  The engine does not change them."""

    def disconnect(self, connection_id: int) -> None:
        """Close the connection once what was sent before is out (or cannot be).  `connection_lost` follows."""

    def pause_reading(self, connection_id: int) -> None:
        """Take no more bytes from this connection until resumed; what is already read may still be delivered."""

    def resume_reading(self, connection_id: int) -> None:
        """Undo `pause_reading`."""


# --- the file system under a share -------------------------------------------------------------------------------


@dataclass(slots=True)
class ShareRoot:
    """The opened root of a share and what its configuration says about names and modes."""

    handle: Handle
    follow_symlinks: bool
    cross_mounts: bool
    hide_dot_files: bool
    store_dos_attributes: bool
    create_mask: int = 0o744
    directory_mask: int = 0o755
    force_create_mode: int = 0
    force_directory_mode: int = 0
    veto_list: tuple[str, ...] = ()


@dataclass(slots=True)
class FileFacts:
    """A file as SMB sees it: the kernel's status, DOS attributes ([MS-FSCC] 2.6) and the creation time."""

    status: FileStatus
    attributes: int
    created_ns: int


@dataclass(slots=True)
class Found:
    """What a lookup came to.

    `components` are the names as they are on disk as far as they exist, then as they were asked for.  `handle` is an
    O_PATH handle on the file (the caller closes it), or None when the last component does not exist.
    """

    components: tuple[str, ...]
    handle: Handle | None
    facts: FileFacts | None


@dataclass(slots=True)
class ListedEntry:
    """One entry of a listing: its name as a client shall see it, and its facts."""

    name: str
    facts: FileFacts


class PathMissing(OSError):  # noqa: N818 - the condition is the name
    """A component before the last one does not exist or is no directory; errno is ENOENT or ENOTDIR."""


class Filesystem(Protocol):
    """Files below a share's root, for a client's credentials.  Everything is awaited through effects, so it runs the
    same over the ring, epoll and the simulator.  Failures are OSError with errno; no SMB status is known here.

    `components` is a path below the root, one str a component, already free of separators, "." and ".."; the
    empty tuple is the root itself.
    """

    async def open_root(self, path: str) -> Handle:
        """O_PATH handle on a share's directory.  OSError when it is not there or no directory."""

    async def lookup(self, root: ShareRoot, components: tuple[str, ...], credentials: Credentials) -> Found:
        """Find a file, names compared without case but exact ones first.  Never leaves the share.
        Raises PathMissing for a missing parent, OSError(ENAMETOOLONG | ELOOP | EXDEV | EACCES ...) otherwise."""

    async def facts(self, root: ShareRoot, handle: Handle, name: str, credentials: Credentials) -> FileFacts:
        """Fresh facts of an open file whose last path component is `name` (for dot-file hiding; "" for the root)."""

    async def create_file(
        self, root: ShareRoot, components: tuple[str, ...], flags: int, attributes: int, credentials: Credentials
    ) -> Handle:
        """Create a file that must not exist yet (O_EXCL) with the share's modes; `flags` is O_RDONLY, O_WRONLY or
        O_RDWR plus modifiers.  Stores DOS attributes and creation time where the share wants it.  Result: handle.
        OSError(EEXIST) when it exists; that no name differs in case only is for the caller to see to."""

    async def create_directory(
        self, root: ShareRoot, components: tuple[str, ...], attributes: int, credentials: Credentials
    ) -> Handle:
        """Create a directory that must not exist yet.  Result: a handle open for reading."""

    async def list_names(self, handle: Handle) -> list[DirectoryEntry]:
        """The directory's entries without "." and ".."; `handle` is open for reading."""

    async def describe(
        self, root: ShareRoot, directory: Handle, directory_components: tuple[str, ...],
        entries: Sequence[DirectoryEntry], credentials: Credentials,
    ) -> list[ListedEntry]:
        """Facts of some entries of a directory; those that are gone, vetoed, not UTF-8, or symlinks a client could
        not open are left out."""

    async def delete(
        self, root: ShareRoot, components: tuple[str, ...], identity: tuple[int, int], is_directory: bool,
        credentials: Credentials,
    ) -> None:
        """Unlink the name if it still leads to the file `identity`; OSError(ENOENT) when it does not."""

    async def rename(
        self, root: ShareRoot, old: tuple[str, ...], new: tuple[str, ...], identity: tuple[int, int], replace: bool,
        credentials: Credentials,
    ) -> tuple[str, ...]:
        """Give the file another name.  OSError(EEXIST) when the new name is taken and `replace` is false.
        Result: the new components as they are on disk."""

    async def link(
        self, root: ShareRoot, old: tuple[str, ...], new: tuple[str, ...], identity: tuple[int, int], replace: bool,
        credentials: Credentials,
    ) -> None:
        """Give the file one more name."""

    async def set_attributes(
        self, root: ShareRoot, handle: Handle, facts: FileFacts, attributes: int | None, created_ns: int | None,
        credentials: Credentials,
    ) -> None:
        """Store DOS attributes and/or creation time (None keeps what `facts` says) in `user.DOSATTRIB`."""

    async def may_delete(
        self, root: ShareRoot, components: tuple[str, ...], facts: FileFacts, credentials: Credentials
    ) -> bool:
        """Would the kernel let these credentials unlink this name (parent writable and searchable, sticky bit)?"""

    async def directory_is_empty(self, handle: Handle, credentials: Credentials) -> bool:
        """Whether a directory (any handle) has no entries."""
