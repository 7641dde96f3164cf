"""The companion is started, seen to die, started again, and ended with the server."""

from __future__ import annotations

import errno
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from smbd_uring import limits
from smbd_uring.companion import supervisor as module
from smbd_uring.companion.client import CompanionClient
from smbd_uring.companion.supervisor import Supervisor
from smbd_uring.netlink.nt_hash import nt_hash
from smbd_uring.ports import AccountFlags, AskLogin, LoginAnswer

AGAIN_WITHIN_S = 2.0
PATIENCE_S = 10.0


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


class Server:
    """As much of a server as a companion needs: the client's end, and somebody who looks after both."""

    def __init__(self, state_directory: Path) -> None:
        self.client = CompanionClient(state_directory)
        overlay = state_directory / "overlay.json"
        overlay.write_text(f'{{"users": {{"anna": "{nt_hash("secret").hex()}"}}, "shares": {{"x": {{"path": "/"}}}}}}')
        self.supervisor = Supervisor(["--state-dir", str(state_directory), "--overlay", str(overlay)])

    def close(self) -> None:
        self.supervisor.close()
        self.client.close()

    def turn(self) -> None:
        """One turn of the loop: as long as the next deadline, at most a tenth of a second."""
        now = time.monotonic()
        deadlines = [self.supervisor.next_deadline(), self.client.next_deadline(), now + 0.1]
        until = min(deadline for deadline in deadlines if deadline is not None)
        watched = [self.client.fileno(), *([pidfd] if (pidfd := self.supervisor.fileno()) is not None else [])]
        ready, _, _ = select.select(watched, [], [], max(0, until - now))
        now = time.monotonic()
        if self.client.fileno() in ready:
            self.client.readable(now)
        if self.supervisor.fileno() in ready:
            self.supervisor.readable(now)
        self.client.tick(now)
        self.supervisor.tick(now)

    def turn_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "it did not come to pass"
            self.turn()

    def logs_on(self, account: str) -> LoginAnswer | None:
        """Ask until there is an answer."""
        answers: list[LoginAnswer | None] = []
        while not answers:
            self.client.submit("logon", AskLogin(account), time.monotonic())
            taken = self.client.take_answers()
            while not taken:
                self.turn()
                taken = self.client.take_answers()
            answers += [result for _, result, error in taken if error is None]
        return answers[0]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path)
    yield running
    running.close()


def test_the_companion_comes_up_and_answers(server: Server) -> None:
    server.turn_until(lambda: server.client.startup is not None)
    assert server.client.peer_pid == server.supervisor.pid
    anna = server.logs_on("anna")
    assert anna is not None
    assert (anna.account, anna.nt_hash) == ("anna", nt_hash("secret"))
    assert anna.flags & AccountFlags.OK
    assert server.logs_on("stranger") is None


def test_after_kill_9_logons_work_again_within_two_seconds(server: Server) -> None:
    server.turn_until(lambda: server.client.startup is not None)
    killed = server.supervisor.pid
    assert killed is not None

    for _ in range(2):
        os.kill(killed, signal.SIGKILL)
        killed_at = time.monotonic()
        assert server.logs_on("anna") is not None
        assert time.monotonic() - killed_at < AGAIN_WITHIN_S
        assert server.supervisor.pid not in (None, killed)
        assert server.client.peer_pid == server.supervisor.pid
        killed = server.supervisor.pid


def test_it_leaves_a_terminals_signals_to_the_server(server: Server) -> None:
    assert server.supervisor.pid is not None
    assert os.getpgid(server.supervisor.pid) == server.supervisor.pid


def test_close_ends_it_and_leaves_no_zombie(server: Server) -> None:
    server.turn_until(lambda: server.client.startup is not None)
    pid = server.supervisor.pid
    assert pid is not None
    server.supervisor.close()
    assert not psutil.pid_exists(pid)
    assert (server.supervisor.pid, server.supervisor.fileno(), server.supervisor.next_deadline()) == (None, None, None)
    server.supervisor.close()


def test_a_companion_that_does_not_end_is_killed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "END_TIMEOUT_S", 0.1)
    server.turn_until(lambda: server.client.startup is not None)
    pid = server.supervisor.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    server.supervisor.close()
    assert not psutil.pid_exists(pid)


# --- one that cannot stay ---


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[Supervisor]:
    """No engine has announced itself there, so each companion ends at once."""
    supervisor = Supervisor(["--state-dir", str(tmp_path / "nowhere")])
    yield supervisor
    supervisor.close()


def died(supervisor: Supervisor, now: float) -> None:
    """Wait for the companion's end and let the supervisor see it at the moment `now`."""
    pidfd = supervisor.fileno()
    assert pidfd is not None
    assert select.select([pidfd], [], [], PATIENCE_S)[0]
    supervisor.readable(now)
    assert (supervisor.pid, supervisor.fileno()) == (None, None)


def test_one_that_fails_at_its_start_is_started_ever_more_slowly(
    failing: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    now, delays = time.monotonic(), []
    for _ in range(4):
        died(failing, now)
        deadline = failing.next_deadline()
        assert deadline is not None
        delays.append(round(deadline - now, 6))
        failing.tick(deadline - 0.001)
        assert failing.pid is None, "it was started too soon"
        failing.tick(deadline)
        assert failing.pid is not None
        now = deadline
    assert delays == [limits.COMPANION_RESTART_DELAY_FIRST_S * factor for factor in (1, 2, 4, 8)]
    assert "the companion ended with status 1" in caplog.text


def test_the_delay_has_a_bound(failing: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "COMPANION_RESTART_DELAY_MAX_S", 0.15)
    now = time.monotonic()
    for _ in range(2):
        died(failing, now)
        deadline = failing.next_deadline()
        assert deadline is not None
        failing.tick(deadline)
        now = deadline
    died(failing, now)
    assert failing.next_deadline() == pytest.approx(now + 0.15)


def test_one_that_lived_for_long_is_started_again_at_once(failing: Supervisor) -> None:
    now = time.monotonic()
    for _ in range(2):
        died(failing, now)
        now = failing.next_deadline() or now
        failing.tick(now)
    later = now + module.STEADY_S
    died(failing, later)
    assert failing.next_deadline() == pytest.approx(later + limits.COMPANION_RESTART_DELAY_FIRST_S)


def test_one_that_cannot_be_started_again_is_tried_later(
    failing: Supervisor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = time.monotonic()
    died(failing, now)
    monkeypatch.setattr(failing, "_command", ["/nowhere/python"])
    deadline = failing.next_deadline()
    assert deadline is not None
    failing.tick(deadline)
    assert failing.pid is None
    assert failing.next_deadline() == deadline + limits.COMPANION_RESTART_DELAY_MAX_S
    assert "cannot be started again" in caplog.text


def test_one_that_cannot_be_watched_is_not_left_running(failing: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given no descriptor for it, the companion is ended and tried again later, so there are never two."""
    now = time.monotonic()
    died(failing, now)
    started: list[int] = []

    def no_descriptor(pid: int) -> int:
        started.append(pid)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pidfd_open", no_descriptor)
        deadline = failing.next_deadline()
        assert deadline is not None
        failing.tick(deadline)
    assert [psutil.pid_exists(pid) for pid in started] == [False]
    assert (failing.pid, failing.fileno()) == (None, None)
    assert failing.next_deadline() == deadline + limits.COMPANION_RESTART_DELAY_MAX_S


def test_what_it_says_of_itself_is_logged_once(failing: Supervisor, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "smbd.companion"):
        died(failing, time.monotonic())
        failing.readable(time.monotonic())
    assert caplog.text.count("the companion ended") == 1


# --- the server's own end ---

SERVER_THAT_IS_KILLED = """
import sys, time
from pathlib import Path
from smbd_uring.companion.client import CompanionClient
from smbd_uring.companion.supervisor import Supervisor
directory = sys.argv[1]
client = CompanionClient(Path(directory))
supervisor = Supervisor(["--state-dir", directory])
while client.startup is None:
    client.readable(time.monotonic())
    time.sleep(0.01)
print(supervisor.pid, flush=True)
time.sleep(60)
"""


def test_the_companion_ends_when_the_server_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVER_THAT_IS_KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        companion = psutil.Process(int(server.stdout.readline()))
        assert "mountd" in companion.cmdline()
        server.kill()
    wait_until(lambda: not companion.is_running() or companion.status() == psutil.STATUS_ZOMBIE)
