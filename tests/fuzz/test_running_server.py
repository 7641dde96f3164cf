"""Given random and mutated frames, the running server answers or hangs up; it neither ends, hangs nor grows.

`make test` sends some thousand frames, `make fuzz` a million (FUZZ_FRAMES).  FUZZ_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count

import pytest

from tests.fuzz import frames
from tests.support.endpoint import LOOPBACK, Account, Endpoint, make_share, open_folder
from tests.support.ntlm_client import NtlmInitiator
from tests.support.server import Server

FRAMES = int(os.environ.get("FUZZ_FRAMES", "4000"))
SEED = int(os.environ.get("FUZZ_SEED", "20"))
ACCOUNT = Account("daemon", "fuzz")
PATIENCE_S = 5.0
ANSWER_S = 0.005
RUNS = 6
"""Three drivers, with strangers and with clients: together they send FRAMES."""

FRAMES_PER_CONNECTION = 50
CHECK_EVERY = 1000
GROWTH_BYTES_MAX = 24 * 1024 * 1024
SETTLING_FRAMES = 5000
"""Arenas and caches, of which each ring has its own, vary within this after so many frames; a leak of 100 bytes a
frame is 100 MB in a million."""


DELETE_ON_CLOSE = 0x1000
_numbers = count()
_addresses = (f"127.{number >> 16 & 0x7F | 1}.{number >> 8 & 0xFF}.{number & 0xFF}" for number in count(1))
"""Whoever fails to log on is not let in for a while, so each connection that does comes from elsewhere."""


class HungUp(Exception):  # noqa: N818 - what the server may do at any time
    """The server ended the connection."""


class Connection:
    """One TCP connection that can log on and be abused after that."""

    def __init__(self, port: int, address: str = LOOPBACK) -> None:
        self._socket = socket.create_connection((LOOPBACK, port), PATIENCE_S, (address, 0))
        self.message_id = 0
        self.session_id = 0
        self.tree_id = 0
        self.file_id = bytes(16)

    def send(self, frame: bytes, length: int | None = None) -> None:
        """Send one frame; `length` overrides what its transport header says.  Raises HungUp."""
        try:
            self._socket.sendall(struct.pack(">I", len(frame) if length is None else length) + frame)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise HungUp from error

    def receive(self) -> bytes:
        """One frame.  Raises HungUp; TimeoutError when the server says nothing."""
        (length,) = struct.unpack(">I", self._exactly(4))
        return self._exactly(length)

    def ask(self, command: int, body: bytes) -> bytes:
        """Send a good request and return its final answer."""
        self.send(frames.header(command, self.message_id, self.session_id, self.tree_id) + body)
        self.message_id += 1
        while (answer := self.receive())[8:12] == b"\x03\x01\x00\x00":
            continue
        return answer

    def log_on(self, endpoint: Endpoint) -> None:
        """Negotiate 2.1, log on, connect to the share and open a file and keep it."""
        self.ask(frames.NEGOTIATE, frames.negotiate_body())
        client = NtlmInitiator(endpoint.account.name, endpoint.account.password)
        answer = self.ask(frames.SESSION_SETUP, frames.session_setup_body(client.negotiate()))
        (self.session_id,) = struct.unpack_from("<Q", answer, 40)
        offset, length = struct.unpack_from("<HH", answer, frames.HEADER_BYTES + 4)
        token = client.authenticate(answer[offset : offset + length])
        assert self.ask(frames.SESSION_SETUP, frames.session_setup_body(token))[8:12] == bytes(4)
        path = rf"\\{LOOPBACK}\{next(iter(endpoint.shares))}"
        answer = self.ask(frames.TREE_CONNECT, frames.tree_connect_body(path))
        assert answer[8:12] == bytes(4)
        (self.tree_id,) = struct.unpack_from("<I", answer, 36)
        # A name of its own: what was done to another connection's file must not keep this one from serving.
        answer = self.ask(frames.CREATE, frames.create_body(f"kept{next(_numbers)}", options=DELETE_ON_CLOSE))
        assert answer[8:12] == bytes(4)
        self.file_id = answer[frames.HEADER_BYTES + 64 : frames.HEADER_BYTES + 80]

    def drain(self) -> None:
        """Take what is answered, waiting for it only as long as a server needs that has an answer.

        Sending on without looking would be faster, and most of it to a server that hung up long ago.
        """
        select.select([self._socket], [], [], ANSWER_S)
        self._socket.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                try:
                    if not self._socket.recv(1 << 20):
                        raise HungUp
                except ConnectionResetError as error:
                    raise HungUp from error
        self._socket.settimeout(PATIENCE_S)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _exactly(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            try:
                part = self._socket.recv(length - len(data))
            except ConnectionResetError as error:
                raise HungUp from error
            if not part:
                raise HungUp
            data += part
        return bytes(data)


@pytest.fixture(
    scope="module",
    params=[("--rings", "1"), ("--rings", "2"), ("--no-uring",)],
    ids=["ring", "two rings", "epoll"],
)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A running server with one share; it must end cleanly when the frames are through."""
    with open_folder("fuzz") as folder, Server(
        folder, [make_share(folder, "data")], [ACCOUNT], arguments=request.param
    ) as running:
        yield running


def requests(connection: Connection, chance: random.Random) -> bytes:
    """A well-formed frame that this connection could send now."""
    on_file = frames.bodies_on_a_file(connection.file_id)
    choice = chance.randrange(10)
    identity = (connection.session_id, connection.tree_id)
    if choice == 0:
        create = frames.create_body(chance.choice(["", "kept", "new", r"a\b", "*"]), chance.randrange(6))
        related = chance.sample(frames.bodies_on_a_file(frames.LAST_FILE), 2)
        return frames.compound([(frames.CREATE, create), *related], connection.message_id, *identity)
    if choice == 1:
        command, body = frames.CREATE, frames.create_body(f"file{chance.randrange(20)}", chance.randrange(6))
    elif choice == 2:
        command, body = chance.choice([(frames.ECHO, struct.pack("<HH", 4, 0)), (frames.CANCEL, bytes(4))])
    elif choice == 3 and (not connection.session_id or chance.random() < 0.1):
        command, body = frames.NEGOTIATE, frames.negotiate_311_body()
    elif choice == 4:
        token = NtlmInitiator("somebody", "wrong").negotiate()
        command, body = frames.SESSION_SETUP, frames.session_setup_body(token)
    else:
        command, body = chance.choice(on_file)
    return frames.header(command, connection.message_id, *identity) + body


def abuse(connection: Connection, count: int, chance: random.Random) -> int:
    """Send up to `count` bad frames.  Result: how many were sent before the server hung up, or all."""
    for sent in range(count):
        frame = requests(connection, chance)
        is_noise = chance.random() < 0.01
        change = frames.spoil if chance.random() < 0.1 else frames.change_fields
        frame = chance.randbytes(chance.randrange(200)) if is_noise else change(frame, chance)
        lies = chance.random() < 0.005
        try:
            connection.send(frame, chance.choice(frames.INTERESTING) & 0xFFFFFFFF if lies else None)
            connection.message_id += 1
            connection.drain()
        except HungUp:
            return sent + 1
        if lies:
            # What follows is inside or outside a frame that we know nothing of.
            return sent + 1
    return count


def assert_serves(server: Server) -> None:
    """A client that behaves is served, now."""
    good = Connection(server.endpoint.port)
    good.log_on(server.endpoint)
    assert good.ask(frames.ECHO, struct.pack("<HH", 4, 0))[8:12] == bytes(4)
    good.close()


@pytest.mark.parametrize("logged_on", [False, True], ids=["stranger", "client"])
def test_bad_frames_harm_nobody(server: Server, logged_on: bool) -> None:
    chance = random.Random(SEED)
    process = server.process
    sent = checked = connections = 0
    settled = None
    started = time.monotonic()
    while sent < FRAMES // RUNS:
        connection = Connection(server.endpoint.port, next(_addresses))
        if logged_on:
            connection.log_on(server.endpoint)
        elif chance.random() < 0.5:
            connection.ask(frames.NEGOTIATE, frames.negotiate_body())
        sent += abuse(connection, FRAMES_PER_CONNECTION, chance)
        connection.close()
        connections += 1
        if sent - checked >= CHECK_EVERY:
            checked = sent
            assert_serves(server)
            memory = process.memory_info().rss
            settled = max(settled or 0, memory) if sent < SETTLING_FRAMES else settled or memory
            assert memory - settled < GROWTH_BYTES_MAX, f"grew from {settled} to {memory} in {sent} frames"
    assert_serves(server)
    assert process.is_running()
    assert "Traceback" not in server.log()
    grown = process.memory_info().rss - (settled or process.memory_info().rss)
    seconds = time.monotonic() - started
    print(f"\n{sent} frames on {connections} connections in {seconds:.0f} s, {grown / 1e6:+.1f} MB")


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"", id="no message"),
        pytest.param(b"\xfeSM", id="a piece of a header"),
        pytest.param(b"\xfeSMB" + bytes(60), id="a header of size 0"),
        pytest.param(b"\xfdSMB" + bytes(48), id="sealed before there is a key"),
        pytest.param(b"GET / HTTP/1.0\r\n\r\n", id="another protocol"),
        pytest.param(frames.header(frames.ECHO, 0) + struct.pack("<HH", 4, 0), id="anything but NEGOTIATE"),
    ],
)
def test_what_no_client_says_ends_the_connection_without_an_answer(server: Server, frame: bytes) -> None:
    connection = Connection(server.endpoint.port)
    connection.send(frame)
    with pytest.raises(HungUp):
        connection.receive()
    connection.close()


@pytest.mark.parametrize("length", [0x00FFFFFF, 0x00020000, 0x81000000, 0xFFFFFFFF])
def test_a_frame_that_a_stranger_may_not_send_ends_the_connection(server: Server, length: int) -> None:
    connection = Connection(server.endpoint.port)
    connection.send(b"\xfeSMB", length)
    with pytest.raises(HungUp):
        connection.receive()
    connection.close()
