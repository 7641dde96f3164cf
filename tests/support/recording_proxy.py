"""Stands between a client and a server and keeps the frames that pass.

Knows: TCP, the prefix of a frame.  Must not know: what is in a frame.
"""

from __future__ import annotations

import select
import socket
import threading
from types import TracebackType

from tests.support.endpoint import LOOPBACK

PREFIX_BYTES = 4
RECEIVE_BYTES = 1 << 20
CONNECT_TIMEOUT_S = 20.0


class RecordingProxy:
    """Takes one connection on `port` and makes one to the server.  `frames` is for after the end."""

    def __init__(self, server_port: int) -> None:
        self.frames: list[tuple[bool, bytes]] = []
        """Whether the client sent it, and the frame without its prefix, in the order in which they passed."""
        self._server_port = server_port
        self._listener = socket.create_server((LOOPBACK, 0))
        self._listener.settimeout(CONNECT_TIMEOUT_S)
        self.port: int = self._listener.getsockname()[1]
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> RecordingProxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self._thread.join(10)
        assert not self._thread.is_alive() or kind is not None, "the client has not ended its connection"
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            client, _ = self._listener.accept()
            with client, socket.create_connection((LOOPBACK, self._server_port)) as server:
                client.settimeout(None)
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._pass_on(client, server)
        except BaseException as error:
            self._error = error

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        """Frame by frame, until one of the two ends the connection."""
        others = {client: server, server: client}
        received = {client: bytearray(), server: bytearray()}
        while True:
            readable, _, _ = select.select([client, server], [], [])
            for each in readable:
                try:
                    data = each.recv(RECEIVE_BYTES)
                except ConnectionResetError:
                    return
                if not data:
                    return
                pending = received[each]
                pending += data
                while len(pending) >= PREFIX_BYTES:
                    end = PREFIX_BYTES + int.from_bytes(pending[1:PREFIX_BYTES], "big")
                    if len(pending) < end:
                        break
                    self.frames.append((each is client, bytes(pending[PREFIX_BYTES:end])))
                    others[each].sendall(pending[:end])
                    del pending[:end]
