"""Counts instructions of two revisions, workload by workload.

Knows: the order in which they run.  Must not know: how instructions are counted, what is concluded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from smbd_uring.perf.callgrind import Counted, counted
from smbd_uring.perf.rounds import Job
from smbd_uring.perf.verdict import Costs

ROUNDS = 2
"""Enough to see how well a count repeats."""


def count_instructions(
    jobs: Sequence[Job], work: Path, folder: Path, user: str, checkout: Path, say: Callable[[str], None]
) -> tuple[Costs, Costs]:
    """Instructions per operation of this revision and of `checkout`, by job, a figure a round.

    Arguments: a folder for the servers' state; the share's folder; the account; the other checkout; told of each job.
    Raises CallgrindError, ServerFailedError, and what the load generator raises.
    """
    with ExitStack() as stack:
        ours = stack.enter_context(counted(work, folder, user, "counted"))
        other = stack.enter_context(counted(work, folder, user, "counted-other", checkout))
        new: dict[str, list[float]] = {}
        old: dict[str, list[float]] = {}
        for job in jobs:
            say(f"{job.workload.label}, instructions")
            new[job.key] = _count(ours, job)
            old[job.key] = _count(other, job)
    return new, old


def _count(server: Counted, job: Job) -> list[float]:
    # The first time caches are filled and code is specialised, which shows in the count; from then on it repeats.
    server.instructions_per_operation(job.workload, job.placement)
    return [server.instructions_per_operation(job.workload, job.placement) for _ in range(ROUNDS)]
