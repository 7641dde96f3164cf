"""What a server costs: processor time and memory of its whole tree of processes.

Knows: /proc and the kernel's process clocks.  Must not know: which server it is, what it does.

Where the time of a tree is found.  The kernel keeps for each process an exact sum (in ns, of its threads, those that
have ended included), which the process's clock shows.  When a process ends and its parent waits for it, its sum goes
over to what the parent keeps for its children, in ticks of 10 ms: that is where the work of processes is that began
and ended between two looks, such as the child that Samba forks for a connection.  So the tree's time is the clocks of
the living and the children's times of the living; nothing is counted twice, because a process is in one or in the
other.  Where children end in the measured time, user and system time of each parent are cut to whole ticks at both
looks, which is up to 20 ms wrong in all: the run has to be so long that this is little of it, and the second look waits
until the children have ended (`ProcessTree.settle`).  What the kernel does in threads of its own (kworker, ksoftirqd)
is missing.

The division into user and system time is what the kernel samples at its ticks; it is a good estimate over a second.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

CLOCK_SCHED = 2
"""CPUCLOCK_SCHED of the kernel: the exact sum of a process's threads, not what was sampled at ticks."""

SETTLE_TIMEOUT_S = 3.0
SETTLE_STEP_S = 0.02
NANOSECONDS_A_SECOND = 1_000_000_000


def process_clock(pid: int) -> int:
    """The clock that shows the processor time of a process, as clock_getcpuclockid(3) makes it."""
    return (~pid << 3) | CLOCK_SCHED


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Processor time, in ns."""

    user_ns: int
    system_ns: int

    @property
    def total_ns(self) -> int:
        """Both."""
        return self.user_ns + self.system_ns


@dataclass(frozen=True, slots=True)
class ProcessTimes:
    """One process's times; `exact_ns` and those of its ended children as sampled, in seconds."""

    exact_ns: int
    user_s: float
    system_s: float
    children_user_s: float
    children_system_s: float

    @property
    def children_ns(self) -> int:
        """Of children that have ended."""
        return round((self.children_user_s + self.children_system_s) * NANOSECONDS_A_SECOND)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The times of a tree at one moment, by process."""

    processes: dict[int, ProcessTimes] = field(default_factory=dict)

    def since(self, earlier: Snapshot) -> CpuTime:
        """What the tree has used since an earlier snapshot of it."""
        total_ns = max(self._total_ns() - earlier._total_ns(), 0)
        user_s = self._user_s() - earlier._user_s()
        system_s = self._system_s() - earlier._system_s()
        sampled_s = user_s + system_s
        # Too short for a tick: nobody knows, and half of it is the smallest error.
        user_ns = round(total_ns * (user_s / sampled_s if sampled_s > 0 else 0.5))
        return CpuTime(user_ns, total_ns - user_ns)

    def _total_ns(self) -> int:
        return sum(times.exact_ns + times.children_ns for times in self.processes.values())

    def _user_s(self) -> float:
        return sum(times.user_s + times.children_user_s for times in self.processes.values())

    def _system_s(self) -> float:
        return sum(times.system_s + times.children_system_s for times in self.processes.values())


class ProcessTree:
    """A process and all its descendants, as they come and go."""

    def __init__(self, root: int) -> None:
        """Raises psutil.NoSuchProcess."""
        self._root = psutil.Process(root)

    def snapshot(self) -> Snapshot:
        """The times now.  A process that ends meanwhile is its parent's, if the parent waits for it in time."""
        processes = {}
        for process in self._processes():
            with suppress(psutil.Error, OSError):
                processes[process.pid] = _times(process)
        return Snapshot(processes)

    def settle(self, count: int) -> None:
        """Wait until no more than `count` processes are left: children of connections end a little after them."""
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while self.count() > count and time.monotonic() < deadline:
            time.sleep(SETTLE_STEP_S)

    def count(self) -> int:
        """Processes there are, those that ended but were not waited for included."""
        return sum(1 for _ in self._processes())

    def pss_kib(self) -> int:
        """Memory of the tree: what is shared with others counts for its share (PSS)."""
        total = 0
        for process in self._processes():
            with suppress(psutil.Error):
                total += process.memory_full_info().pss
        return total // 1024

    def _processes(self) -> Iterator[psutil.Process]:
        yield self._root
        with suppress(psutil.NoSuchProcess):
            # Parents before children: a child that ends between the two looks is then in neither, not in both.
            yield from self._root.children(recursive=True)


def _times(process: psutil.Process) -> ProcessTimes:
    exact_ns = time.clock_gettime_ns(process_clock(process.pid))
    sampled = process.cpu_times()
    return ProcessTimes(
        exact_ns, sampled.user, sampled.system, sampled.children_user, sampled.children_system
    )


def own_cpu_ns() -> int:
    """Processor time of the calling process so far."""
    return time.clock_gettime_ns(process_clock(os.getpid()))
