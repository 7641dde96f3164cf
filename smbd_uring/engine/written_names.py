"""Files that are written to all the time are told of once in a while.

Knows: time, names.  Must not know: who is told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from smbd_uring import limits

if TYPE_CHECKING:
    from smbd_uring.engine.folders import Folder
    from smbd_uring.engine.scheduler import Scheduler


class WrittenNames:
    """The first write to a file is told at once, those that follow together, NOTIFY_WRITTEN_AGAIN_S after it."""

    def __init__(self, scheduler: Scheduler, tell: Callable[[Folder, str], None]) -> None:
        self._scheduler = scheduler
        self._tell = tell
        self._names: dict[tuple[Folder, str], bool] = {}
        """Those that were told of lately, and whether they were written to again."""
        self._has_timer = False

    def may_tell(self, folder: Folder, name: str) -> bool:
        """`name` was written to: whether that is to be told now."""
        key = (folder, name)
        if key in self._names:
            self._names[key] = True
            return False
        if len(self._names) < limits.NOTIFY_WRITTEN_NAMES_MAX:
            self._names[key] = False
            self._start_timer()
        return True

    def settle(self, folder: Folder, name: str) -> None:
        """The name goes on as another one: tell now what would have been told together."""
        if self._names and self._names.pop((folder, name), False):
            self._tell(folder, name)

    def forget(self, folder: Folder, name: str) -> None:
        """The name came or went: what is written from now on is another file's."""
        if self._names:
            self._names.pop((folder, name), None)

    def _start_timer(self) -> None:
        if not self._has_timer:
            self._has_timer = True
            self._scheduler.call_at(self._scheduler.now + limits.NOTIFY_WRITTEN_AGAIN_S, self._look)

    def _look(self) -> None:
        self._has_timer = False
        again = [key for key, was_written in self._names.items() if was_written]
        self._names = dict.fromkeys(again, False)
        for folder, name in again:
            self._tell(folder, name)
        if again:
            self._start_timer()
