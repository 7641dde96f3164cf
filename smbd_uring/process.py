"""What a server asks of its own process: descriptors, signals, the service manager.

Knows: rlimits, signal handlers, the service manager's socket.  Must not know: clients, SMB.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import signal
import socket
from collections import deque
from collections.abc import Iterable
from types import FrameType

from smbd_uring import limits

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""mallopt's own numbers."""

_CAPABILITY_VERSION_3 = 0x2008_0522
_CAP_FSETID = 4
_CAP_SYS_RESOURCE = 24

DESCRIPTORS_WANTED = limits.OPENS_MAX + limits.CONNECTIONS_MAX + limits.DESCRIPTORS_RESERVED


def raise_descriptor_limit() -> int:
    """Raise RLIMIT_NOFILE to what the limits need, as far as the kernel lets us.

    Result: how many descriptors this process may have now.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _at_least(soft, DESCRIPTORS_WANTED):
        return soft if soft != resource.RLIM_INFINITY else DESCRIPTORS_WANTED
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS_WANTED, max(hard, DESCRIPTORS_WANTED)))
    except (ValueError, OSError):
        # Not ours to raise beyond the hard limit: take all of that.
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def renounce_privileges() -> None:
    """Give up what would let a client's bytes pass as the administrator's: no quota binds CAP_SYS_RESOURCE, and a WRITE
    under CAP_FSETID leaves a program's set-user-id bit.  To be called once the descriptor limit is raised and before
    there are threads, which inherit it.  Nothing happens where nothing can be given up."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # effective, permitted, inheritable of capabilities 0 to 31, then of the others
    sets = (ctypes.c_uint32 * 6)()
    library = ctypes.CDLL(None, use_errno=True)
    if library.capget(header, sets) != 0:
        return
    for capability in (_CAP_FSETID, _CAP_SYS_RESOURCE):
        for index in range(3):
            sets[index] &= ~(1 << capability)
    if library.capset(header, sets) != 0:
        raise OSError(ctypes.get_errno(), "giving up CAP_FSETID and CAP_SYS_RESOURCE")


def share_descriptors(limit: int) -> tuple[int, int]:
    """Divide `limit` descriptors between connections and opens.

    Result: (connections, opens), both at least 1.
    """
    available = max(limit - limits.DESCRIPTORS_RESERVED, 4)
    # Where descriptors are short a connection for every four keeps most of them for files, up to enough of those.
    connections = min(limits.CONNECTIONS_MAX, max(available // 4, available - limits.OPENS_ENOUGH))
    return connections, min(limits.OPENS_MAX, available - connections)


def settle_memory() -> None:
    """Once everything is imported and made: let the collector look at what is new alone, and rarely; and let the C
    library keep what was freed instead of having the kernel clear the same pages for every large reply anew.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(limits.GARBAGE_OBJECTS)
    # Another C library than glibc has its own ways.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, limits.FREED_BYTES_KEPT)
        mallopt(_M_TRIM_THRESHOLD, limits.FREED_BYTES_KEPT)


def notify_service_manager(state: str) -> None:
    """Send `state` (`READY=1`, `STOPPING=1`) to the service manager; does nothing where there is none."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        try:
            connection.sendto(state.encode(), address)
        except OSError:
            # The manager learns less, the clients notice nothing.
            return


class Signals:
    """Signals kept until somebody asks for them between two steps of the loop.

    A sleeping loop is woken by the wakeup descriptor, which the loop sets itself while it runs.
    """

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        """Take over `numbers` from now on."""
        self._came: deque[signal.Signals] = deque()
        self._previous = {number: signal.signal(number, self._take_down) for number in numbers}

    def take(self) -> signal.Signals | None:
        """The oldest signal that came and was not asked for yet, or None."""
        return self._came.popleft() if self._came else None

    @property
    def pending(self) -> bool:
        """Whether a signal waits to be taken."""
        return bool(self._came)

    def close(self) -> None:
        """Give the signals back to whom they belonged."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _take_down(self, number: int, _frame: FrameType | None) -> None:
        self._came.append(signal.Signals(number))


def _at_least(limit: int, wanted: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= wanted
