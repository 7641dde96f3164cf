"""The server's end of `control.sock`: takes one JSON line a connection, answers with one.

Knows: sockets, lines, who may ask.  Must not know: what a command does; handlers are given.

Everything here is one descriptor for the loop: an epoll of its own that holds the listener and its clients.
"""

from __future__ import annotations

import json
import logging
import os
import select
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger("smbd.control")

REQUEST_BYTES_MAX = 4096
"""A command and its argument; the longest is under 100 bytes."""

CLIENTS_MAX = 16
"""Commands are asked by hand or by a script, one at a time; the oldest connection makes room for one more."""

Handler = Callable[[dict[str, Any]], dict[str, Any]]


class CommandRefused(Exception):  # noqa: N818 - an answer, not a mistake of the server
    """A handler's way to say no; the message goes to the one who asked."""


class _Client:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.received = bytearray()
        self.unsent = b""


class ControlSocket:
    """Listens on a path below the state directory and answers with what the handlers say."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        """Listen on `path`, replacing what a server that died left there.

        Arguments: the handlers by command name; each gets the request and returns the answer, or raises
        CommandRefused.  Raises OSError when the path cannot be used.
        """
        self._path = path
        self._handlers = handlers
        self._clients: dict[int, _Client] = {}
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._listener.bind(str(path))
        path.chmod(0o600)
        # A full backlog refuses a client at once (EAGAIN): it must hold more than can come between two steps.
        self._listener.listen()
        self._epoll = select.epoll()
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)

    def fileno(self) -> int:
        """The descriptor to watch for reading."""
        return self._epoll.fileno()

    def readable(self, _now: float) -> None:
        """Do what can be done without waiting."""
        for descriptor, events in self._epoll.poll(0):
            if descriptor == self._listener.fileno():
                self._accept()
                continue
            client = self._clients.get(descriptor)
            if client is None:
                # It made room for a client accepted a moment ago.
                continue
            if events & select.EPOLLOUT:
                self._send(client)
            else:
                self._receive(client)

    def close(self) -> None:
        """Stop listening, end every connection and remove the path."""
        for client in list(self._clients.values()):
            self._drop(client)
        self._epoll.close()
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        uid = _peer_uid(connection)
        if uid not in (0, os.geteuid()):
            logger.warning("uid %d may not give commands to this server", uid)
            connection.close()
            return
        if len(self._clients) >= CLIENTS_MAX:
            self._drop(next(iter(self._clients.values())))
        self._clients[connection.fileno()] = _Client(connection)
        self._epoll.register(connection.fileno(), select.EPOLLIN)

    def _receive(self, client: _Client) -> None:
        try:
            part = client.connection.recv(REQUEST_BYTES_MAX)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        client.received += part
        line, newline, _ = client.received.partition(b"\n")
        if newline:
            client.unsent = json.dumps(self._answer(bytes(line))).encode() + b"\n"
            self._epoll.modify(client.connection.fileno(), select.EPOLLOUT)
            self._send(client)
        elif not part or len(client.received) > REQUEST_BYTES_MAX:
            self._drop(client)

    def _send(self, client: _Client) -> None:
        try:
            sent = client.connection.send(client.unsent)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)
            return
        client.unsent = client.unsent[sent:]
        if not client.unsent:
            self._drop(client)

    def _drop(self, client: _Client) -> None:
        del self._clients[client.connection.fileno()]
        client.connection.close()

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return {"error": "the request is not JSON"}
        command = request.get("command") if isinstance(request, dict) else None
        handler = self._handlers.get(command) if isinstance(command, str) else None
        if handler is None:
            return {"error": f"no such command; there are {', '.join(sorted(self._handlers))}"}
        try:
            return handler(request)
        except CommandRefused as refusal:
            return {"error": str(refusal)}


def _peer_uid(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII"))
    uid: int = struct.unpack("iII", credentials)[1]
    return uid
