"""The companion as the server sees it: one thing that is started, asked, told to reload, and ended.

Knows: the client that asks and the supervisor that keeps the companion alive.  Must not know: the messages.

To the loop it is the companion (`loop.base.Companion`): what the loop does for the client's sake (wake it,
wait for its deadline) is done for the supervisor's sake as well.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from smbd_uring.companion.client import CompanionClient
from smbd_uring.companion.supervisor import Supervisor
from smbd_uring.netlink.messages import StartingUp
from smbd_uring.ports import Effect
from smbd_uring.server_options import ServerOptions

STARTUP_TIMEOUT_S = 20.0
"""It is up in a fraction of a second; a busy small board or an emulated machine needs its time."""

LOOK_INTERVAL_S = 0.1
"""How often the wait for it looks at signals and at the child."""


class CompanionMissing(Exception):  # noqa: N818 - a state of the world, not a mistake
    """The companion did not come up; the message says why as far as it is known."""


class CompanionProcess:
    """`loop.base.Companion` for a companion that is kept alive, or for one that somebody else runs."""

    def __init__(self, options: ServerOptions, state_directory: Path, overlay: Path) -> None:
        """Open the channel to the companion and start it, unless the options say that somebody else does.

        `overlay` is the file with shares and accounts for this run.  Raises OSError when it cannot start.
        """
        self._client = CompanionClient(state_directory)
        self._supervisor: Supervisor | None = None
        if options.spawn_companion:
            self._supervisor = Supervisor(_arguments(options, state_directory, overlay))
        self._parts: tuple[CompanionClient | Supervisor, ...] = (self._client,)
        if self._supervisor is not None:
            self._parts = (self._client, self._supervisor)
        self._epoll = select.epoll()
        self._epoll.register(self._client.fileno(), select.EPOLLIN)
        self._watched_pid: int | None = None
        """The companion whose end the epoll sees."""

    def wait_for_startup(self, is_cancelled: Callable[[], bool]) -> StartingUp:
        """Wait for the companion's first message.

        Result: that message.  Raises CompanionMissing when it does not come in time or `is_cancelled()`.
        """
        deadline = time.monotonic() + STARTUP_TIMEOUT_S
        while self._client.startup is None:
            now = time.monotonic()
            if is_cancelled():
                raise CompanionMissing("asked to stop before the companion was up")
            if now >= deadline:
                raise CompanionMissing(
                    f"the companion was not up within {STARTUP_TIMEOUT_S:.0f} s; its own messages say why"
                )
            self.tick(now)
            select.select([self.fileno()], [], [], LOOK_INTERVAL_S)
            self.readable(time.monotonic())
            if self._supervisor is not None and self._supervisor.pid is None:
                raise CompanionMissing("the companion ended as soon as it was started; its own message says why")
        return self._client.startup

    def reload(self) -> bool:
        """Have configuration and accounts read again.  Result: False when the companion is away."""
        pid = self._pid
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGHUP)
        except OSError:  # one that somebody else runs may be gone before it is missed, or be another user's
            return False
        return True

    def status(self) -> dict[str, Any]:
        """For `smbd-uring status`: the companion's process and whether it is there."""
        return {"pid": self._pid, "supervised": self._supervisor is not None}

    def close(self) -> None:
        """End the companion if it is ours, and the channel."""
        if self._supervisor is not None:
            self._supervisor.close()
        self._client.close()
        self._epoll.close()

    # --- for the loop ---------------------------------------------------------------------------------------

    def submit(self, token: object, effect: Effect[Any], now: float) -> None:
        """Ask the companion."""
        self._client.submit(token, effect, now)

    def take_answers(self) -> Sequence[tuple[Any, Any, BaseException | None]]:
        """What has been answered since the last call: (token, result, error)."""
        return self._client.take_answers()

    def fileno(self) -> int:
        """One descriptor that is readable when the channel or the supervisor has something to do."""
        if self._supervisor is not None and self._supervisor.pid != self._watched_pid:
            self._watched_pid = self._supervisor.pid
            descriptor = self._supervisor.fileno()
            if descriptor is not None:
                # The one before was closed and has left by itself.
                self._epoll.register(descriptor, select.EPOLLIN)
        return self._epoll.fileno()

    def readable(self, now: float) -> None:
        """Let whoever has something to do take it."""
        for descriptor, _ in self._epoll.poll(0):
            for part in self._parts:
                if part.fileno() == descriptor:
                    part.readable(now)

    def tick(self, now: float) -> None:
        """Time has passed."""
        for part in self._parts:
            part.tick(now)

    def next_deadline(self) -> float | None:
        """When `tick` wants to be called."""
        soonest = None
        for part in self._parts:
            deadline = part.next_deadline()
            if deadline is not None and (soonest is None or deadline < soonest):
                soonest = deadline
        return soonest

    @property
    def _pid(self) -> int | None:
        return self._supervisor.pid if self._supervisor is not None else self._client.peer_pid


def _arguments(options: ServerOptions, state_directory: Path, overlay: Path) -> list[str]:
    """What `mountd` is started with."""
    arguments = ["--state-dir", str(state_directory), "--overlay", str(overlay)]
    if options.config_file is not None:
        arguments += ["-c", str(options.config_file)]
    if options.accounts_file is not None:
        arguments += ["-i", str(options.accounts_file)]
    return arguments
