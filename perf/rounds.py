"""Interleaved rounds: A B A B, so that what slows the machine for a while slows everybody.

Knows: contenders, workloads, order.  Must not know: what is concluded.

Nothing is left out: a round that failed or had errors stays in the record with what went wrong, and whoever makes a
table of it says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from smbd_uring.perf.contenders import Contender, Duration, Figures
from smbd_uring.perf.pinning import Placement
from smbd_uring.perf.workloads import Workload


@dataclass(frozen=True, slots=True)
class Job:
    """A workload, where it runs, and the name under which it was asked for."""

    name: str
    workload: Workload
    placement: Placement

    @property
    def key(self) -> str:
        """Names the job in files: the same in every run."""
        return f"{self.name}, {self.workload.protection}, {self.placement.name}"


@dataclass(frozen=True, slots=True)
class Round:
    """What one contender did in one round of one job: figures, or None and why not."""

    job: Job
    contender: str
    number: int
    figures: Figures | None
    failure: str = ""

    @property
    def complaint(self) -> str:
        """What was wrong with it; empty when nothing was."""
        if self.figures is None:
            return self.failure
        return f"{self.figures.errors} errors: {self.figures.complaint}" if self.figures.errors else ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "job": self.job.key, "title": self.job.workload.label, "placement": self.job.placement.name,
            "server": self.contender, "round": self.number, "failure": self.failure,
            "figures": asdict(self.figures) if self.figures is not None else None,
        }  # fmt: skip


def run_rounds(
    contenders: Sequence[Contender], jobs: Iterable[Job], rounds: int, duration: Duration,
    say: Callable[[str], None] = lambda line: None,
) -> list[Round]:  # fmt: skip
    """Do every job with every contender that can do it, `rounds` times in turn.  `say` gets a line a job."""
    done = []
    for job in jobs:
        say(f"{job.workload.label} ({job.placement.name})")
        able = [contender for contender in contenders if contender.can(job.workload)]
        for number in range(rounds):
            done += [_one(contender, job, number, duration) for contender in able]
    return done


def of(rounds: Iterable[Round], job: Job, contender: str) -> list[Round]:
    """One contender's rounds of one job, in order."""
    chosen = [one for one in rounds if one.job == job and one.contender == contender]
    return sorted(chosen, key=lambda one: one.number)


def series(rounds: Iterable[Round], figure: Callable[[Figures], float | None]) -> list[float]:
    """One figure of each round; 0 where there is none, which no ratio is made of."""
    return [(figure(one.figures) or 0.0) if one.figures is not None else 0.0 for one in rounds]


def _one(contender: Contender, job: Job, number: int, duration: Duration) -> Round:
    try:
        return Round(job, contender.name, number, contender.measure(job.workload, job.placement, duration))
    except Exception as error:
        # Whatever it was: one server failing one workload must not lose the hour of measurements around it.
        return Round(job, contender.name, number, None, f"{type(error).__name__}: {error}")
