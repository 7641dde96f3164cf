"""Given what is there and what is asked, a file is opened, made, emptied, or refused ([MS-SMB2] 3.3.5.9)."""

from __future__ import annotations

import struct
from itertools import product

import pytest

from smbd_uring import limits
from smbd_uring.wire import create_contexts
from smbd_uring.wire.const import (
    AccessMask,
    CreateAction,
    CreateDisposition,
    CreateOptions,
    FileAttributes,
    FileInfoClass,
    ShareAccess,
)
from smbd_uring.wire.create import CloseResponse, CreateResponse
from smbd_uring.wire.data import ReadResponse
from smbd_uring.wire.fscc import DispositionInformation
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from tests.engine.conftest import MakeServer
from tests.engine.servers import TestedServer
from tests.support.file_client import FileClient

SUPERSEDE, OPEN, CREATE, OPEN_IF, OVERWRITE, OVERWRITE_IF = CreateDisposition
DIRECTORY, NO_DIRECTORY = CreateOptions.FILE_DIRECTORY_FILE, CreateOptions.FILE_NON_DIRECTORY_FILE
DELETE_ON_CLOSE = CreateOptions.FILE_DELETE_ON_CLOSE
READ, WRITE, DELETE = AccessMask.FILE_READ_DATA, AccessMask.FILE_WRITE_DATA, AccessMask.DELETE
ATTRIBUTES = AccessMask.FILE_READ_ATTRIBUTES

MISSING = NtStatus.OBJECT_NAME_NOT_FOUND
COLLISION = NtStatus.OBJECT_NAME_COLLISION
INVALID = NtStatus.INVALID_PARAMETER

ON_NOTHING = {
    SUPERSEDE: CreateAction.CREATED, OPEN: MISSING, CREATE: CreateAction.CREATED, OPEN_IF: CreateAction.CREATED,
    OVERWRITE: MISSING, OVERWRITE_IF: CreateAction.CREATED,
}  # fmt: skip
ON_A_FILE = {
    SUPERSEDE: CreateAction.SUPERSEDED, OPEN: CreateAction.OPENED, CREATE: COLLISION, OPEN_IF: CreateAction.OPENED,
    OVERWRITE: CreateAction.OVERWRITTEN, OVERWRITE_IF: CreateAction.OVERWRITTEN,
}  # fmt: skip
ON_A_DIRECTORY = {
    SUPERSEDE: INVALID, OPEN: CreateAction.OPENED, CREATE: COLLISION, OPEN_IF: CreateAction.OPENED,
    OVERWRITE: INVALID, OVERWRITE_IF: INVALID,
}  # fmt: skip
Outcome = CreateAction | NtStatus


def assert_outcome(client: FileClient, name: str, disposition: int, options: int, outcome: Outcome) -> None:
    """A CREATE comes to `outcome`: an action, or the status that refuses it."""
    reply = client.create(name, disposition=disposition, options=options)
    if isinstance(outcome, NtStatus):
        assert reply.status == outcome
    else:
        answer = reply.expect(CreateResponse)
        assert answer.create_action == outcome
        assert client.close(answer.file_id).status == NtStatus.SUCCESS


# --- dispositions ---


@pytest.mark.parametrize("disposition", CreateDisposition)
def test_on_a_name_that_is_not_there(server: TestedServer, disposition: CreateDisposition) -> None:
    outcome = ON_NOTHING[disposition]
    assert_outcome(server.client(), "new", disposition, 0, outcome)
    assert server.files.names() == ([] if outcome is MISSING else ["new"])


@pytest.mark.parametrize("disposition", CreateDisposition)
def test_on_a_file_that_is_there(server: TestedServer, disposition: CreateDisposition) -> None:
    server.files.add_file("file", b"contents", 0o777)
    assert_outcome(server.client(), "file", disposition, 0, ON_A_FILE[disposition])
    emptied = disposition in (SUPERSEDE, OVERWRITE, OVERWRITE_IF)
    assert server.files.data("file") == (b"" if emptied else b"contents")


@pytest.mark.parametrize("disposition", CreateDisposition)
def test_on_a_directory_that_is_there(server: TestedServer, disposition: CreateDisposition) -> None:
    server.files.add_directory("folder")
    assert_outcome(server.client(), "folder", disposition, 0, ON_A_DIRECTORY[disposition])


@pytest.mark.parametrize(
    ("disposition", "outcome"), [(OPEN, MISSING), (CREATE, CreateAction.CREATED), (OPEN_IF, CreateAction.CREATED)]
)
def test_a_directory_is_made_when_one_is_asked_for(
    server: TestedServer, disposition: CreateDisposition, outcome: Outcome
) -> None:
    client = server.client()
    assert_outcome(client, "folder", disposition, DIRECTORY, outcome)
    if outcome is CreateAction.CREATED:
        answer = client.create("folder", ATTRIBUTES, options=DIRECTORY).expect(CreateResponse)
        assert answer.file_attributes & FileAttributes.DIRECTORY
        assert (answer.end_of_file, answer.allocation_size) == (0, 0)


def test_a_file_is_no_directory_and_a_directory_no_file(server: TestedServer) -> None:
    server.files.add_file("file", b"", 0o777)
    server.files.add_directory("folder")
    client = server.client()
    for disposition in (OPEN, OPEN_IF):
        assert_outcome(client, "file", disposition, DIRECTORY, NtStatus.NOT_A_DIRECTORY)
        assert_outcome(client, "folder", disposition, NO_DIRECTORY, NtStatus.FILE_IS_A_DIRECTORY)


# --- names ---


@pytest.mark.parametrize(
    ("name", "status"),
    [
        (r"no folder\file", NtStatus.OBJECT_PATH_NOT_FOUND), (r"file\below", NtStatus.OBJECT_PATH_NOT_FOUND),
        ("file*", NtStatus.OBJECT_NAME_INVALID), ("a/b", NtStatus.OBJECT_NAME_INVALID),
        ("x" * 256, NtStatus.OBJECT_NAME_INVALID), (r"..\outside", NtStatus.OBJECT_PATH_SYNTAX_BAD),
        (r"\file", NtStatus.INVALID_PARAMETER), ("escape", MISSING), (r"escape\x", None), ("dangling", MISSING),
    ],
)  # fmt: skip
def test_a_name_that_leads_nowhere(server: TestedServer, name: str, status: NtStatus | None) -> None:
    server.files.add_file("file", b"", 0o777)
    server.files.add_symlink("escape", "../outside")
    server.files.add_symlink("dangling", "nothing")
    client = server.client()
    answered = client.create(name, disposition=OPEN).status
    assert answered in ((MISSING, NtStatus.OBJECT_PATH_NOT_FOUND) if status is None else (status,))


def test_names_are_found_in_any_case_and_keep_their_own(server: TestedServer) -> None:
    server.files.add_directory("Ordner", 0o777)
    client = server.client()
    client.put(r"oRDNER\Straße ÄÖ", b"data")
    assert server.files.names("Ordner") == ["Straße ÄÖ"]
    assert client.get(r"ORDNER\sTRAßE äö") == b"data"
    assert_outcome(client, r"ordner\STRAßE ÄÖ", CREATE, 0, COLLISION)


def test_the_longest_name_works(server: TestedServer) -> None:
    client = server.client()
    name = "ä" * 121 + "🐟" + "x" * 9
    client.put(name, b"data")
    assert server.files.names() == [name]


def test_the_root_is_a_directory_that_cannot_be_deleted(server: TestedServer) -> None:
    client = server.client()
    assert_outcome(client, "", CREATE, DIRECTORY, COLLISION)
    answer = client.create("", AccessMask.MAXIMUM_ALLOWED, options=DIRECTORY).expect(CreateResponse)
    disposition = DispositionInformation(True)
    status = client.set_info(answer.file_id, FileInfoClass.DISPOSITION, disposition).status
    assert status in (NtStatus.ACCESS_DENIED, NtStatus.CANNOT_DELETE)
    reply = client.create("", DELETE, options=DIRECTORY | DELETE_ON_CLOSE)
    assert reply.status in (NtStatus.ACCESS_DENIED, NtStatus.CANNOT_DELETE)


# --- sharing ---

NEEDS = {READ: ShareAccess.READ, WRITE: ShareAccess.WRITE, DELETE: ShareAccess.DELETE, ATTRIBUTES: 0}


@pytest.mark.parametrize("first", NEEDS)
def test_share_modes_decide_who_may_open_beside_whom(server: TestedServer, first: int) -> None:
    server.files.add_file("file", b"", 0o777)
    client, other = server.client(), server.client()
    for first_share, second, second_share in product(range(8), NEEDS, range(8)):
        held = client.open("file", first, share=first_share)
        reply = other.create("file", second, share=second_share)
        stands = NEEDS[second] & ~first_share == 0 and NEEDS[first] & ~second_share == 0
        if ATTRIBUTES in (first, second) or stands:
            other.close(reply.expect(CreateResponse).file_id)
        else:
            assert reply.status == NtStatus.SHARING_VIOLATION
        assert client.close(held).status == NtStatus.SUCCESS


def test_emptying_a_file_counts_as_writing_it(server: TestedServer) -> None:
    server.files.add_file("file", b"kept", 0o777)
    client = server.client()
    client.open("file", READ, share=ShareAccess.READ)
    reply = client.create("file", ATTRIBUTES, disposition=OVERWRITE)
    assert reply.status == NtStatus.SHARING_VIOLATION
    assert server.files.data("file") == b"kept"


def test_two_shares_of_one_folder_share_their_files(server: TestedServer) -> None:
    server.files.add_file("file", b"", 0o777)
    client, other = server.client(), server.client(share="second")
    client.open("file", READ, share=0)
    assert other.create("file", READ).status == NtStatus.SHARING_VIOLATION


# --- deleting ---


def test_delete_on_close_deletes_when_the_last_handle_closes_and_nobody_opens_it_before(
    server: TestedServer,
) -> None:
    server.files.add_file("file", b"", 0o777)
    client = server.client()
    deleting = client.open("file", options=DELETE_ON_CLOSE)
    staying = client.open("file")
    client.close(deleting)
    assert server.files.names() == ["file"]
    assert client.create("file").status == NtStatus.DELETE_PENDING
    assert_outcome(client, "file", OPEN_IF, 0, NtStatus.DELETE_PENDING)
    client.close(staying)
    assert server.files.names() == []
    assert client.create("file").status == MISSING


def test_a_mark_for_deletion_can_be_taken_off(server: TestedServer) -> None:
    server.files.add_file("file", b"", 0o777)
    client = server.client()
    file_id = client.open("file")
    for delete in (True, False):
        reply = client.set_info(file_id, FileInfoClass.DISPOSITION, DispositionInformation(delete))
        assert reply.status == NtStatus.SUCCESS
    client.close(file_id)
    assert server.files.names() == ["file"]


def test_a_folder_that_is_not_empty_is_not_deleted(server: TestedServer) -> None:
    server.files.add_directory("folder", 0o777)
    server.files.add_file("folder/file")
    client = server.client()
    folder = client.open("folder", options=DIRECTORY)
    reply = client.set_info(folder, FileInfoClass.DISPOSITION, DispositionInformation(True))
    assert reply.status == NtStatus.DIRECTORY_NOT_EMPTY
    client.close(folder)
    assert server.files.names() == ["folder"]


def test_an_empty_folder_is_deleted(server: TestedServer) -> None:
    client = server.client()
    folder = client.open("folder", disposition=CREATE, options=DIRECTORY | DELETE_ON_CLOSE)
    assert server.files.names() == ["folder"]
    client.close(folder)
    assert server.files.names() == []


def test_a_file_made_to_vanish_vanishes_with_its_client(server: TestedServer) -> None:
    client = server.client()
    client.open("file", disposition=CREATE, options=DELETE_ON_CLOSE)
    client.transport.close()
    server.settle(lambda engine: not engine.opens.count)
    assert server.files.names() == []


# --- attributes and read-only ---


def test_attributes_are_kept_and_archive_is_set(server: TestedServer) -> None:
    client = server.client()
    wanted = FileAttributes.HIDDEN | FileAttributes.SYSTEM
    client.close(client.open("file", disposition=CREATE, attributes=wanted))
    answer = client.create("file").expect(CreateResponse)
    assert answer.file_attributes == wanted | FileAttributes.ARCHIVE


def test_a_readonly_file_is_neither_written_nor_deleted(server: TestedServer) -> None:
    client = server.client()
    made = client.open("file", disposition=CREATE, attributes=FileAttributes.READONLY)
    assert client.write(made, b"its maker may").status == NtStatus.SUCCESS
    client.close(made)
    assert client.create("file", WRITE).status == NtStatus.ACCESS_DENIED
    assert client.create("file", DELETE, options=DELETE_ON_CLOSE).status == NtStatus.CANNOT_DELETE
    assert client.create("file", READ, disposition=OVERWRITE).status == NtStatus.ACCESS_DENIED
    file_id = client.open("file", DELETE)
    reply = client.set_info(file_id, FileInfoClass.DISPOSITION, DispositionInformation(True))
    assert reply.status == NtStatus.CANNOT_DELETE
    assert client.get("file") == b"its maker may"


def test_hidden_and_system_files_are_emptied_only_by_who_knows(server: TestedServer) -> None:
    client = server.client()
    client.close(client.open("file", disposition=CREATE, attributes=FileAttributes.HIDDEN))
    assert client.create("file", disposition=OVERWRITE).status == NtStatus.ACCESS_DENIED
    reply = client.create("file", disposition=OVERWRITE, attributes=FileAttributes.HIDDEN)
    assert reply.status == NtStatus.SUCCESS


@pytest.mark.parametrize("disposition", CreateDisposition)
def test_nothing_changes_through_a_readonly_share(server: TestedServer, disposition: CreateDisposition) -> None:
    server.files.add_file("file", b"kept", 0o777)
    client = server.client(share="readonly")
    new = client.create("new", READ, disposition=disposition).status
    assert new == (NtStatus.ACCESS_DENIED if ON_NOTHING[disposition] is CreateAction.CREATED else MISSING)
    there = client.create("file", READ, disposition=disposition).status
    if disposition in (OPEN, OPEN_IF):
        assert there == NtStatus.SUCCESS
    else:
        assert there == (COLLISION if disposition == CREATE else NtStatus.ACCESS_DENIED)
    for access in (WRITE, DELETE, AccessMask.FILE_WRITE_ATTRIBUTES, AccessMask.GENERIC_ALL):
        assert client.create("file", access).status == NtStatus.ACCESS_DENIED
    assert (server.files.names(), server.files.data("file")) == (["file"], b"kept")


# --- contexts ---


def contexts_of(answer: CreateResponse) -> dict[bytes, bytes]:
    return {name: bytes(data) for name, data in answer.contexts}


def test_maximal_access_tells_what_the_tree_allows(server: TestedServer) -> None:
    server.files.add_file("file", b"", 0o777)
    asked = [(create_contexts.QUERY_MAXIMAL_ACCESS, b"")]
    masks = {}
    for share in ("data", "readonly"):
        client = server.client(share=share)
        answer = client.create("file", READ, contexts=asked).expect(CreateResponse)
        status, masks[share] = create_contexts.decode_maximal_access(
            contexts_of(answer)[create_contexts.QUERY_MAXIMAL_ACCESS]
        )
        assert status == NtStatus.SUCCESS
        assert masks[share] & AccessMask.GENERIC_READ == 0
        assert masks[share] & READ
    assert masks["data"] & WRITE and masks["data"] & DELETE
    assert not masks["readonly"] & (WRITE | DELETE | AccessMask.FILE_WRITE_ATTRIBUTES)


def test_the_maximal_access_a_client_knows_is_not_computed_again(server: TestedServer) -> None:
    server.files.add_file("file", b"", 0o777)
    client = server.client()
    known = client.create("file", READ).expect(CreateResponse).last_write_time
    asked = [(create_contexts.QUERY_MAXIMAL_ACCESS, struct.pack("<Q", known))]
    answer = contexts_of(client.create("file", READ, contexts=asked).expect(CreateResponse))
    status, _ = create_contexts.decode_maximal_access(answer[create_contexts.QUERY_MAXIMAL_ACCESS])
    assert status == NtStatus.NONE_MAPPED


def test_the_disk_id_is_the_same_for_every_name_of_a_file(server: TestedServer) -> None:
    server.files.add_file("file", b"", 0o777)
    server.files.add_file("other", b"", 0o777)
    server.files.add_link("link", "file")
    asked = [(create_contexts.QUERY_ON_DISK_ID, b"")]
    client = server.client()
    ids = [
        contexts_of(client.create(name, READ, contexts=asked).expect(CreateResponse))[
            create_contexts.QUERY_ON_DISK_ID
        ]
        for name in ("file", "link", "other")
    ]
    assert ids[0] == ids[1] != ids[2]
    assert len(ids[0]) == 32


def test_an_allocation_size_sets_space_aside_and_leaves_the_file_empty(server: TestedServer) -> None:
    client = server.client()
    asked = [(create_contexts.ALLOCATION_SIZE, struct.pack("<Q", 1 << 20))]
    answer = client.create("file", disposition=CREATE, contexts=asked).expect(CreateResponse)
    assert answer.end_of_file == 0
    assert answer.allocation_size >= 1 << 20
    impossible = [(create_contexts.ALLOCATION_SIZE, struct.pack("<Q", 1 << 63))]
    assert client.create("huge", disposition=CREATE, contexts=impossible).status == NtStatus.DISK_FULL


def test_no_lease_and_no_durable_handle_is_made_up(server: TestedServer) -> None:
    asked = [(create_contexts.LEASE, bytes(32)), (create_contexts.DURABLE_REQUEST, bytes(16))]
    answer = server.client().create("f", disposition=CREATE, contexts=asked).expect(CreateResponse)
    assert answer.oplock_level == 0
    assert contexts_of(answer) == {}


@pytest.mark.parametrize("name", [create_contexts.ALLOCATION_SIZE, create_contexts.QUERY_MAXIMAL_ACCESS])
def test_a_context_of_the_wrong_size_opens_nothing(server: TestedServer, name: bytes) -> None:
    reply = server.client().create("file", disposition=CREATE, contexts=[(name, bytes(5))])
    assert reply.status == NtStatus.INVALID_PARAMETER
    assert server.files.names() == []


# --- handles ---


def test_close_tells_the_last_attributes_only_when_asked(server: TestedServer) -> None:
    client = server.client()
    client.put("file", b"12345")
    plain = client.close(client.open("file")).expect(CloseResponse)
    assert plain == CloseResponse()
    told = client.close(client.open("file"), attributes=True).expect(CloseResponse)
    assert told.end_of_file == 5
    assert told.allocation_size >= 5
    assert told.file_attributes == FileAttributes.ARCHIVE
    assert 0 < told.creation_time <= told.change_time


@pytest.mark.parametrize("change", [(0, 1), (1, 0), (1, 1)])
def test_a_file_id_that_is_not_exactly_one_is_none(server: TestedServer, change: tuple[int, int]) -> None:
    server.files.add_file("file", b"data", 0o777)
    client = server.client()
    right = client.open("file")
    wrong = FileId(right.persistent ^ change[0], right.volatile ^ change[1])
    assert client.read(wrong).status == NtStatus.FILE_CLOSED
    assert client.close(wrong).status == NtStatus.FILE_CLOSED
    assert client.read(right).expect(ReadResponse).data == b"data"
    assert client.close(right).status == NtStatus.SUCCESS
    assert client.close(right).status == NtStatus.FILE_CLOSED


def test_a_handle_belongs_to_its_tree(server: TestedServer) -> None:
    server.files.add_file("file", b"data", 0o777)
    client = server.client()
    file_id, tree_id = client.open("file"), client.tree_id
    client.tree_connect("second")
    assert client.read(file_id).status == NtStatus.FILE_CLOSED
    assert client.read(file_id, tree_id=tree_id).status == NtStatus.SUCCESS


def test_handles_are_limited_in_all(make_server: MakeServer) -> None:
    server = make_server(opens_max=4)
    client = server.client()  # its tree holds the share's root open, which counts
    held = [client.open("", READ, options=DIRECTORY) for _ in range(3)]
    assert client.create("", READ, options=DIRECTORY).status == NtStatus.INSUFFICIENT_RESOURCES
    assert client.create("new", disposition=CREATE).status == NtStatus.INSUFFICIENT_RESOURCES
    assert server.files.names() == [], "nothing was made that could not be opened"
    client.close(held[0])
    assert client.create("", READ, options=DIRECTORY).status == NtStatus.SUCCESS


def test_trees_hold_descriptors_too_and_are_limited_with_handles(make_server: MakeServer) -> None:
    server = make_server(opens_max=2)
    client = server.client()
    client.open("", READ, options=DIRECTORY)
    assert client.tree_connect("data").status == NtStatus.INSUFFICIENT_RESOURCES


def test_handles_are_limited_per_session(server: TestedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OPENS_PER_SESSION_MAX", 2)
    client, other = server.client(), server.client()
    for _ in range(2):
        client.open("", READ, options=DIRECTORY)
    assert client.create("", READ, options=DIRECTORY).status == NtStatus.TOO_MANY_OPENED_FILES
    assert other.create("", READ, options=DIRECTORY).status == NtStatus.SUCCESS


def test_pipes_are_not_there_yet(server: TestedServer) -> None:
    client = server.client(share="IPC$")
    assert client.create("srvsvc").status == MISSING
