"""`smbd-uring bench idle`: memory of the idle server and per session, and how many connections are held.

Knows: which process of the server is which.  Must not know: how sessions are made.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from smbd_uring.perf import document
from smbd_uring.perf.arrangement import add_arguments, arranged, duration, positive, progress
from smbd_uring.perf.contenders import ServerContender
from smbd_uring.perf.figures_wanted import HELD_MIN, IDLE_SERVER_MIB_MAX, SESSION_KIB_MAX
from smbd_uring.perf.held import hold
from smbd_uring.perf.pinning import placements
from smbd_uring.perf.rounds import Job, run_rounds
from smbd_uring.perf.servers import Running
from smbd_uring.perf.tables import markdown, number
from smbd_uring.perf.workloads import Workload

SETTLE_S = 2.0
"""After its start a server still frees what it needed only for that."""
HOLD_S = 5.0


@dataclass(frozen=True, slots=True)
class Row:
    """One figure and what is wanted of it."""

    what: str
    measured: float | None
    wanted: str = "-"


def describe(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--sessions", type=positive, default=1000, metavar="N", help="idle sessions (default: 1000)")
    parser.add_argument(
        "--connections", type=positive, default=HELD_MIN, metavar="N", help=f"connections held (default: {HELD_MIN})"
    )
    add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Measure and print.  Result: 0."""
    found = {}
    with arranged(options) as ready:
        time.sleep(SETTLE_S)
        for server in ready.servers:
            found[server.name] = _measure(server, options)
    for name, rows in found.items():
        cells = [[row.what, number(row.measured), row.wanted] for row in rows]
        print(markdown([name, "measured", "wanted"], cells) + "\n")
    if options.json is not None:
        conclusions = {name: [asdict(row) for row in rows] for name, rows in found.items()}
        settings = {"sessions": options.sessions, "connections": options.connections}
        document.write(options.json, document.record("idle", settings, [], conclusions))
    return 0


def _measure(running: Running, options: argparse.Namespace) -> list[Row]:
    parts = dict(memory_of_parts(running.pid))
    idle_kib = sum(parts.values())
    rows = [Row(f"idle, {name}, MiB", kib / 1024) for name, kib in parts.items()]
    rows.append(Row("idle, all, MiB", idle_kib / 1024, f"<= {IDLE_SERVER_MIB_MAX}"))
    each_kib = _session_kib(running, options)
    rows.append(Row(f"each of {options.sessions} sessions, KiB", each_kib, f"<= {SESSION_KIB_MAX}"))
    held = hold(running.address, running.port, options.connections, HOLD_S)
    rows.append(Row(f"connections held of {held.wanted}", held.held, f">= {HELD_MIN}"))
    return rows


def _session_kib(running: Running, options: argparse.Namespace) -> float | None:
    """Memory of each idle session; None, the reason said, when the server does not take that many."""
    job = Job("idle", Workload("idle", connections=options.sessions), placements()["all"])
    (found,) = run_rounds([ServerContender(running)], [job], 1, duration(options))
    if found.complaint:
        progress(f"{running.name}: {options.sessions} sessions: {found.complaint}")
    return found.figures.memory_kib_per_connection if found.figures is not None else None


def memory_of_parts(pid: int) -> Iterator[tuple[str, int]]:
    """PSS in KiB of the server's process and of each child, named by what it is.  Raises psutil.NoSuchProcess."""
    server = psutil.Process(pid)
    yield "server", pss_kib(pid)
    for count, child in enumerate(server.children(recursive=True), start=1):
        name = "companion" if "mountd" in child.cmdline() else f"process {count}"
        yield name, pss_kib(child.pid)


def pss_kib(pid: int) -> int:
    """Memory of one process; what is shared with others counts for its share.  Raises OSError when it is gone."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
