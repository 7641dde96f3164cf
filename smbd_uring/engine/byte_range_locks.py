"""The byte-range locks of one file: who holds what, who waits, and whom that keeps from what.

Knows: [MS-FSA] 2.1.4.10 (conflicts), 2.1.5.8 (lock), 2.1.5.9 (unlock).  Must not know: messages, the kernel's locks.

A lock has an open for its owner; two opens of one client are strangers.  The rules, where the ranges overlap:

| held        | by         | shared lock | exclusive lock | READ | WRITE |
|-------------|------------|-------------|----------------|------|-------|
| exclusive   | the same   | yes         | no             | yes  | yes   |
| exclusive   | another    | no          | no             | no   | no    |
| shared      | the same   | yes         | no             | yes  | no    |
| shared      | another    | yes         | no             | yes  | no    |

A range of no bytes lies between two bytes: it overlaps what has both of them, and at offset 0 nothing.  Locks of one
open stack; each is taken back by its exact range, exclusive ones first.

Who waits does not keep others from anything.  When a lock goes away, those who wait are asked in the order in which
they came, each against what is held and against who was let in just before.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from smbd_uring.engine.scheduler import Parking, Scheduler, Turns

if TYPE_CHECKING:
    from smbd_uring.engine.opens import File, Open

OFFSETS = 1 << 64
"""Every offset is below."""


class ByteRange(NamedTuple):
    """`length` bytes from `offset` on; none may lie beyond the last 64-bit offset."""

    offset: int
    length: int

    @property
    def is_valid(self) -> bool:
        """Whether all its bytes have an offset of 64 bits."""
        return self.offset + self.length <= OFFSETS

    def overlaps(self, other: ByteRange) -> bool:
        """[MS-FSA] 2.1.4.10."""
        if self == NOWHERE or other == NOWHERE:
            return False
        return self.offset < other.offset + other.length and other.offset < self.offset + self.length


NOWHERE = ByteRange(0, 0)


class LockAllowance:
    """How many locks one session holds."""

    __slots__ = ("used",)

    def __init__(self) -> None:
        self.used = 0


class Lock(NamedTuple):
    """A lock that is held, or wished for, and whose allowance it counts against.  It is told from others like it by
    its identity."""

    owner: Open
    range: ByteRange
    is_exclusive: bool
    allowance: LockAllowance


class Waiting:
    """Somebody who waits for a lock: `entered` is woken when it is.  Not while it `rests`, because something outside of
    this table is in the way."""

    __slots__ = ("entered", "lock", "rests")

    def __init__(self, lock: Lock) -> None:
        self.lock = lock
        self.entered: Parking | None = None
        self.rests = False


class FileLocks:
    """Locks held on one file, in the order in which they were taken, and who waits for some.

    `turns` is for whoever brings the kernel's locks in line with these; `users` counts coroutines that will come back
    to this table, which is not let go of before.
    """

    __slots__ = ("_exclusive_of", "_shared_of", "held", "is_shared_with_local_programs", "turns", "users", "waiting")

    def __init__(self, turns: Turns) -> None:
        self.held: list[Lock] = []
        self.waiting: list[Waiting] = []
        self.turns = turns
        self.users = 0
        self.is_shared_with_local_programs = False
        """Whether a local program was seen to hold a lock on the file: READ and WRITE have to ask the kernel, too."""
        self._exclusive_of: Counter[Open] = Counter()
        self._shared_of: Counter[Open] = Counter()

    @property
    def is_empty(self) -> bool:
        """Whether nobody holds a lock, waits for one or is about to."""
        return not (self.held or self.waiting or self.users or self.is_shared_with_local_programs)

    def conflicts(self, wanted: Lock) -> bool:
        """Whether a lock that is held is in the way of another."""
        owner, wanted_range, is_exclusive = wanted.owner, wanted.range, wanted.is_exclusive
        return any(
            lock.range.overlaps(wanted_range) and (is_exclusive or (lock.is_exclusive and lock.owner is not owner))
            for lock in self.held
        )

    def refuses_read(self, opened: Open, wanted: ByteRange) -> bool:
        """Whether an open must not read these bytes now."""
        return any(
            lock.is_exclusive and lock.owner is not opened and lock.range.overlaps(wanted) for lock in self.held
        )

    def refuses_write(self, opened: Open, wanted: ByteRange) -> bool:
        """Whether an open must not change these bytes now."""
        return any(
            not (lock.is_exclusive and lock.owner is opened) and lock.range.overlaps(wanted) for lock in self.held
        )

    def begins_below(self, size: int) -> bool:
        """Whether bytes of a file that takes so many are locked ([MS-FSA] 2.1.5.18), or may be by a local program."""
        return self.is_shared_with_local_programs or any(lock.range.offset < size for lock in self.held)

    def may_refuse_reads(self, opened: Open) -> bool:
        """Whether there are bytes that an open must not read."""
        others = len(self._exclusive_of) - (opened in self._exclusive_of)
        return others > 0 or self.is_shared_with_local_programs

    def may_refuse_writes(self, opened: Open) -> bool:
        """Whether there are bytes that an open must not change."""
        return bool(self._shared_of) or self.may_refuse_reads(opened)

    def count_of(self, opened: Open) -> int:
        """How many locks an open holds."""
        return self._exclusive_of[opened] + self._shared_of[opened]

    def held_by(self, opened: Open) -> list[Lock]:
        """The locks of an open, in the order in which they were taken."""
        return [lock for lock in self.held if lock.owner is opened]

    def enter(self, lock: Lock) -> None:
        """Hold a lock that conflicts with nothing."""
        self.held.append(lock)
        lock.allowance.used += 1
        (self._exclusive_of if lock.is_exclusive else self._shared_of)[lock.owner] += 1

    def find(self, opened: Open, wanted: ByteRange) -> Lock | None:
        """The lock that an unlock of this range takes back, or None: an exclusive one, else the last shared one."""
        found = None
        for lock in self.held:
            if lock.owner is opened and lock.range == wanted:
                found = lock
                if lock.is_exclusive:
                    break
        return found

    def remove(self, lock: Lock) -> None:
        """Let go of a lock, if it is held; call `let_in` afterwards."""
        for index, held in enumerate(self.held):
            if held is lock:
                del self.held[index]
                break
        else:
            return
        lock.allowance.used -= 1
        counts = self._exclusive_of if lock.is_exclusive else self._shared_of
        counts[lock.owner] -= 1
        if not counts[lock.owner]:
            del counts[lock.owner]

    def remove_all_of(self, opened: Open) -> None:
        """Let go of everything that an open holds; call `let_in` afterwards."""
        for lock in self.held_by(opened):
            lock.allowance.used -= 1
        self.held = [lock for lock in self.held if lock.owner is not opened]
        self._exclusive_of.pop(opened, None)
        self._shared_of.pop(opened, None)

    def let_in(self) -> None:
        """Locks went away: enter those of the waiting that nothing is in the way of any more, first come first."""
        still_waiting: list[Waiting] = []
        let_in: list[Waiting] = []
        for waiting in self.waiting:
            if waiting.rests or self.conflicts(waiting.lock):
                still_waiting.append(waiting)
            else:
                self.enter(waiting.lock)
                let_in.append(waiting)
        self.waiting = still_waiting
        for waiting in let_in:
            if waiting.entered is not None:
                waiting.entered.wake()


def table_of(file: File, scheduler: Scheduler) -> FileLocks:
    """The locks of a file, made when there were none."""
    if file.locks is None:
        file.locks = FileLocks(Turns(scheduler))
    return file.locks


def drop_if_empty(file: File) -> None:
    """Nothing may be left to be kept."""
    if file.locks is not None and file.locks.is_empty:
        file.locks = None
