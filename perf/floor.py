"""Builds and runs the floor (`floor.c`): what the bytes of a READ cost without SMB.

Knows: its command line.  Must not know: what it is compared with.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from smbd_uring.perf.contenders import Duration, Figures
from smbd_uring.perf.failures import MeasurementError
from smbd_uring.perf.pinning import Placement
from smbd_uring.perf.servers import free_port
from smbd_uring.perf.workloads import Workload

SOURCE = Path(__file__).with_name("floor.c")
END_TIMEOUT_S = 10.0


class FloorFailedError(MeasurementError):
    """It could not be built or run; the message says why."""


def build(folder: Path) -> Path:
    """Compile the floor into `folder`.  Result: the program.  Raises FloorFailedError with what the compiler said."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise FloorFailedError("no C compiler: install gcc and liburing-dev, or compare without the floor")
    program = folder / "floor"
    command = [compiler, "-O2", "-Wall", "-Wextra", "-o", str(program), str(SOURCE), "-luring"]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode != 0:
        raise FloorFailedError(f"{' '.join(command)} failed; it needs liburing-dev:\n{made.stderr}")
    return program


@dataclass(frozen=True, slots=True)
class Floor:
    """The floor as a contender.  `program` is what `build` made, `file` what it reads."""

    program: Path
    file: Path
    name: str = "floor"

    def can(self, workload: Workload) -> bool:
        """Random reads, neither signed nor sealed."""
        return workload.name == "read" and workload.pattern == "random" and workload.protection == "plain"

    def measure(self, workload: Workload, placement: Placement, duration: Duration) -> Figures:
        """Run server and client once; the CPU time is the server's from start to end.  Raises FloorFailedError."""
        port = free_port()
        client = [
            str(self.program), "load", str(port), str(self.file.stat().st_size), str(workload.size),
            str(workload.connections), str(workload.depth), str(duration.seconds),
        ]  # fmt: skip
        serve = [str(self.program), "serve", str(port), str(self.file), str(workload.size)]
        with _server(serve, placement.server) as server:
            ran = subprocess.run(_pinned(client, placement.client), capture_output=True, text=True)
            if ran.returncode != 0:
                raise FloorFailedError(f"the floor's client failed: {ran.stderr}")
            server.terminate()
            printed, complaint = server.communicate(timeout=END_TIMEOUT_S)
        if server.returncode != 0:
            raise FloorFailedError(f"the floor's server failed: {complaint}")
        asked, served = numbers(ran.stdout), numbers(printed)
        return Figures(
            operations_per_s=asked["requests"] / asked["seconds"],
            megabytes_per_s=asked["requests"] * workload.size / asked["seconds"] / 1e6,
            cpu_user_us=served["user_us"] / served["requests"],
            cpu_system_us=served["system_us"] / served["requests"],
        )


def numbers(line: str) -> dict[str, float]:
    """What the program prints: names and numbers in turn."""
    words = line.split()
    return {name: float(value) for name, value in zip(words[::2], words[1::2], strict=True)}


def _pinned(command: list[str], cores: Set[int]) -> list[str]:
    return ["taskset", "--cpu-list", ",".join(map(str, sorted(cores))), *command]


@contextmanager
def _server(command: list[str], cores: Set[int]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        _pinned(command, cores), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "listening\n":
                raise FloorFailedError(f"the floor's server did not start: {process.communicate()[1]}")
            yield process
        finally:
            process.kill()
