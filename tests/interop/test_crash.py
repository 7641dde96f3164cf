"""A server that is killed in the middle of its work, and a client that goes on with the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from smbd_uring.wire import create_contexts as names
from smbd_uring.wire.const import AccessMask, CreateDisposition
from smbd_uring.wire.create import CreateResponse
from smbd_uring.wire.data import ReadResponse
from smbd_uring.wire.durable_contexts import FLAG_PERSISTENT, DurableReconnectV2, DurableRequestV2
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from tests.engine.servers import LoopbackTransport
from tests.support.client import CLIENT_GUID
from tests.support.endpoint import LOOPBACK, Account, Endpoint
from tests.support.file_client import FileClient
from tests.support.server import Server

ANNA, BERT = Account("anna", "secret"), Account("bert", "hidden")
GUID, OTHER_GUID = bytes(range(16)), bytes(range(16, 32))
COPIED = 64
PART = 16384


@pytest.fixture(params=[True, False], ids=["ring", "epoll"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server with one share that is continuously available."""
    folder = tmp_path / "vm"
    folder.mkdir()
    smb_conf = tmp_path / "smb.conf"
    smb_conf.write_text(f"[vm]\npath = {folder}\nread only = no\ncontinuous availability = yes\n")
    server = Server(tmp_path, [], [ANNA, BERT], uring=request.param, arguments=("-c", str(smb_conf)))
    with server:
        yield server


Connect = Callable[..., FileClient]


@pytest.fixture
def client() -> Iterator[Connect]:
    """Makes clients that are logged on."""
    with ExitStack() as connections:
        yield partial(connected, connections)


def connected(
    connections: ExitStack, endpoint: Endpoint, account: Account = ANNA, client_guid: bytes = CLIENT_GUID
) -> FileClient:
    made = FileClient(transport := LoopbackTransport(endpoint.port, LOOPBACK))
    connections.callback(transport.close)
    assert made.negotiate(client_guid=client_guid).status == 0
    assert made.log_on(account.name, account.password).status == 0
    assert made.tree_connect("vm").status == 0
    return made


def opened(who: FileClient, contexts: Sequence[tuple[bytes, bytes]], disposition: int) -> FileId:
    return who.create("disk", contexts=contexts, disposition=disposition, share=0).expect(CreateResponse).file_id


def test_a_copy_goes_on_where_the_server_was_killed(server: Server, client: Connect) -> None:
    who = client(server.endpoint)
    asked = names.DURABLE_REQUEST_V2, DurableRequestV2(GUID, 60_000, FLAG_PERSISTENT).encode()
    file_id = opened(who, [asked], CreateDisposition.CREATE)
    for number in range(COPIED):
        if number % 16 == 8:
            server.kill()
            server.start()
            other = client(server.endpoint, BERT, OTHER_GUID)
            assert other.create("disk", AccessMask.GENERIC_READ).status == NtStatus.FILE_NOT_AVAILABLE
            who = client(server.endpoint)
            again = names.DURABLE_RECONNECT_V2, DurableReconnectV2(file_id, GUID, FLAG_PERSISTENT).encode()
            file_id = opened(who, [again], CreateDisposition.OPEN)
            assert other.create("disk", AccessMask.GENERIC_READ).status == NtStatus.SHARING_VIOLATION
        assert who.write(file_id, bytes([number]) * PART, number * PART).status == 0
    for number in range(COPIED):
        assert who.read(file_id, number * PART, PART).expect(ReadResponse).data == bytes([number]) * PART
    assert who.close(file_id).status == 0


def test_a_server_that_ends_in_order_keeps_such_handles_too(server: Server, client: Connect) -> None:
    who = client(server.endpoint)
    asked = names.DURABLE_REQUEST_V2, DurableRequestV2(GUID, 60_000, FLAG_PERSISTENT).encode()
    file_id = opened(who, [asked], CreateDisposition.CREATE)
    server.terminate()
    server.start()
    again = names.DURABLE_RECONNECT_V2, DurableReconnectV2(file_id, GUID, FLAG_PERSISTENT).encode()
    who = client(server.endpoint)
    assert who.close(opened(who, [again], CreateDisposition.OPEN)).status == 0
