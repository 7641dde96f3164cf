"""Coroutines parked, woken, timed and fed by a driver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from smbd_uring.engine.scheduler import Parking, Scheduler
from smbd_uring.ports import NOT_NOW, Buffer, Effect, Handle, Synchronize


class Notebook:
    """A driver that only writes down what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, Effect[Any]]] = []
        self.at_once: list[tuple[Effect[Any], Any]] = []
        """Effects that are answered before the scheduler has finished asking, and the answers."""

    def perform_now(self, effect: Effect[Any]) -> Any:
        answer = next((answer for known, answer in self.at_once if known == effect), NOT_NOW)
        if isinstance(answer, OSError):
            raise answer
        return answer

    def perform(self, token: object, effect: Effect[Any]) -> None:
        self.asked.append((token, effect))

    def send(self, connection_id: int, segments: Sequence[Buffer]) -> None:
        raise AssertionError("a scheduler sends nothing")

    def disconnect(self, connection_id: int) -> None:
        raise AssertionError("a scheduler knows no connections")

    pause_reading = resume_reading = disconnect


@pytest.fixture
def driver() -> Notebook:
    return Notebook()


@pytest.fixture
def scheduler(driver: Notebook) -> Scheduler:
    return Scheduler(driver)


def test_a_coroutine_runs_up_to_its_first_effect_and_goes_on_with_the_result(
    scheduler: Scheduler, driver: Notebook
) -> None:
    story: list[object] = []

    async def work() -> None:
        story.append("started")
        story.append(await Synchronize(Handle(7)))

    scheduler.start(work())
    assert story == ["started"]
    [(token, effect)] = driver.asked
    assert effect == Synchronize(Handle(7))
    assert len(scheduler.tasks) == 1
    scheduler.completed(token, "done", None)
    assert story == ["started", "done"]
    assert not scheduler.tasks


def test_a_coroutine_goes_straight_on_where_the_driver_answers_at_once(
    scheduler: Scheduler, driver: Notebook
) -> None:
    driver.at_once = [(Synchronize(Handle(1)), "one"), (Synchronize(Handle(2)), OSError(5, "broken disk"))]
    story: list[object] = []

    async def work() -> None:
        story.append(await Synchronize(Handle(1)))
        try:
            await Synchronize(Handle(2))
        except OSError as error:
            story.append(error.errno)
        story.append(await Synchronize(Handle(3)))

    scheduler.start(work())
    assert story == ["one", 5]
    [(token, effect)] = driver.asked
    assert effect == Synchronize(Handle(3)), "only what was not answered at once is queued"
    scheduler.completed(token, "three", None)
    assert story == ["one", 5, "three"]
    assert not scheduler.tasks


def test_a_failed_effect_raises_inside_the_coroutine(scheduler: Scheduler, driver: Notebook) -> None:
    caught: list[OSError] = []

    async def work() -> None:
        try:
            await Synchronize(Handle(7))
        except OSError as error:
            caught.append(error)
        await Synchronize(Handle(8))

    scheduler.start(work())
    failure = OSError(5, "broken disk")
    scheduler.completed(driver.asked[0][0], None, failure)
    assert caught == [failure]
    scheduler.completed(driver.asked[1][0], None, None)
    assert not scheduler.tasks


def test_a_coroutine_that_raises_is_forgotten_and_logged_and_the_others_go_on(
    scheduler: Scheduler, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        raise ZeroDivisionError

    scheduler.start(work())
    assert not scheduler.tasks
    assert "ZeroDivisionError" in caplog.text


def test_a_parked_coroutine_goes_on_in_the_next_turn_with_the_first_value_only(scheduler: Scheduler) -> None:
    parking = Parking(scheduler)
    seen: list[object] = []

    async def wait() -> None:
        seen.append(await parking)

    scheduler.start(wait())
    parking.wake("first")
    parking.wake("second")
    assert seen == [], "waking only marks it ready"
    scheduler.run_ready()
    scheduler.run_ready()
    assert seen == ["first"]


def test_a_coroutine_that_comes_after_the_wake_does_not_stop(scheduler: Scheduler) -> None:
    parking = Parking(scheduler)
    parking.wake("early")
    seen: list[object] = []

    async def wait() -> None:
        seen.append(await parking)

    scheduler.start(wait())
    assert seen == ["early"]


def test_two_coroutines_at_one_parking_place_are_our_bug(scheduler: Scheduler) -> None:
    parking = Parking(scheduler)

    async def wait() -> None:
        await parking

    scheduler.start(wait())
    with pytest.raises(AssertionError, match="two coroutines"):
        scheduler.start(wait())


def test_one_turn_also_resumes_what_it_wakes_itself(scheduler: Scheduler) -> None:
    first, second = Parking(scheduler), Parking(scheduler)
    story: list[str] = []

    async def one() -> None:
        await first
        story.append("one")
        second.wake()

    async def two() -> None:
        await second
        story.append("two")

    scheduler.start(one())
    scheduler.start(two())
    first.wake()
    scheduler.run_ready()
    assert story == ["one", "two"]


def test_timers_are_called_in_order_of_time_then_of_making(scheduler: Scheduler) -> None:
    story: list[str] = []
    scheduler.call_at(2.0, lambda: story.append("c"))
    scheduler.call_at(1.0, lambda: story.append("a"))
    scheduler.call_at(1.0, lambda: story.append("b"))
    assert scheduler.next_deadline() == 1.0
    scheduler.now = 0.9
    scheduler.run_timers()
    assert story == []
    scheduler.now = 5.0
    scheduler.run_timers()
    assert story == ["a", "b", "c"]
    assert scheduler.next_deadline() is None


def test_a_cancelled_timer_is_neither_called_nor_waited_for(scheduler: Scheduler) -> None:
    story: list[str] = []
    early = scheduler.call_at(1.0, lambda: story.append("early"))
    scheduler.call_at(2.0, lambda: story.append("late"))
    early.cancel()
    assert scheduler.next_deadline() == 2.0
    scheduler.now = 3.0
    scheduler.run_timers()
    early.cancel()
    assert story == ["late"]


def test_sleeping_ends_when_the_time_has_come(scheduler: Scheduler) -> None:
    story: list[str] = []

    async def nap() -> None:
        await scheduler.sleep(1.5)
        story.append("awake")

    scheduler.now = 10.0
    scheduler.start(nap())
    assert scheduler.next_deadline() == 11.5
    for now in (11.0, 11.5):
        scheduler.now = now
        scheduler.run_timers()
        scheduler.run_ready()
        assert story == (["awake"] if now == 11.5 else [])
