"""`smbd-uring bench linear`: how cost grows from 1 to 1,000 connections, and with the entries of a folder.

Knows: which sizes are measured, how a folder is filled.  Must not know: how servers are started, how a chart is drawn.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smbd_uring.perf import document
from smbd_uring.perf.arrangement import OURS, add_arguments, arranged, duration, progress
from smbd_uring.perf.contenders import Duration, Figures
from smbd_uring.perf.figures_wanted import TABLE
from smbd_uring.perf.files import LISTED, LISTED_FILES
from smbd_uring.perf.listing import list_folder
from smbd_uring.perf.matrix import numbers
from smbd_uring.perf.picture import Line, LineChart, draw
from smbd_uring.perf.pinning import Placement, placements
from smbd_uring.perf.rounds import Job, Round, of, run_rounds
from smbd_uring.perf.servers import PROJECT, Running
from smbd_uring.perf.tables import complaints, cpu, markdown, middle, number
from smbd_uring.perf.workloads import Workload

PICTURE_FILE = PROJECT / "build" / "linear.svg"
CONNECTIONS = (1, 10, 100, 300, 1000)
ENTRIES = (1000, 10_000, 100_000)
CONNECTIONS_WORKLOAD = "read-4k-1"


def describe(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--connections", type=numbers, default=list(CONNECTIONS), metavar="N,...",
        help=f"default: {','.join(map(str, CONNECTIONS))}",
    )  # fmt: skip
    parser.add_argument(
        "--entries", type=entries, default=list(ENTRIES), metavar="N,...",
        help=f"of the folder listed, growing (default: {','.join(map(str, ENTRIES))})",
    )  # fmt: skip
    parser.add_argument(
        "--picture", type=Path, default=PICTURE_FILE, metavar="FILE", help="SVG (default: build/linear.svg)"
    )
    add_arguments(parser)
    parser.set_defaults(rounds=3, samba="none")


def run(options: argparse.Namespace) -> int:
    """Measure, print and draw.  Result: 0."""
    place = placements()["same"]
    with arranged(options) as ready:
        names = [contender.name for contender in ready.contenders]
        jobs = [connections_job(count, place) for count in options.connections]
        done = run_rounds(ready.contenders, jobs, options.rounds, duration(options), progress)
        listed: list[Round] = []
        listing_jobs = [Job(f"list-{count}", TABLE["list"].workload, place) for count in options.entries]
        for count, job in zip(options.entries, listing_jobs, strict=True):
            fill(ready.folder / LISTED, count)
            listers = [Lister(server, count) for server in ready.servers]
            progress(f"a folder of {count:,} entries")
            listed += run_rounds(listers, [job], options.rounds, duration(options))
    by_connections = costs(done, list(zip(options.connections, jobs, strict=True)), names)
    by_entries = costs(listed, list(zip(options.entries, listing_jobs, strict=True)), names)
    print(table("connections", "CPU us per 4 KiB read", by_connections, lambda count: 1))
    print()
    print(table("entries", "CPU us per entry listed", by_entries, float))
    for line in complaints([*done, *listed]):
        print(f"not clean: {line}")
    charts = [
        LineChart("4 KiB reads, depth 1", "connections", "CPU us per read", by_connections, log_x=True),
        LineChart("listing a folder", "entries", "CPU us per listing", by_entries, log_x=True, log_y=True),
    ]
    options.picture.parent.mkdir(parents=True, exist_ok=True)
    options.picture.write_text(draw(charts), encoding="utf-8")
    print(f"\nwritten: {options.picture}")
    if options.json is not None:
        settings = {"rounds": options.rounds, "seconds": options.seconds}
        document.write(options.json, document.record("linear", settings, [*done, *listed], {}))
    return 0


@dataclass(frozen=True, slots=True)
class Lister:
    """A server that lists a folder of so many entries, whatever the workload says of it."""

    running: Running
    entries: int

    @property
    def name(self) -> str:
        """As it is called in tables."""
        return self.running.name

    def can(self, workload: Workload) -> bool:
        """Listing is all it is asked for."""
        return workload.name == "list"

    def measure(self, workload: Workload, placement: Placement, duration: Duration) -> Figures:
        """List the folder for that long.  Raises what `list_folder` raises."""
        return list_folder(self.running, LISTED, self.entries, placement, duration)


def connections_job(count: int, place: Placement) -> Job:
    """One request under way on each of so many connections."""
    return Job(f"connections-{count}", replace(TABLE[CONNECTIONS_WORKLOAD].workload, connections=count), place)


def fill(folder: Path, count: int) -> None:
    """Add empty files until the folder has `count` entries; it had LISTED_FILES and only grows."""
    for index in range(len(list(folder.iterdir())), count):
        (folder / f"added-{index:06}.txt").touch()


def costs(done: Sequence[Round], sizes: Sequence[tuple[int, Job]], names: Sequence[str]) -> list[Line]:
    """CPU time per operation over the size, a line for each server; sizes that failed are left out of it."""
    return [
        Line(name, [(size, cost) for size, job in sizes if (cost := middle(of(done, job, name), cpu)) is not None])
        for name in names
    ]


def table(size_title: str, title: str, lines: Sequence[Line], share: Callable[[float], float]) -> str:
    """A row for each size: the cost of each server, divided by `share(size)`.  The first server is ours."""
    sizes = sorted({size for line in lines for size, _ in line.points})
    rows = []
    for size in sizes:
        found = [dict(line.points).get(size) for line in lines]
        rows.append([f"{size:,.0f}", *(number(None if cost is None else cost / share(size)) for cost in found)])
    heads = [line.name for line in lines]
    heads[0] = f"{title}: {OURS}"
    return markdown([size_title, *heads], rows)


def entries(text: str) -> list[int]:
    """An option's value: growing numbers of entries with commas between them, none below what is there at first."""
    found = numbers(text)
    if found != sorted(found) or found[0] < LISTED_FILES:
        raise argparse.ArgumentTypeError(f"numbers from {LISTED_FILES} on, growing")
    return found
