"""Given a client that caches a file, a program of this machine sees and changes it only when the client has let go."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from smbd_uring.ports import ShareFlags
from smbd_uring.wire import create_contexts
from smbd_uring.wire.breaks import LeaseBreakAcknowledgment, LeaseBreakNotification
from smbd_uring.wire.const import AccessMask, Command, OplockLevel
from smbd_uring.wire.create import CreateRequest, CreateResponse
from smbd_uring.wire.create_contexts import LeaseRequest
from smbd_uring.wire.pdu import FileId
from tests.engine.conftest import MakeServer
from tests.engine.servers import REAL_DRIVERS, RealServer
from tests.support.client_messages import Message
from tests.support.file_client import SHARE_ALL, FileClient

R, H, W = 1, 2, 4
READ = int(AccessMask.GENERIC_READ)
READ_WRITE = int(AccessMask.GENERIC_READ | AccessMask.GENERIC_WRITE)
KEY = b"a key of 16 byte"
PATIENCE_S = 20
LOOK = 'cat "$1"'
APPEND = 'printf " and more" >> "$1" && printf written'

pytestmark = pytest.mark.parametrize("driver", list(REAL_DRIVERS))
"""The simulated machine has no other programs."""


def made_by(make_server: MakeServer, **configuration: float) -> RealServer:
    server = make_server(**configuration)
    assert isinstance(server, RealServer)
    server.companion.shares["data"].flags |= ShareFlags.OPLOCKS
    server.files.add_file("file", b"contents", 0o666)
    return server


@pytest.fixture
def server(make_server: MakeServer) -> RealServer:
    return made_by(make_server)


def path_of(server: RealServer) -> Path:
    return Path(server.files.top()) / "file"


def open_with_lease(
    client: FileClient, state: int, access: int = READ_WRITE, key: bytes = KEY
) -> tuple[FileId, int]:
    """Open the file and ask for a lease.  Result: the handle, and what the lease says."""
    body = CreateRequest(
        requested_oplock_level=OplockLevel.LEASE, desired_access=access, share_access=SHARE_ALL, create_disposition=1,
        name="file", contexts=[(create_contexts.LEASE, LeaseRequest(key, state, version=2).encode())],
    )  # fmt: skip
    answer = client.ask(Message(Command.CREATE, body.encode(), credits=8)).expect(CreateResponse)
    [lease] = [LeaseRequest.decode(data) for name, data in answer.contexts if name == create_contexts.LEASE]
    return answer.file_id, lease.lease_state


def start(program: str, server: RealServer) -> subprocess.Popen[str]:
    return subprocess.Popen(["sh", "-c", program, "sh", path_of(server)], stdout=subprocess.PIPE, text=True)


def said(program: subprocess.Popen[str]) -> str:
    return program.communicate(timeout=PATIENCE_S)[0]


def break_of(client: FileClient) -> LeaseBreakNotification:
    return LeaseBreakNotification.decode(client.receive_frame())


def acknowledge(client: FileClient, state: int) -> None:
    body = LeaseBreakAcknowledgment(KEY, state).encode()
    assert client.ask(Message(Command.OPLOCK_BREAK, body, credits=8)).status == 0


@pytest.mark.parametrize(("program", "says"), [(LOOK, "CONTENTS"), (APPEND, "written")])
def test_a_program_waits_until_what_was_cached_is_in_the_file(server: RealServer, program: str, says: str) -> None:
    client = server.client()
    file_id, state = open_with_lease(client, R | H | W)
    assert state == R | H | W
    with start(program, server) as other:
        told = break_of(client)
        assert (told.lease_key, told.current_lease_state) == (KEY, R | H | W)
        assert other.poll() is None
        client.write(file_id, b"CONTENTS", 0)
        acknowledge(client, told.new_lease_state)
        while told.new_lease_state:
            told = break_of(client)
            if told.flags:
                acknowledge(client, told.new_lease_state)
        assert said(other) == says
    assert path_of(server).read_bytes().startswith(b"CONTENTS")


def test_a_client_that_does_not_answer_keeps_a_program_waiting_for_a_while(make_server: MakeServer) -> None:
    server = made_by(make_server, break_timeout_s=0.5)
    client = server.client()
    open_with_lease(client, R | H | W)
    with start(LOOK, server) as other:
        assert said(other) == "contents"


def test_a_program_that_reads_leaves_readers_their_cache(server: RealServer) -> None:
    client = server.client()
    _, state = open_with_lease(client, R | H, READ)
    assert state == R | H
    with start(LOOK, server) as other:
        assert said(other) == "contents"
    server.assert_silent(client)


def test_a_program_that_writes_takes_it_away(server: RealServer) -> None:
    client = server.client()
    open_with_lease(client, R | H, READ)
    with start(APPEND, server) as other:
        told = break_of(client)
        assert told.new_lease_state & ~R == 0
        acknowledge(client, told.new_lease_state)
        assert said(other) == "written"


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR])
def test_what_a_program_has_open_is_not_given_to_be_cached(server: RealServer, flags: int) -> None:
    client = server.client()
    held = os.open(path_of(server), flags)
    file_id, state = open_with_lease(client, R | H | W)
    assert state == 0
    os.close(held)
    client.close(file_id)
    assert open_with_lease(client, R | H | W)[1] == R | H | W


def test_a_second_handle_of_the_same_client_is_no_program(server: RealServer) -> None:
    client = server.client()
    first, _ = open_with_lease(client, R | H | W)
    second, state = open_with_lease(client, R | H | W)
    assert state == R | H | W
    client.close(second)
    with start(LOOK, server) as other:
        told = break_of(client)
        assert told.current_lease_state == R | H | W
        client.close(first)
        assert said(other) == "contents"


def test_nobody_who_caches_nothing_is_in_the_way(server: RealServer) -> None:
    client = server.client()
    client.open("file", READ_WRITE)
    with start(APPEND, server) as other:
        assert said(other) == "written"
    server.assert_silent(client)
