"""`smbd-uring bench compare`: this server, Samba as it comes, Samba tuned and the floor, in turn.

Knows: the options, which jobs they mean.  Must not know: how servers are started, how tables are laid out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from smbd_uring.perf import document
from smbd_uring.perf.arrangement import OURS, add_arguments, arranged, duration, progress
from smbd_uring.perf.figures_wanted import FLOOR_RATIO_MAX, PROTECTIONS, TABLE
from smbd_uring.perf.pinning import placements
from smbd_uring.perf.ratios import ratio
from smbd_uring.perf.rounds import Job, Round, of, run_rounds, series
from smbd_uring.perf.samba_configuration import Samba
from smbd_uring.perf.tables import complaints, cpu, cpu_table, jobs_of, middle, throughput_table
from smbd_uring.perf.workloads import PROTECTIONS as ALL_PROTECTIONS

FIGURES = {"cpu": ("same",), "throughput": ("two",), "both": ("same", "two")}
"""What is asked for, and the placements that give it."""
WHOLE_TABLE = "table"


def describe(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--workloads", type=workloads, default=list(TABLE), metavar="NAME,...",
        help=f"`{WHOLE_TABLE}` for all (default), or some of {', '.join(TABLE)}",
    )  # fmt: skip
    parser.add_argument(
        "--protections", type=protections, default=list(PROTECTIONS), metavar="NAME,...",
        help=f"some of {', '.join(ALL_PROTECTIONS)} (default: {','.join(PROTECTIONS)})",
    )  # fmt: skip
    parser.add_argument(
        "--figures", choices=FIGURES, default="both",
        help="CPU time (client and server on one core), throughput and latency (each on its own), or both (default)",
    )  # fmt: skip
    parser.add_argument("--floor", action="store_true", help="also against a bare io_uring program without SMB")
    add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Measure and print.  Result: 0; the figures are the answer, whatever they are."""
    offered = placements()
    jobs = [
        Job(name, replace(TABLE[name].workload, protection=protection), offered[placement])
        for name in options.workloads
        for protection in options.protections
        for placement in FIGURES[options.figures]
    ]
    with arranged(options, floor=options.floor) as ready:
        done = run_rounds(ready.contenders, jobs, options.rounds, duration(options), progress)
        others = ready.others
    print(report(done, others))
    if options.json is not None:
        settings = {
            "rounds": options.rounds, "seconds": options.seconds, "warm_up": options.warm_up,
            "serve_options": options.serve_option,
        }  # fmt: skip
        document.write(options.json, document.record("compare", settings, done, conclusions(done, others)))
    return 0


def report(done: Sequence[Round], others: Sequence[str]) -> str:
    """The tables and what was not clean."""
    parts = []
    same = [one for one in done if one.job.placement.name == "same"]
    two = [one for one in done if one.job.placement.name == "two"]
    parts += [cpu_table(same, OURS, other, wanted) for other in others if same]
    if two:
        parts.append(throughput_table(two, [OURS, *others]))
    wrong = complaints(done)
    if wrong:
        parts.append("\n".join(["Not clean:", *(f"* {line}" for line in wrong)]))
    return "\n\n".join(parts)


def wanted(job: Job, other: str) -> float | None:
    """The ratio that a job has to reach against another contender."""
    row = TABLE[job.name]
    if other in (Samba.DEFAULT.value, Samba.TUNED.value):
        return row.wanted(Samba(other), job.workload.protection)
    return FLOOR_RATIO_MAX if row.floor else None


def conclusions(done: Sequence[Round], others: Sequence[str]) -> dict[str, dict[str, object]]:
    """The CPU ratios: by other contender and job."""
    found: dict[str, dict[str, object]] = {}
    for job in jobs_of(one for one in done if one.job.placement.name == "same"):
        mine = of(done, job, OURS)
        for other in others:
            compared = ratio(series(mine, cpu), theirs) if (theirs := series(of(done, job, other), cpu)) else None
            if compared is not None:
                found.setdefault(other, {})[job.key] = {
                    "ratio": compared.median, "lowest": compared.lowest, "highest": compared.highest,
                    "at_most": wanted(job, other), "rounds": compared.rounds, "ours_us": middle(mine, cpu),
                }  # fmt: skip
    return found


def workloads(text: str) -> list[str]:
    """An option's value: names of the table with commas between them, or the whole table."""
    return list(TABLE) if text == WHOLE_TABLE else _names(text, list(TABLE))


def protections(text: str) -> list[str]:
    """An option's value: names of protections with commas between them."""
    return _names(text, list(ALL_PROTECTIONS))


def _names(text: str, known: list[str]) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
    return names
