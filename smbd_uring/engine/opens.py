"""Opens and the files they share: the tables behind every FileId.

Knows: [MS-SMB2] 3.3.1.10 (open), [MS-FSA] 2.1.1.4 (link, delete pending).  Must not know: how a file is opened.

An `Open` is one handle of one client.  A `File` is what all opens of the same inode have in common; it exists as long
as one of them does, and while its last close unlinks it, so that nobody opens what is about to vanish.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smbd_uring.engine.ordered_set import OrderedSet
from smbd_uring.engine.share_modes import DATA_RIGHTS, conflicts
from smbd_uring.ports import Credentials, FileFacts, GrantOperation, Handle, ShareRoot
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId

if TYPE_CHECKING:
    from smbd_uring.engine.byte_range_locks import FileLocks
    from smbd_uring.engine.connection import Connection
    from smbd_uring.engine.durable_handles import Durability
    from smbd_uring.engine.guards import Guard
    from smbd_uring.engine.leases import Caching, Holder, LeaseId
    from smbd_uring.engine.listing import Listing
    from smbd_uring.engine.lock_checks import WriteUnderWay
    from smbd_uring.engine.request import Request
    from smbd_uring.engine.scheduler import Parking, Turns
    from smbd_uring.engine.session import Session, Tree
    from smbd_uring.engine.watcher import Watcher

Identity = tuple[int, int]

VOLATILE_ANY = 0xFFFF_FFFF_FFFF_FFFF
VOLATILES_AT_ONCE = 64
"""Asking the kernel for entropy costs more than the rest of making an id."""

PERSISTENT_BASE_BYTES = 6

_VOLATILES = struct.Struct(f"<{VOLATILES_AT_ONCE}Q")


@dataclass(slots=True)
class Deletion:
    """A name that goes with the last handle of its file: below which root, and as whom.

    The last handle may be anybody's, by another name and through another share; its owner need not be allowed to
    delete anything.  `root.handle` may be closed by then, `share_path` leads to it again.
    """

    share_path: str
    root: ShareRoot
    components: tuple[str, ...]
    credentials: Credentials
    parent_lease: LeaseId | None = None
    """The directory's lease that whoever marked it says it has."""

    @property
    def absolute_path(self) -> tuple[str, ...]:
        """Components from the root of the file system."""
        return absolute(self.share_path, self.components)


class File:
    """What the opens of one inode share."""

    __slots__ = (
        "caching", "deletion", "guard", "identity", "is_write_time_set", "locks", "opens", "write_time_ns", "writes",
    )  # fmt: skip

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.opens: OrderedSet[Open] = OrderedSet()
        self.deletion: Deletion | None = None
        self.locks: FileLocks | None = None
        """Byte-range locks; None when nobody holds one or waits for one."""
        self.caching: Caching | None = None
        """Who holds oplocks and leases; None when nobody does."""
        self.writes: list[WriteUnderWay] = []
        """WRITEs that the engine has begun, whose bytes may arrive at any moment."""
        self.guard: Guard | None = None
        """What tells of local programs; None when nothing does."""
        self.write_time_ns: int | None = None
        """The write time that clients are told, None for the kernel's; see `engine.write_times`."""
        self.is_write_time_set = False

    @property
    def delete_pending(self) -> bool:
        """Whether it was marked for deletion."""
        return self.deletion is not None

    def mark_for_deletion(self, opened: Open) -> None:
        """Delete the name of `opened` with the last handle; a mark that is there stays."""
        root = opened.tree.root
        assert root is not None
        if self.deletion is None:
            self.deletion = Deletion(
                opened.tree.share.path, root, opened.components, opened.credentials, opened.parent_lease
            )
        for other in self.opens:
            if other.watcher is not None:
                other.watcher.refuse_all(NtStatus.DELETE_PENDING)

    def renamed(self, share_path: str, old: tuple[str, ...], new: tuple[str, ...]) -> None:
        """The name `old` of the file became `new`: everything that knows it by that name follows.  The old one was to
        be deleted?  It is gone, and nothing was said of the new one; a handle that deletes on close does so still."""
        for opened in self.opens:
            if opened.components == old and opened.tree.share.path == share_path:
                opened.components = new
        deletion = self.deletion
        if deletion is not None and deletion.components == old and deletion.share_path == share_path:
            self.deletion = None

    def refuses(self, granted_access: int, share_access: int, besides: Open | None = None) -> bool:
        """Whether an open with these masks would violate the share modes of the opens there are."""
        if not granted_access & DATA_RIGHTS:
            return False
        return conflicts(
            granted_access,
            share_access,
            [(other.granted_access, other.share_access) for other in self.opens if other is not besides],
        )


class Open:
    """One handle: what it may do, and what is going on with it.

    `closing` is set by the first CLOSE; from then on the FileId is unknown to every other request.  `busy` counts
    requests that use the kernel handle; who waits for fewer of them does so in `idle`.

    `session` is None while it waits for its client (`engine.durable`); `tree` is then the one it was opened through,
    which is closed but for the share's root.
    """

    __slots__ = (
        "busy", "changes_at_close", "channel_sequence", "closed", "closing", "components", "create_options",
        "credentials", "delete_on_close", "durability", "facts", "file", "file_id", "found", "granted_access",
        "granted_operations", "handle", "has_written", "holder", "holds_write_time", "idle", "is_directory",
        "is_overwrite_untold", "is_ready", "is_write_told", "knows_local_locks", "listing", "listing_turns",
        "lock_requests", "lock_sequences", "mode", "older_requests", "parent_lease", "position", "reserved",
        "sequence_moves", "served_on", "session", "share_access", "tree", "uses_data", "waiting_for_close", "watcher",
        "written_ns",
    )  # fmt: skip

    def __init__(
        self, session: Session | None, tree: Tree, file: File, file_id: FileId, components: tuple[str, ...],
        granted_access: int, share_access: int, create_options: int, facts: FileFacts, is_directory: bool,
    ) -> None:  # fmt: skip
        self.session = session
        self.tree = tree
        self.file = file
        self.file_id = file_id
        self.components = components
        self.granted_access = granted_access
        self.share_access = share_access
        self.create_options = create_options
        self.facts = facts
        self.found = facts
        """The facts that it was opened with."""
        self.has_written = False
        """The engine wrote for it; what a data plane wrote shows in the file's facts."""
        self.is_directory = is_directory
        self.credentials: Credentials = tree.credentials
        self.handle: Handle | None = None
        self.uses_data = False
        """Whether the handle is, or is about to be, one that the kernel counts as reading or writing the file."""
        self.delete_on_close = False
        self.holds_write_time = self.is_write_told = self.is_overwrite_untold = False
        self.written_ns = 0
        """When the first WRITE through it ended, in ns since 1970; 0 before it.  See `grants.written_ns_of`."""
        self.reserved = 0
        """Bytes that the file was to have room for when it was made through this handle, which is told that it has."""
        self.closing = False
        self.busy = 0
        self.idle: list[Parking] = []
        self.closed = False
        self.waiting_for_close: list[Parking] = []
        self.listing: Listing | None = None
        self.listing_turns: Turns | None = None
        self.knows_local_locks = False
        """Whether somebody has looked for locks of local programs since it was opened."""
        self.lock_requests: OrderedSet[Request] = OrderedSet()
        """LOCKs that wait for a range of bytes."""
        self.lock_sequences: dict[int, int] = {}
        """[MS-SMB2] 3.3.1.10, Open.LockSequenceArray: the number of the last LOCK by index, as far as it is valid."""
        self.watcher: Watcher | None = None
        """What its client hears of changes in the folder, from the first CHANGE_NOTIFY on."""
        self.changes_at_close = 0
        """Kinds of changes, of the completion filter, that are told with its close."""
        self.is_ready = False
        """Its CREATE is through with it; before that nothing is granted."""
        self.granted_operations = GrantOperation(0)
        """What a data plane does with it by itself; see `engine.grants`."""
        self.served_on: list[Connection] = []
        """Connections whose data planes may use the handle."""
        self.position = 0
        self.mode = 0
        self.durability: Durability | None = None
        """What the client was promised of it beyond this connection; None: nothing."""
        self.channel_sequence = 0
        self.sequence_moves = 0
        """How often `channel_sequence` moved on."""
        self.older_requests = 0
        """Requests under way that came before it moved last; see `engine.channel_sequence`."""
        self.holder: Holder | None = None
        """Its oplock, or the lease that it shares."""
        self.parent_lease: LeaseId | None = None
        """The lease of its directory that its client says it has."""

    @property
    def holds_handle_caching(self) -> bool:
        """Whether it has a batch oplock, or a lease with HANDLE caching that nobody is breaking: the client keeps it
        open for itself and can be asked."""
        return self.holder is not None and self.holder.keeps_handles

    @property
    def absolute_path(self) -> tuple[str, ...]:
        """Components from the root of the file system."""
        return absolute(self.tree.share.path, self.components)

    @property
    def name(self) -> str:
        """The last component, "" for the share's root."""
        return self.components[-1] if self.components else ""

    @property
    def is_granted(self) -> bool:
        """Whether a data plane serves anything of it."""
        return bool(self.granted_operations)

    @property
    def is_draining(self) -> bool:
        """Whether what was granted is taken back, and operations of a data plane are still under way."""
        return bool(self.served_on) and not self.granted_operations

    def release(self) -> None:
        """One request less uses the handle."""
        assert self.busy > 0
        self.busy -= 1
        if self.idle:
            waiting, self.idle = self.idle, []
            for parking in waiting:
                parking.wake()


class OpenTable:
    """All opens of the server, and the files they share."""

    __slots__ = ("_entropy", "_files", "_next_persistent", "_unused_volatiles", "count", "unlinked_generation")

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._unused_volatiles: list[int] = []
        self._files: dict[Identity, File] = {}
        # Not from 1: who asks for a handle of an earlier run of the server must not find another file's.
        self._next_persistent = int.from_bytes(entropy(PERSISTENT_BASE_BYTES), "little") << 8 | 1
        self.count = 0
        self.unlinked_generation = 0
        """Moves whenever a name goes away; a CREATE that sees it move looks again at what it found."""

    def file(self, identity: Identity) -> File | None:
        """The shared state of an inode that is open, or None."""
        return self._files.get(identity)

    def add(self, opened: Open, volatile: int) -> None:
        """Enter an open; it is seen by share-mode checks from now on."""
        assert opened.session is not None
        opened.session.opens[volatile] = opened
        self.restore(opened)

    def restore(self, opened: Open) -> None:
        """Enter an open that need not have a session."""
        self._next_persistent = max(self._next_persistent, opened.file_id.persistent + 1)
        self._files.setdefault(opened.file.identity, opened.file)
        opened.file.opens.add(opened)
        opened.tree.opens.add(opened)
        self.count += 1

    def fresh_volatile(self, taken: Container[int]) -> int:
        """The volatile half of a FileId: not to be guessed, not taken, and neither 0 nor the ANY value."""
        while True:
            if not self._unused_volatiles:
                self._unused_volatiles.extend(_VOLATILES.unpack(self._entropy(_VOLATILES.size)))
            volatile = self._unused_volatiles.pop()
            if 0 < volatile < VOLATILE_ANY and volatile not in taken:
                return volatile

    def next_file_id(self, volatile: int) -> FileId:
        """A FileId with a persistent half that was never used before."""
        persistent = self._next_persistent
        self._next_persistent += 1
        return FileId(persistent, volatile)

    def file_for(self, identity: Identity) -> File:
        """The shared state of an inode, made when this is its first open (entered by `add`)."""
        return self._files.get(identity) or File(identity)

    def remove(self, opened: Open) -> None:
        """Take an open out of every table."""
        file = opened.file
        file.opens.discard(opened)
        opened.tree.opens.discard(opened)
        if opened.session is not None:
            opened.session.opens.pop(opened.file_id.volatile, None)
        self.count -= 1
        if not file.opens:
            self._files.pop(file.identity, None)

    def opens_below(self, share_path: str, components: tuple[str, ...]) -> bool:
        """Whether anything below the directory `components` of the share at `share_path` is open, in any share."""
        return bool(self.files_below(share_path, components))

    def files_below(self, share_path: str, components: tuple[str, ...]) -> list[File]:
        """What is open below that directory."""
        parent = absolute(share_path, components)
        return [
            file
            for file in self._files.values()
            if any(
                len(path) > len(parent) and path[: len(parent)] == parent
                for opened in file.opens
                for path in (opened.absolute_path,)
            )
        ]


def absolute(share_path: str, components: tuple[str, ...]) -> tuple[str, ...]:
    """Components from the root of the file system."""
    return tuple(part for part in share_path.split("/") if part) + components
