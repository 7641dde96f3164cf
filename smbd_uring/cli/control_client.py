"""Talks to a running server: one JSON line there, one back, over `control.sock` in its state directory.

Knows: the socket and the lines.  Must not know: what the server does with a command.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from smbd_uring.state_directory import CONTROL_SOCKET, running_servers

ANSWER_TIMEOUT_S = 5.0
"""A server answers between two steps of its loop, in milliseconds; one that takes seconds is stuck."""

ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""A full server's status (16384 sessions with their opens) stays below."""


class ControlError(Exception):
    """The server could not be asked or refused; the message says why."""


def request(state_directory: str | Path, command: dict[str, Any]) -> dict[str, Any]:
    """Send `command` (`{"command": NAME, ...}`) to the server of `state_directory`.

    Result: its answer.  Raises ControlError when no server is there, it does not answer in time, or says no.
    """
    path = str(Path(state_directory) / CONTROL_SOCKET)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_TIMEOUT_S)
            connection.connect(path)
            connection.sendall(json.dumps(command).encode() + b"\n")
            line = _receive_line(connection)
    except OSError as error:
        raise ControlError(f"no server answers on {path}: {error.strerror or error}") from error
    try:
        answer = json.loads(line)
    except ValueError as error:
        raise ControlError(f"the server on {path} sent no JSON") from error
    if not isinstance(answer, dict):
        raise ControlError(f"the server on {path} sent no answer")
    if "error" in answer:
        raise ControlError(str(answer["error"]))
    return answer


def find_server(state_directory: str | None) -> Path:
    """The state directory that is meant: the one that was named, else that of the only running server.

    Raises ControlError when none or several run.
    """
    if state_directory is not None:
        return Path(state_directory)
    servers = running_servers()
    if not servers:
        raise ControlError("no running server found; name its state directory with --state-dir")
    if len(servers) > 1:
        names = ", ".join(map(str, servers))
        raise ControlError(f"several servers run ({names}); name one with --state-dir")
    return servers[0]


def _receive_line(connection: socket.socket) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        part = connection.recv(65536)
        if not part:
            raise ConnectionResetError("it closed the connection")
        received += part
        if len(received) > ANSWER_BYTES_MAX:
            raise ConnectionAbortedError("its answer is too long")
    return bytes(received)
