"""The whole server from its start to its end, as scripts and service managers see it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.endpoint import LOOPBACK, Account, Share, make_share
from tests.support.server import PROJECT, Server, command

ACCOUNT = Account("daemon", "secret")


@pytest.fixture
def share(tmp_path: Path) -> Share:
    return make_share(tmp_path, "data")


@pytest.fixture(params=[True, False], ids=["ring", "epoll"])
def server(tmp_path: Path, share: Share, request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(tmp_path, [share], [ACCOUNT], uring=request.param) as running:
        yield running


def state_of(server: Server) -> str:
    """The server's state directory."""
    return str(server.log_path.parent / "state")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=PROJECT, capture_output=True, text=True, timeout=20)


def ask(server: Server, *arguments: str) -> str:
    """Run a command against the server; it must succeed.  Result: what it prints."""
    done = run(*arguments, "--state-dir", state_of(server))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_status_tells_programs_and_people_where_it_listens(server: Server) -> None:
    status = json.loads(ask(server, "status", "--json"))
    assert status["pid"] == server.process.pid
    assert status["listening"] == [f"{LOOPBACK}:{server.endpoint.port}"]
    assert status["companion"]["pid"] == server.process.children()[0].pid
    assert str(server.endpoint.port) in ask(server, "status")


def test_it_says_which_event_loop_it_uses(server: Server) -> None:
    assert f"event loop: {json.loads(ask(server, 'status', '--json'))['event_loop']}" in server.log()


def test_a_component_can_be_made_to_say_more_and_less(server: Server) -> None:
    assert "debug messages on" in ask(server, "control", "--debug", "engine")
    assert "debug messages off" in ask(server, "control", "--debug", "engine")
    refused = run("control", "--debug", "nonsense", "--state-dir", state_of(server))
    assert refused.returncode == 1
    assert "no such component" in refused.stderr


def test_reload_reaches_the_companion_and_the_server_goes_on(server: Server) -> None:
    ask(server, "control", "--reload")
    server.process.send_signal(signal.SIGHUP)
    assert json.loads(ask(server, "status", "--json"))["companion"]["pid"] is not None


def test_shutdown_by_command_is_a_clean_end(tmp_path: Path, share: Share) -> None:
    server = Server(tmp_path, [share], [ACCOUNT])
    server.start()
    process = server.process
    companion = process.children()[0]
    ask(server, "control", "--shutdown")
    assert process.wait(5) == 0
    assert not companion.is_running()
    assert not (Path(state_of(server)) / "control.sock").exists()
    server.kill()


def test_idle_clients_do_not_delay_the_end(server: Server) -> None:
    idle = [socket.create_connection((LOOPBACK, server.endpoint.port)) for _ in range(20)]
    time.sleep(0.1)
    assert server.terminate() < 5
    for connection in idle:
        connection.close()


def test_a_second_server_in_the_same_state_directory_is_refused(server: Server) -> None:
    second = run("serve", "--listen", f"{LOOPBACK}:0", "--state-dir", state_of(server))
    assert second.returncode == 1
    assert "another server uses" in second.stderr


def test_a_port_in_use_is_said_and_leaves_nothing_behind(server: Server, tmp_path: Path) -> None:
    second = run(
        "serve", "--listen", f"{LOOPBACK}:{server.endpoint.port}", "--state-dir", str(tmp_path / "second")
    )
    assert second.returncode == 1
    assert "in use" in second.stderr


def test_two_addresses_are_two_lines(tmp_path: Path, share: Share) -> None:
    server = Server(tmp_path, [share], [ACCOUNT], arguments=["--listen", f"{LOOPBACK}:0"])
    with server:
        assert len(json.loads(ask(server, "status", "--json"))["listening"]) == 2


def test_the_service_manager_hears_of_the_start_and_the_end(
    tmp_path: Path, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(5)
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with Server(tmp_path, [share], [ACCOUNT]):
            assert manager.recv(100) == b"READY=1"
        assert manager.recv(100) == b"STOPPING=1"


def test_the_state_directory_keeps_the_servers_identity(tmp_path: Path, share: Share) -> None:
    guids = set()
    for _ in range(2):
        server = Server(tmp_path, [share], [ACCOUNT])
        with server:
            guids.add((Path(state_of(server)) / "server.guid").read_bytes())
    assert len(guids) == 1


def test_nothing_in_the_state_directory_is_for_others(server: Server) -> None:
    modes = {path.name: path.stat().st_mode & 0o077 for path in Path(state_of(server)).iterdir()}
    assert set(modes.values()) == {0}, modes
    assert os.stat(state_of(server)).st_mode & 0o077 == 0
