"""A state directory belongs to one server of one user at a time, and commands find it."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from smbd_uring import state_directory
from smbd_uring.state_directory import CONTROL_SOCKET, StateDirectory, StateDirectoryError


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A default place of this test's own."""
    path = tmp_path / "base"
    monkeypatch.setattr(state_directory, "base_directory", lambda: path)
    return path


def serving(directory: Path) -> socket.socket:
    """A socket that takes commands, as a running server's."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(directory / CONTROL_SOCKET))
    listener.listen()
    return listener


def test_a_new_directory_is_its_owners_alone(base: Path) -> None:
    state = StateDirectory(base / "4450")
    assert stat.S_IMODE(state.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(state.write("secret", b"x").stat().st_mode) == 0o600
    state.close()


def test_a_directory_that_was_open_to_others_is_closed_to_them(base: Path) -> None:
    base.mkdir()
    (base / "open").mkdir(mode=0o777)
    state = StateDirectory(base / "open")
    assert stat.S_IMODE(state.path.stat().st_mode) == 0o700
    state.close()


def test_two_servers_never_share_one(base: Path) -> None:
    first = StateDirectory(base / "4450")
    with pytest.raises(StateDirectoryError, match="another server uses"):
        StateDirectory(base / "4450")
    first.close()
    StateDirectory(base / "4450").close()


def test_a_symbolic_link_put_there_by_somebody_is_refused(base: Path, tmp_path: Path) -> None:
    base.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (base / "4450").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateDirectoryError, match="not a directory"):
        StateDirectory(base / "4450")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder of somebody else's")
def test_a_folder_of_somebody_else_is_refused(base: Path) -> None:
    base.mkdir()
    (base / "4450").mkdir()
    os.chown(base / "4450", 65534, 65534)
    with pytest.raises(StateDirectoryError, match="belongs to uid 65534"):
        StateDirectory(base / "4450")


def test_commands_find_a_running_server_wherever_its_directory_is(base: Path, tmp_path: Path) -> None:
    usual = StateDirectory(base / "4450")
    elsewhere = StateDirectory(tmp_path / "elsewhere")
    assert state_directory.running_servers() == []
    with serving(usual.path), serving(elsewhere.path):
        assert sorted(state_directory.running_servers()) == sorted([usual.path, elsewhere.path])
    elsewhere.close()
    usual.close()
    assert state_directory.running_servers() == []


def test_writing_again_replaces_the_file(base: Path) -> None:
    state = StateDirectory(base / "4450")
    state.write("overlay.json", b"first")
    assert state.write("overlay.json", b"second").read_bytes() == b"second"
    state.close()
