"""What one handle was not told yet of the changes below its folder.

Knows: [MS-SMB2] 3.3.1.3, [MS-FSA] 2.1.5.11: bounded by the first request's buffer, too much is told as
STATUS_NOTIFY_ENUM_DIR.  Must not know: who asks, where changes come from.
"""

from __future__ import annotations

from collections.abc import Sequence

from smbd_uring import limits
from smbd_uring.wire.fscc import NotifyAction, NotifyInformation, encode_notify_information


class NotifyBudget:
    """How many events all queues together hold."""

    __slots__ = ("events",)

    def __init__(self) -> None:
        self.events = 0


class NotifyQueue:
    """Events in the order they happened, at most `capacity` bytes of them.

    When they do not fit all are dropped, and nothing is kept until somebody was told so.
    """

    __slots__ = ("_budget", "_bytes", "_capacity", "_events", "is_overflown")

    def __init__(self, capacity: int, budget: NotifyBudget) -> None:
        self._capacity = min(capacity, limits.NOTIFY_QUEUE_BYTES_MAX)
        self._budget = budget
        self._events: list[NotifyInformation] = []
        self._bytes = 0
        self.is_overflown = False

    @property
    def has_something(self) -> bool:
        """Whether there is something to tell."""
        return self.is_overflown or bool(self._events)

    def add(self, events: Sequence[NotifyInformation]) -> None:
        """Keep what happened; a modification that was the last thing to be said already is not said again."""
        if self.is_overflown:
            return
        for event in events:
            if event.action == NotifyAction.MODIFIED and self._events and self._events[-1] == event:
                continue
            self._events.append(event)
            self._bytes += event.size
            self._budget.events += 1
        if self._bytes > self._capacity or self._budget.events > limits.NOTIFY_EVENTS_IN_ALL_MAX:
            self.overflow()

    def overflow(self) -> None:
        """Something happened that nobody can tell any more."""
        self.clear()
        self.is_overflown = True

    def take(self, length_max: int) -> bytes | None:
        """All there is, encoded; None when it does not fit, or something is lost: whoever asks has to look himself."""
        encoded = None if self.is_overflown else encode_notify_information(self._events)
        self.clear()
        return encoded if encoded is not None and len(encoded) <= length_max else None

    def clear(self) -> None:
        """Forget everything."""
        self._budget.events -= len(self._events)
        self._events.clear()
        self._bytes = 0
        self.is_overflown = False
