"""A CREATE that is sent again because its client does not know what became of it ([MS-SMB2] 3.3.5.9, 3.3.5.9.10)."""

from __future__ import annotations

from smbd_uring.wire import create_contexts as names
from smbd_uring.wire.const import AccessMask, CreateAction, CreateDisposition, Dialect, FileInfoClass, HeaderFlags
from smbd_uring.wire.create import CreateResponse
from smbd_uring.wire.durable_contexts import (
    DurableReconnectV2,
    DurableRequestV2,
    encode_durable_reconnect,
    encode_durable_request,
)
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from tests.engine.servers import SimulatedServer, TestedServer
from tests.support.client_messages import Message
from tests.support.file_client import FileClient, Messages

GUID, OTHER_GUID = bytes(range(1, 17)), bytes(range(2, 18))
DUPLICATE, COLLISION = NtStatus.DUPLICATE_OBJECTID, NtStatus.OBJECT_NAME_COLLISION
FILE_DIRECTORY_FILE = 0x1


def create(guid: bytes = GUID, *, replay: bool = False, name: str = "file", **creation: int) -> Message:
    creation.setdefault("disposition", CreateDisposition.CREATE)
    context = names.DURABLE_REQUEST_V2, DurableRequestV2(guid).encode()
    built = Messages.create(name, contexts=(context,), **creation)  # type: ignore[arg-type]
    if replay:
        built.flags |= HeaderFlags.REPLAY_OPERATION
    return built


def created(client: FileClient, **creation: int) -> CreateResponse:
    return client.ask(create(**creation)).expect(CreateResponse)  # type: ignore[arg-type]


def test_the_same_answer_comes_again(server: TestedServer) -> None:
    client = server.client()
    first = created(client)
    assert first.create_action == CreateAction.CREATED
    for _ in range(3):
        assert client.ask(create(replay=True)).expect(CreateResponse) == first
    assert client.close(first.file_id).status == 0
    assert client.ask(create(replay=True)).status == COLLISION, "it is done now: the first is closed"


def test_whatever_else_the_second_says(server: TestedServer) -> None:
    client = server.client()
    first = created(client)
    again = create(replay=True, disposition=CreateDisposition.OPEN, share=0, attributes=0x10)
    assert client.ask(again).expect(CreateResponse) == first


def test_without_the_flag_it_is_a_mistake(server: TestedServer) -> None:
    client = server.client()
    first = created(client)
    assert client.ask(create()).status == DUPLICATE
    assert client.close(first.file_id).status == 0
    assert client.ask(create()).status == COLLISION


def test_a_handle_that_was_used_was_answered(server: TestedServer) -> None:
    client = server.client()
    first = created(client)
    assert client.query_info(first.file_id, FileInfoClass.POSITION).status == 0
    second = client.ask(create(replay=True, disposition=CreateDisposition.OPEN)).expect(CreateResponse)
    assert second.file_id != first.file_id
    assert client.ask(create()).status == DUPLICATE, "of the second"


def test_also_when_only_a_data_plane_saw_it(server: TestedServer) -> None:
    client = server.client()
    first = created(client)
    assert client.write(first.file_id, b"data").status == 0
    second = client.ask(create(replay=True, disposition=CreateDisposition.OPEN)).expect(CreateResponse)
    assert second.file_id != first.file_id


def test_another_client_and_another_guid_are_another_create(server: TestedServer) -> None:
    client, other = server.client(), server.client(client_guid=OTHER_GUID)
    created(client)
    assert other.ask(create(replay=True)).status == COLLISION
    assert client.ask(create(OTHER_GUID, replay=True)).status == COLLISION


def test_another_user_of_the_same_client_is_kept_out(server: TestedServer) -> None:
    created(server.client())
    assert server.client(user="bert").ask(create(replay=True)).status == NtStatus.ACCESS_DENIED
    assert server.client().ask(create(replay=True)).status == DUPLICATE, "the session is another"


def test_a_folder_is_never_told_again(server: TestedServer) -> None:
    client = server.client()
    created(client, options=FILE_DIRECTORY_FILE)
    assert client.ask(create(replay=True, options=FILE_DIRECTORY_FILE)).status == COLLISION


def test_nor_what_only_looks(server: TestedServer) -> None:
    client = server.client()
    created(client, access=AccessMask.FILE_READ_ATTRIBUTES)
    assert client.ask(create(replay=True)).status == COLLISION


def test_before_3_0_the_context_means_nothing(server: TestedServer) -> None:
    client = server.client(dialects=(Dialect.SMB_2_1,))
    created(client)
    assert client.ask(create(replay=True)).status == COLLISION


def test_while_the_first_is_under_way_the_second_has_to_wait(simulated: SimulatedServer) -> None:
    client = simulated.client()
    (first,) = client.send(create())
    (again,) = client.send(create(replay=True))
    statuses = client.wait_for(first).status, client.wait_for(again).status
    assert statuses[0] == 0
    assert statuses[1] in (0, NtStatus.FILE_NOT_AVAILABLE)


def test_contexts_that_exclude_one_another_are_refused(server: TestedServer) -> None:
    client = server.client()
    client.put("file")
    request = names.DURABLE_REQUEST, encode_durable_request()
    request_v2 = names.DURABLE_REQUEST_V2, DurableRequestV2(GUID).encode()
    reconnect = names.DURABLE_RECONNECT, encode_durable_reconnect(FileId(1, 1))
    reconnect_v2 = names.DURABLE_RECONNECT_V2, DurableReconnectV2(FileId(1, 1), GUID).encode()
    ours = (request, request_v2, reconnect, reconnect_v2)
    for one in ours:
        for other in ours:
            if one is not other and {one, other} != {request, reconnect}:
                assert client.create("file", contexts=(one, other)).status == NtStatus.INVALID_PARAMETER
    assert client.create("file", contexts=(request, reconnect)).status == NtStatus.OBJECT_NAME_NOT_FOUND


def test_a_context_of_the_wrong_length_is_refused(server: TestedServer) -> None:
    client = server.client()
    client.put("file")
    for name in (names.DURABLE_REQUEST, names.DURABLE_REQUEST_V2, names.DURABLE_RECONNECT, names.DURABLE_RECONNECT_V2,
                 names.APP_INSTANCE_ID):  # fmt: skip
        assert client.create("file", contexts=((name, bytes(5)),)).status == NtStatus.INVALID_PARAMETER
