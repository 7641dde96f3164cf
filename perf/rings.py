"""`smbd-uring bench rings`: throughput with one ring and with more, on all cores.

Knows: which servers are started for it.  Must not know: what a ring is.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from smbd_uring.perf import document
from smbd_uring.perf.arrangement import add_arguments, duration, progress
from smbd_uring.perf.contenders import ServerContender
from smbd_uring.perf.figures_wanted import TABLE
from smbd_uring.perf.files import prepare
from smbd_uring.perf.matrix import numbers, rate
from smbd_uring.perf.pinning import placements
from smbd_uring.perf.ratios import ratio
from smbd_uring.perf.rounds import Job, Round, of, run_rounds, series
from smbd_uring.perf.servers import folders, own
from smbd_uring.perf.tables import complaints, cpu, jobs_of, markdown, middle, number
from smbd_uring.perf.workloads import PROTECTIONS


def describe(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--rings", type=numbers, default=[1, 2], metavar="N,...", help="default: 1,2")
    parser.add_argument("--workload", choices=TABLE, default="read-4k", help="default: read-4k")
    parser.add_argument("--protection", choices=PROTECTIONS, default="plain")
    parser.add_argument("--connections", type=numbers, default=[2, 8, 64], metavar="N,...", help="default: 2,8,64")
    add_arguments(parser, samba=False)


def run(options: argparse.Namespace) -> int:
    """Measure and print.  Result: 0."""
    workload = replace(TABLE[options.workload].workload, protection=options.protection)
    jobs = [
        Job(options.workload, replace(workload, connections=connections), placements()["all"])
        for connections in options.connections
    ]
    names = [f"rings-{rings}" for rings in options.rings]
    with ExitStack() as stack:
        work, folder = stack.enter_context(folders(options.folder))
        prepare(folder)
        contenders = [
            ServerContender(stack.enter_context(
                own(work, folder, options.user, name=name, arguments=[*options.serve_option, f"--rings={rings}"])
            ))
            for name, rings in zip(names, options.rings, strict=True)
        ]  # fmt: skip
        done = run_rounds(contenders, jobs, options.rounds, duration(options), progress)
    print(table(done, names))
    for line in complaints(done):
        print(f"not clean: {line}")
    if options.json is not None:
        settings = {"workload": options.workload, "protection": options.protection, "rounds": options.rounds,
                    "seconds": options.seconds}  # fmt: skip
        document.write(options.json, document.record("rings", settings, done, {}))
    return 0


def table(done: Sequence[Round], names: Sequence[str]) -> str:
    """Operations a second and CPU time of each number of rings, and the gain over the first one."""
    rows = []
    for job in jobs_of(done):
        first = series(of(done, job, names[0]), rate)
        for name in names:
            mine = of(done, job, name)
            gain = ratio(series(mine, rate), first)
            rows.append([
                job.workload.label, name, number(middle(mine, rate)), number(middle(mine, cpu)),
                number(gain.median if gain else None), f"{gain.lowest:.2f}..{gain.highest:.2f}" if gain else "-",
            ])  # fmt: skip
    return markdown(["workload", "server", "operations/s", "CPU us", f"gain over {names[0]}", "spread"], rows)
