"""A private, throw-away Samba on loopback: the reference that answers are compared with.

Knows: smbd's command line and the smb.conf options that keep it to one folder.  Must not know: our server.

Samba maps each account to a Unix user, so the accounts given must be users of this machine.  Needs root.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import psutil

from tests.support.endpoint import LOOPBACK, Account, Endpoint, Share, free_port
from tests.support.foreign import foreign_environment

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0
PRIVATE_FOLDERS = ("private", "lock", "state", "cache", "run", "ncalrpc", "log")


class PeerFailedError(AssertionError):
    """Samba did not start or stop; the message says what it printed."""


def find_smbd() -> str | None:
    """Path of Debian's smbd, or None where the package `samba` is missing."""
    return shutil.which("smbd", path="/usr/sbin:/usr/bin:/sbin:/bin")


class Peer:
    """One run of Samba; a context manager.  Same shape as `tests.support.server.Server`."""

    def __init__(
        self, folder: Path, shares: Sequence[Share], accounts: Sequence[Account], share_lines: Sequence[str] = ()
    ) -> None:
        """Prepare a run whose every file but the shares is in `folder`; `share_lines` are for each share's section."""
        self.endpoint = Endpoint(
            free_port(), accounts[0], {share.name: share.path for share in shares},
            more_accounts=tuple(accounts[1:]),
        )
        self._folder = folder
        self._shares = tuple(shares)
        self._accounts = tuple(accounts)
        self._share_lines = tuple(share_lines)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> psutil.Process:
        """The running smbd's main process."""
        assert self._process is not None, "the peer is not running"
        return psutil.Process(self._process.pid)

    def log(self) -> str:
        """What smbd has logged."""
        return "\n".join(path.read_text(errors="replace") for path in (self._folder / "log").iterdir())

    def start(self) -> Endpoint:
        """Write the configuration, store the accounts, start smbd and wait until it accepts."""
        smbd = find_smbd()
        assert smbd is not None, "the package samba is not installed; `make test` installs it"
        for name in PRIVATE_FOLDERS:
            (self._folder / name).mkdir(exist_ok=True)
        (self._folder / "private").chmod(0o700)
        smb_conf = self._folder / "smb.conf"
        smb_conf.write_text(self._configuration())
        for account in self._accounts:
            self._store(smb_conf, account)
        with (self._folder / "log" / "stdout").open("wb") as log:
            self._process = subprocess.Popen(
                [smbd, "--foreground", "--no-process-group", "-s", str(smb_conf)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=foreign_environment(),
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._accepts():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise PeerFailedError(f"smbd did not come up:\n{self.log()}")
            time.sleep(0.05)
        return self.endpoint

    def terminate(self) -> float:
        """Send SIGTERM to smbd and its children and wait.  Result: how long that took, in seconds."""
        assert self._process is not None, "the peer is not running"
        started = time.monotonic()
        # smbd's children share the session, and so the process group, that start() made for it.
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise PeerFailedError(f"smbd alive {STOP_TIMEOUT_S} s after SIGTERM") from None
        self._process = None
        return time.monotonic() - started

    def kill(self) -> None:
        """End smbd and its children without ceremony."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def __enter__(self) -> Peer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.terminate()

    def _accepts(self) -> bool:
        try:
            socket.create_connection((LOOPBACK, self.endpoint.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _store(self, smb_conf: Path, account: Account) -> None:
        subprocess.run(
            ["smbpasswd", "-c", str(smb_conf), "-s", "-a", account.name],
            input=f"{account.password}\n{account.password}\n".encode(),
            check=True, timeout=30, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=foreign_environment(),
        )

    def _configuration(self) -> str:
        folder = self._folder
        lines = [
            "[global]",
            "netbios name = PEER",
            "server role = standalone server",
            f"interfaces = {LOOPBACK}",
            "bind interfaces only = yes",
            f"smb ports = {self.endpoint.port}",
            "disable netbios = yes",
            f"private dir = {folder}/private",
            f"passdb backend = tdbsam:{folder}/private/passdb.tdb",
            f"lock directory = {folder}/lock",
            f"state directory = {folder}/state",
            f"cache directory = {folder}/cache",
            f"pid directory = {folder}/run",
            f"ncalrpc dir = {folder}/ncalrpc",
            f"winbindd socket directory = {folder}/run/winbindd",
            f"log file = {folder}/log/log.%m",
            "logging = file",
            "log level = 1",
            "usershare path =",
            "server min protocol = SMB2_02",
            "server max protocol = SMB3_11",
            "map to guest = never",
            "kernel oplocks = no",
            "store dos attributes = yes",
            "map archive = no",
            "load printers = no",
            "printing = bsd",
            "printcap name = /dev/null",
            "disable spoolss = yes",
        ]
        for share in self._shares:
            lines += [f"[{share.name}]", f"path = {share.path}"]
            lines.append(f"read only = {'yes' if share.read_only else 'no'}")
            lines.append(f"guest ok = {'yes' if share.guest else 'no'}")
            if share.force_user is not None:
                lines.append(f"force user = {share.force_user}")
            lines += self._share_lines
        return "\n".join(lines) + "\n"
