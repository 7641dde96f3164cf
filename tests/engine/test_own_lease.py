"""A client's own lease does not suffer from what the same client does under it."""

from __future__ import annotations

from smbd_uring.ports import ShareFlags
from smbd_uring.wire import create_contexts
from smbd_uring.wire.const import Command, CreateDisposition, OplockLevel
from smbd_uring.wire.create import CreateRequest, CreateResponse
from smbd_uring.wire.create_contexts import LeaseRequest
from tests.engine.servers import TestedServer
from tests.support.client_messages import Message
from tests.support.file_client import SHARE_ALL

READ_AND_HANDLE = 3
BOTH = 0x0012_019F
KEY = b"the key of mine."


def create(disposition: int) -> Message:
    body = CreateRequest(
        requested_oplock_level=OplockLevel.LEASE, desired_access=BOTH, share_access=SHARE_ALL,
        create_disposition=disposition, name="a",
        contexts=[(create_contexts.LEASE, LeaseRequest(KEY, READ_AND_HANDLE).encode())],
    )  # fmt: skip
    return Message(Command.CREATE, body.encode(), credits=8)


def test_overwriting_breaks_no_lease_of_the_same_key(server: TestedServer) -> None:
    server.companion.shares["data"].flags |= ShareFlags.OPLOCKS
    client = server.client()
    for disposition in (CreateDisposition.CREATE, CreateDisposition.OVERWRITE, CreateDisposition.SUPERSEDE):
        answer = client.ask(create(disposition)).expect(CreateResponse)
        leases = [LeaseRequest.decode(data) for name, data in answer.contexts if name == create_contexts.LEASE]
        assert [(lease.lease_state, lease.lease_flags) for lease in leases] == [(READ_AND_HANDLE, 0)]
    server.assert_silent(client)
