"""Which driver runs the engine on this machine, and why.

Knows: both drivers and how the ring says that it cannot be had.  Must not know: what a driver does.
"""

from __future__ import annotations

from smbd_uring.loop.base import Companion, DriverBase
from smbd_uring.loop.epoll_driver import EpollDriver
from smbd_uring.loop.ring_driver import RingDriver, RingUnavailable


def choose_driver(use_uring: bool, companion: Companion) -> tuple[DriverBase, str]:
    """The ring's driver, or epoll's where the ring is refused, not built or not wanted.

    Result: the driver, and in words which one it is and why.
    """
    if not use_uring:
        return EpollDriver(companion=companion), "epoll, as --no-uring asks"
    try:
        return RingDriver(companion=companion), "io_uring"
    except RingUnavailable as reason:
        return EpollDriver(companion=companion), f"epoll, slower than io_uring: {reason}"
