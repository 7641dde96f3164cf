"""A data plane in a thread of its own: what another thread tells it arrives."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue

import pytest

from smbd_uring._native._plane import DataPlane
from smbd_uring._native._plane_connection import PlaneConnection
from smbd_uring._native._ring import Ring
from smbd_uring.loop.planes import FLUSHED

CONNECTIONS = 64
ROUNDS = 500
PATIENCE_S = 10.0


@pytest.fixture
def plane() -> Iterator[DataPlane]:
    """A plane whose thread runs."""
    wakeups = [os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK), os.eventfd(0, os.EFD_CLOEXEC)]
    made: SimpleQueue[DataPlane] = SimpleQueue()

    def live() -> None:
        ring = Ring()
        plane = DataPlane(ring, 1 << 20, *wakeups)
        made.put(plane)
        plane.run()
        ring.close()

    thread = threading.Thread(target=live)
    thread.start()
    plane = made.get(timeout=PATIENCE_S)
    yield plane
    plane.stop()
    thread.join()
    for wakeup in wakeups:
        os.close(wakeup)


def connect(plane: DataPlane, count: int) -> tuple[dict[int, PlaneConnection], list[socket.socket]]:
    """Connections of the plane by number, and their clients' ends."""
    connections, clients = {}, []
    for number in range(count):
        client, server = socket.socketpair()
        server.setblocking(False)
        connections[number] = plane.connect(number, server.detach(), 64)
        clients.append(client)
    return connections, clients


def test_nothing_is_lost_that_one_thread_tells_while_the_other_listens(plane: DataPlane) -> None:
    connections, clients = connect(plane, CONNECTIONS)
    for _ in range(ROUNDS):
        waiting = set(connections)
        for connection in connections.values():
            connection.finish()
        ends = time.monotonic() + PATIENCE_S
        while waiting and time.monotonic() < ends:
            # Every other one is told again and again, while the plane takes what it was told first.
            for number in range(0, CONNECTIONS, 2):
                connections[number].bound(1000, 1000)
            waiting -= {event[1] for event in plane.take_events() if event[0] == FLUSHED}
        assert not waiting, f"{len(waiting)} connections never heard that they are to finish"
    for connection in connections.values():
        connection.drop()
    for client in clients:
        client.settimeout(PATIENCE_S)
        assert client.recv(1) == b""
        client.close()
