"""The drivers under test: over epoll, over one ring for everything, and with a ring thread for connections.

A machine that refuses io_uring fails here: the ring is what this is about.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from smbd_uring import _native
from smbd_uring.loop.base import DriverBase
from smbd_uring.loop.epoll_driver import EpollDriver
from smbd_uring.loop.ring_driver import RingDriver
from tests.unit.loop.effects import Direct, Performer, Through

DRIVERS: dict[str, Callable[..., DriverBase]] = {
    "epoll": EpollDriver,
    "ring": RingDriver,
    "ring thread": partial(RingDriver, rings=1),
}


def descriptors() -> set[tuple[str, str]]:
    """The process's open descriptors and what each of them is."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found.add((name, os.readlink(f"/proc/self/fd/{name}")))
    return found


@pytest.fixture(params=list(DRIVERS))
def make_driver(request: pytest.FixtureRequest) -> Iterator[Callable[..., DriverBase]]:
    """Makes drivers of one kind, and afterwards closes them and looks for what they left behind."""
    made: list[DriverBase] = []
    gc.collect()
    before = descriptors(), set(threading.enumerate())

    def make(*arguments: Any, **options: Any) -> DriverBase:
        made.append(DRIVERS[request.param](*arguments, **options))
        return made[-1]

    yield make
    for driver in made:
        driver.close()
        assert not driver.connections
        if isinstance(driver, RingDriver):
            assert driver.ring.in_flight == 0
            assert [plane.operations for plane in driver.planes._planes] == [0] * max(1, len(driver.planes._threads))
    gc.collect()
    assert descriptors() <= before[0]
    assert set(threading.enumerate()) <= before[1]


@pytest.fixture(params=["syscalls", "python", "epoll", "ring", "at once"])
def perform(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Performer]:
    """Performs effects in one of the ways there are; "python" is system calls without native code."""
    performer: Direct | Through
    if request.param == "python":
        for name in ("paths", "stat_entries", "read_directory", "take_identity"):
            monkeypatch.setattr(_native, name, None)
    if request.param in ("syscalls", "python"):
        performer = Direct()
    elif request.param == "at once":
        performer = Through(EpollDriver(), now=True)
    else:
        performer = Through(DRIVERS[request.param]())
    yield performer
    performer.close()
    if isinstance(performer, Through) and isinstance(performer.driver, RingDriver):
        assert performer.driver.ring.in_flight == 0
