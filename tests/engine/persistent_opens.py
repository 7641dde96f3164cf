"""Persistent handles as a client asks for them and takes them up again.

Knows: create contexts.  Must not know: how a server survives.
"""

from __future__ import annotations

from smbd_uring.wire import create_contexts as names
from smbd_uring.wire.const import CreateAction, CreateDisposition
from smbd_uring.wire.create import CreateResponse
from smbd_uring.wire.durable_contexts import FLAG_PERSISTENT, DurableReconnectV2, DurableRequestV2, DurableResponseV2
from smbd_uring.wire.pdu import FileId
from tests.support.client_messages import Reply
from tests.support.file_client import FileClient

CREATE = CreateDisposition.CREATE
GUID = bytes(range(1, 17))
TIMEOUT_MS = 30_000


def asked(guid: bytes = GUID, flags: int = FLAG_PERSISTENT) -> tuple[bytes, bytes]:
    return names.DURABLE_REQUEST_V2, DurableRequestV2(guid, TIMEOUT_MS, flags).encode()


def create(client: FileClient, name: str = "disk", guid: bytes = GUID, **creation: int) -> Reply:
    creation.setdefault("disposition", CREATE)
    return client.create(name, contexts=(asked(guid),), **creation)  # type: ignore[arg-type]


def persistent(client: FileClient, name: str = "disk", guid: bytes = GUID, **creation: int) -> FileId:
    """A handle that was promised to be persistent."""
    answer = create(client, name, guid, **creation).expect(CreateResponse)
    promise = DurableResponseV2.decode(dict(answer.contexts)[names.DURABLE_REQUEST_V2])
    assert promise == DurableResponseV2(TIMEOUT_MS, FLAG_PERSISTENT)
    return answer.file_id


def take_up(client: FileClient, file_id: FileId, guid: bytes = GUID, flags: int = FLAG_PERSISTENT) -> Reply:
    context = names.DURABLE_RECONNECT_V2, DurableReconnectV2(file_id, guid, flags).encode()
    return client.create("disk", contexts=(context,))


def taken_up(client: FileClient, file_id: FileId, guid: bytes = GUID) -> FileId:
    answer = take_up(client, file_id, guid).expect(CreateResponse)
    assert answer.create_action == CreateAction.OPENED
    return answer.file_id
