"""Clients for driver tests: plain blocking sockets in threads."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from itertools import cycle
from typing import Any

from smbd_uring.loop.base import DriverBase
from smbd_uring.loop.listen import listen, parse_address

TIMEOUT_S = 20.0


def listening() -> socket.socket:
    """A listener on a free port of 127.0.0.1."""
    return listen(parse_address("127.0.0.1:0"))


def connect(address: Any) -> socket.socket:
    """A connected socket that raises rather than wait for ever."""
    sock = socket.create_connection(address, TIMEOUT_S)
    sock.settimeout(TIMEOUT_S)
    return sock


def framed(data: bytes, lengths: tuple[int, ...] = (4, 1000, 40_000, 5, 300_000)) -> bytes:
    """The data cut into frames of [MS-SMB2] 2.1 whose lengths follow each other in turn; at least 4 bytes of data."""
    parts, begin = [], 0
    for length in cycle(lengths):
        # A frame has four bytes at least: what would be left for the next one goes into this.
        end = begin + length if len(data) - begin - length >= 4 else len(data)
        parts += [(end - begin).to_bytes(4, "big"), data[begin:end]]
        begin = end
        if begin == len(data):
            return b"".join(parts)
    raise AssertionError("a cycle has no end")


def receive_all(sock: socket.socket) -> bytes:
    """Everything up to the peer's end."""
    parts = []
    while part := sock.recv(1 << 18):
        parts.append(part)
    return b"".join(parts)


def reset(sock: socket.socket) -> None:
    """Close with a reset instead of an end."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Client(threading.Thread):
    """Runs a function against the driver's address; its result or exception is kept."""

    def __init__(self, driver: DriverBase, play: Callable[[], Any]) -> None:
        super().__init__()
        self.driver = driver
        self.play = play
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = False

    def run(self) -> None:
        try:
            self.result = self.play()
        except BaseException as error:
            self.error = error
        self.done = True
        self.driver.wake()


def run_with(
    driver: DriverBase, *plays: Callable[[], Any], until: Callable[[], bool] = lambda: True
) -> list[Any]:
    """Turn the driver while each function plays a client in a thread, and until the condition holds.
    Result: what the functions returned."""
    clients = [Client(driver, play) for play in plays]
    for client in clients:
        client.start()
    driver.run(lambda: all(client.done for client in clients) and until())
    for client in clients:
        client.join()
        if client.error is not None:
            raise client.error
    return [client.result for client in clients]
