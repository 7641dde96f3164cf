"""Starts and ends the servers that are measured, each in a folder of its own, all on the same share.

Knows: the command lines of smbd and of `smbd-uring serve`.  Must not know: what is measured.

Every server listens on loopback, on a port that was free a moment ago, and knows one account.  It must be a user of
this machine, since Samba maps each to one; so root is needed, and this server too touches files as that user.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from smbd_uring.perf.failures import MeasurementError
from smbd_uring.perf.pinning import confined
from smbd_uring.perf.samba_configuration import PRIVATE_FOLDERS, Samba, smb_conf

PROJECT = Path(__file__).resolve().parents[1]
LOOPBACK = "127.0.0.1"
SHARE = "bench"
PASSWORD = "Bench-9f4c"
START_TIMEOUT_S = float(os.environ.get("SERVER_START_TIMEOUT_S", "30"))
"""An emulated machine sets more."""
STOP_TIMEOUT_S = 10.0


class ServerFailedError(MeasurementError):
    """A server did not start; the message has what it printed."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that accepts connections: its name in tables, where it is, its main process, who may log on."""

    name: str
    port: int
    pid: int
    user: str
    password: str = PASSWORD
    share: str = SHARE
    address: str = LOOPBACK


def free_port() -> int:
    """A loopback TCP port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def folders(parent: Path | None = None) -> Iterator[tuple[Path, Path]]:
    """Two temporary folders, removed at the end: for what servers keep, and one behind the share, open to everybody.

    The share is made below `parent` (default: where temporary files are).  Its file system matters: on tmpfs a read by
    the ring is not done at once but handed to a kernel thread.  What servers keep lies where names are short, because
    a socket's may not be long.
    """
    with contextlib.ExitStack() as made:
        work = Path(made.enter_context(_temporary(None)))
        share = Path(made.enter_context(_temporary(parent))) / "share"
        for folder, mode in ((work, 0o755), (share.parent, 0o755), (share, 0o777)):
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)  # not mkdir's mode: the umask would cut it
        yield work, share


def _temporary(parent: Path | None) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="smbd-uring-perf-", dir=parent, ignore_cleanup_errors=True)


@contextlib.contextmanager
def samba(kind: Samba, work: Path, folder: Path, user: str) -> Iterator[Running]:
    """Run one of the two Sambas while the body runs.

    Arguments: which; a folder for its state; the share's folder; the account.
    Raises ServerFailedError when smbd is missing or does not come up.
    """
    smbd = shutil.which("smbd", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if smbd is None:
        raise ServerFailedError("smbd is not installed: install the package samba, or compare without it")
    port = free_port()
    state = work / kind.value
    for name in PRIVATE_FOLDERS:
        (state / name).mkdir(parents=True, exist_ok=True)
    (state / "private").chmod(0o700)
    configuration = state / "smb.conf"
    configuration.write_text(smb_conf(kind, state, port, SHARE, folder), encoding="utf-8")
    stored = subprocess.run(
        ["smbpasswd", "-c", str(configuration), "-s", "-a", user], input=f"{PASSWORD}\n{PASSWORD}\n",
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    if stored.returncode != 0:
        raise ServerFailedError(f"smbpasswd could not store {user}, who has to be a user here: {stored.stderr}")
    command = [smbd, "--foreground", "--no-process-group", "-s", str(configuration)]
    log_path = state / "log" / "stdout"
    with started(command, log_path) as process:
        wait_for_port(process, port, log_path)
        yield Running(kind.value, port, process.pid, user)


@contextlib.contextmanager
def own(
    work: Path, folder: Path, user: str, *, name: str = "smbd-uring", checkout: Path = PROJECT,
    arguments: Sequence[str] = (), cores: Set[int] | None = None,
) -> Iterator[Running]:  # fmt: skip
    """Run this server, or the one of another checkout, while the body runs.

    Arguments: a folder for its state; the share's folder; the account; its name in tables; whose source it runs; more
    arguments of `serve`; the cores it finds when it starts, by which it chooses its threads.
    Raises ServerFailedError when it does not come up.
    """
    port = free_port()
    state = work / name
    state.mkdir()
    configuration = state / "smb.conf"
    configuration.write_text("[global]\n", encoding="utf-8")
    command = [
        sys.executable, "-m", "smbd_uring", "serve", "--listen", f"{LOOPBACK}:{port}",
        "--state-dir", str(state / "state"), "-c", str(configuration),
        "--share", f"{SHARE}={folder}", "--user", f"{user}:{PASSWORD}", *arguments,
    ]  # fmt: skip
    with started(command, state / "stdout", checkout, cores) as process:
        wait_for_port(process, port, state / "stdout")
        yield Running(name, port, process.pid, user)


@contextlib.contextmanager
def started(
    command: Sequence[str], log_path: Path, checkout: Path | None = None, cores: Set[int] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command`, in a process group of its own and printing into `log_path`, until the body ends.

    With a `checkout` it runs there, with the modules of that checkout; with `cores` on these.
    """
    environment = dict(os.environ)
    if checkout is not None:
        # Before anything that is installed: the companion is started with the same.
        environment["PYTHONPATH"] = str(checkout)
    with log_path.open("wb") as log, confined(cores):
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            cwd=checkout, env=environment,
        )  # fmt: skip
    try:
        yield process
    finally:
        _end(process)


def wait_for_port(process: subprocess.Popen[bytes], port: int, log_path: Path) -> None:
    """Wait until the server accepts.  Raises ServerFailedError with what it printed when it does not."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            printed = log_path.read_text(errors="replace")
            raise ServerFailedError(f"{process.args!r} does not accept on port {port}:\n{printed}")
        time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and what it started: they share the group that was made for it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
