"""Handles that survive the server itself, on shares that are continuously available ([MS-SMB2] 3.3.5.9.10, .12)."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from smbd_uring import limits
from smbd_uring.engine.handle_records import HandleRecord
from smbd_uring.engine.journal_entries import read_journal
from smbd_uring.ports import ShareFlags, Synchronize, WriteAt
from smbd_uring.wire import create_contexts as names
from smbd_uring.wire.const import (
    AccessMask,
    Capabilities,
    Command,
    CreateAction,
    CreateDisposition,
    Dialect,
    FileInfoClass,
    HeaderFlags,
    LockFlags,
    OplockLevel,
    ShareCapabilities,
    WriteFlags,
)
from smbd_uring.wire.create import CreateRequest, CreateResponse
from smbd_uring.wire.create_contexts import LeaseRequest
from smbd_uring.wire.data import ReadResponse
from smbd_uring.wire.durable_contexts import FLAG_PERSISTENT, DurableReconnectV2
from smbd_uring.wire.fscc import RenameInformation
from smbd_uring.wire.header import Header
from smbd_uring.wire.negotiate import NegotiateResponse
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from smbd_uring.wire.tree import TreeConnectResponse
from tests.engine.crashing import CA, CrashingServer, without_persistence
from tests.engine.persistent_opens import CREATE, GUID, TIMEOUT_MS, asked, create, persistent, take_up, taken_up
from tests.support.client_messages import Message
from tests.support.file_client import FileClient, Messages

NOT_FOUND = NtStatus.OBJECT_NAME_NOT_FOUND
FENCED = NtStatus.FILE_NOT_AVAILABLE
OTHER_GUID = bytes(range(2, 18))
FILE_DIRECTORY_FILE, FILE_DELETE_ON_CLOSE = 0x1, 0x1000


@pytest.fixture(params=[1, 2, 3])
def server(request: pytest.FixtureRequest) -> Iterator[CrashingServer]:
    server = CrashingServer(request.param)
    yield server
    server.finish()


# --- who gets one ---


def test_the_client_is_told_that_the_share_gives_such_handles(server: CrashingServer) -> None:
    client = server.connect()
    answer = client.negotiate().expect(NegotiateResponse)
    assert answer.capabilities & Capabilities.PERSISTENT_HANDLES
    assert client.log_on("anna", "secret").status == 0
    assert client.tree_connect(CA).expect(TreeConnectResponse).capabilities == ShareCapabilities.CONTINUOUS_AVAILABILITY
    assert client.tree_connect("data").expect(TreeConnectResponse).capabilities == 0


def test_without_such_a_share_or_before_3_0_there_are_none() -> None:
    for config, dialect in ((without_persistence(), Dialect.SMB_3_1_1), (None, Dialect.SMB_2_1)):
        server = CrashingServer(1) if config is None else CrashingServer(1, config)
        client = server.connect()
        answer = client.negotiate(dialects=(dialect,)).expect(NegotiateResponse)
        assert not answer.capabilities & Capabilities.PERSISTENT_HANDLES
        assert client.log_on("anna", "secret").status == 0
        assert client.tree_connect(CA).expect(TreeConnectResponse).capabilities == 0
        assert create(client).expect(CreateResponse).contexts == []
        server.finish()


@pytest.mark.parametrize(("share", "user"), [("data", "anna"), (CA, ""), (CA, "visitor")])
def test_other_shares_and_users_without_a_name_get_none(server: CrashingServer, share: str, user: str) -> None:
    client = server.client(share=share, user=user)
    assert create(client).expect(CreateResponse).contexts == []


def test_what_is_written_to_it_is_written_through(server: CrashingServer) -> None:
    client = server.client(share=CA)
    file_id = persistent(client)
    before = server.world.kernel.calls["Synchronize"]
    assert client.write(file_id, b"data").status == 0
    assert server.world.kernel.calls["Synchronize"] > before


def test_there_is_a_bound_beyond_which_handles_are_ordinary(
    server: CrashingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PERSISTENT_HANDLES_MAX", 1)
    client = server.client(share=CA)
    persistent(client)
    assert create(client, "other", OTHER_GUID).expect(CreateResponse).contexts == []


# --- after a crash ---


def test_a_client_goes_on_where_it_was(server: CrashingServer) -> None:
    client = server.client(share=CA)
    file_id = persistent(client, share=0)
    assert client.write(file_id, b"before").status == 0
    server.crash()
    client = server.client(share=CA)
    again = taken_up(client, file_id)
    assert again.persistent == file_id.persistent
    assert client.read(again).expect(ReadResponse).data == b"before"
    assert client.write(again, b" and after", 6).status == 0
    assert client.close(again).status == 0
    assert server.world.data("disk") == b"before and after"
    assert read_journal(server.journal()).records == {}


def test_it_need_not_have_all_rights(server: CrashingServer) -> None:
    only_writing = (
        AccessMask.FILE_WRITE_DATA | AccessMask.FILE_APPEND_DATA | AccessMask.FILE_WRITE_EA
        | AccessMask.FILE_READ_ATTRIBUTES | AccessMask.FILE_WRITE_ATTRIBUTES | AccessMask.READ_CONTROL
    )  # fmt: skip
    file_id = persistent(server.client(share=CA), access=only_writing)
    server.crash()
    client = server.client(share=CA)
    again = taken_up(client, file_id)
    assert client.write(again, b"data").status == 0
    assert client.read(again).status == NtStatus.ACCESS_DENIED


def test_nobody_gets_in_between(server: CrashingServer) -> None:
    persistent(server.client(share=CA))
    server.crash()
    other = server.client(share=CA, user="bert", client_guid=OTHER_GUID)
    for access in (AccessMask.GENERIC_READ, AccessMask.GENERIC_WRITE, AccessMask.DELETE):
        assert other.create("disk", access).status == FENCED
    server.advance(TIMEOUT_MS / 1000 + 1)
    assert other.create("disk", AccessMask.GENERIC_READ).status == 0


def test_the_same_client_may_open_the_file_before_it_takes_up_its_handle(server: CrashingServer) -> None:
    file_id = persistent(server.client(share=CA))
    server.crash()
    client = server.client(share=CA)
    assert client.create("disk", AccessMask.GENERIC_READ).status == 0
    assert take_up(client, file_id).status == 0


def test_nor_when_only_the_connection_was_lost(server: CrashingServer) -> None:
    client = server.client(share=CA)
    file_id = persistent(client)
    client.transport.close()
    server.settle(lambda engine: not engine.connections and not engine.scheduler.tasks)
    other = server.client(share=CA, user="bert", client_guid=OTHER_GUID)
    assert other.create("disk", AccessMask.GENERIC_READ).status == FENCED
    assert take_up(server.client(share=CA), file_id).status == 0
    assert other.create("disk", AccessMask.GENERIC_READ).status == 0


def test_share_modes_hold_as_soon_as_the_client_is_back(server: CrashingServer) -> None:
    file_id = persistent(server.client(share=CA), share=0)
    server.crash()
    client = server.client(share=CA)
    taken_up(client, file_id)
    other = server.client(share=CA, user="bert", client_guid=OTHER_GUID)
    assert other.create("disk", AccessMask.GENERIC_READ).status == NtStatus.SHARING_VIOLATION


def test_it_survives_one_crash_after_the_other(server: CrashingServer) -> None:
    file_id = persistent(server.client(share=CA))
    for _ in range(4):
        server.crash()
        server.advance(TIMEOUT_MS / 1000 - 5)
        client = server.client(share=CA)
        file_id = taken_up(client, file_id)
    assert client.close(file_id).status == 0


def test_two_crashes_in_a_row_before_the_client_is_back_do_no_harm(server: CrashingServer) -> None:
    file_id = persistent(server.client(share=CA))
    server.crash()
    server.crash()
    taken_up(server.client(share=CA), file_id)


def test_a_client_that_lost_the_id_finds_it_by_its_create_guid(server: CrashingServer) -> None:
    persistent(server.client(share=CA))
    server.crash()
    assert take_up(server.client(share=CA), FileId(7, 7)).status == 0


def test_only_who_opened_it_gets_it_and_only_with_what_it_knows(server: CrashingServer) -> None:
    file_id = persistent(server.client(share=CA))
    server.crash()
    client = server.client(share=CA)
    assert take_up(server.client(share=CA, user="bert"), file_id).status == NtStatus.ACCESS_DENIED
    assert take_up(client, file_id, OTHER_GUID).status == NOT_FOUND
    assert take_up(client, file_id, GUID, 0).status == NOT_FOUND
    assert take_up(server.client(share="vm2"), file_id).status == NOT_FOUND, "the same folder by another name"
    assert take_up(client, file_id).status == 0
    assert take_up(client, file_id).status == NOT_FOUND, "it is in use"


def test_the_create_itself_may_be_told_again(server: CrashingServer) -> None:
    file_id = persistent(server.client(share=CA))
    server.crash()
    client = server.client(share=CA)
    replay = HeaderFlags.REPLAY_OPERATION
    assert create(client).status == NtStatus.DUPLICATE_OBJECTID
    built = client_create(share=0)
    built.flags |= replay
    assert client.ask(built).status == NtStatus.CONTEXT_MISMATCH
    built = client_create()
    built.flags |= replay
    answer = client.ask(built).expect(CreateResponse)
    assert answer.create_action == CreateAction.CREATED
    assert answer.file_id.persistent == file_id.persistent
    assert client.write(answer.file_id, b"data").status == 0


def client_create(**creation: int) -> Message:
    return Messages.create("disk", disposition=CREATE, contexts=(asked(),), **creation)  # type: ignore[arg-type]


def test_a_file_that_goes_on_close_goes_when_the_client_closes_it(server: CrashingServer) -> None:
    file_id = persistent(server.client(share=CA), options=FILE_DELETE_ON_CLOSE)
    server.crash()
    client = server.client(share=CA)
    assert client.close(taken_up(client, file_id)).status == 0
    assert server.world.names() == []


def test_a_file_that_was_marked_for_deletion_is_still_marked(server: CrashingServer) -> None:
    client = server.client(share=CA)
    file_id = persistent(client)
    assert client.set_info(file_id, FileInfoClass.DISPOSITION, b"\x01").status == 0
    server.crash()
    client = server.client(share=CA)
    assert client.close(taken_up(client, file_id)).status == 0
    assert server.world.names() == []


def test_a_file_is_found_by_the_name_it_got_last(server: CrashingServer) -> None:
    client = server.client(share=CA)
    file_id = persistent(client)
    assert client.set_info(file_id, FileInfoClass.RENAME, RenameInformation(False, "renamed")).status == 0
    server.crash()
    client = server.client(share=CA)
    assert client.write(taken_up(client, file_id), b"data").status == 0
    assert server.world.data("renamed") == b"data"


def test_a_folder_can_have_one(server: CrashingServer) -> None:
    file_id = persistent(server.client(share=CA), options=FILE_DIRECTORY_FILE)
    server.crash()
    client = server.client(share=CA)
    again = taken_up(client, file_id)
    assert [entry.file_name for entry in client.listing(again)] == [".", ".."]


# --- what cannot be had again ---


def test_a_file_that_is_another_one_now_is_not_given_to_the_client(server: CrashingServer) -> None:
    file_id = persistent(server.client(share=CA))
    kernel = server.world.kernel
    kernel.node("/share").entries.pop(b"disk")
    server.world.add_file("disk", b"somebody else's", 0o666)
    server.crash()
    client = server.client(share=CA)
    assert take_up(client, file_id).status == NOT_FOUND
    assert client.create("disk", AccessMask.GENERIC_READ).status == 0
    assert read_journal(server.journal()).records == {}


def test_a_share_that_is_gone_or_ordinary_now_has_none(server: CrashingServer) -> None:
    file_id = persistent(server.client(share=CA))
    share = server.companion.shares[CA]
    share.flags &= ~ShareFlags.CONTINUOUS_AVAILABILITY
    server.crash()
    assert take_up(server.client(share=CA), file_id).status == NOT_FOUND
    share.flags |= ShareFlags.CONTINUOUS_AVAILABILITY


def test_a_handle_that_was_closed_does_not_come_back(server: CrashingServer) -> None:
    client = server.client(share=CA)
    file_id = persistent(client)
    assert client.close(file_id).status == 0
    server.crash()
    assert take_up(server.client(share=CA), file_id).status == NOT_FOUND


def test_a_torn_journal_gives_what_is_whole(server: CrashingServer) -> None:
    client = server.client(share=CA)
    first = persistent(client)
    second = persistent(client, "other", OTHER_GUID)
    node = server.world.kernel.node("/state/handles.journal")
    node.resize(node.size - 3, server.world.kernel.space)
    server.crash()
    client = server.client(share=CA)
    assert take_up(client, first).status == 0
    assert take_up(client, second, OTHER_GUID).status == NOT_FOUND


# --- when the journal cannot be written ---


@pytest.mark.parametrize("kind", [WriteAt, Synchronize])
def test_no_promise_is_made_that_is_not_on_disk(server: CrashingServer, kind: type) -> None:
    client = server.client(share=CA)
    server.world.kernel.fail(kind, errno.ENOSPC)
    answer = create(client).expect(CreateResponse)
    assert answer.contexts == []
    assert create(client, "other", OTHER_GUID).expect(CreateResponse).contexts == [], "nor any more after that"
    assert client.write(answer.file_id, b"data", write_flags=WriteFlags.WRITE_THROUGH).status == 0


def test_a_long_life_does_not_make_a_long_journal(server: CrashingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOURNAL_BYTES_MIN", 4096)
    client = server.client(share=CA)
    kept = persistent(client)
    for number in range(40):
        file_id = persistent(client, f"file{number}", bytes([number + 50]) * 16)
        assert client.close(file_id).status == 0
    journal = server.journal()
    assert len(journal) <= 8192
    (record,) = read_journal(journal).records.values()
    assert HandleRecord.decode(record).components == ("disk",)
    server.crash()
    taken_up(server.client(share=CA), kept)


# --- with what it caches ---

KEY = bytes(range(60, 76))
R, H, W = 1, 2, 4


def leased(client: FileClient, state: int = R | H | W, **creation: int) -> CreateResponse:
    """A persistent handle with a lease."""
    contexts = [asked(), (names.LEASE, LeaseRequest(KEY, state, version=2).encode())]
    return _create(client, contexts, OplockLevel.LEASE, **creation)


def _create(client: FileClient, contexts: list[tuple[bytes, bytes]], level: int, **creation: int) -> CreateResponse:
    body = CreateRequest(
        requested_oplock_level=level, desired_access=AccessMask.FILE_ALL_ACCESS, share_access=7,
        create_disposition=CreateDisposition.OPEN_IF, name="disk", contexts=contexts, **creation,
    )  # fmt: skip
    return client.ask(Message(Command.CREATE, body.encode(), credits=8)).expect(CreateResponse)


def lease_of(answer: CreateResponse) -> LeaseRequest:
    return LeaseRequest.decode(dict(answer.contexts)[names.LEASE])


@pytest.fixture
def caching_server(server: CrashingServer) -> CrashingServer:
    for share in server.companion.shares.values():
        share.flags |= ShareFlags.OPLOCKS
    return server


def come_back(server: CrashingServer, file_id: FileId) -> tuple[FileClient, CreateResponse]:
    client = server.client(share=CA)
    reconnect = names.DURABLE_RECONNECT_V2, DurableReconnectV2(file_id, GUID, FLAG_PERSISTENT).encode()
    lease = names.LEASE, LeaseRequest(KEY, 0, version=2).encode()
    return client, _create(client, [reconnect, lease], OplockLevel.LEASE)


def test_its_lease_is_there_again(caching_server: CrashingServer) -> None:
    before = leased(caching_server.client(share=CA))
    caching_server.crash()
    client, after = come_back(caching_server, before.file_id)
    assert lease_of(after) == lease_of(before)
    other = caching_server.client(share=CA, user="bert", client_guid=OTHER_GUID)
    (waiting,) = other.send(Messages.create("disk", AccessMask.FILE_READ_DATA))
    other.wait_for_interim(waiting)
    assert Header.decode(memoryview(client.receive_frame())).command == Command.OPLOCK_BREAK
    assert client.close(after.file_id).status == 0
    assert other.wait_for(waiting).status == 0


def test_its_oplock_is_there_again(caching_server: CrashingServer) -> None:
    before = _create(caching_server.client(share=CA), [asked()], OplockLevel.BATCH)
    caching_server.crash()
    client = caching_server.client(share=CA)
    assert take_up(client, before.file_id).expect(CreateResponse).oplock_level == OplockLevel.BATCH


def test_a_lease_that_was_being_broken_comes_back_as_what_was_left_of_it(caching_server: CrashingServer) -> None:
    before = leased(caching_server.client(share=CA))
    other = caching_server.client(share=CA, user="bert", client_guid=OTHER_GUID)
    (waiting,) = other.send(Messages.create("disk", AccessMask.FILE_READ_DATA))
    other.wait_for_interim(waiting)
    caching_server.settle(lambda engine: not any(engine.connections[key].bytes_unsent for key in engine.connections))
    caching_server.crash()
    _, after = come_back(caching_server, before.file_id)
    assert lease_of(after).lease_state == R | H
    assert lease_of(after).epoch == lease_of(before).epoch + 1


def test_a_lease_that_grew_comes_back_as_large_as_it_was(caching_server: CrashingServer) -> None:
    client = caching_server.client(share=CA)
    before = leased(client, R | H)
    grown = _create(client, [(names.LEASE, LeaseRequest(KEY, R | H | W, version=2).encode())], OplockLevel.LEASE)
    assert lease_of(grown).lease_state == R | H | W
    caching_server.crash()
    _, after = come_back(caching_server, before.file_id)
    assert lease_of(after).lease_state == R | H | W


# --- with its locks ---

EXCLUSIVE = LockFlags.EXCLUSIVE_LOCK | LockFlags.FAIL_IMMEDIATELY
SHARED = LockFlags.SHARED_LOCK | LockFlags.FAIL_IMMEDIATELY
