"""A data plane in a thread of its own: what another thread tells it arrives."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from smbd_uring._native._crew import CryptographyCrew
from smbd_uring._native._message_crypto import Signer
from smbd_uring._native._plane import DataPlane
from smbd_uring._native._plane_connection import PlaneConnection
from smbd_uring._native._ring import Ring
from smbd_uring.loop.planes import FLUSHED, PEER_FINISHED
from smbd_uring.ports import GrantOperation
from smbd_uring.wire.const import SigningAlgorithm
from tests.fuzz import frames

CONNECTIONS = 64
ROUNDS = 500
PATIENCE_S = 10.0


MIB = 1 << 20
SESSION, TREE, OPEN = 7, 5, 9
KEY = b"0123456789abcdef"


@pytest.fixture
def crew() -> CryptographyCrew:
    """A crew that has no thread yet."""
    return CryptographyCrew()


@pytest.fixture
def plane(crew: CryptographyCrew) -> Iterator[DataPlane]:
    """A plane whose thread runs."""
    wakeups = [os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK), os.eventfd(0, os.EFD_CLOEXEC)]
    made: SimpleQueue[DataPlane] = SimpleQueue()

    def live() -> None:
        ring = Ring()
        plane = DataPlane(ring, 64 * MIB, *wakeups, crew)
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
        connections[number] = plane.connect(number, server.detach(), 512)
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


def signed_read(message_id: int) -> bytes:
    """A frame that reads a MiB, paid for."""
    body = struct.pack("<HBBIQQQIIIHHx", 49, 0x50, 0, MIB, 0, OPEN, OPEN, 0, 0, 0, 0, 0)
    request = bytearray(frames.header(frames.READ, message_id, SESSION, TREE, flags=8) + body)
    request[6:8] = struct.pack("<H", 16)
    request[48:64] = Signer(SigningAlgorithm.AES_CMAC, KEY).sign([bytes(request)], message_id, False, False)
    return struct.pack(">I", len(request)) + request


def kinds(plane: DataPlane, last: int, patience_s: float) -> list[int]:
    """What happens until the `last` kind of event does, or for some time."""
    found: list[int] = []
    ends = time.monotonic() + patience_s
    while last not in found and time.monotonic() < ends:
        found += [event[0] for event in plane.take_events()]
    return found


@pytest.fixture
def reader(plane: DataPlane, tmp_path: Path) -> Iterator[tuple[PlaneConnection, socket.socket]]:
    """A connection that may read a MiB signed, with little to wait for it at a time; another makes it the crew's."""
    connections, clients = connect(plane, 2)
    connection = connections[0]
    (tmp_path / "file").write_bytes(bytes(MIB))
    file = os.open(tmp_path / "file", os.O_RDONLY)
    connection.bound(2 * MIB, MIB)
    connection.negotiated(True, MIB, MIB, 512)
    connection.grant(511, 512)
    connection.admit(SESSION, True, False, (SigningAlgorithm.AES_CMAC, KEY), None)
    device = os.fstat(file).st_dev
    connection.grant_open(OPEN, OPEN, SESSION, TREE, file, GrantOperation.READ, False, False, device, -1)
    clients[0].settimeout(PATIENCE_S)
    yield connection, clients[0]
    assert connection.revoke(OPEN)
    for number in connections:
        connections[number].drop()
        clients[number].close()
    os.close(file)


def receive_answers(crew: CryptographyCrew, client: socket.socket, count: int) -> None:
    """Have the crew work until so many answers are there."""
    worker = threading.Thread(target=crew.run)
    worker.start()
    left = count * (4 + 64 + 16 + MIB)
    while left:
        left -= len(client.recv(left))
    crew.stop()
    worker.join()


def test_answers_that_the_crew_still_signs_are_to_be_sent(
    plane: DataPlane, crew: CryptographyCrew, reader: tuple[PlaneConnection, socket.socket]
) -> None:
    connection, client = reader
    client.sendall(signed_read(0))
    client.shutdown(socket.SHUT_WR)
    assert kinds(plane, PEER_FINISHED, PATIENCE_S) == [PEER_FINISHED]
    connection.finish()
    assert kinds(plane, FLUSHED, 0.1) == []
    receive_answers(crew, client, 1)
    assert kinds(plane, FLUSHED, PATIENCE_S) == [FLUSHED]


def test_answers_with_the_crew_count_as_waiting(
    crew: CryptographyCrew, reader: tuple[PlaneConnection, socket.socket]
) -> None:
    connection, client = reader
    client.sendall(b"".join(signed_read(16 * number) for number in range(16)))
    # Message ids are taken when a request is begun: one answer is within the allowance, one may exceed it.
    begun = 0
    ends = time.monotonic() + PATIENCE_S
    while begun == 0 and time.monotonic() < ends:
        begun = 512 - connection.available
    time.sleep(0.1)
    assert 16 <= 512 - connection.available <= 2 * 16
    receive_answers(crew, client, 16)
