"""The load generator: one workload against one server, what came through and what it cost the server.

Knows: the order of a run, how results look.  Must not know: frames, which server it is.

    python -m smbd_uring.perf.load --address 127.0.0.1 --port 4450 --user U:P --share S --pid N \\
        --workload read --size 4096 --depth 8 --connections 1 --protection gmac --seconds 2 [--json] [--cpu 1]
    python -m smbd_uring.perf.load --prepare FOLDER

The second form makes, in the folder behind a share, the files that workloads use.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from smbd_uring.perf import files
from smbd_uring.perf.connecting import ConnectWork, IdleWork
from smbd_uring.perf.cpu import CpuTime, ProcessTree, own_cpu_ns
from smbd_uring.perf.session import NotAgreedError, Target
from smbd_uring.perf.steady import SteadyWork
from smbd_uring.perf.workloads import NAMES, PATTERNS, PROTECTIONS, Workload

__all__ = ["Result", "Target", "main", "run"]

PERCENTILES: Final = (("p50", 50.0), ("p95", 95.0), ("p99", 99.0))
NANOSECONDS: Final = 1000.0
"""In a microsecond."""


@dataclass
class Result:
    """What one run of one workload has shown.

    Latencies and processor times are µs.  Times and memory are the server's, all its processes together, and None
    when its pid was not given.  `memory_kib_per_connection` is known of workload idle only.  `complaint` says what
    the first of the `errors` was about.
    """

    workload: Workload
    operations: int
    seconds: float
    bytes: int
    latency_us: dict[str, float]
    cpu_user_us_per_operation: float | None
    cpu_system_us_per_operation: float | None
    memory_kib: int | None
    errors: int
    complaint: str = ""
    memory_kib_per_connection: float | None = None
    client_cpu_us_per_operation: float = 0.0

    @property
    def operations_per_second(self) -> float:
        """Throughput."""
        return self.operations / self.seconds if self.seconds else 0.0

    @property
    def megabytes_per_second(self) -> float:
        """Payload, in 10^6 bytes."""
        return self.bytes / self.seconds / 1e6 if self.seconds else 0.0

    @property
    def cpu_us_per_operation(self) -> float | None:
        """User and system together."""
        if self.cpu_user_us_per_operation is None or self.cpu_system_us_per_operation is None:
            return None
        return self.cpu_user_us_per_operation + self.cpu_system_us_per_operation

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON takes it."""
        return {
            **asdict(self),
            "label": self.workload.label,
            "operations_per_second": self.operations_per_second,
            "megabytes_per_second": self.megabytes_per_second,
            "cpu_us_per_operation": self.cpu_us_per_operation,
        }


def run(target: Target, workload: Workload, seconds: float = 2.0, warm_up_seconds: float = 0.3) -> Result:
    """Measure a workload for `seconds`, after a warm-up that does not count.

    Requests in flight when the time is up are waited for and count, so that processor time and operations belong
    together.  Raises NotAgreedError when the server refuses to begin, OSError when it cannot be reached.
    """
    if target.folder is not None:
        files.prepare(target.folder)
    tree = ProcessTree(target.server_pid) if target.server_pid is not None else None
    processes = tree.count() if tree is not None else 0
    memory_before = tree.pss_kib() if tree is not None and workload.name == "idle" else None
    with _work(target, workload) as work:
        work.work(warm_up_seconds)
        settles = tree if workload.name == "connect" else None
        if settles is not None:
            settles.settle(processes)
        work.clear()
        before = tree.snapshot() if tree is not None else None
        took, client_ns = _timed(work, seconds)
        if settles is not None:
            settles.settle(processes)
        used = tree.snapshot().since(before) if tree is not None and before is not None else None
        memory = tree.pss_kib() if tree is not None else None
        if workload.verify:
            work.check_written()
        result = Result(
            workload=workload,
            operations=work.operations,
            seconds=took,
            bytes=work.transferred,
            latency_us={name: work.latencies.percentile(percent) / NANOSECONDS for name, percent in PERCENTILES},
            cpu_user_us_per_operation=None,
            cpu_system_us_per_operation=None,
            memory_kib=memory,
            errors=work.errors,
            complaint=work.complaint,
            client_cpu_us_per_operation=client_ns / NANOSECONDS / max(work.operations, 1),
        )
        result.latency_us["max"] = work.latencies.maximum / NANOSECONDS
    if used is not None:
        _divide(result, used)
    if memory is not None and memory_before is not None:
        result.memory_kib_per_connection = (memory - memory_before) / workload.connections
    return result


def _work(target: Target, workload: Workload) -> SteadyWork | ConnectWork:
    if workload.name == "connect":
        return ConnectWork(target, workload)
    if workload.name == "idle":
        return IdleWork(target, workload)
    return SteadyWork(target, workload)


def _timed(work: SteadyWork | ConnectWork, seconds: float) -> tuple[float, int]:
    """Result: how long it took, in s, and the processor time of this process, in ns."""
    before_ns = own_cpu_ns()
    took = work.work(seconds)
    return took, own_cpu_ns() - before_ns


def _divide(result: Result, used: CpuTime) -> None:
    count = max(result.operations, 1)
    result.cpu_user_us_per_operation = used.user_ns / NANOSECONDS / count
    result.cpu_system_us_per_operation = used.system_ns / NANOSECONDS / count


def table(result: Result) -> str:
    """A result for people."""
    latency = "  ".join(f"{name} {value:,.1f}" for name, value in result.latency_us.items())
    lines = [
        ("workload", result.workload.label),
        ("operations", f"{result.operations:,} in {result.seconds:.2f} s: {result.operations_per_second:,.0f}/s"),
        ("payload", f"{result.megabytes_per_second:,.1f} MB/s"),
        ("latency, µs", latency),
    ]
    if result.cpu_us_per_operation is not None:
        lines.append(
            (
                "server, µs/operation",
                f"{result.cpu_us_per_operation:,.2f}: user {result.cpu_user_us_per_operation:,.2f}, "
                f"system {result.cpu_system_us_per_operation:,.2f}",
            )
        )
    lines.append(("client, µs/operation", f"{result.client_cpu_us_per_operation:,.2f}"))
    if result.memory_kib is not None:
        lines.append(("server's memory", f"{result.memory_kib:,} KiB"))
    if result.memory_kib_per_connection is not None:
        lines.append(("each connection", f"{result.memory_kib_per_connection:,.1f} KiB"))
    lines.append(("errors", f"{result.errors:,}" + (f": {result.complaint}" if result.complaint else "")))
    return "\n".join(f"{name:22} {value}" for name, value in lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m smbd_uring.perf.load", description="Load an SMB server and say what it costs."
    )
    parser.add_argument("--prepare", type=Path, metavar="FOLDER", help="make the test files there and end")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=4450)
    parser.add_argument("--user", default="bench:bench", metavar="NAME:PASSWORD")
    parser.add_argument("--share", default="bench")
    parser.add_argument("--folder", type=Path, help="the share's folder on this machine, to be prepared first")
    parser.add_argument("--pid", type=int, help="the server's first process, to measure what it costs")
    parser.add_argument("--workload", choices=NAMES, default="read")
    parser.add_argument("--size", type=int, default=4096, help="bytes of each READ and WRITE")
    parser.add_argument("--pattern", choices=PATTERNS, default="random")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--depth", type=int, default=1, help="operations in flight on each connection")
    parser.add_argument("--protection", choices=PROTECTIONS, default="plain")
    parser.add_argument("--verify", action="store_true", help="check contents")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--warm-up", type=float, default=0.3, metavar="SECONDS")
    parser.add_argument("--cpu", type=int, help="core to run on")
    parser.add_argument("--json", action="store_true", help="one line for programs")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.  Result: 0 done, 1 it failed or something was wrong, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    if options.prepare is not None:
        files.prepare(options.prepare)
        return 0
    if options.cpu is not None:
        os.sched_setaffinity(0, {options.cpu})
    user, _, password = options.user.partition(":")
    target = Target(options.address, options.port, user, password, options.share, options.pid, options.folder)
    try:
        workload = Workload(
            options.workload, options.size, options.pattern, options.connections, options.depth,
            options.protection, options.verify,
        )  # fmt: skip
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        result = run(target, workload, options.seconds, options.warm_up)
    except (NotAgreedError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(result.as_dict()) if options.json else table(result))
    return 1 if result.errors else 0


if __name__ == "__main__":
    sys.exit(main())
