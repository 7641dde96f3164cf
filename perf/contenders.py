"""What is measured in rounds: a server or the floor, and the figures that a round gives.

Knows: the load generator's interface.  Must not know: how a server is started, what is made of the figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from smbd_uring.perf.load import Result, Target, run
from smbd_uring.perf.pinning import Placement, placed
from smbd_uring.perf.servers import Running
from smbd_uring.perf.workloads import Workload


@dataclass(frozen=True, slots=True)
class Figures:
    """What one round gave.  Times in us; None where it was not measured."""

    operations_per_s: float
    megabytes_per_s: float
    cpu_user_us: float
    """Of the server, per operation."""
    cpu_system_us: float
    p50_us: float | None = None
    p95_us: float | None = None
    p99_us: float | None = None
    max_us: float | None = None
    memory_kib: float | None = None
    memory_kib_per_connection: float | None = None
    errors: int = 0
    complaint: str = ""
    """What the first of the errors was about."""

    @property
    def cpu_us(self) -> float:
        """The server's CPU time per operation, user and system."""
        return self.cpu_user_us + self.cpu_system_us


@dataclass(frozen=True, slots=True)
class Duration:
    """How long a round is, in seconds."""

    seconds: float
    warm_up_seconds: float


class Contender(Protocol):
    """Something that does workloads."""

    @property
    def name(self) -> str:
        """As it is called in tables."""
        ...

    def can(self, workload: Workload) -> bool:
        """Whether it can do this one."""
        ...

    def measure(self, workload: Workload, placement: Placement, duration: Duration) -> Figures:
        """Do `workload` for that long where `placement` says.  Raises whatever went wrong."""
        ...


@dataclass(frozen=True, slots=True)
class ServerContender:
    """A running server, driven by the load generator."""

    running: Running

    @property
    def name(self) -> str:
        """As it is called in tables."""
        return self.running.name

    def can(self, workload: Workload) -> bool:
        """A server can do them all."""
        return True

    def measure(self, workload: Workload, placement: Placement, duration: Duration) -> Figures:
        """Connect, warm up, measure, disconnect.  Raises what the load generator raises."""
        with placed(placement, self.running.pid):
            return figures(run(target(self.running), workload, duration.seconds, duration.warm_up_seconds))


def target(running: Running) -> Target:
    """A running server as the load generator wants it named."""
    return Target(running.address, running.port, running.user, running.password, running.share, running.pid)


def figures(result: Result) -> Figures:
    """The load generator's result in the words of this module."""
    latency = result.latency_us
    return Figures(
        operations_per_s=result.operations_per_second,
        megabytes_per_s=result.megabytes_per_second,
        cpu_user_us=result.cpu_user_us_per_operation or 0.0,
        cpu_system_us=result.cpu_system_us_per_operation or 0.0,
        p50_us=latency["p50"],
        p95_us=latency["p95"],
        p99_us=latency["p99"],
        max_us=latency["max"],
        memory_kib=result.memory_kib,
        memory_kib_per_connection=result.memory_kib_per_connection,
        errors=result.errors,
        complaint=result.complaint,
    )
