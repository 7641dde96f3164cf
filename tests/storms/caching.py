"""What a client keeps of a file under a lease or an oplock, as real clients do.

Knows: the rights to cache ([MS-SMB2] 2.2.13.2.8), blocks, delayed writes.  Must not know: how anything is sent.

Under R a block that was read is read from memory from then on; under W a write stays in memory until the cache is
flushed; under H a handle stays open after its application closed it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from smbd_uring.wire.pdu import FileId
from tests.storms.coroutines import Arrival
from tests.storms.history import BLOCKS, BlockAccess, HeldCache, HeldLock, HeldOpen

R, H, W = 1, 2, 4
OPLOCK_STATES = {0: 0, 1: R, 8: R | W, 9: R | W | H}
"""What the levels of [MS-SMB2] 2.2.14 let a client keep."""
OPLOCK_LEVELS = {"level II": 1, "exclusive": 8, "batch": 9}
LEASE_LEVEL = 0xFF
STATES = {"": 0, "R": R, "RH": R | H, "RW": R | W, "RWH": R | W | H}
BREAK_IN_PROGRESS = 2
"""[MS-SMB2] 2.2.14.2.10."""


@dataclass(eq=False, slots=True)
class ClientOpen:
    """A handle as its client knows it."""

    file_id: FileId
    name: str
    inode: int
    access: int
    share: int
    is_directory: bool
    held: HeldOpen
    durable: int = 0
    create_guid: bytes = b""
    cache: Cache | None = None
    locks: list[HeldLock] = field(default_factory=list)
    deletes: bool = False
    suspended_at: float | None = None
    """When its connection went; a durable handle waits to be reclaimed."""
    was_undisturbed: bool = False
    """Whether nothing was being taken from it then."""
    is_gone: bool = False

    def end(self, now: float) -> None:
        """It is no longer held, nor is anything that was locked by it."""
        self.is_gone = True
        self.held.end = min(self.held.end, now)
        for lock in self.locks:
            lock.end = min(lock.end, now)
        self.locks.clear()
        if self.cache is not None:
            self.cache.detach(self, now)


@dataclass(eq=False, slots=True)
class Cache:
    """One lease or oplock, and what is kept under it."""

    key: bytes
    name: str
    """What it is called in the history."""
    version: int = 0
    """Of the lease; 0 for an oplock."""
    state: int = 0
    last_break_to: int = R | W | H
    held: HeldCache | None = None
    opens: list[ClientOpen] = field(default_factory=list)
    kept: list[ClientOpen] = field(default_factory=list)
    """Handles that no application uses."""
    blocks: dict[int, bytes] = field(default_factory=dict)
    delayed: dict[int, list[BlockAccess]] = field(default_factory=dict)
    """Writes that the server does not know of."""
    delayed_by: dict[int, ClientOpen] = field(default_factory=dict)
    observers: dict[int, list[BlockAccess]] = field(default_factory=dict)
    """Reads that saw a delayed write."""
    versions: list[int] = field(default_factory=lambda: [0] * BLOCKS)
    writing: list[int] = field(default_factory=lambda: [0] * BLOCKS)
    """Requests under way that change a block."""
    opening: int = 0
    """CREATEs under way that ask for this lease."""
    flushing: Arrival[None] | None = None
    breaking: Arrival[None] | None = None
    breaks_taken: int = 0
    settled: int = 0
    """Moves when the server says that no break is under way, whatever was not acknowledged."""
    unsettled_since: float | None = None
    """When the break was sent that is not acknowledged yet.  Until it is the server takes more away without a word."""

    @property
    def is_of_use(self) -> bool:
        """Whether there is still something that it belongs to."""
        return bool(self.opens) or self.opening > 0

    def forget(self) -> None:
        """Keep nothing that could be stale; delayed writes stay."""
        for block in list(self.blocks):
            if block not in self.delayed:
                del self.blocks[block]
        for block in range(BLOCKS):
            self.versions[block] += 1

    def lose(self) -> None:
        """All is gone, delayed writes and whatever was seen of them too."""
        for block in list(self.delayed):
            self.lose_delayed(block, self.delayed.pop(block))
        self.delayed_by.clear()
        self.forget()

    def lose_delayed(self, block: int, writes: list[BlockAccess]) -> None:
        """Writes may never have reached the server: nobody can rely on them, nor on having seen them."""
        for access in writes:
            access.certain = False
        for access in self.observers.pop(block, []):
            access.void = True

    def delay(self, access: BlockAccess, by: ClientOpen) -> None:
        """Keep a write."""
        self.delayed.setdefault(access.block, []).append(access)
        self.delayed_by[access.block] = by
        self.blocks[access.block] = access.value
        self.versions[access.block] += 1

    def saw(self, access: BlockAccess) -> None:
        """A read was served from here."""
        if access.block in self.delayed or self.writing[access.block]:
            self.observers.setdefault(access.block, []).append(access)

    def begin_change(self, blocks: range) -> list[int]:
        """Blocks are being changed on the server.  Result: for `end_change`."""
        versions: list[int] = []
        for block in blocks:
            self.blocks.pop(block, None)
            self.versions[block] += 1
            # What overlaps another change may end either way; -1 is no version that there will be.
            versions.append(-1 if self.writing[block] else self.versions[block])
            self.writing[block] += 1
        return versions

    def end_change(self, blocks: range, versions: list[int], value: bytes | None) -> None:
        """The change is through; where nothing else happened meanwhile `value` is what the block holds now."""
        for block, version in zip(blocks, versions, strict=True):
            self.writing[block] -= 1
            self.versions[block] += 1
            if value is not None and self.state & R and version == self.versions[block] - 1:
                self.blocks[block] = value

    def detach(self, opened: ClientOpen, now: float) -> None:
        """An open is no longer part of it."""
        for handles in (self.opens, self.kept):
            if opened in handles:
                handles.remove(opened)
        if not self.opens:
            self.lose()
            self.state = 0
            if self.held is not None:
                self.held.end = min(self.held.end, now)
                self.held = None
