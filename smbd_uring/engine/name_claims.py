"""One at a time makes a name, by CREATE or rename: two clients that create `Foo` and `foo` at once get one file.

Knows: names, compared without case, and who waits for one.  Must not know: files, requests.

The kernel keeps two files of exactly one name apart; names that differ in case only it would let both exist.  And it
moves a folder whatever happens in it; here nothing is opened or made in a folder that is on its way.
"""

from __future__ import annotations

from collections import deque

from smbd_uring.engine.scheduler import Parking, Scheduler
from smbd_uring.wire.fscc import fold_name

Key = tuple[str, ...]


def key_of(share_path: str, components: tuple[str, ...]) -> Key:
    """What stands for a name in every case of its letters."""
    return (share_path, *map(fold_name, components))


class NameClaims:
    """Names that are being made, folders that are being moved, and the coroutines that wait for them."""

    __slots__ = ("_claimed", "_scheduler", "moving", "released")

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._claimed: dict[Key, deque[Parking]] = {}
        self.moving: dict[Key, list[Parking]] = {}
        """Folders that are being moved, and who waits for the end of it."""
        self.released = 0
        """How many claims are over.  Whoever looked a name up when there were fewer may have looked before somebody
        else made it, and has to look again once the claim is his own."""

    async def claim(self, key: Key) -> bool:
        """Take the name.  False when somebody else had it meanwhile: what was looked up before is no longer true.

        In both cases the caller calls `release` when it is done.
        """
        waiting = self._claimed.get(key)
        if waiting is None:
            self._claimed[key] = deque()
            return True
        parking = Parking(self._scheduler)
        waiting.append(parking)
        await parking
        return False

    def release(self, key: Key) -> None:
        """Hand the name to whoever waits first, or let it go."""
        self.released += 1
        waiting = self._claimed[key]
        if waiting:
            waiting.popleft().wake()
        else:
            del self._claimed[key]

    def is_used_below(self, key: Key) -> bool:
        """Whether a name below a folder is being made."""
        return any(len(claimed) > len(key) and claimed[: len(key)] == key for claimed in self._claimed)

    def begin_move(self, key: Key) -> bool:
        """A folder is about to get another name; False when somebody else moves it already."""
        if key in self.moving:
            return False
        self.moving[key] = []
        return True

    def end_move(self, key: Key) -> None:
        """It has another name, or keeps the one it had."""
        for parking in self.moving.pop(key):
            parking.wake()

    async def wait_for_moves(self, key: Key) -> bool:
        """Wait until no folder that this name is in is on its way.  Result: whether one was, and the name may lead
        somewhere else now."""
        waited = False
        while folder := next((moving for moving in self.moving if key[: len(moving)] == moving), None):
            parking = Parking(self._scheduler)
            self.moving[folder].append(parking)
            await parking
            waited = True
        return waited
