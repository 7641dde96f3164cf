"""`smbd-uring bench matrix`: throughput and p99 over depths and numbers of connections, against Samba.

Knows: the cells, when a cell counts as ahead.  Must not know: how servers are started.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from smbd_uring.perf import document
from smbd_uring.perf.arrangement import OURS, add_arguments, arranged, duration, positive, progress
from smbd_uring.perf.contenders import Figures
from smbd_uring.perf.figures_wanted import TABLE
from smbd_uring.perf.pinning import placements
from smbd_uring.perf.ratios import ratio
from smbd_uring.perf.rounds import Job, Round, of, run_rounds, series
from smbd_uring.perf.tables import complaints, jobs_of, markdown, middle, number
from smbd_uring.perf.workloads import PROTECTIONS

STEPS = (1, 8, 64)


def describe(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--workload", choices=TABLE, default="read-4k", help="of which depth and connections vary (default: read-4k)"
    )
    parser.add_argument("--protection", choices=PROTECTIONS, default="plain")
    parser.add_argument("--depths", type=numbers, default=list(STEPS), metavar="N,...", help="default: 1,8,64")
    parser.add_argument("--connections", type=numbers, default=list(STEPS), metavar="N,...", help="default: 1,8,64")
    add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Measure and print a table for each Samba.  Result: 0."""
    workload = replace(TABLE[options.workload].workload, protection=options.protection)
    jobs = [
        Job(options.workload, replace(workload, depth=depth, connections=connections), placements()["two"])
        for connections in options.connections
        for depth in options.depths
    ]
    with arranged(options) as ready:
        done = run_rounds(ready.contenders, jobs, options.rounds, duration(options), progress)
        others = ready.others
    print("\n\n".join(cells(done, other) for other in others))
    for line in complaints(done):
        print(f"not clean: {line}")
    if options.json is not None:
        settings = {"workload": options.workload, "protection": options.protection, "rounds": options.rounds,
                    "seconds": options.seconds}  # fmt: skip
        document.write(options.json, document.record("matrix", settings, done, {}))
    return 0


def cells(done: Sequence[Round], other: str) -> str:
    """A line for each cell: operations a second and p99 of both, their ratios, and whether we are ahead in both."""
    rows = []
    for job in jobs_of(done):
        mine, theirs = of(done, job, OURS), of(done, job, other)
        faster = ratio(series(mine, rate), series(theirs, rate))
        slower = ratio(series(mine, p99), series(theirs, p99))
        ahead = faster is not None and faster.median > 1 and slower is not None and slower.median < 1
        rows.append([
            f"{job.workload.connections} x {job.workload.depth}",
            number(middle(mine, rate)), number(middle(theirs, rate)), number(faster.median if faster else None),
            number(middle(mine, p99)), number(middle(theirs, p99)), number(slower.median if slower else None),
            "yes" if ahead else "NO",
        ])  # fmt: skip
    head = [
        "connections x depth", f"{OURS} op/s", f"{other} op/s", "ratio", f"{OURS} p99 us", f"{other} p99 us", "ratio",
        "ahead",
    ]  # fmt: skip
    return markdown(head, rows)


def rate(one: Figures) -> float:
    """Operations a second."""
    return one.operations_per_s


def p99(one: Figures) -> float | None:
    """The latency that one of a hundred operations exceeds, in us."""
    return one.p99_us


def numbers(text: str) -> list[int]:
    """An option's value: whole numbers above 0, with commas between them."""
    return [positive(word) for word in text.split(",")]
