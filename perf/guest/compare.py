"""Inside the virtual machine: ksmbd, Samba and this server in turn, through the kernel's client.

Knows: the order of the rounds, what the table shows.  Must not know: how the machine was booted.

Where the machine counts instructions instead of time a second is so many instructions of client, server and kernel
together, and figures repeat within 2 %.  Run as root by `run.sh`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from smbd_uring.perf.arrangement import OURS, positive, positive_seconds, progress
from smbd_uring.perf.failures import MeasurementError
from smbd_uring.perf.guest.fio import JOBS, MOUNTS, FioJob, make_file, mounted, run_fio
from smbd_uring.perf.guest.ksmbd import ksmbd
from smbd_uring.perf.ratios import ratio
from smbd_uring.perf.samba_configuration import Samba
from smbd_uring.perf.servers import folders, own, samba
from smbd_uring.perf.tables import markdown, number

USER = "daemon"
FigureSeries = Mapping[str, Sequence[float]]
"""Figures of one job by server, one a round."""


def main(argv: Sequence[str]) -> int:
    """Measure and print.  Result: 0 done, 1 it could not be measured."""
    parser = argparse.ArgumentParser(prog="perf.guest.compare", description="fio against ksmbd, Samba and this server.")
    parser.add_argument("--rounds", type=positive, default=3, metavar="N", help="default: %(default)s")
    parser.add_argument("--seconds", type=positive_seconds, default=1.0, metavar="S", help="of each job, guest time")
    parser.add_argument("--protection", choices=MOUNTS, default="plain")
    parser.add_argument("--folder", type=Path, default=Path("/scratch"), help="where the share is made")
    options = parser.parse_args(argv)
    try:
        found = measure(options.folder, options.protection, options.rounds, options.seconds)
    except MeasurementError as error:
        print(f"perf.guest.compare: {error}", file=sys.stderr)
        return 1
    print(table(found))
    print(json.dumps({job.title: dict(figures) for job, figures in found.items()}))
    return 0


def measure(folder: Path, protection: str, rounds: int, seconds: float) -> dict[FioJob, dict[str, list[float]]]:
    """Every job on every server, in turn.  The first round of writing is done once more than is counted.

    Raises ServerFailedError, FioError.
    """
    with ExitStack() as stack:
        work, share = stack.enter_context(folders(folder))
        make_file(share)
        servers = [
            stack.enter_context(own(work, share, USER, name=OURS)),
            stack.enter_context(samba(Samba.DEFAULT, work, share, USER)),
            stack.enter_context(ksmbd(work, share, USER)),
        ]
        mounts = {
            server.name: stack.enter_context(mounted(server, work / f"mount-{server.name}", protection))
            for server in servers
        }
        found: dict[FioJob, dict[str, list[float]]] = {}
        for job in JOBS:
            for number_of_round in range(-1 if job.kind == "write" else 0, rounds):
                for name, mount in mounts.items():
                    reached = run_fio(job, mount, seconds)
                    progress(f"{job.title}: {name} {reached:,.0f} {job.unit}")
                    if number_of_round >= 0:
                        found.setdefault(job, {}).setdefault(name, []).append(reached)
    return found


def table(found: Mapping[FioJob, FigureSeries]) -> str:
    """A line for each job: the medians of all servers, and ours in relation to the others' (above 1: ahead)."""
    rows = []
    names: list[str] = []
    for job, figures in found.items():
        names = list(figures)
        row = [f"{job.title}, {job.unit}", *(number(median(figures[name])) for name in names)]
        for name in names[1:]:
            compared = ratio(figures[OURS], figures[name])
            row.append("-" if compared is None else f"{compared.median:.2f}")
        rows.append(row)
    return markdown(["fio, direct I/O", *names, *(f"to {name}" for name in names[1:])], rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
