"""What a driver and a file system must be able to do for the engine.

Knows: effects and the records that go with them.  Must not know: who implements it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple, Protocol

from smbd_uring.ports.effects import Buffer, Credentials, DirectoryEntry, Effect, FileStatus, Handle
from smbd_uring.ports.plane import PlaneConnection

# --- the engine's driver -----------------------------------------------------------------------------------------


class NotNow(Enum):
    """What `Driver.perform_now` answers when an effect has to wait for its turn."""

    NOT_NOW = "not now"


NOT_NOW: Final = NotNow.NOT_NOW


class Driver(Protocol):
    """Performs what the engine wants.  No method calls back into the engine before it returns, and all but
    `perform_now` only queue.

    A driver feeds the engine by `connection_made`, `data_received` or `frame_received`, `data_sent`, `connection_lost`,
    `completed` and `tick`, one call at a time, all from one thread, each with `now` (seconds on a clock that never goes
    back).  Unless reading is paused, `data_sent` of a few KiB may come with what the connection brings next, or a
    second late: nothing depends on it, and by itself it is not worth a turn.
    """

    def perform_now(self, effect: Effect[Any]) -> Any:
        """Perform `effect` at once where that takes no longer than queueing it would, and return its result; raise the
        exception that `engine.completed` would be given otherwise.

        NOT_NOW when the effect was not begun: it may have to wait for a device, a lock or the companion, or the driver
        prefers to batch it.  The engine then hands it to `perform`.  A driver is free to answer NOT_NOW to everything.
        The loop stands still meanwhile, so what is done here must be bounded.
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

    def plane_connection(self, connection_id: int) -> PlaneConnection | None:
        """The data plane's end of a connection; None where a driver has no data plane and the engine does it all.
        With one, whole frames come by `frame_received` and no bytes by `data_received`."""

    def unacknowledged(self, connection_id: int) -> int:
        """Bytes that were sent on a connection and the peer's kernel has not acknowledged yet; 0 when it is gone."""

    def served(self) -> tuple[dict[int, int], int, int]:
        """What data planes have answered: (requests by command, bytes read, bytes written)."""


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


class FileFacts(NamedTuple):
    """A file as SMB sees it: the kernel's status, DOS attributes ([MS-FSCC] 2.6) and the creation time."""

    status: FileStatus
    attributes: int
    created_ns: int


class Found(NamedTuple):
    """What a lookup came to.

    `components` are the names as they are on disk as far as they exist, then as they were asked for.  `handle` is an
    O_PATH handle on the file (the caller closes it), or None when the last component does not exist.
    """

    components: tuple[str, ...]
    handle: Handle | None
    facts: FileFacts | None


class ListedEntry(NamedTuple):
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

    async def glance(self, root: ShareRoot, components: tuple[str, ...], credentials: Credentials) -> FileFacts:
        """Facts of the file of exactly this name, by a single effect that leaves no handle behind.
        Raises OSError, also for some that `lookup` finds in the end."""

    async def facts(self, root: ShareRoot, handle: Handle, name: str, credentials: Credentials) -> FileFacts:
        """Fresh facts of an open file whose last path component is `name` (for dot-file hiding; "" for the root)."""

    async def create_file(
        self, root: ShareRoot, components: tuple[str, ...], flags: int, attributes: int, credentials: Credentials
    ) -> tuple[Handle, FileFacts]:
        """Create a file that must not exist yet (O_EXCL) with the share's modes; `flags` is O_RDONLY, O_WRONLY or
        O_RDWR plus modifiers.  Stores DOS attributes and creation time where the share wants it.  Result: handle and
        facts.  OSError(EEXIST) when it exists; that no name differs in case only is for the caller to see to."""

    async def create_directory(
        self, root: ShareRoot, components: tuple[str, ...], attributes: int, credentials: Credentials
    ) -> Handle:
        """Create a directory that must not exist yet.  Result: a handle open for reading."""

    async def list_names(self, handle: Handle) -> list[DirectoryEntry]:
        """The directory's entries without "." and ".."; `handle` is open for reading."""

    async def describe(
        self, root: ShareRoot, directory: Handle, directory_components: tuple[str, ...],
        entries: Sequence[DirectoryEntry], credentials: Credentials,
    ) -> Sequence[ListedEntry]:
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

    def is_visible(self, root: ShareRoot, components: tuple[str, ...]) -> bool:
        """Whether a client may be told a path: each name is Unicode that SMB can carry, and the share hides none."""

    async def open_folder(self, root: ShareRoot, folder: Handle, below: tuple[str, ...]) -> Handle:
        """Open a folder `below` another for reading, as the server itself; no symlink is followed.  OSError."""

    async def may_list(
        self, root: ShareRoot, folder: Handle, below: tuple[str, ...], credentials: Credentials
    ) -> bool:
        """Would the kernel let these credentials list a folder `below` another?  OSError when it is not there."""

    async def directory_is_empty(self, handle: Handle, credentials: Credentials) -> bool:
        """Whether a directory (any handle) has no entries."""
