"""What libFuzzer begins with goes through a data plane where there is no libFuzzer, too.

Each frame is answered or handed over, as it was sent, whole or in pieces.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from smbd_uring._native._plane import DataPlane
from smbd_uring._native._plane_connection import PlaneConnection
from smbd_uring._native._ring import Ring
from smbd_uring.loop.planes import FRAME
from smbd_uring.ports import GrantOperation
from tests.fuzz import frames
from tests.fuzz.native.seeds import FILE_ID, SESSION, TREE, compounds, single_requests

PATIENCE_S = 10.0
SERVED = {frames.ECHO, frames.READ, frames.WRITE, frames.FLUSH}
IDS = 4096


class Served:
    """A connection of a plane in this thread, with one file granted, and its client."""

    def __init__(self, ring: Ring, folder: Path) -> None:
        self.ring = ring
        self.plane = DataPlane(ring, 1 << 24)
        self.client, server = socket.socketpair()
        self.client.setblocking(False)
        server.setblocking(False)
        self.connection: PlaneConnection = self.plane.connect(1, server.detach(), IDS)
        self.file = os.open(folder / "file", os.O_RDWR | os.O_CREAT)
        os.ftruncate(self.file, 131_072)
        everything = GrantOperation.READ | GrantOperation.WRITE | GrantOperation.FLUSH
        self.connection.bound(1 << 17, 1 << 24)
        self.connection.negotiated(True, 1 << 17, 1 << 17, IDS)
        self.connection.grant(IDS - 1, IDS)
        self.connection.admit(SESSION, False, False, None, None)
        number = struct.unpack("<QQ", FILE_ID)[1]
        device = os.fstat(self.file).st_dev
        self.connection.grant_open(number, number, SESSION, TREE, self.file, everything, False, False, device, 0)
        self.number = number

    def exchange(self, pieces: list[bytes]) -> tuple[bytes, list[bytes]]:
        """Send bytes piece by piece.  Result: what came of it, as an answer or as frames for the engine."""
        answer, handed = b"", []
        ends = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends:
            if pieces:
                self.client.send(pieces.pop(0))
            self.ring.wait(0.001)
            for kind, _, _, _, _, frozen, data in self.plane.take_events():
                assert kind == FRAME
                handed.append(data)
                self.connection.thaw(frozen)
            with suppress(BlockingIOError):
                answer += self.client.recv(1 << 20)
            if handed or (len(answer) >= 4 and len(answer) == 4 + struct.unpack(">I", answer[:4])[0]):
                break
        return answer, handed

    def close(self) -> None:
        """Everything ends."""
        assert self.connection.revoke(self.number)
        self.connection.drop()
        self.plane.drain()
        os.close(self.file)
        self.client.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    ring = Ring()
    running = Served(ring, tmp_path)
    yield running
    running.close()
    ring.close()


def numbered(frame: bytes, first: int) -> bytes:
    """A frame whose requests have message ids from `first` on."""
    changed = bytearray(frame)
    at, following = 0, 1
    while following:
        struct.pack_into("<Q", changed, at + 24, first)
        (following,) = struct.unpack_from("<I", changed, at + 20)
        at, first = at + following, first + 1
    return bytes(changed)


@pytest.mark.parametrize("size", [None, 61], ids=["whole", "in pieces"])
def test_every_seed_is_answered_or_handed_over(served: Served, size: int | None) -> None:
    first = answered = 0
    for frame in (*single_requests(FILE_ID), *compounds(FILE_ID)):
        sent = numbered(frame, first)
        first += 64
        data = struct.pack(">I", len(sent)) + sent
        step = size or len(data)
        answer, handed = served.exchange([data[at : at + step] for at in range(0, len(data), step)])
        assert bool(answer) != bool(handed)
        if handed:
            assert handed == [sent]
            continue
        answered += 1
        assert struct.unpack_from("<H", sent, 12)[0] in SERVED
        assert answer[4:8] == b"\xfeSMB" and answer[16:18] == sent[12:14] and answer[28:36] == sent[24:32]
    assert answered >= 8
