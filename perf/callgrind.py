"""Instructions per operation, counted by callgrind: they do not depend on what else the machine does.

Knows: valgrind's command line, how to run the server with its companion beside it.  Must not know: what is compared.

The server runs about fifty times slower, and only its own code is counted, not the kernel's.  An instruction is not a
time; but the same program gives the same count within a percent, so a small change shows that no clock would.

The companion runs outside, so that only the server is counted.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from smbd_uring.perf.contenders import Duration, ServerContender
from smbd_uring.perf.failures import MeasurementError
from smbd_uring.perf.pinning import Placement
from smbd_uring.perf.servers import (
    LOOPBACK,
    PASSWORD,
    PROJECT,
    SHARE,
    Running,
    free_port,
    started,
    wait_for_port,
)
from smbd_uring.perf.workloads import Workload

SHORT, LONG = Duration(0.5, 0.0), Duration(2.0, 0.0)
ANNOUNCEMENT = "engine.json"
"""What the server leaves in its state directory when the companion may be started."""
VALGRIND_START_TIMEOUT_S = 120.0
OPENAT2 = "import ctypes, errno; call = ctypes.CDLL(None, use_errno=True).syscall; " \
    "call(437, -1, b'', None, 0); raise SystemExit(ctypes.get_errno() == errno.ENOSYS)"
"""A program that fails where openat2 (437 on every architecture) is refused."""
TOTALS = re.compile(r"^totals: (\d+)$", re.MULTILINE)


class CallgrindError(MeasurementError):
    """Valgrind is missing or its counts cannot be read."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A server under callgrind and the folder for its counts."""

    running: Running
    folder: Path

    def instructions_per_operation(self, workload: Workload, placement: Placement) -> float:
        """Instructions of one more operation: the difference of a long and a short run, so that connecting falls out.

        Raises CallgrindError, and what the load generator raises.
        """
        contender = ServerContender(self.running)
        counts = []
        for duration in (SHORT, LONG):
            self._dump()
            figures = contender.measure(workload, placement, duration)
            counts.append((self._dump(), figures.operations_per_s * duration.seconds))
        (few, few_operations), (many, many_operations) = counts
        if many_operations <= few_operations:
            raise CallgrindError(f"{workload.label}: too few operations under callgrind to tell")
        return (many - few) / (many_operations - few_operations)

    def _dump(self) -> int:
        """Instructions since the last dump."""
        before = set(self.folder.iterdir())
        _run(["callgrind_control", "--dump", str(self.running.pid)])
        new = set(self.folder.iterdir()) - before
        found = [int(match[1]) for path in new if (match := TOTALS.search(path.read_text(encoding="utf-8")))]
        if not found:
            raise CallgrindError("callgrind left no count")
        return sum(found)


@contextmanager
def counted(work: Path, folder: Path, user: str, name: str, checkout: Path = PROJECT) -> Iterator[Counted]:
    """Run the server of `checkout` under callgrind while the body runs.

    Arguments: a folder for its state; the share's folder; the account; its name.  Raises CallgrindError,
    ServerFailedError.
    """
    _check_valgrind()
    state, counts = work / name, work / f"{name}-counts"
    for made in (state, counts):
        made.mkdir(mode=0o700)
    smb_conf, accounts = state / "smb.conf", state / "ksmbdpwd.db"
    smb_conf.write_text(f"[global]\n[{SHARE}]\n\tpath = {folder}\n\tread only = no\n", encoding="utf-8")
    files = ["-c", str(smb_conf), "-i", str(accounts), "--state-dir", str(state)]
    ours = [sys.executable, "-m", "smbd_uring"]
    _run([*ours, "adduser", "-a", user, "-p", PASSWORD, "-i", str(accounts), "-c", str(smb_conf)], checkout)
    port = free_port()
    serve = [
        "valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={counts}/count",
        *ours, "serve", "--companion", "external", "--listen", f"{LOOPBACK}:{port}", *files,
    ]  # fmt: skip
    with started(serve, work / f"{name}.log", checkout) as server:
        _wait_for(state / ANNOUNCEMENT, server, work / f"{name}.log")
        with started([*ours, "mountd", *files], work / f"{name}-mountd.log", checkout):
            wait_for_port(server, port, work / f"{name}.log")
            _run(["callgrind_control", "--instr=on", str(server.pid)])
            yield Counted(Running(name, port, server.pid, user), counts)


def _check_valgrind() -> None:
    if shutil.which("valgrind") is None:
        raise CallgrindError("valgrind is not installed: install it, or leave out --instructions")
    # Older ones refuse openat2, with which every path is resolved (3.19 of Debian 12 does).
    command = ["valgrind", "--quiet", "--tool=none", sys.executable, "-S", "-c", OPENAT2]
    if subprocess.run(command, capture_output=True).returncode != 0:
        raise CallgrindError("this valgrind does not know the system call openat2; take a newer one, or count in a "
                             "virtual machine (docs/performance.md)")  # fmt: skip


def _wait_for(path: Path, server: subprocess.Popen[bytes], log_path: Path) -> None:
    deadline = time.monotonic() + VALGRIND_START_TIMEOUT_S
    while not path.exists():
        if server.poll() is not None or time.monotonic() > deadline:
            raise CallgrindError(f"the server does not start under valgrind:\n{log_path.read_text(errors='replace')}")
        time.sleep(0.1)


def _run(command: Sequence[str], folder: Path | None = None) -> None:
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if ran.returncode != 0:
        raise CallgrindError(f"{' '.join(command)} failed: {ran.stderr or ran.stdout}")
