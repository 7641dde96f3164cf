"""What happened in a storm, as its clients saw it: the only thing that checkers look at.

Knows: times, values, ranges.  Must not know: how a client came to do something, what a rule is.

Every span of time is the client's own: something that is held is held from the moment its answer was received to the
moment its end was asked for, which lies within what the server thinks.  A request lasts from its sending to its answer,
around what the server did.  So a conflict seen here is one, however long messages took.
"""

from __future__ import annotations

from dataclasses import dataclass, field

FOREVER = float("inf")
BLOCKS = 3
"""Blocks of a file that storms read and write."""
BLOCK_STRIDE = 16
BLOCK_BYTES = 8
EMPTY = bytes(BLOCK_BYTES)
"""What a block holds that was never written, or cut off."""


@dataclass(eq=False, slots=True)
class Asked:
    """One request and its answers, as (time, status)."""

    connection: int
    message_id: int
    command: int
    sent_at: float
    answers: list[tuple[float, int]] = field(default_factory=list)
    lost_at: float = FOREVER
    """When its connection ended."""


@dataclass(eq=False, slots=True)
class BlockAccess:
    """A block read or written by an application; `certain` is False for a write that may never have come to be."""

    inode: int
    block: int
    value: bytes
    is_write: bool
    begin: float
    end: float
    who: str
    certain: bool = True
    void: bool = False
    """It saw something that was lost with a client's cache: nobody can say anything about it."""


@dataclass(eq=False, slots=True)
class Holding:
    """Something held for a while."""

    inode: int
    who: str
    begin: float
    end: float = FOREVER

    def overlaps(self, other: Holding) -> bool:
        """Whether there was a moment with both."""
        return self.begin < other.end and other.begin < self.end


@dataclass(eq=False, slots=True)
class HeldOpen(Holding):
    """An open; `lease` names the lease or oplock it belongs to."""

    access: int = 0
    share: int = 0
    lease: str = ""


@dataclass(eq=False, slots=True)
class HeldLock(Holding):
    """A byte range that an open has locked: [start, stop)."""

    start: int = 0
    stop: int = 0
    exclusive: bool = False
    opened: HeldOpen | None = None


@dataclass(eq=False, slots=True)
class HeldCache(Holding):
    """A right to cache, for as long as it did not change; `lease` names whose."""

    lease: str = ""
    reads: bool = False
    writes: bool = False
    handles: bool = False


@dataclass(eq=False, slots=True)
class DataRequest:
    """A READ or WRITE that succeeded, of [start, stop); `opened` is None for an open of one compound."""

    inode: int
    start: int
    stop: int
    is_write: bool
    begin: float
    end: float
    who: str
    opened: HeldOpen | None


@dataclass(slots=True)
class History:
    """All of it."""

    asked: list[Asked] = field(default_factory=list)
    accesses: list[BlockAccess] = field(default_factory=list)
    perhaps_written: list[tuple[float, int, bytes]] = field(default_factory=list)
    """What may have been written to a file nobody knows which, by requests never answered: when, the block, what."""
    opens: list[HeldOpen] = field(default_factory=list)
    locks: list[HeldLock] = field(default_factory=list)
    caches: list[HeldCache] = field(default_factory=list)
    data_requests: list[DataRequest] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    """What no server may answer to a client that behaves."""
    lost_locks: list[str] = field(default_factory=list)
    """Unlocks of what was locked that found nothing."""
    left_over: dict[int, bytes] = field(default_factory=dict)
    """The files at the end: bytes by inode."""
    ended_at: float = FOREVER
    trace: list[str] | None = None
    """Lines for a person to read, when somebody wants them."""

    def perhaps_emptied(self, begin: float) -> None:
        """A CREATE that would have emptied its file was never answered."""
        self.perhaps_written += [(begin, block, EMPTY) for block in range(BLOCKS)]

    def note(self, now: float, line: str) -> None:
        """A line for a person."""
        if self.trace is not None:
            self.trace.append(f"{now:12.6f}  {line}")
