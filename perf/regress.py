"""`smbd-uring bench regress`: did something get slower than in another revision, or than in a stored run?

Knows: the options, which servers run, what is written and where.  Must not know: how a verdict is reached.

This revision runs twice and the other one once, in turn.  What the two runs of this one differ by is the noise; a
workload counts as slower when the median ratio of CPU time per operation is above 1 + max(3 %, 3 times the noise).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from smbd_uring.perf import document
from smbd_uring.perf.arrangement import OURS, add_arguments, duration, progress
from smbd_uring.perf.compare import FIGURES, WHOLE_TABLE, protections, workloads
from smbd_uring.perf.contenders import ServerContender
from smbd_uring.perf.failures import MeasurementError
from smbd_uring.perf.figures_wanted import TABLE
from smbd_uring.perf.files import prepare
from smbd_uring.perf.instructions import count_instructions
from smbd_uring.perf.picture import draw
from smbd_uring.perf.pinning import placements
from smbd_uring.perf.regress_report import charts, table
from smbd_uring.perf.revision import checked_out, resolve
from smbd_uring.perf.rounds import Job, Round, run_rounds
from smbd_uring.perf.servers import PROJECT, folders, own
from smbd_uring.perf.session import NotAgreedError
from smbd_uring.perf.tables import complaints, throughput_table
from smbd_uring.perf.verdict import Costs, Verdict, judge, judge_counts, judge_stored

AGAIN = f"{OURS}-again"
OTHER = "other"
JSON_FILE = PROJECT / "build" / "regress.json"
PICTURE_FILE = PROJECT / "build" / "regress.svg"


def describe(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--against", required=True, metavar="REV|DIR|FILE",
        help="a revision, a checkout of one with its native parts built, or the JSON that an earlier run left",
    )  # fmt: skip
    parser.add_argument(
        "--workloads", type=workloads, default=list(TABLE), metavar="NAME,...",
        help=f"`{WHOLE_TABLE}` for all (default), or some of {', '.join(TABLE)}",
    )  # fmt: skip
    parser.add_argument(
        "--protections", type=protections, default=["plain"], metavar="NAME,...", help="default: plain"
    )
    parser.add_argument(
        "--figures", choices=("cpu", "both"), default="both",
        help="CPU time decides; `both` (default) also draws throughput and latency",
    )  # fmt: skip
    parser.add_argument(
        "--instructions", action="store_true", help="also count instructions, by callgrind (minutes, but no noise)"
    )
    parser.add_argument(
        "--picture", type=Path, default=PICTURE_FILE, metavar="FILE", help="SVG (default: build/regress.svg)"
    )
    add_arguments(parser, samba=False)
    parser.set_defaults(rounds=7, json=JSON_FILE)


def run(options: argparse.Namespace) -> int:
    """Measure, judge, print, write.  Result: 1 when something got slower or could not be compared, else 0."""
    path = Path(options.against)
    stored = document.read(path) if path.is_file() else None
    if stored is None and not path.is_dir():
        resolve(options.against)  # Before anything takes long.
    offered = placements()
    jobs = [
        Job(name, replace(TABLE[name].workload, protection=protection), offered[placement])
        for name in options.workloads
        for protection in options.protections
        for placement in FIGURES[options.figures]
    ]
    with ExitStack() as stack:
        checkout = None if stored is not None else path.absolute()
        if checkout is not None and not path.is_dir():
            checkout = stack.enter_context(checked_out(options.against))
        work, folder = stack.enter_context(folders(options.folder))
        prepare(folder)
        done = _measure(options, jobs, work, folder, checkout)
        new, again = costs(done, OURS), costs(done, AGAIN)
        verdicts = judge_stored(new, again, stored_costs(stored)) if stored else judge(new, again, costs(done, OTHER))
        counts: list[Verdict] = []
        if options.instructions and checkout is not None:
            counts = _count(options, [job for job in jobs if job.placement.name == "same"], work, folder, checkout)
    _print(done, verdicts, counts, options.against)
    _write(options, done, verdicts, counts)
    return 1 if any(one.slower or one.ratio is None for one in (*verdicts, *counts)) else 0


def costs(done: Sequence[Round], server: str) -> Costs:
    """CPU us per operation by job, client and server on one core; 0 for a round that failed."""
    found: dict[str, list[float]] = {}
    for one in done:
        if one.contender == server and one.job.placement.name == "same":
            found.setdefault(one.job.key, []).append(one.figures.cpu_us if one.figures is not None else 0.0)
    return found


def stored_costs(stored: dict[str, Any]) -> Costs:
    """The same of an earlier run."""
    return document.stored_cpu(stored, OURS)


def _measure(
    options: argparse.Namespace, jobs: Sequence[Job], work: Path, folder: Path, checkout: Path | None
) -> list[Round]:
    with ExitStack() as stack:
        sources = {OURS: PROJECT, OTHER: checkout, AGAIN: PROJECT}
        contenders = [
            ServerContender(stack.enter_context(
                own(
                    work, folder, options.user, name=name, checkout=source, arguments=options.serve_option,
                    cores=placements()["two"].server,
                )
            ))
            for name, source in sources.items() if source is not None
        ]  # fmt: skip
        return run_rounds(contenders, jobs, options.rounds, duration(options), progress)


def _count(
    options: argparse.Namespace, jobs: Sequence[Job], work: Path, folder: Path, checkout: Path
) -> list[Verdict]:
    """Instruction counts, judged; where they cannot be had no job has a ratio, and what was measured stays."""
    try:
        return judge_counts(*count_instructions(jobs, work, folder, options.user, checkout, progress))
    except (MeasurementError, NotAgreedError, OSError) as error:
        progress(f"instructions: {error}")
        return judge_counts({job.key: [] for job in jobs}, {})


def _print(done: Sequence[Round], verdicts: Sequence[Verdict], counts: Sequence[Verdict], against: str) -> None:
    print(table("CPU us per operation", verdicts, against))
    if counts:
        print("\n" + table("instructions per operation", counts, against))
    two = [one for one in done if one.job.placement.name == "two"]
    if two:
        print("\n" + throughput_table(two, [OURS, OTHER]))
    for line in complaints(done):
        print(f"not clean: {line}")


def _write(
    options: argparse.Namespace, done: Sequence[Round], verdicts: Sequence[Verdict], counts: Sequence[Verdict]
) -> None:
    settings = {
        "against": options.against, "rounds": options.rounds, "seconds": options.seconds, "warm_up": options.warm_up,
        "serve_options": options.serve_option,
    }  # fmt: skip
    conclusions = {
        "cpu": [one.as_dict() for one in verdicts],
        "instructions": [one.as_dict() for one in counts],
    }
    for path in (options.json, options.picture):
        path.parent.mkdir(parents=True, exist_ok=True)
    document.write(options.json, document.record("regress", settings, done, conclusions))
    options.picture.write_text(draw(charts(done, verdicts, counts, options.against, (OURS, OTHER))), encoding="utf-8")
    print(f"\nwritten: {options.json}, {options.picture}")
