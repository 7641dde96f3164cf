"""Which driver runs the engine on this machine, and why.

Knows: both drivers and how the ring says that it cannot be had.  Must not know: what a driver does.
"""

from __future__ import annotations

import os

from smbd_uring import limits
from smbd_uring.loop.base import Companion, DriverBase
from smbd_uring.loop.epoll_driver import EpollDriver
from smbd_uring.loop.ring_driver import RingDriver, RingUnavailable


def ring_threads(rings: int | None) -> int:
    """Data planes with threads of their own: as asked, else one a processor that this process may use, up to RINGS_MAX.
    With one processor a thread would only cost switches: then 0, and the plane runs in the engine's thread."""
    processors = len(os.sched_getaffinity(0))
    if rings is None:
        rings = min(processors, limits.RINGS_MAX)
    return 0 if processors == 1 and rings == 1 else rings


def choose_driver(use_uring: bool, companion: Companion, rings: int | None = None) -> tuple[DriverBase, str]:
    """The ring's driver, or epoll's where the ring is refused, not built or not wanted.

    Result: the driver, and in words which one it is and why.
    """
    if not use_uring:
        return EpollDriver(companion=companion), "epoll, as --no-uring asks"
    try:
        threads = ring_threads(rings)
        driver = RingDriver(companion=companion, rings=threads)
        return driver, f"io_uring, {threads} ring thread{'s' * (threads != 1)}" if threads else "io_uring"
    except RingUnavailable as reason:
        return EpollDriver(companion=companion), f"epoll, slower than io_uring: {reason}"
