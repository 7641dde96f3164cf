"""The companion as the server sees it: started, asked, told to reload, and ended."""

from __future__ import annotations

import dataclasses
import json
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from smbd_uring import companion_process as module
from smbd_uring.companion_process import CompanionMissing, CompanionProcess
from smbd_uring.netlink import genl
from smbd_uring.netlink.channel import companion_channel
from smbd_uring.netlink.messages import Event, StartingUp
from smbd_uring.ports import AskShare, CompanionUnavailable, ShareAnswer
from smbd_uring.server_options import ServerOptions

PATIENCE_S = 10.0


@pytest.fixture
def options(tmp_path: Path) -> ServerOptions:
    """A server that is configured by files."""
    config = tmp_path / "smb.conf"
    config.write_text("[data]\npath = /srv\n")
    return ServerOptions(
        config_file=config, accounts_file=tmp_path / "ksmbdpwd.db", state_directory=tmp_path, listen=(), overlay={},
        use_uring=False,
        rings=None,
        grants=True, spawn_companion=True,
    )  # fmt: skip


@pytest.fixture
def start(options: ServerOptions, tmp_path: Path) -> Iterator[Callable[..., CompanionProcess]]:
    """Start a companion with options that differ from the usual ones."""
    started: list[CompanionProcess] = []

    def start(**changes: Any) -> CompanionProcess:
        overlay = tmp_path / "overlay.json"
        overlay.write_text(json.dumps({}))
        started.append(CompanionProcess(dataclasses.replace(options, **changes), tmp_path, overlay))
        return started[-1]

    yield start
    for companion in started:
        companion.close()


def never() -> bool:
    return False


def pid_of(companion: CompanionProcess) -> int:
    pid = companion.status()["pid"]
    assert isinstance(pid, int)
    return pid


def turn(companion: CompanionProcess) -> None:
    """One turn of the loop, a tenth of a second at most."""
    select.select([companion.fileno()], [], [], 0.1)
    now = time.monotonic()
    companion.readable(now)
    companion.tick(now)


def share(companion: CompanionProcess) -> ShareAnswer:
    """Ask for the share until it is answered."""
    deadline = time.monotonic() + PATIENCE_S
    companion.submit("share", AskShare("data"), time.monotonic())
    while time.monotonic() < deadline:
        turn(companion)
        for _, answer, error in companion.take_answers():
            if error is None:
                assert isinstance(answer, ShareAnswer)
                return answer
            assert isinstance(error, CompanionUnavailable)
            companion.submit("share", AskShare("data"), time.monotonic())
    raise AssertionError("no answer")


def wait_for_path(companion: CompanionProcess, path: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while (told := share(companion).path) != path:
        assert time.monotonic() < deadline, f"it still says {told}"


def test_its_first_message_starts_the_server(start: Any) -> None:
    companion = start()
    assert companion.wait_for_startup(never).tcp_port == 445
    assert companion.status() == {"pid": pid_of(companion), "supervised": True}
    assert share(companion).path == "/srv"


def test_a_server_that_is_to_stop_does_not_wait_for_it(start: Any) -> None:
    with pytest.raises(CompanionMissing, match="asked to stop"):
        start().wait_for_startup(lambda: True)


def test_one_that_cannot_start_is_noticed_at_once(start: Any, tmp_path: Path) -> None:
    started_at = time.monotonic()
    with pytest.raises(CompanionMissing, match="ended as soon as it was started"):
        start(config_file=tmp_path / "nowhere").wait_for_startup(never)
    assert time.monotonic() - started_at < module.STARTUP_TIMEOUT_S / 2


def test_one_that_nobody_runs_is_not_waited_for_endlessly(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STARTUP_TIMEOUT_S", 0.2)
    companion = start(spawn_companion=False)
    with pytest.raises(CompanionMissing, match="was not up within"):
        companion.wait_for_startup(never)
    assert companion.status() == {"pid": None, "supervised": False}


def test_every_death_is_seen_through_the_one_descriptor(start: Any) -> None:
    companion = start()
    companion.wait_for_startup(never)
    for _ in range(3):
        killed = pid_of(companion)
        os.kill(killed, signal.SIGKILL)
        assert share(companion).path == "/srv"
        assert pid_of(companion) != killed


def test_close_ends_it(start: Any) -> None:
    companion = start()
    companion.wait_for_startup(never)
    pid = pid_of(companion)
    companion.close()
    assert not psutil.pid_exists(pid)


# --- reading again ---


def test_reload_has_the_files_read_again(start: Any, options: ServerOptions) -> None:
    companion = start()
    companion.wait_for_startup(never)
    assert options.config_file is not None
    options.config_file.write_text("[data]\npath = /new\n")
    pid = pid_of(companion)
    assert companion.reload()
    wait_for_path(companion, "/new")
    assert pid_of(companion) == pid


def test_reload_while_it_starts_does_not_end_it(start: Any, options: ServerOptions) -> None:
    """Given a companion that has not come to handle signals yet, what it is told reaches it later."""
    companion = start()
    pid = pid_of(companion)
    for _ in range(3):
        assert companion.reload()
    companion.wait_for_startup(never)
    assert options.config_file is not None
    options.config_file.write_text("[data]\npath = /new\n")
    assert companion.reload(), "a signal that is not blocked any more"
    wait_for_path(companion, "/new")
    assert pid_of(companion) == pid


def test_reload_of_one_that_is_gone_unseen_is_refused(
    start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a companion that somebody else ran, its process may be gone before the next heartbeat misses it."""
    companion = start(spawn_companion=False)
    with closing(companion_channel(tmp_path)) as external:
        external.send(genl.encode(Event.STARTING_UP, StartingUp().encode(), external.port))
        companion.wait_for_startup(never)
        for error in (ProcessLookupError, PermissionError):

            def refuse(_pid: int, _signal: int, error: type[OSError] = error) -> None:
                raise error

            with monkeypatch.context() as patch:
                patch.setattr(os, "kill", refuse)
                assert not companion.reload()


def test_reload_without_a_companion_is_refused(start: Any) -> None:
    assert not start(spawn_companion=False).reload()
