"""Files get other names and more names ([MS-FSA] 2.1.5.15.11, 2.1.5.15.7)."""

from __future__ import annotations

import pytest

from smbd_uring.wire.const import (
    AccessMask,
    CreateDisposition,
    CreateOptions,
    FileAttributes,
    FileInfoClass,
    ShareAccess,
)
from smbd_uring.wire.create import CreateResponse
from smbd_uring.wire.data import ReadResponse
from smbd_uring.wire.fscc import BasicInformation, LinkInformation, RenameInformation
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from tests.engine.servers import TestedServer
from tests.support.file_client import FileClient, Messages

DIRECTORY = CreateOptions.FILE_DIRECTORY_FILE
CREATE = CreateDisposition.CREATE
DELETE = AccessMask.DELETE
COLLISION = NtStatus.OBJECT_NAME_COLLISION


def rename(client: FileClient, file_id: FileId, name: str, *, replace: bool = False, root: int = 0) -> int:
    """Status of a rename."""
    return client.set_info(file_id, FileInfoClass.RENAME, RenameInformation(replace, name, root)).status


def link(client: FileClient, file_id: FileId, name: str, *, replace: bool = False) -> int:
    """Status of one more name."""
    return client.set_info(file_id, FileInfoClass.LINK, LinkInformation(replace, name)).status


def test_a_file_moves_with_its_handle(server: TestedServer) -> None:
    server.files.add_directory("folder", 0o777)
    client = server.client()
    client.put("old", b"data")
    file_id = client.open("old")
    assert rename(client, file_id, r"folder\new") == NtStatus.SUCCESS
    assert server.files.names() == ["folder"]
    assert server.files.data("folder/new") == b"data"
    assert client.read(file_id).expect(ReadResponse).data == b"data"
    assert rename(client, file_id, "back") == NtStatus.SUCCESS, "the handle knows its new name"
    assert client.close(file_id).status == NtStatus.SUCCESS
    assert client.get("back") == b"data"


def test_only_the_case_of_a_name_can_change(server: TestedServer) -> None:
    client = server.client()
    client.put("name", b"data")
    assert rename(client, client.open("name"), "NAME") == NtStatus.SUCCESS
    assert server.files.names() == ["NAME"]


def test_delete_on_close_follows_the_name(server: TestedServer) -> None:
    client = server.client()
    file_id = client.open("old", disposition=CREATE, options=CreateOptions.FILE_DELETE_ON_CLOSE)
    assert rename(client, file_id, "new") == NtStatus.SUCCESS
    client.put("old", b"another")
    client.close(file_id)
    assert server.files.names() == ["old"]


@pytest.mark.parametrize("act", [rename, link])
def test_a_name_that_is_taken_is_a_collision_unless_it_may_be_replaced(server: TestedServer, act) -> None:
    client = server.client()
    client.put("file", b"new")
    client.put("taken", b"old")
    file_id = client.open("file")
    assert act(client, file_id, "TAKEN") == COLLISION
    assert server.files.data("taken") == b"old"
    assert act(client, file_id, "taken", replace=True) == NtStatus.SUCCESS
    assert server.files.data("taken") == b"new"


@pytest.mark.parametrize("act", [rename, link])
def test_what_the_client_has_open_and_a_folder_are_not_replaced(server: TestedServer, act) -> None:
    client = server.client()
    client.put("file", b"new")
    client.put("in use", b"old")
    client.open("in use")
    client.close(client.open("folder", disposition=CREATE, options=DIRECTORY))
    file_id = client.open("file")
    assert act(client, file_id, "in use", replace=True) == NtStatus.ACCESS_DENIED
    assert act(client, file_id, "folder", replace=True) == COLLISION
    assert server.files.names() == ["file", "folder", "in use"]


def test_what_another_client_has_open_loses_its_name_and_stays_readable(server: TestedServer) -> None:
    client, other = server.client(client_guid=b"1" * 16), server.client(client_guid=b"2" * 16)
    client.put("file", b"new")
    client.put("in use", b"old")
    held = other.open("in use")
    assert rename(client, client.open("file"), "in use", replace=True) == NtStatus.SUCCESS
    assert other.read(held).expect(ReadResponse).data == b"old"
    assert server.files.data("in use") == b"new"


@pytest.mark.parametrize("act", [rename, link])
@pytest.mark.parametrize(
    ("name", "status"),
    [
        (r"no folder\new", NtStatus.OBJECT_PATH_NOT_FOUND), (r"other\new", NtStatus.OBJECT_PATH_NOT_FOUND),
        ("a*", NtStatus.OBJECT_NAME_INVALID), (r"..\new", NtStatus.OBJECT_PATH_SYNTAX_BAD),
        ("x" * 256, NtStatus.OBJECT_NAME_INVALID), ("", NtStatus.INVALID_PARAMETER),
        ("file:stream", NtStatus.OBJECT_NAME_INVALID),
    ],
)  # fmt: skip
def test_a_bad_new_name_leaves_the_old_one(server: TestedServer, act, name: str, status: NtStatus) -> None:
    client = server.client()
    client.put("file", b"data")
    client.put("other")
    assert act(client, client.open("file"), name) == status
    assert server.files.names() == ["file", "other"]


def test_renaming_needs_the_right_to_delete_or_to_change_attributes_and_a_tree_that_changes(
    server: TestedServer,
) -> None:
    client = server.client()
    client.put("file")
    for access in (AccessMask.GENERIC_READ, AccessMask.FILE_WRITE_DATA):
        assert rename(client, client.open("file", access), "new") == NtStatus.ACCESS_DENIED
    reader = server.client(share="readonly")
    assert rename(reader, reader.open("file", AccessMask.GENERIC_READ), "new") == NtStatus.ACCESS_DENIED
    root = client.open("", AccessMask.MAXIMUM_ALLOWED)
    assert rename(client, root, "new") in (NtStatus.ACCESS_DENIED, NtStatus.SHARING_VIOLATION)
    client.close(root)
    assert rename(client, client.open("file", AccessMask.FILE_WRITE_ATTRIBUTES), "new") == NtStatus.SUCCESS
    assert rename(client, client.open("new"), "file", root=5) == NtStatus.SUCCESS, "no root but the share's counts"


def test_a_file_with_another_name_is_to_be_archived_again(server: TestedServer) -> None:
    client = server.client()
    client.put("file")
    file_id = client.open("file")
    wanted = BasicInformation(0, 0, 0, 0, FileAttributes.NORMAL)
    assert client.set_info(file_id, FileInfoClass.BASIC, wanted).status == NtStatus.SUCCESS
    assert rename(client, file_id, "file") == NtStatus.SUCCESS, "which changes nothing"
    assert client.create("file").expect(CreateResponse).file_attributes == FileAttributes.NORMAL
    assert rename(client, file_id, "new") == NtStatus.SUCCESS
    assert client.create("new").expect(CreateResponse).file_attributes == FileAttributes.ARCHIVE


def test_a_folder_cannot_be_moved_below_itself(server: TestedServer) -> None:
    client = server.client()
    folder = client.open("folder", disposition=CREATE, options=DIRECTORY)
    client.close(client.open(r"folder\below", disposition=CREATE, options=DIRECTORY))
    assert rename(client, folder, r"folder\below\new") == NtStatus.ACCESS_DENIED


def test_what_is_wrong_with_the_last_component_comes_after_the_folder(server: TestedServer) -> None:
    client = server.client()
    client.put("file")
    file_id = client.open("file")
    assert rename(client, file_id, r"no folder\.") == NtStatus.OBJECT_PATH_NOT_FOUND
    assert rename(client, file_id, ".") == NtStatus.OBJECT_NAME_INVALID
    for name in (r"no folder\.", r"file\."):
        assert client.create(name).status == NtStatus.OBJECT_PATH_NOT_FOUND


def test_a_folder_moves_with_what_is_in_it_unless_that_is_open(server: TestedServer) -> None:
    client = server.client()
    client.close(client.open("folder", disposition=CREATE, options=DIRECTORY))
    client.put(r"folder\file", b"data")
    inside = client.open(r"folder\file")
    folder = client.open("folder", DELETE, options=DIRECTORY)
    assert rename(client, folder, "moved") == NtStatus.ACCESS_DENIED
    client.close(inside)
    assert rename(client, folder, "moved") == NtStatus.SUCCESS
    assert client.get(r"moved\file") == b"data"


def test_a_folder_does_not_move_into_itself(server: TestedServer) -> None:
    client = server.client()
    folder = client.open("folder", disposition=CREATE, options=DIRECTORY)
    status = rename(client, folder, r"folder\deeper")
    assert status in (NtStatus.INVALID_PARAMETER, NtStatus.SHARING_VIOLATION, NtStatus.ACCESS_DENIED)
    assert server.files.names() == ["folder"]


def test_other_handles_of_a_renamed_file_know_the_new_name(server: TestedServer) -> None:
    client, other = server.client(), server.client(share="second")
    client.put("old", b"data")
    theirs = other.open("old")
    ours = client.open("old")
    assert rename(client, ours, "new") == NtStatus.SUCCESS
    client.close(ours)
    assert rename(other, theirs, "newer") == NtStatus.SUCCESS
    assert server.files.names() == ["newer"]


def test_a_file_has_as_many_names_as_it_is_given(server: TestedServer) -> None:
    client = server.client()
    client.put("file", b"data")
    file_id = client.open("file")
    assert link(client, file_id, "second name") == NtStatus.SUCCESS
    assert client.get("second name") == b"data"
    assert client.write(file_id, b"DATA").status == NtStatus.SUCCESS
    client.close(file_id)
    assert server.files.data("second name") == b"DATA"
    doomed = client.open("file", options=CreateOptions.FILE_DELETE_ON_CLOSE)
    client.close(doomed)
    assert server.files.names() == ["second name"]


def test_a_folder_has_one_name(server: TestedServer) -> None:
    client = server.client()
    folder = client.open("folder", disposition=CREATE, options=DIRECTORY)
    assert link(client, folder, "another") == NtStatus.FILE_IS_A_DIRECTORY


def test_two_clients_that_make_one_name_in_two_cases_at_once_get_one_file(server: TestedServer) -> None:
    clients = [server.client() for _ in range(4)]
    spellings = ["Name", "NAME", "name", "nAME"]
    sent = [
        (client, client.send(Messages.create(name, disposition=CREATE))[0])
        for client, name in zip(clients, spellings, strict=True)
    ]
    statuses = sorted(client.wait_for(message_id).status for client, message_id in sent)
    assert statuses == [NtStatus.SUCCESS] + [COLLISION] * 3
    assert len(server.files.names()) == 1


def test_opening_while_the_last_close_deletes_gets_the_old_file_or_a_new_one_never_neither(
    server: TestedServer,
) -> None:
    deleting, opening = server.client(), server.client()
    for _ in range(20):
        doomed = deleting.open("file", disposition=CreateDisposition.OPEN_IF, share=ShareAccess.DELETE | 3,
                               options=CreateOptions.FILE_DELETE_ON_CLOSE)  # fmt: skip
        (closing,) = deleting.send(Messages.close(doomed))
        reply = opening.create("file", disposition=CreateDisposition.OPEN_IF)
        assert deleting.wait_for(closing).status == NtStatus.SUCCESS
        assert reply.status in (NtStatus.SUCCESS, NtStatus.DELETE_PENDING)
        if reply.status == NtStatus.SUCCESS:
            file_id = reply.expect(CreateResponse).file_id
            assert opening.write(file_id, b"data").status == NtStatus.SUCCESS
            opening.close(file_id)


def test_a_folder_moves_while_others_make_files_in_it_and_none_is_lost(server: TestedServer) -> None:
    mover, maker = server.client(), server.client()
    folder = mover.open("a", disposition=CREATE, options=DIRECTORY)
    kept = []
    for turn in range(20):
        old, new = ("a", "b") if turn % 2 == 0 else ("b", "a")
        made = maker.send(Messages.create(rf"{old}\file{turn}", disposition=CREATE))[0]
        moved = mover.send(Messages.set_info(folder, FileInfoClass.RENAME, RenameInformation(False, new)))[0]
        created, renamed = maker.wait_for(made), mover.wait_for(moved).status
        assert created.status in (NtStatus.SUCCESS, NtStatus.OBJECT_PATH_NOT_FOUND)
        assert renamed in (NtStatus.SUCCESS, NtStatus.ACCESS_DENIED)
        if created.status == NtStatus.SUCCESS:
            kept.append(f"file{turn}")
            maker.close(created.expect(CreateResponse).file_id)
        if renamed == NtStatus.ACCESS_DENIED:
            assert rename(mover, folder, new) == NtStatus.SUCCESS
    assert server.files.names("a") == sorted(kept)


def test_a_symlink_to_nowhere_takes_its_name(server: TestedServer) -> None:
    server.files.add_symlink("link", "nowhere")
    client = server.client()
    assert client.create("link").status == NtStatus.OBJECT_NAME_NOT_FOUND
    taken = (NtStatus.OBJECT_NAME_COLLISION, NtStatus.OBJECT_NAME_NOT_FOUND)  # as far as the share follows symlinks
    assert client.create("link", disposition=CREATE).status in taken
