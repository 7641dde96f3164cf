"""Runs the engine's coroutines: starts them, parks them on effects, wakes them, and keeps their deadlines.

Knows: effects and the driver port.  Must not know: SMB.

A coroutine that awaits an effect of `ports` is handed to the driver; one that awaits a `Parking` stays here until
somebody in the engine calls `Parking.wake`, or its deadline passes.
"""

from __future__ import annotations

import heapq
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, TypeVar

from smbd_uring.ports import NOT_NOW, Driver, Effect, NotNow

log = logging.getLogger("smbd.engine")


Result = TypeVar("Result")

FAILED = "a coroutine of the engine failed by our own fault"

CANCELLED_TIMERS_KEPT = 1024
"""Fewer than this are not worth cleaning up; they leave when their time comes."""


class Task:
    """One coroutine under way.  Drivers carry it as their token and know nothing of it."""

    __slots__ = ("coroutine",)

    def __init__(self, coroutine: Coroutine[Effect[Any], Any, None]) -> None:
        self.coroutine = coroutine


class Parking(Effect[Any]):
    """A place where one coroutine waits for another part of the engine.

    `wake(value)` may come before the coroutine arrives (it then does not stop) and only the first call counts.
    """

    __slots__ = ("_scheduler", "_task", "_value", "woken")

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._task: Task | None = None
        self._value: Any = None
        self.woken = False

    def __await__(self) -> Generator[Effect[Any], Any, Any]:
        if not self.woken:
            yield self
        return self._value

    def park(self, task: Task) -> None:
        """Called by the scheduler when the coroutine arrives."""
        assert self._task is None, "two coroutines at one parking place"
        self._task = task

    def wake(self, value: Any = None) -> None:
        """Let the waiting coroutine go on with `value`, in the scheduler's next turn."""
        if self.woken:
            return
        self.woken = True
        self._value = value
        if self._task is not None:
            self._scheduler.make_ready(self._task)


class Turns:
    """`async with turns:` lets one coroutine in at a time; the others wait, first come, first served."""

    __slots__ = ("_scheduler", "_taken", "_waiting")

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._taken = False
        self._waiting: deque[Parking] = deque()

    async def __aenter__(self) -> None:
        if self._taken:
            parking = Parking(self._scheduler)
            self._waiting.append(parking)
            await parking
        self._taken = True

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._waiting:
            self._waiting.popleft().wake()
        else:
            self._taken = False


class Timer:
    """A call at a given time, unless cancelled before."""

    __slots__ = ("_scheduler", "callback")

    def __init__(self, scheduler: Scheduler, callback: Callable[[], None]) -> None:
        self._scheduler = scheduler
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Do not call, and let go of what the callback holds; harmless when the time has passed."""
        if self.callback is not None:
            self.callback = None
            self._scheduler.timer_cancelled()


class Scheduler:
    """The engine's coroutines and timers.  `now` is set by the engine at each of its entry points, in seconds."""

    def __init__(self, driver: Driver) -> None:
        self.now = 0.0
        self.tasks: set[Task] = set()
        self._driver = driver
        self._perform_now = driver.perform_now
        self._ready: list[Task] = []
        self._timers: list[tuple[float, int, Timer]] = []
        self._timer_count = 0
        self._cancelled_timers = 0

    def start(self, coroutine: Coroutine[Effect[Any], Any, None]) -> None:
        """Run a coroutine up to the first effect that has to be waited for; one that never waits leaves no task.  It
        must not raise: it handles its own errors."""
        try:
            effect = coroutine.send(None)
        except StopIteration:
            return
        except Exception:
            log.exception(FAILED)
            return
        self._wait_for(effect, coroutine, None)

    def run_at_once(self, coroutine: Coroutine[Effect[Any], Any, Result]) -> Result | NotNow:
        """What a coroutine comes to, or raises, when every effect it awaits is performed at once.

        NOT_NOW when one is not: the coroutine is ended there, so it must have nothing to take back.
        """
        try:
            effect = coroutine.send(None)
            while True:
                result = self._perform_now(effect)
                if result is NOT_NOW:
                    coroutine.close()
                    return NotNow.NOT_NOW
                effect = coroutine.send(result)
        except StopIteration as stop:
            answer: Result = stop.value
            return answer

    def completed(self, token: object, result: Any, error: BaseException | None) -> None:
        """The driver performed the effect that `token`'s coroutine waits for."""
        assert isinstance(token, Task)
        self._step(token, result, error)

    def make_ready(self, task: Task) -> None:
        """Resume a parked task in the next `run_ready`."""
        self._ready.append(task)

    def run_ready(self) -> None:
        """Resume what was woken, until nothing is left to resume."""
        while self._ready:
            ready, self._ready = self._ready, []
            for task in ready:
                self._step(task, None, None)

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` once `now` reaches `when`."""
        timer = Timer(self, callback)
        self._timer_count += 1
        heapq.heappush(self._timers, (when, self._timer_count, timer))
        return timer

    def timer_cancelled(self) -> None:
        """A timer will not be called; when most are so, those that will are put into a new heap."""
        self._cancelled_timers += 1
        if self._cancelled_timers > CANCELLED_TIMERS_KEPT and 2 * self._cancelled_timers > len(self._timers):
            self._timers = [entry for entry in self._timers if entry[2].callback is not None]
            heapq.heapify(self._timers)
            self._cancelled_timers = 0

    async def sleep(self, seconds: float) -> None:
        """Wait for that many seconds."""
        parking = Parking(self)
        self.call_at(self.now + seconds, parking.wake)
        await parking

    def run_timers(self) -> None:
        """Call every timer whose time has come."""
        while self._timers and self._timers[0][0] <= self.now:
            _, _, timer = heapq.heappop(self._timers)
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()
            else:
                self._cancelled_timers -= 1

    def next_deadline(self) -> float | None:
        """When `run_timers` wants to be called next, or None."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
            self._cancelled_timers -= 1
        return self._timers[0][0] if self._timers else None

    def _step(self, task: Task, result: Any, error: BaseException | None) -> None:
        """Go on with a coroutine that waited."""
        coroutine = task.coroutine
        try:
            effect = coroutine.send(result) if error is None else coroutine.throw(error)
        except StopIteration:
            self.tasks.discard(task)
        except Exception:
            self.tasks.discard(task)
            log.exception(FAILED)
        else:
            self._wait_for(effect, coroutine, task)

    def _wait_for(
        self, effect: Effect[Any], coroutine: Coroutine[Effect[Any], Any, None], task: Task | None
    ) -> None:
        """Let a coroutine wait for an effect; where the driver answers at once it goes straight on."""
        perform_now = self._perform_now
        try:
            while not isinstance(effect, Parking):
                try:
                    result = perform_now(effect)
                except Exception as failure:
                    effect = coroutine.throw(failure)
                else:
                    if result is NOT_NOW:
                        break
                    effect = coroutine.send(result)
        except StopIteration:
            if task is not None:
                self.tasks.discard(task)
            return
        except Exception:
            if task is not None:
                self.tasks.discard(task)
            log.exception(FAILED)
            return
        if task is None:
            task = Task(coroutine)
            self.tasks.add(task)
        if isinstance(effect, Parking):
            effect.park(task)
        else:
            self._driver.perform(task, effect)
