"""The control socket answers its owner, one line for one line, and nobody can hold it up."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smbd_uring.cli.control_client import ControlError, find_server, request
from smbd_uring.control_socket import CLIENTS_MAX, REQUEST_BYTES_MAX, CommandRefused, ControlSocket
from smbd_uring.state_directory import CONTROL_SOCKET

LARGE = 4 * 1024 * 1024


def refuse(_request: dict[str, Any]) -> dict[str, Any]:
    raise CommandRefused("not today")


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A state directory whose control socket is served by a thread."""
    control = ControlSocket(
        tmp_path / CONTROL_SOCKET,
        {
            "echo": lambda asked: {"text": asked["text"]},
            "much": lambda _: {"text": "x" * LARGE},
            "refuse": refuse,
        },
    )
    stop_reader, stop_writer = os.pipe()

    def serve() -> None:
        while True:
            ready, _, _ = select.select([control.fileno(), stop_reader], [], [])
            if stop_reader in ready:
                return
            control.readable(0.0)

    thread = threading.Thread(target=serve)
    thread.start()
    yield tmp_path
    os.write(stop_writer, b"x")
    thread.join()
    control.close()
    os.close(stop_reader)
    os.close(stop_writer)
    assert not (tmp_path / CONTROL_SOCKET).exists()


def connected(directory: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(5)
    connection.connect(str(directory / CONTROL_SOCKET))
    return connection


def answer_to(directory: Path, line: bytes) -> Any:
    with connected(directory) as connection, connection.makefile("rb") as answers:
        connection.sendall(line)
        return json.loads(answers.readline())


def test_a_command_is_answered(directory: Path) -> None:
    assert request(directory, {"command": "echo", "text": "hello"}) == {"text": "hello"}


def test_an_answer_larger_than_the_sockets_buffer_arrives_whole(directory: Path) -> None:
    assert request(directory, {"command": "much"}) == {"text": "x" * LARGE}


def test_a_refusal_says_why(directory: Path) -> None:
    with pytest.raises(ControlError, match="not today"):
        request(directory, {"command": "refuse"})


@pytest.mark.parametrize(
    "line",
    [
        b"\n", b"no json\n", b"[]\n", b'"echo"\n', b"{}\n", b'{"command": []}\n', b"\xff\xfe\n",
        b"[" * 4000 + b"\n",
    ],
)  # fmt: skip
def test_anything_else_is_answered_with_an_error(directory: Path, line: bytes) -> None:
    assert "error" in answer_to(directory, line)


def test_a_line_in_pieces_is_one_line(directory: Path) -> None:
    with connected(directory) as connection:
        for byte in b'{"command": "echo", "text": "slow"}\n':
            connection.sendall(bytes([byte]))
        assert json.loads(connection.makefile("rb").readline()) == {"text": "slow"}


def test_an_endless_line_ends_the_connection(directory: Path) -> None:
    with connected(directory) as connection:
        connection.sendall(b"x" * (REQUEST_BYTES_MAX + 1))
        try:
            assert connection.recv(1) == b""
        except ConnectionResetError:
            # The end came while bytes of ours lay unread.
            return


def test_silent_clients_do_not_keep_others_out(directory: Path) -> None:
    silent = [connected(directory) for _ in range(CLIENTS_MAX * 2)]
    assert request(directory, {"command": "echo", "text": "through"}) == {"text": "through"}
    for connection in silent:
        connection.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_gets_no_answer(directory: Path) -> None:
    directory.chmod(0o777)
    for parent in (directory, *directory.parents):
        parent.chmod(parent.stat().st_mode | 0o011)
    (directory / CONTROL_SOCKET).chmod(0o777)
    script = (
        "import os, socket, sys\n"
        "connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "connection.connect(sys.argv[1])\n"
        "try:\n"
        "    connection.sendall(b'{\"command\": \"echo\", \"text\": \"x\"}\\n')\n"
        "    sys.stdout.buffer.write(connection.recv(1))\n"
        "except (ConnectionResetError, BrokenPipeError):\n"
        "    pass\n"
    )
    asked = subprocess.run(
        [sys.executable, "-c", script, str(directory / CONTROL_SOCKET)], capture_output=True, check=True
    )
    assert asked.stdout == b""


def test_a_server_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="no server answers"):
        request(tmp_path, {"command": "status"})


def test_a_named_state_directory_is_taken_as_it_is(tmp_path: Path) -> None:
    assert find_server(str(tmp_path)) == tmp_path
