"""Kernel handles that are being closed, by their file: who asks the kernel whether a file is in use waits for them.

Knows: which inode a handle is of.  Must not know: why it is closed, what the kernel is asked.

An open leaves the tables before its handle is closed, since a number that is free may be another file's at once.  For
that moment the kernel sees a user of the file that the tables do not know any more.
"""

from __future__ import annotations

from collections import Counter

from smbd_uring.engine.scheduler import Parking, Scheduler

Identity = tuple[int, int]


class Closings:
    """What is being closed, and who waits for it."""

    __slots__ = ("_scheduler", "_under_way", "_waiting")

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._under_way: Counter[Identity] = Counter()
        self._waiting: dict[Identity, list[Parking]] = {}

    def begin(self, identity: Identity) -> None:
        """A handle of that file is about to be closed."""
        self._under_way[identity] += 1

    def end(self, identity: Identity) -> None:
        """It is closed."""
        self._under_way[identity] -= 1
        if not self._under_way[identity]:
            del self._under_way[identity]
            for parking in self._waiting.pop(identity, ()):
                parking.wake()

    async def over(self, identity: Identity) -> None:
        """Wait until no handle of the file is being closed."""
        while self._under_way[identity]:
            parking = Parking(self._scheduler)
            self._waiting.setdefault(identity, []).append(parking)
            await parking
