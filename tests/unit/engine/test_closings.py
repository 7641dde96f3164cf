"""Waiting for handles that are being closed."""

from __future__ import annotations

from typing import Any

from smbd_uring.engine.closings import Closings
from smbd_uring.engine.scheduler import Scheduler

FILE, OTHER = (1, 2), (1, 3)


class NoDriver:
    """A driver that is never asked."""

    def perform_now(self, effect: Any) -> Any:
        raise AssertionError


def test_who_asks_waits_for_the_last_handle_of_that_file_only() -> None:
    scheduler = Scheduler(NoDriver())  # type: ignore[arg-type]
    closings, done = Closings(scheduler), []

    async def ask(name: str, identity: tuple[int, int]) -> None:
        await closings.over(identity)
        done.append(name)

    closings.begin(FILE)
    closings.begin(FILE)
    scheduler.start(ask("the file's", FILE))
    scheduler.start(ask("another's", OTHER))
    assert done == ["another's"]
    closings.end(FILE)
    scheduler.run_ready()
    assert done == ["another's"]
    closings.end(FILE)
    scheduler.run_ready()
    assert done == ["another's", "the file's"]
    scheduler.start(ask("the next", FILE))
    assert done[-1] == "the next"
