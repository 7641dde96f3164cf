"""Workloads that are connections themselves: made and ended over and over, or held.

Knows: sessions.  Must not know: what the server costs.

Done in Python, by the tests' client: what the client costs does not count where the server's processor time does.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from types import TracebackType

from smbd_uring.perf._histogram import Histogram
from smbd_uring.perf.many_connections import allow_descriptors
from smbd_uring.perf.session import Connection, NotAgreedError, Target
from smbd_uring.perf.workloads import Workload


class ConnectWork:
    """From the TCP connection to TREE_CONNECT and back, one after the other."""

    def __init__(self, target: Target, workload: Workload) -> None:
        self.target = target
        self.workload = workload
        self.latencies = Histogram()
        self.operations = 0
        self.transferred = 0
        self.errors = 0
        self.complaint = ""

    def work(self, seconds: float) -> float:
        """Connect and leave for so long.  Result: how long it took, in seconds."""
        started = time.monotonic()
        while time.monotonic() < started + seconds:
            before_ns = time.monotonic_ns()
            try:
                Connection(self.target, self.workload.protection).leave()
            except (OSError, NotAgreedError, AssertionError) as error:
                self.errors += 1
                self.complaint = self.complaint or str(error)
            else:
                self.operations += 1
                self.latencies.add(time.monotonic_ns() - before_ns)
        return time.monotonic() - started

    def check_written(self) -> None:
        """Nothing was."""

    def clear(self) -> None:
        """Count from here on."""
        self.operations = self.errors = 0
        self.complaint = ""
        self.latencies.clear()

    def __enter__(self) -> ConnectWork:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """All are closed already."""


class IdleWork(ConnectWork):
    """So many connections, each with a session and a tree, on which nothing is said."""

    def __init__(self, target: Target, workload: Workload) -> None:
        """Connect all.  Raises NotAgreedError, OSError."""
        super().__init__(target, workload)
        with ExitStack() as held:
            allow_descriptors(workload.connections)
            for number in range(workload.connections):
                held.enter_context(Connection(target, workload.protection, number))
            self._held = held.pop_all()

    def work(self, seconds: float) -> float:
        """Hold them; each is an operation."""
        time.sleep(seconds)
        self.operations = self.workload.connections
        return seconds

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()
