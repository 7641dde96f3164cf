"""Starts and stops the server under test as a user would: by its command line, in a state directory apart.

Knows: `python -m smbd_uring serve` and what it promises.  Must not know: its insides.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil

from tests.support.endpoint import LOOPBACK, Account, Endpoint, Share, free_port

PROJECT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = float(os.environ.get("SERVER_START_TIMEOUT_S", "15"))
"""An emulated machine sets more."""
STOP_TIMEOUT_S = 5.0
"""The server's own promise: from SIGTERM to its end."""


class ServerFailedError(AssertionError):
    """The server did not start, or did not end as it must; the message carries its log."""


@dataclass(frozen=True)
class Configuration:
    """An smb.conf and an account database made for one server."""

    smb_conf: Path
    accounts: Path


def command(*arguments: str) -> list[str]:
    """The command line of `smbd-uring ARGUMENTS` from this checkout."""
    return [sys.executable, "-m", "smbd_uring", *arguments]


def write_configuration(
    folder: Path, shares: Sequence[Share], accounts: Sequence[Account], global_lines: Sequence[str] = ()
) -> Configuration:
    """Write an smb.conf with `shares` and store `accounts`, which must be Unix users, with `adduser`."""
    lines = ["[global]", *(f"\t{line}" for line in global_lines)]
    for share in shares:
        lines += [f"[{share.name}]", f"\tpath = {share.path}"]
        lines.append(f"\tread only = {'yes' if share.read_only else 'no'}")
        lines.append(f"\tguest ok = {'yes' if share.guest else 'no'}")
        if share.force_user is not None:
            lines.append(f"\tforce user = {share.force_user}")
    smb_conf = folder / "smb.conf"
    smb_conf.write_text("\n".join(lines) + "\n")
    configuration = Configuration(smb_conf, folder / "ksmbdpwd.db")
    for account in accounts:
        subprocess.run(
            command("adduser", "-a", account.name, "-p", account.password,
                    "-i", str(configuration.accounts), "-c", str(smb_conf)),
            cwd=PROJECT, check=True, timeout=30,
        )
    return configuration


class Server:
    """One run of the server; a context manager that ends it by SIGTERM and checks that it ended cleanly."""

    def __init__(
        self,
        folder: Path,
        shares: Sequence[Share],
        accounts: Sequence[Account],
        *,
        uring: bool = True,
        configuration: Configuration | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        """Prepare a run whose state directory and log are in `folder`.

        With a `configuration` shares and accounts come from its files; without one they are given on the
        command line.  `arguments` are added to those of `serve`.
        """
        self.endpoint = Endpoint(
            free_port(), accounts[0], {share.name: share.path for share in shares},
            more_accounts=tuple(accounts[1:]),
        )
        self.log_path = folder / "server.log"
        self._command = command(
            "serve", "--listen", f"{LOOPBACK}:{self.endpoint.port}", "--state-dir", str(folder / "state")
        )
        if not uring:
            self._command.append("--no-uring")
        if configuration is not None:
            self._command += ["-c", str(configuration.smb_conf), "-i", str(configuration.accounts)]
        else:
            for share in shares:
                flags = ",ro" * share.read_only + ",guest" * share.guest
                self._command += ["--share", f"{share.name}={share.path}{flags}"]
            for account in accounts:
                self._command += ["--user", f"{account.name}:{account.password}"]
        self._command += arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> psutil.Process:
        """The running server's main process."""
        assert self._process is not None, "the server is not running"
        return psutil.Process(self._process.pid)

    def log(self) -> str:
        """Everything the server has printed so far."""
        return self.log_path.read_text(errors="replace")

    def companion(self) -> psutil.Process | None:
        """The companion process as it is now, or None while there is none."""
        for child in self.process.children():
            try:
                if "mountd" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                    return child
            except psutil.NoSuchProcess:
                continue
        return None

    def start(self) -> Endpoint:
        """Start and wait for `listening on`.  Raises ServerFailedError with the log when it does not come."""
        expected = f"listening on {LOOPBACK}:{self.endpoint.port}"
        with self.log_path.open("ab") as log:
            printed_before = self.log().count(expected)
            self._process = subprocess.Popen(
                self._command, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while self.log().count(expected) == printed_before:
            if self._process.poll() is not None:
                raise ServerFailedError(f"serve ended with {self._process.returncode}:\n{self.log()}")
            if time.monotonic() > deadline:
                self.kill()
                raise ServerFailedError(f"no '{expected}' within {START_TIMEOUT_S} s:\n{self.log()}")
            time.sleep(0.02)
        return self.endpoint

    def terminate(self) -> float:
        """Send SIGTERM and wait for the end.  Result: how long that took, in seconds.

        Raises ServerFailedError when the server takes too long, ends with another status than 0, leaves a
        process behind, or has printed a traceback at any time.
        """
        assert self._process is not None, "the server is not running"
        children = self.process.children(recursive=True) if self._process.poll() is None else []
        started = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerFailedError(f"alive {STOP_TIMEOUT_S} s after SIGTERM:\n{self.log()}") from None
        took_s = time.monotonic() - started
        self._process = None
        _, left = psutil.wait_procs(children, timeout=1)
        if status != 0:
            raise ServerFailedError(f"ended with status {status} after SIGTERM:\n{self.log()}")
        if left:
            raise ServerFailedError(f"left processes behind: {left}\n{self.log()}")
        if "Traceback" in self.log():
            raise ServerFailedError(f"printed a traceback:\n{self.log()}")
        return took_s

    def kill(self) -> None:
        """End the server without ceremony."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.terminate()
