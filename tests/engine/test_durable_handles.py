"""Handles that are kept while an oplock or lease is held for them ([MS-SMB2] 3.3.5.9.6, .7, .10, .12)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from smbd_uring import limits
from smbd_uring.ports import ShareFlags
from smbd_uring.wire import create_contexts as names
from smbd_uring.wire.const import (
    AccessMask,
    Command,
    CreateAction,
    CreateDisposition,
    Dialect,
    FileInfoClass,
    HeaderFlags,
    OplockLevel,
    ShareAccess,
)
from smbd_uring.wire.create import CreateRequest, CreateResponse
from smbd_uring.wire.create_contexts import LeaseRequest
from smbd_uring.wire.data import ReadResponse
from smbd_uring.wire.durable_contexts import (
    FLAG_PERSISTENT,
    DurableReconnectV2,
    DurableRequestV2,
    DurableResponseV2,
    encode_durable_reconnect,
    encode_durable_request,
)
from smbd_uring.wire.fscc import RenameInformation
from smbd_uring.wire.header import Header
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from tests.engine.conftest import MakeServer
from tests.engine.servers import TestedServer
from tests.support.client_messages import Message, Reply
from tests.support.file_client import FileClient

NOT_FOUND = NtStatus.OBJECT_NAME_NOT_FOUND
NONE, II, EXCLUSIVE, BATCH, LEASE = (
    OplockLevel.NONE, OplockLevel.II, OplockLevel.EXCLUSIVE, OplockLevel.BATCH, OplockLevel.LEASE,
)  # fmt: skip
R, H, W = 1, 2, 4
GUID, OTHER_GUID, ZERO = bytes(range(1, 17)), bytes(range(2, 18)), bytes(16)
KEY, OTHER_KEY = bytes(range(60, 76)), bytes(range(61, 77))
OPEN, OPEN_IF = CreateDisposition.OPEN, CreateDisposition.OPEN_IF
SHARE_ALL = ShareAccess.READ | ShareAccess.WRITE | ShareAccess.DELETE
FILE_DIRECTORY_FILE, FILE_DELETE_ON_CLOSE = 0x1, 0x1000
Context = tuple[bytes, bytes]

V1: Context = (names.DURABLE_REQUEST, encode_durable_request())


def v2(guid: bytes = GUID, timeout_ms: int = 0, flags: int = 0) -> Context:
    return names.DURABLE_REQUEST_V2, DurableRequestV2(guid, timeout_ms, flags).encode()


def lease(state: int = R | H | W, key: bytes = KEY, version: int = 2) -> Context:
    return names.LEASE, LeaseRequest(key, state, version=version).encode()


def again(file_id: FileId) -> Context:
    return names.DURABLE_RECONNECT, encode_durable_reconnect(file_id)


def again_v2(file_id: FileId, guid: bytes = GUID, flags: int = 0) -> Context:
    return names.DURABLE_RECONNECT_V2, DurableReconnectV2(file_id, guid, flags).encode()


def create(
    client: FileClient, *contexts: Context, level: int = BATCH, name: str = "file", share: int = 0,
    access: int = AccessMask.FILE_ALL_ACCESS, options: int = 0, disposition: int = OPEN_IF, flags: int = 0,
) -> Reply:  # fmt: skip
    body = CreateRequest(
        requested_oplock_level=LEASE if any(kind == names.LEASE for kind, _ in contexts) else level,
        desired_access=access, share_access=share, create_disposition=disposition, create_options=options, name=name,
        contexts=contexts,
    )  # fmt: skip
    return client.ask(Message(Command.CREATE, body.encode(), flags=flags, credits=8))


def created(client: FileClient, *contexts: Context, **creation: int) -> CreateResponse:
    return create(client, *contexts, **creation).expect(CreateResponse)  # type: ignore[arg-type]


def promises(answer: CreateResponse) -> list[bytes]:
    """Which contexts of durable handles the answer has."""
    return [name for name, _ in answer.contexts if name in (names.DURABLE_REQUEST, names.DURABLE_REQUEST_V2)]


@pytest.fixture
def server(make_server: MakeServer) -> TestedServer:
    """A server whose shares give oplocks and leases."""
    server = make_server()
    for share in server.companion.shares.values():
        share.flags |= ShareFlags.OPLOCKS
    return server


def leave(server: TestedServer, client: FileClient) -> None:
    before = server.inspect(lambda engine: len(engine.connections))
    client.transport.close()
    server.settle(lambda engine: len(engine.connections) < before and not engine.scheduler.tasks)


def left(server: TestedServer, *contexts: Context, **creation: int) -> FileId:
    """The handle of a client that is away."""
    client = server.client()
    answer = created(client, *contexts, **creation)
    assert promises(answer)
    assert client.write(answer.file_id, b"data").status == 0
    leave(server, client)
    return answer.file_id


# --- who gets one ---


@pytest.mark.parametrize("request_of", [V1, v2()], ids=["DHnQ", "DH2Q"])
@pytest.mark.parametrize(("level", "is_durable"), [(NONE, False), (II, False), (EXCLUSIVE, False), (BATCH, True)])
def test_of_oplocks_only_batch_will_do(
    server: TestedServer, request_of: Context, level: int, is_durable: bool
) -> None:
    answer = created(server.client(), request_of, level=level)
    assert answer.oplock_level == level
    assert promises(answer) == ([request_of[0]] if is_durable else [])


@pytest.mark.parametrize("request_of", [V1, v2()], ids=["DHnQ", "DH2Q"])
@pytest.mark.parametrize(("state", "is_durable"), [(0, False), (R, False), (R | W, False), (R | H, True), (7, True)])
def test_of_leases_only_with_handle_caching(
    server: TestedServer, request_of: Context, state: int, is_durable: bool
) -> None:
    answer = created(server.client(), request_of, lease(state))
    assert promises(answer) == ([request_of[0]] if is_durable else [])


def test_what_somebody_else_keeps_it_from_getting_it_does_not_get(server: TestedServer) -> None:
    created(server.client(user="bert"), level=NONE, share=SHARE_ALL)
    answer = created(server.client(), V1, share=SHARE_ALL)
    assert answer.oplock_level == II
    assert promises(answer) == []


def test_a_folder_gets_none(server: TestedServer) -> None:
    answer = created(server.client(), V1, lease(R | H), options=FILE_DIRECTORY_FILE)
    assert promises(answer) == []


@pytest.mark.parametrize("user", ["", "visitor"])
def test_nor_does_a_user_without_a_name(server: TestedServer, user: str) -> None:
    assert promises(created(server.client(user=user), V1)) == []


@pytest.mark.parametrize(
    ("asked_ms", "answered_ms"), [(0, 60_000), (1, 1), (45_000, 45_000), (300_000, 300_000), (0xFFFF_FFFF, 300_000)]
)
def test_the_client_may_say_for_how_long(server: TestedServer, asked_ms: int, answered_ms: int) -> None:
    answer = created(server.client(), v2(timeout_ms=asked_ms))
    assert DurableResponseV2.decode(dict(answer.contexts)[names.DURABLE_REQUEST_V2]).timeout_ms == answered_ms


def test_where_handles_are_turned_off_there_are_none(make_server: MakeServer) -> None:
    server = make_server(durable_handles=False)
    server.companion.shares["data"].flags |= ShareFlags.OPLOCKS
    assert promises(created(server.client(), V1)) == []


# --- coming back ---


def test_with_a_batch_oplock_the_id_is_enough(server: TestedServer) -> None:
    file_id = left(server, V1)
    client = server.client(client_guid=OTHER_GUID)
    answer = create(client, again(file_id), name="anything", disposition=99, options=0x7777_7777).expect(CreateResponse)
    assert answer.oplock_level == BATCH
    assert answer.create_action == CreateAction.OPENED
    assert answer.end_of_file == 4
    assert promises(answer) == []
    assert client.read(answer.file_id).expect(ReadResponse).data == b"data"


def test_a_handle_of_version_2_needs_its_guid(server: TestedServer) -> None:
    file_id = left(server, v2())
    client = server.client()
    for wrong in (ZERO, OTHER_GUID):
        assert create(client, again_v2(file_id, wrong)).status == NOT_FOUND
    assert create(client, again_v2(file_id, flags=FLAG_PERSISTENT)).status == NtStatus.INVALID_PARAMETER
    assert created(client, again_v2(file_id)).oplock_level == BATCH


def test_a_client_of_version_1_may_take_up_what_version_2_opened(server: TestedServer) -> None:
    file_id = left(server, v2())
    assert create(server.client(), again(file_id)).status == 0


def test_a_handle_of_version_1_has_no_guid(server: TestedServer) -> None:
    file_id = left(server, V1)
    client = server.client()
    assert create(client, again_v2(file_id)).status == NOT_FOUND
    assert create(client, again_v2(file_id, ZERO)).status == 0


@pytest.mark.parametrize("version", [1, 2])
def test_with_a_lease_the_client_its_key_and_the_name_must_be_right(server: TestedServer, version: int) -> None:
    file_id = left(server, v2(), lease(version=version))
    client = server.client()
    key = lease(0, version=version)
    assert create(client, again_v2(file_id)).status == NOT_FOUND, "without a lease"
    assert create(client, again_v2(file_id), lease(0, OTHER_KEY, version)).status == NOT_FOUND
    assert create(client, again_v2(file_id), lease(0, version=3 - version)).status == NOT_FOUND
    assert create(server.client(client_guid=OTHER_GUID), again_v2(file_id), key).status == NOT_FOUND
    assert create(client, again_v2(file_id), key, name="other").status == NtStatus.INVALID_PARAMETER
    answer = created(client, again_v2(file_id), key)
    assert answer.oplock_level == LEASE
    assert LeaseRequest.decode(dict(answer.contexts)[names.LEASE]).lease_state == R | H | W


def test_who_had_an_oplock_does_not_come_back_with_a_lease(server: TestedServer) -> None:
    file_id = left(server, v2())
    client = server.client()
    assert create(client, again_v2(file_id), lease()).status == NOT_FOUND
    assert create(client, again_v2(file_id)).status == 0


def test_a_file_that_was_renamed_is_asked_for_by_its_new_name(server: TestedServer) -> None:
    client = server.client()
    answer = created(client, V1, lease())
    assert client.set_info(answer.file_id, FileInfoClass.RENAME, RenameInformation(False, "new")).status == 0
    leave(server, client)
    client = server.client()
    assert create(client, again(answer.file_id), lease()).status == NtStatus.INVALID_PARAMETER
    assert create(client, again(answer.file_id), lease(), name="NEW").status == 0


def test_only_its_user_gets_it_and_only_once(server: TestedServer) -> None:
    file_id = left(server, V1)
    assert create(server.client(user="bert"), again(file_id)).status == NtStatus.ACCESS_DENIED
    assert create(server.client(user=""), again(file_id)).status == NtStatus.ACCESS_DENIED
    assert create(server.client(), again(file_id)).status == 0
    assert create(server.client(), again(file_id)).status == NOT_FOUND


def test_a_share_of_another_folder_does_not_give_it_back(server: TestedServer) -> None:
    server.files.add_directory("below", 0o777)
    other = server.companion.shares["second"]
    other.path = f"{other.path}/below"
    file_id = left(server, V1)
    assert create(server.client(share="second"), again(file_id)).status == NOT_FOUND


@pytest.mark.parametrize("dialect", [Dialect.SMB_2_0_2, Dialect.SMB_2_1])
def test_older_dialects_have_version_1(server: TestedServer, dialect: Dialect) -> None:
    client = server.client(dialects=(dialect,))
    answer = created(client, V1)
    assert promises(answer) == [names.DURABLE_REQUEST]
    leave(server, client)
    assert create(server.client(dialects=(dialect,)), again(answer.file_id)).status == 0


def test_a_client_that_logs_on_again_gets_it_at_once(server: TestedServer) -> None:
    client = server.client()
    answer = created(client, v2(), lease())
    assert client.write(answer.file_id, b"data").status == 0
    back = server.connect()
    assert back.negotiate().status == 0
    assert client.session is not None
    assert back.log_on("anna", "secret", previous_session_id=client.session.session_id).status == 0
    assert back.tree_connect("data").status == 0
    assert create(back, again_v2(answer.file_id), lease()).status == 0


# --- while nobody is there ---


@pytest.mark.parametrize("contexts", [[V1], [V1, lease(R | H)], [V1, lease(R | H | W)]], ids=["batch", "RH", "RWH"])
def test_whoever_needs_what_it_holds_closes_it(server: TestedServer, contexts: Sequence[Context]) -> None:
    file_id = left(server, *contexts)
    other = server.client(user="bert")
    assert created(other, level=BATCH, disposition=OPEN).oplock_level == BATCH
    assert create(server.client(), again(file_id), *contexts[1:]).status == NOT_FOUND


def test_whoever_goes_along_with_it_does_not(server: TestedServer) -> None:
    file_id = left(server, V1, lease(R | H), share=SHARE_ALL)
    other = server.client(user="bert")
    assert create(other, level=NONE, share=SHARE_ALL, access=AccessMask.FILE_READ_DATA).status == 0
    assert create(server.client(), again(file_id), lease()).status == 0


def test_after_its_time_it_is_gone(server: TestedServer) -> None:
    file_id = left(server, v2(timeout_ms=5000), share=SHARE_ALL)
    server.advance(4)
    assert server.inspect(lambda engine: engine.opens.count) == 1
    server.advance(2)
    server.settle(lambda engine: engine.opens.count == 0)
    assert create(server.client(), again_v2(file_id)).status == NOT_FOUND


def test_version_1_waits_two_minutes(server: TestedServer) -> None:
    file_id = left(server, V1)
    server.advance(limits.DURABLE_TIMEOUT_S - 1)
    assert create(server.client(), again(file_id)).status == 0


def test_a_broken_oplock_is_no_reason_to_keep_it(server: TestedServer) -> None:
    client = server.client()
    answer = created(client, V1, share=SHARE_ALL)
    other = server.client(user="bert")
    (waiting,) = other.send(_open_message())
    other.wait_for_interim(waiting)
    leave(server, client)  # instead of acknowledging
    assert other.wait_for(waiting).status == 0
    assert create(server.client(), again(answer.file_id)).status == NOT_FOUND


def _open_message() -> Message:
    body = CreateRequest(
        desired_access=AccessMask.FILE_READ_DATA, share_access=SHARE_ALL, create_disposition=OPEN, name="file"
    )
    return Message(Command.CREATE, body.encode(), credits=8)


def test_a_file_that_was_to_go_with_it_goes_when_it_gives_way(server: TestedServer) -> None:
    left(server, V1, options=FILE_DELETE_ON_CLOSE)
    answer = created(server.client(user="bert"))
    assert answer.create_action == CreateAction.CREATED
    assert answer.end_of_file == 0


@pytest.mark.parametrize("end", ["close", "tree disconnect"])
def test_an_explicit_end_is_the_end(server: TestedServer, end: str) -> None:
    client = server.client()
    file_id = created(client, V1).file_id
    if end == "close":
        assert client.close(file_id).status == 0
    else:
        assert client.tree_disconnect().status == 0
        assert client.tree_connect("data").status == 0
    assert create(client, again(file_id)).status == NOT_FOUND


def test_a_logoff_leaves_it_for_the_next_session(server: TestedServer) -> None:
    client = server.client()
    file_id = created(client, V1).file_id
    assert client.log_off().status == 0
    assert create(server.client(), again(file_id)).status == 0


# --- a CREATE that is told again, with what it caches ---

REPLAY = HeaderFlags.REPLAY_OPERATION


def test_the_answer_has_the_oplock_but_no_more_than_is_asked_for_now(server: TestedServer) -> None:
    client = server.client()
    first = created(client, v2())
    assert created(client, v2(), flags=REPLAY) == first
    less = created(client, v2(), flags=REPLAY, level=NONE)
    assert (less.oplock_level, promises(less)) == (NONE, [])
    assert server.inspect(lambda engine: next(iter(engine.handles)).holds_handle_caching)


def test_the_answer_has_the_lease_as_it_is_now(server: TestedServer) -> None:
    client = server.client()
    first = created(client, v2(), lease(R | H))
    created(client, v2(OTHER_GUID), lease(R | H | W), share=SHARE_ALL, access=AccessMask.FILE_READ_ATTRIBUTES)
    again = created(client, v2(), lease(R), flags=REPLAY)
    assert again.file_id == first.file_id
    assert LeaseRequest.decode(dict(again.contexts)[names.LEASE]).lease_state == R | H | W


@pytest.mark.parametrize(
    ("first", "second"),
    [([lease()], [lease(key=OTHER_KEY)]), ([], [lease()]), ([lease()], [])],
    ids=["another key", "a lease for an oplock", "an oplock for a lease"],
)
def test_with_another_key_it_is_somebody_elses(
    server: TestedServer, first: list[Context], second: list[Context]
) -> None:
    client = server.client()
    created(client, v2(), *first)
    assert create(client, v2(), *second, flags=REPLAY).status == NtStatus.ACCESS_DENIED


def test_who_may_only_read_the_share_by_now_does_not_get_a_handle_that_writes(server: TestedServer) -> None:
    file_id = left(server, V1)
    server.companion.shares["data"].flags |= ShareFlags.READONLY
    assert create(server.client(), again(file_id)).status == NtStatus.ACCESS_DENIED
    server.companion.shares["data"].flags &= ~ShareFlags.READONLY
    assert create(server.client(), again(file_id)).status == 0


# --- with several connections ---


def test_a_create_that_waits_survives_its_connection_while_the_session_does(server: TestedServer) -> None:
    holder = server.client(user="bert")
    held = created(holder, share=SHARE_ALL)
    first = server.client()
    second = server.connect()
    assert second.negotiate().status == 0
    assert first.session is not None
    assert second.bind(first.session, "anna", "secret").status == 0
    second.tree_id = first.tree_id
    built = _durable_message()
    (waiting,) = first.send(built)
    first.wait_for_interim(waiting)
    first.transport.close()
    server.settle(lambda engine: len(engine.connections) == 2)
    assert second.ask(_durable_message(REPLAY)).status == NtStatus.FILE_NOT_AVAILABLE
    assert Header.decode(memoryview(holder.receive_frame())).command == Command.OPLOCK_BREAK
    assert holder.close(held.file_id).status == 0
    server.settle(lambda engine: not engine.handles.pending)
    answer = second.ask(_durable_message(REPLAY)).expect(CreateResponse)
    assert answer.oplock_level == BATCH
    assert second.write(answer.file_id, b"data").status == 0


def _durable_message(flags: int = 0) -> Message:
    body = CreateRequest(
        requested_oplock_level=BATCH, desired_access=AccessMask.FILE_ALL_ACCESS, share_access=SHARE_ALL,
        create_disposition=OPEN, name="file", contexts=[v2()],
    )  # fmt: skip
    return Message(Command.CREATE, body.encode(), flags=flags, credits=8)
