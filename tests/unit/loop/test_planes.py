"""Given sockets and no engine, planes carry bytes both ways, with and without threads, and leave nothing behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smbd_uring import _native
from smbd_uring.loop import planes as planes_module
from smbd_uring.loop.planes import FLUSHED, FRAME, PEER_FINISHED, VIOLATION, Planes
from smbd_uring.ports import Credentials
from tests.unit.loop.network import framed

if TYPE_CHECKING:
    from smbd_uring._native._plane import Event, PlaneConnection

FRAME_BYTES_MAX = 1 << 20
TIMEOUT_S = 10.0


class Peers:
    """Planes, and sockets that are connected to them."""

    def __init__(self, threads: int) -> None:
        assert _native.Ring is not None
        self.ring = _native.Ring(4, 4096)
        self.planes = Planes(self.ring, threads)
        self.connections: dict[int, PlaneConnection] = {}
        self.sockets: list[socket.socket] = []
        self.events: list[Event] = []

    def connect(self) -> tuple[PlaneConnection, socket.socket]:
        """One more connection, and the peer's end of it."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        number = len(self.connections) + 1
        connection = self.connections[number] = self.planes.connect(number, ours.detach())
        connection.bound(FRAME_BYTES_MAX, FRAME_BYTES_MAX)
        self.sockets.append(theirs)
        return connection, theirs

    def turn(self, until: Callable[[], bool]) -> None:
        """Collect events until the condition holds."""
        ends = time.monotonic() + TIMEOUT_S
        while not until():
            assert time.monotonic() < ends
            self.ring.wait(0.001)
            self.events += self.planes.take_events()

    def feed(self, peer: socket.socket, data: bytes | memoryview) -> None:
        """Send to the planes what they have room for, and turn in between."""
        view = memoryview(data)
        while view:
            try:
                view = view[peer.send(view) :]
            except BlockingIOError:
                self.ring.wait(0.001)
                self.events += self.planes.take_events()

    def take(self, peer: socket.socket, count: int) -> bytes:
        """What comes from the planes up to `count` bytes or the end, turning in between."""
        received = bytearray()
        while len(received) < count:
            try:
                part = peer.recv(count - len(received))
            except BlockingIOError:
                self.ring.wait(0.001)
                self.events += self.planes.take_events()
                continue
            if not part:
                break
            received += part
        return bytes(received)

    def frames(self, number: int = 1) -> list[bytes]:
        """What has come on one connection."""
        return [event[6] for event in self.events if event[:2] == (FRAME, number)]

    def close(self) -> None:
        """Drop every connection and end the planes."""
        for connection in self.connections.values():
            connection.drop()
        self.planes.close()
        self.ring.close()
        for peer in self.sockets:
            peer.close()


@pytest.fixture(params=[0, 1, 2], ids=["no thread", "one thread", "two threads"])
def peers(request: pytest.FixtureRequest) -> Iterator[Peers]:
    before = set(os.listdir("/proc/self/fd"))
    peers = Peers(request.param)
    yield peers
    peers.close()
    assert [plane.operations for plane in peers.planes._planes] == [0] * max(1, request.param)
    assert set(os.listdir("/proc/self/fd")) <= before


def test_no_word_of_the_engine_is_missed(peers: Peers) -> None:
    """Given an engine that speaks to a connection while its plane still takes in what it said before."""
    pairs = [peers.connect() for _ in range(4)]
    for _ in range(1500):
        for _ in range(3):
            for connection, _ in pairs:
                connection.send([b"word"])
        peers.turn(lambda: all(connection.sending_progress()[0] == 0 for connection, _ in pairs))
        for _, peer in pairs:
            assert peer.recv(100) == b"word" * 3


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 7, 4096])
def test_frames_come_whole_however_they_were_cut(peers: Peers, piece: int) -> None:
    _, peer = peers.connect()
    lengths = (4, 11, 5000, 4, 70_000, 100, 33_000, 40_000, 4096, 4092)
    data = os.urandom(sum(lengths))
    stream = framed(data, lengths)
    begin, step = 0, piece
    while begin < len(stream):
        peers.feed(peer, stream[begin : begin + step])
        begin += step
        # The large ones in pieces that still end anywhere.
        step = piece if begin % 1000 < 50 or piece > 1000 else piece * 113
    peers.turn(lambda: len(peers.frames()) >= len(lengths))
    assert [len(frame) for frame in peers.frames()] == list(lengths)
    assert b"".join(peers.frames()) == data


def test_every_place_to_cut_two_frames(peers: Peers) -> None:
    """Two segments, cut at each byte: inside a prefix, between prefix and frame, between the frames."""
    stream = framed(b"first frame, then the second", (11, 17))
    for cut in range(1, len(stream)):
        _, peer = peers.connect()
        peer.sendall(stream[:cut])
        peers.turn(lambda: True)
        time.sleep(0.001)
        peers.turn(lambda: True)
        peer.sendall(stream[cut:])
        number = len(peers.connections)
        peers.turn(lambda number=number: len(peers.frames(number)) == 2)  # type: ignore[misc]
        assert peers.frames(number) == [b"first frame", b", then the second"]


def test_many_frames_in_one_segment(peers: Peers) -> None:
    _, peer = peers.connect()
    data = os.urandom(4000)
    peer.sendall(framed(data, (4,)))
    peers.turn(lambda: len(peers.frames()) == 1000)
    assert b"".join(peers.frames()) == data


def test_a_keep_alive_between_frames_says_nothing(peers: Peers) -> None:
    _, peer = peers.connect()
    keep_alive = b"\x85\0\0\0"
    large = bytes(50_000)
    peer.sendall(keep_alive + framed(b"small") + keep_alive * 3 + framed(large, (50_000,)) + keep_alive)
    peer.sendall(keep_alive + framed(b"last"))
    peers.turn(lambda: len(peers.frames()) == 3)
    assert peers.frames() == [b"small", large, b"last"]


@pytest.mark.parametrize(
    ("prefix", "violation"),
    [
        (b"\x01\0\0\x08", (1, 1)),
        (b"\x85\0\0\x04", (1, 0x85)),
        (b"\0\0\0\x03", (2, 3)),
        (b"\0\0\0\0", (2, 0)),
        (b"\0\x10\0\x01", (2, FRAME_BYTES_MAX + 1)),
    ],
)
def test_what_is_no_frame_ends_the_frames(peers: Peers, prefix: bytes, violation: tuple[int, int]) -> None:
    _, peer = peers.connect()
    peer.sendall(framed(b"good") + prefix + framed(b"never seen"))
    peers.turn(lambda: any(event[0] == VIOLATION for event in peers.events))
    assert [event[2:4] for event in peers.events if event[0] == VIOLATION] == [violation]
    peers.turn(lambda: True)
    assert peers.frames() == [b"good"]


def test_frames_wait_while_they_are_not_wanted(peers: Peers) -> None:
    connection, peer = peers.connect()
    peer.sendall(framed(b"begin"))
    peers.turn(lambda: len(peers.frames()) == 1)
    connection.read_on(False, False)
    peers.turn(lambda: True)
    time.sleep(0.02)
    peer.sendall(framed(bytes(5000), (700,)))
    time.sleep(0.02)
    peers.turn(lambda: True)
    assert len(peers.frames()) == 1
    connection.read_on(True, False)
    peers.turn(lambda: b"".join(peers.frames()) == b"begin" + bytes(5000))


def test_an_engine_that_takes_no_frames_gets_no_more_than_it_can_hold(peers: Peers) -> None:
    """Given frames that nobody takes, a plane stops reading; nothing is lost when they are taken at last."""
    _, peer = peers.connect()
    data = os.urandom(16 << 20)
    stream = memoryview(framed(data, (50_000,)))
    sent, quiet_since = 0, time.monotonic()
    while time.monotonic() - quiet_since < 0.2:
        try:
            sent += peer.send(stream[sent:])
            quiet_since = time.monotonic()
        except BlockingIOError:
            peers.ring.wait(0.001)
    assert sent < 4 << 20
    peers.feed(peer, stream[sent:])
    peers.turn(lambda: sum(map(len, peers.frames())) == len(data))
    assert b"".join(peers.frames()) == data


def test_the_end_comes_after_the_last_frame_and_the_last_byte(peers: Peers) -> None:
    connection, peer = peers.connect()
    peer.sendall(framed(b"last words", (10,)))
    peer.shutdown(socket.SHUT_WR)
    peers.turn(lambda: any(event[0] == PEER_FINISHED for event in peers.events))
    assert [event[0] for event in peers.events] == [FRAME, PEER_FINISHED]
    connection.send([bytes(1 << 20)])
    connection.finish()
    assert peers.take(peer, 1 << 20) == bytes(1 << 20)
    peers.turn(lambda: any(event[0] == FLUSHED for event in peers.events))
    connection.end_sending()
    assert peers.take(peer, 1) == b""


def test_a_thread_that_is_to_end_lets_go_of_dropped_connections_first() -> None:
    """Given a thread whose sleep ended just before, and which then has to wait for the interpreter."""
    peers = Peers(1)
    connection, peer = peers.connect()
    peers.turn(lambda: True)
    time.sleep(0.05)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(10.0)
    try:
        ends = time.monotonic() + 2.2
        while time.monotonic() < ends:
            pass
        connection.drop()
        peers.planes.close()
    finally:
        sys.setswitchinterval(interval)
    assert peer.recv(1) == b""
    peer.close()
    peers.ring.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="nobody else may take other ids")
def test_a_thread_that_cannot_be_nobody_serves_as_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Given an id that the kernel does not take, as where a container has none for nobody."""
    monkeypatch.setattr(planes_module, "NOBODY", Credentials(0xFFFF_FFFF, 0xFFFF_FFFF))
    peers = Peers(1)
    _connection, peer = peers.connect()
    peer.sendall(framed(b"frame"))
    peers.turn(lambda: any(event[0] == FRAME for event in peers.events))
    assert "a ring thread writes as the server itself" in caplog.text
    peer.close()
    peers.planes.close()
    peers.ring.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="a namespace inside another one's is not always to be had")
def test_planes_start_where_groups_cannot_be_set() -> None:
    """Given a user namespace that has one user and no setgroups(2), as containers without root do."""
    program = (
        "from smbd_uring import _native\nfrom smbd_uring.loop.planes import Planes\n"
        "ring = _native.Ring()\nplanes = Planes(ring, 1)\nplanes.close()\nring.close()\nprint('started')"
    )
    answer = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-c", program],
        cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert (answer.stdout, answer.returncode) == ("started\n", 0), answer.stderr
