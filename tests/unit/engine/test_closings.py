"""Waiting for handles that are being closed."""

from __future__ import annotations

from smbd_uring.engine.closings import Closings
from smbd_uring.engine.scheduler import Scheduler
from tests.sim.driver import SimulatedDriver

FILE, OTHER = (1, 2), (1, 3)


def test_who_asks_waits_for_the_last_handle_of_that_file_only() -> None:
    scheduler = Scheduler(SimulatedDriver(1))
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
