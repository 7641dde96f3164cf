"""smbprotocol asks for handles that survive, loses its connection, and asks for them again: another one's encoding of
the same create contexts."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from smbprotocol.connection import Connection
from smbprotocol.create_contexts import (
    CreateContextName,
    LeaseState,
    SMB2CreateContextRequest,
    SMB2CreateDurableHandleReconnect,
    SMB2CreateDurableHandleReconnectV2,
    SMB2CreateDurableHandleRequest,
    SMB2CreateDurableHandleRequestV2,
    SMB2CreateDurableHandleResponseV2,
    SMB2CreateRequestLeaseV2,
    SMB2CreateResponseLeaseV2,
)
from smbprotocol.open import (
    CreateDisposition,
    FileAttributes,
    ImpersonationLevel,
    Open,
    RequestedOplockLevel,
)
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from tests.interop.launching import Launch
from tests.support.endpoint import Endpoint, make_share
from tests.support.smb2_client import ACCESS_READ, ACCESS_WRITE, SHARE_NOTHING

CLIENT, CREATED, KEY = uuid.uuid4(), uuid.uuid4(), bytes(range(16))
BATCH, LEASE = RequestedOplockLevel.SMB2_OPLOCK_LEVEL_BATCH, RequestedOplockLevel.SMB2_OPLOCK_LEVEL_LEASE
RWH = (
    LeaseState.SMB2_LEASE_READ_CACHING | LeaseState.SMB2_LEASE_WRITE_CACHING | LeaseState.SMB2_LEASE_HANDLE_CACHING
)
TIMEOUT_MS = 45_000


@pytest.fixture(scope="module", params=["io_uring", "no io_uring"])
def endpoint(launch: Launch, place: Path, target: str, request: pytest.FixtureRequest) -> Endpoint:
    uring = request.param == "io_uring"
    if target == "samba" and not uring:
        pytest.skip("Samba is run in one way only")
    return launch([make_share(place, "kept" if uring else "kept-epoll")], uring=uring).endpoint


class Clients:
    """Connections of one client machine, one after the other."""

    def __init__(self, endpoint: Endpoint, ending: ExitStack) -> None:
        self.endpoint = endpoint
        self.ending = ending
        (self.share,) = endpoint.shares

    def tree(self) -> TreeConnect:
        """A new connection, logged on, in the share."""
        self.connection = Connection(CLIENT, self.endpoint.host, self.endpoint.port)
        self.connection.connect(timeout=20)
        self.ending.callback(self.connection.disconnect, False)
        account = self.endpoint.account
        session = Session(
            self.connection, account.name, account.password, require_encryption=False, auth_protocol="ntlm"
        )
        session.connect()
        tree = TreeConnect(session, rf"\\{self.endpoint.host}\{self.share}")
        tree.connect()
        return tree

    def lose(self) -> None:
        """The connection ends without a word."""
        self.connection.disconnect(False)


@pytest.fixture
def clients(endpoint: Endpoint) -> Iterator[Clients]:
    with ExitStack() as ending:
        yield Clients(endpoint, ending)


def context(name: bytes, data: Any) -> SMB2CreateContextRequest:
    wrapped = SMB2CreateContextRequest()
    wrapped["buffer_name"] = name
    wrapped["buffer_data"] = data
    return wrapped


def create(tree: TreeConnect, name: str, contexts: Sequence[Any], level: int) -> tuple[Open, list[Any]]:
    opened = Open(tree, name)
    answers = opened.create(
        ImpersonationLevel.Impersonation, ACCESS_READ | ACCESS_WRITE, FileAttributes.FILE_ATTRIBUTE_NORMAL,
        SHARE_NOTHING, CreateDisposition.FILE_OPEN_IF, 0, list(contexts), level,
    )  # fmt: skip
    return opened, answers or []


def test_a_handle_of_version_1(clients: Clients) -> None:
    asked = context(CreateContextName.SMB2_CREATE_DURABLE_HANDLE_REQUEST, SMB2CreateDurableHandleRequest())
    opened, answers = create(clients.tree(), "version 1", [asked], BATCH)
    assert len(answers) == 1
    opened.write(b"before")
    clients.lose()
    reconnect = SMB2CreateDurableHandleReconnect()
    reconnect["data"] = opened.file_id
    again = context(CreateContextName.SMB2_CREATE_DURABLE_HANDLE_RECONNECT, reconnect)
    back, _ = create(clients.tree(), "version 1", [again], BATCH)
    assert back.read(0, 6) == b"before"
    back.write(b" after", 6)
    back.close()
    assert (clients.endpoint.path(clients.share) / "version 1").read_bytes() == b"before after"


def test_a_handle_of_version_2_with_a_lease(clients: Clients) -> None:
    request = SMB2CreateDurableHandleRequestV2()
    request["timeout"] = TIMEOUT_MS
    request["create_guid"] = CREATED
    asked = context(CreateContextName.SMB2_CREATE_DURABLE_HANDLE_REQUEST_V2, request)
    opened, answers = create(clients.tree(), "version 2", [asked, lease(RWH)], LEASE)
    durable = next(each for each in answers if isinstance(each, SMB2CreateDurableHandleResponseV2))
    assert durable["timeout"].get_value() == TIMEOUT_MS
    opened.write(b"before")
    clients.lose()
    reconnect = SMB2CreateDurableHandleReconnectV2()
    reconnect["file_id"] = opened.file_id
    reconnect["create_guid"] = CREATED
    again = context(CreateContextName.SMB2_CREATE_DURABLE_HANDLE_RECONNECT_V2, reconnect)
    back, answers = create(clients.tree(), "version 2", [again, lease(0)], LEASE)
    leased = next(each for each in answers if isinstance(each, SMB2CreateResponseLeaseV2))
    assert leased["lease_state"].get_value() == RWH
    assert back.read(0, 6) == b"before"
    back.close()


def lease(state: int) -> SMB2CreateContextRequest:
    asked = SMB2CreateRequestLeaseV2()
    asked["lease_key"] = KEY
    asked["lease_state"] = state
    asked["parent_lease_key"] = bytes(16)
    asked["epoch"] = bytes(2)
    return context(CreateContextName.SMB2_CREATE_REQUEST_LEASE_V2, asked)
