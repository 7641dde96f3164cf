"""The data planes of one driver: one in the driver's own thread, or some with threads and rings of their own.

Knows: how many there are and which of them a connection belongs to.  Must not know: SMB, what is granted.

Importing this module needs no native code; making Planes does.
"""

from __future__ import annotations

import logging
import os
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from smbd_uring import _native, limits
from smbd_uring.loop import identity
from smbd_uring.ports import Credentials

if TYPE_CHECKING:
    from smbd_uring._native._crew import CryptographyCrew
    from smbd_uring._native._plane import DataPlane, Event
    from smbd_uring._native._plane_connection import PlaneConnection
    from smbd_uring._native._ring import Ring

_log = logging.getLogger("smbd.loop")

NOBODY: Final = Credentials(65534, 65534)
"""Owns nothing and may nothing; a plane only uses files that are open already."""

FRAME: Final = 1
PEER_FINISHED: Final = 2
FAILED: Final = 3
SENT: Final = 4
FLUSHED: Final = 5
DRAINED: Final = 6
VIOLATION: Final = 7
"""Kinds of events, as `_connection.pxd` numbers them."""

_VIOLATIONS: Final = {
    1: "a frame of type {:#04x}",
    2: "a frame of {} bytes, which is not allowed",
    3: "a sealed frame that does not open",
    4: "message id {} is not in the window",
}


def violation_text(number: int, detail: int) -> str:
    """What a peer did wrong, for the log."""
    return _VIOLATIONS[number].format(detail)


def bytes_max() -> int:
    """Memory that frames and replies of all connections may take: a quarter of the machine, within limits."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(limits.PLANES_BYTES_MAX, memory // 4)


class Planes:
    """All data planes of a driver.  Methods are for the driver's thread."""

    def __init__(self, ring: Ring, threads: int) -> None:
        """With `threads` 0 there is one plane, on `ring`.  RingUnavailable when a ring cannot be made."""
        self._ring = ring
        self._next = 0
        self._threads: list[threading.Thread] = []
        self._crew: CryptographyCrew | None = None
        self._crew_threads: list[threading.Thread] = []
        self._wakeups: list[int] = []
        self.wakeup: int | None = None
        """Readable when events are to be taken now; None when each wait of the driver's ring ends for them."""
        self._planes: list[DataPlane] = []
        share = bytes_max() // max(threads, 1)
        assert _native.make_plane is not None and _native.make_crew is not None, "there whenever there is a ring"
        if threads == 0:
            self._planes.append(_native.make_plane(ring, share))
            return
        self.wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._crew = _native.make_crew()
        try:
            for index in range(limits.CREW_THREADS):
                self._crew_threads.append(
                    threading.Thread(target=self._crew.run, name=f"crew-{index}", daemon=True)
                )
                self._crew_threads[-1].start()
            for index in range(threads):
                self._planes.append(self._start(index, share, self.wakeup))
        except BaseException:
            self.close()
            raise

    def connect(self, connection_id: int, descriptor: int) -> PlaneConnection:
        """Give a connected, non-blocking socket to the next plane in turn."""
        plane = self._planes[self._next]
        self._next = (self._next + 1) % len(self._planes)
        return plane.connect(connection_id, descriptor, limits.CREDITS_MAX)

    def take_events(self) -> list[Event]:
        """What happened since the last call; after each wait of the driver's ring, for not everything ends it: what
        was sent is told with what comes next."""
        if len(self._planes) == 1:
            return self._planes[0].take_events()
        return [event for plane in self._planes for event in plane.take_events()]

    def heard(self) -> None:
        """The wakeup was noticed."""
        assert self.wakeup is not None
        os.eventfd_read(self.wakeup)

    def served(self) -> tuple[dict[int, int], int, int]:
        """See `ports.Driver.served`."""
        requests: dict[int, int] = {}
        bytes_read = bytes_written = 0
        for plane in self._planes:
            by_command, plane_read, plane_written = plane.counters()
            for command, count in by_command.items():
                requests[command] = requests.get(command, 0) + count
            bytes_read += plane_read
            bytes_written += plane_written
        return requests, bytes_read, bytes_written

    def close(self) -> None:
        """End the threads; connections were dropped before."""
        for plane in self._planes[: len(self._threads)]:
            plane.stop()
        for thread in self._threads:
            thread.join()
        if self._crew is not None:
            self._crew.stop()
            for thread in self._crew_threads:
                thread.join()
        if not self._threads:
            for plane in self._planes:
                plane.drain()
        for descriptor in (*self._wakeups, *((self.wakeup,) if self.wakeup is not None else ())):
            os.close(descriptor)
        self._wakeups.clear()
        self.wakeup = None

    def _start(self, index: int, share: int, engine_wakeup: int) -> DataPlane:
        plane_wakeup = os.eventfd(0, os.EFD_CLOEXEC)
        self._wakeups.append(plane_wakeup)
        made: SimpleQueue[DataPlane | BaseException] = SimpleQueue()

        def live() -> None:
            assert _native.Ring is not None and _native.make_plane is not None
            try:
                _become_nobody()
                ring = _native.Ring()
                plane = _native.make_plane(ring, share, engine_wakeup, plane_wakeup, self._crew)
            except BaseException as error:
                made.put(error)
                return
            made.put(plane)
            try:
                plane.run()
            finally:
                ring.close()

        thread = threading.Thread(target=live, name=f"ring-{index}", daemon=True)
        thread.start()
        plane = made.get()
        if isinstance(plane, BaseException):
            thread.join()
            raise plane
        self._threads.append(thread)
        return plane


def _become_nobody() -> None:
    """What this thread writes for clients is not written by root: disk blocks kept for root stay kept.

    Raises IdentityLost when the thread is nobody known any more.
    """
    try:
        identity.ThreadIdentity().assume(NOBODY)
    except OSError as error:
        _log.warning("a ring thread writes as the server itself: %s", error)
