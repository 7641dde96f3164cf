"""Keeps the companion's process alive: starts it, sees it die, starts it again.

Knows: processes.  Must not know: what the companion says.

The companion never outlives the server: it is told who its parent is and has the kernel end it with that.  (It does so
itself: code of ours between fork and exec could meet a lock that some other thread of the server held.)
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from smbd_uring import limits

log = logging.getLogger("smbd.companion")

END_TIMEOUT_S = 1.0
STEADY_S = 10.0
"""A companion that lived this long did not fail at its start; the next restart is quick again."""


class Supervisor:
    """One supervised companion.  `arguments` follow `smbd-uring mountd`."""

    def __init__(self, arguments: Sequence[str]) -> None:
        """Start the companion at once.  OSError when it cannot be started."""
        self._command = [sys.executable, "-m", "smbd_uring", "mountd", "--parent", str(os.getpid()), *arguments]
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd: int | None = None
        self._started_at = 0.0
        self._restart_at: float | None = None
        self._delay = limits.COMPANION_RESTART_DELAY_FIRST_S
        self._start(time.monotonic())

    @property
    def pid(self) -> int | None:
        """The companion's process, None while it is away."""
        return self._process.pid if self._process is not None else None

    def fileno(self) -> int | None:
        """Readable when the companion died; None while there is none.  Changes with every restart."""
        return self._pidfd

    def readable(self, now: float) -> None:
        """See whether it died."""
        if self._process is None or self._process.poll() is None:
            return
        log.warning("the companion ended with status %s", self._process.returncode)
        self._forget()
        if now - self._started_at >= STEADY_S:
            self._delay = limits.COMPANION_RESTART_DELAY_FIRST_S
        self._restart_at = now + self._delay
        self._delay = min(self._delay * 2, limits.COMPANION_RESTART_DELAY_MAX_S)

    def tick(self, now: float) -> None:
        """Start it again when it is time."""
        if self._restart_at is not None and self._restart_at <= now:
            self._restart_at = None
            try:
                self._start(now)
            except OSError as error:
                log.error("the companion cannot be started again: %s", error)
                self._restart_at = now + limits.COMPANION_RESTART_DELAY_MAX_S

    def next_deadline(self) -> float | None:
        """When `tick` has something to do."""
        return self._restart_at

    def close(self) -> None:
        """End the companion: SIGTERM, then SIGKILL."""
        self._restart_at = None
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._forget()

    def _start(self, now: float) -> None:
        # SIGHUP would end it before it can handle it; blocked, a reload asked for meanwhile waits until it can.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            # stdin is closed and the group is its own, so that a terminal's Ctrl-C reaches the server alone
            process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, process_group=0, umask=0o077)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            self._pidfd = os.pidfd_open(process.pid)
        except OSError:  # no descriptor is left: one whose end would go unseen is no help
            process.kill()
            process.wait()
            raise
        self._process = process
        self._started_at = now

    def _forget(self) -> None:
        self._process = None
        if self._pidfd is not None:
            with suppress(OSError):
                os.close(self._pidfd)
            self._pidfd = None
