"""What a handle was not told yet: bounded, coalesced, and lost as a whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbd_uring import limits
from smbd_uring.engine.notify_queue import NotifyBudget, NotifyQueue
from smbd_uring.wire.fscc import NotifyAction, NotifyInformation, decode_notify_information

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)
EVENTS = st.lists(
    st.builds(NotifyInformation, st.sampled_from([int(action) for action in NotifyAction]), NAMES), max_size=30
)
LARGE = 1 << 16


@given(EVENTS, st.integers(0, 4000))
def test_all_fits_or_nothing_is_told(events: list[NotifyInformation], length_max: int) -> None:
    queue = NotifyQueue(LARGE, NotifyBudget())
    for event in events:
        queue.add([event])
    expected = [
        event for before, event in zip([None, *events], events, strict=False)
        if not (event.action == NotifyAction.MODIFIED and event == before)
    ]  # fmt: skip
    assert queue.has_something == bool(expected)
    taken = queue.take(length_max)
    if taken is None:
        assert sum(event.size for event in expected) > length_max
    else:
        assert len(taken) <= length_max
        assert decode_notify_information(taken) == expected
    assert not queue.has_something


def test_what_exceeds_the_first_requests_buffer_is_lost_until_somebody_was_told() -> None:
    queue = NotifyQueue(40, NotifyBudget())
    for name in ("a", "b", "c"):
        queue.add([NotifyInformation(NotifyAction.ADDED, name)])
    assert queue.is_overflown
    assert queue.take(LARGE) is None
    queue.add([NotifyInformation(NotifyAction.ADDED, "d")])
    assert decode_notify_information(queue.take(LARGE) or b"") == [(NotifyAction.ADDED, "d")]


def test_a_queue_without_room_tells_only_that_something_happened() -> None:
    queue = NotifyQueue(0, NotifyBudget())
    assert not queue.has_something
    queue.add([NotifyInformation(NotifyAction.ADDED, "a")])
    assert queue.take(LARGE) is None


def test_all_queues_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "NOTIFY_EVENTS_IN_ALL_MAX", 2)
    budget = NotifyBudget()
    first, second = NotifyQueue(LARGE, budget), NotifyQueue(LARGE, budget)
    first.add([NotifyInformation(NotifyAction.ADDED, "a"), NotifyInformation(NotifyAction.ADDED, "b")])
    second.add([NotifyInformation(NotifyAction.ADDED, "c")])
    assert second.is_overflown
    assert not first.is_overflown
    first.clear()
    second.take(LARGE)
    assert budget.events == 0
