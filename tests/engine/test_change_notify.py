"""CHANGE_NOTIFY: what clients are told of changes that clients make ([MS-SMB2] 3.3.5.19, [MS-FSA] 2.1.5.11)."""

from __future__ import annotations

import pytest

from smbd_uring.wire.const import AccessMask, CreateDisposition, CreateOptions, FileAttributes, FileInfoClass
from smbd_uring.wire.fscc import (
    BasicInformation,
    CompletionFilter,
    DispositionInformation,
    EndOfFileInformation,
    LinkInformation,
    RenameInformation,
)
from smbd_uring.wire.ntstatus import NtStatus
from tests.engine.servers import TestedServer
from tests.engine.watching import LENGTH, Watch, events_in
from tests.support.file_client import FileClient, Messages

DIRECTORY = CreateOptions.FILE_DIRECTORY_FILE
CREATE = CreateDisposition.CREATE
DELETE_ON_CLOSE = CreateOptions.FILE_DELETE_ON_CLOSE
HOUR_1970 = 0x019D_B1DE_D53E_8000 + 36_000_000_000


def rename(client: FileClient, old: str, new: str, *, replace: bool = False) -> None:
    file_id = client.open(old)
    assert client.set_info(file_id, FileInfoClass.RENAME, RenameInformation(replace, new, 0)).status == 0
    assert client.close(file_id).status == 0


def remove(client: FileClient, name: str) -> None:
    file_id = client.open(name, AccessMask.DELETE, options=DELETE_ON_CLOSE)
    assert client.close(file_id).status == 0


def test_names_that_come_go_and_change_are_told_in_their_order(server: TestedServer) -> None:
    watch, other = Watch(server.client(), completion_filter=0x3), server.client()
    other.put("file")
    other.close(other.open("folder", disposition=CREATE, options=DIRECTORY))
    rename(other, "file", "other")
    remove(other, "other")
    remove(other, "folder")
    assert watch.collect(6) == [
        ("ADDED", "file"), ("ADDED", "folder"), ("RENAMED_OLD_NAME", "file"), ("RENAMED_NEW_NAME", "other"),
        ("REMOVED", "other"), ("REMOVED", "folder"),
    ]  # fmt: skip
    assert watch.rest() == []


def test_a_tree_is_told_with_paths_and_a_folder_only_of_its_own_names(server: TestedServer) -> None:
    server.files.add_directory("a", 0o777)
    server.files.add_directory("a/b", 0o777)
    client, other = server.client(), server.client()
    tree, folder = Watch(client, tree=True, completion_filter=0x3), Watch(client, "a", completion_filter=0x3)
    other.put(r"a\b\file")
    other.put(r"a\near")
    other.close(other.open(r"a\b\new", disposition=CREATE, options=DIRECTORY))
    other.put(r"a\b\new\deep")
    assert tree.collect(4) == [
        ("ADDED", r"a\b\file"), ("ADDED", r"a\near"), ("ADDED", r"a\b\new"), ("ADDED", r"a\b\new\deep")
    ]  # fmt: skip
    assert folder.collect(1) == [("ADDED", "near")]
    assert folder.rest() == []


def test_a_rename_between_folders_is_one_that_goes_and_one_that_comes(server: TestedServer) -> None:
    for name in ("a", "b"):
        server.files.add_directory(name, 0o777)
    client, other = server.client(), server.client()
    tree = Watch(client, tree=True, completion_filter=1)
    a, b = (Watch(client, name, completion_filter=1) for name in ("a", "b"))
    other.put(r"a\x")
    rename(other, r"a\x", r"b\y")
    assert tree.collect(3) == [("ADDED", r"a\x"), ("REMOVED", r"a\x"), ("ADDED", r"b\y")]
    assert a.collect(2) == [("ADDED", "x"), ("REMOVED", "x")]
    assert b.collect(1) == [("ADDED", "y")]


def test_the_filter_and_the_tree_flag_of_the_first_request_hold(server: TestedServer) -> None:
    client, other = server.client(), server.client()
    watch = Watch(client, completion_filter=CompletionFilter.DIR_NAME)
    assert watch.rest() == []
    other.put("file")
    other.close(other.open("folder", disposition=CREATE, options=DIRECTORY))
    reply = client.ask(Messages.change_notify(watch.file_id, tree=True, completion_filter=0xFFF))
    assert events_in(reply) == [("ADDED", "folder")]


def test_a_filter_without_a_valid_bit_waits_for_ever(server: TestedServer) -> None:
    watch, other = Watch(server.client(), completion_filter=0xFFFF_F000), server.client()
    other.put("file", b"data")
    assert watch.rest() == []


@pytest.mark.parametrize(
    ("information", "told_as"),
    [
        (BasicInformation(file_attributes=FileAttributes.HIDDEN), CompletionFilter.ATTRIBUTES),
        (BasicInformation(creation_time=HOUR_1970), CompletionFilter.CREATION),
        (BasicInformation(last_access_time=HOUR_1970), CompletionFilter.LAST_ACCESS),
        (BasicInformation(last_write_time=HOUR_1970), CompletionFilter.LAST_WRITE),
    ],
    ids=["attributes", "creation", "access", "write"],
)
def test_what_is_set_is_told_once_and_as_what_it_is(
    server: TestedServer, information: BasicInformation, told_as: int
) -> None:
    client, other = server.client(), server.client()
    other.put("file")
    file_id = other.open("file")
    right, others = Watch(client, completion_filter=told_as), Watch(client, completion_filter=0xFFF & ~told_as)
    assert other.set_info(file_id, FileInfoClass.BASIC, information).status == 0
    assert right.collect(1) == [("MODIFIED", "file")]
    assert others.rest() == []
    assert right.rest() == []


def test_a_new_file_is_told_once(server: TestedServer) -> None:
    """Its attributes are stored as an extended attribute, which is nobody's business."""
    watch, other = Watch(server.client()), server.client()
    other.close(other.open("file", disposition=CREATE))
    assert watch.collect(1) == [("ADDED", "file")]
    assert watch.rest() == []


def test_what_the_server_does_of_itself_to_a_file_is_not_told(server: TestedServer) -> None:
    """A changed file is marked for the archive, and a time that was set is set again when its handle is closed."""
    client, other = server.client(), server.client()
    other.put("file")
    file_id = other.open("file")
    unmarked = BasicInformation(file_attributes=FileAttributes.NORMAL, last_write_time=HOUR_1970)
    assert other.set_info(file_id, FileInfoClass.BASIC, unmarked).status == 0
    watch = Watch(client, completion_filter=CompletionFilter.SECURITY | CompletionFilter.CREATION)
    assert other.write(file_id, b"data").status == 0
    assert other.close(file_id).status == 0
    assert watch.rest() == []


def test_data_that_is_written_is_told_whoever_serves_the_write(server: TestedServer) -> None:
    """With a data plane the engine never sees the WRITE."""
    other = server.client()
    file_id = other.open("file", disposition=CREATE)
    watch = Watch(server.client(), completion_filter=CompletionFilter.SIZE)
    assert other.write(file_id, b"data").status == 0
    assert watch.collect(1) == [("MODIFIED", "file")]


def test_a_file_that_is_written_to_all_the_time_is_told_once_a_second(server: TestedServer) -> None:
    other = server.client()
    file_id = other.open("file", disposition=CREATE)
    watch = Watch(server.client(), completion_filter=CompletionFilter.LAST_WRITE)
    assert other.write(file_id, b"1").status == 0
    assert watch.collect(1) == [("MODIFIED", "file")]
    for offset in range(10):
        assert other.write(file_id, b"2", offset).status == 0
    assert watch.rest() == [], "nothing new within the second"
    server.advance(1.1)
    assert watch.collect(1) == [("MODIFIED", "file")]
    server.advance(1.1)
    assert watch.rest() == []


def test_a_new_size_and_an_emptied_file_are_told(server: TestedServer) -> None:
    other = server.client()
    other.put("file", b"data")
    watch = Watch(server.client(), completion_filter=CompletionFilter.SIZE)
    file_id = other.open("file")
    assert other.set_info(file_id, FileInfoClass.END_OF_FILE, EndOfFileInformation(9)).status == 0
    assert watch.collect(1) == [("MODIFIED", "file")]
    assert other.close(file_id).status == 0
    other.close(other.open("file", disposition=CreateDisposition.OVERWRITE))
    assert watch.collect(1) == [("MODIFIED", "file")]


def test_one_more_name_of_a_file_is_a_name_that_comes(server: TestedServer) -> None:
    other = server.client()
    other.put("file")
    other.put("taken")
    watch = Watch(server.client(), completion_filter=1)
    file_id = other.open("file")
    assert other.set_info(file_id, FileInfoClass.LINK, LinkInformation(False, "more", 0)).status == 0
    assert watch.collect(1) == [("ADDED", "more")]
    assert other.set_info(file_id, FileInfoClass.LINK, LinkInformation(True, "taken", 0)).status == 0
    assert watch.collect(1) == [("ADDED", "taken")], "the name it had for a moment is nobody's business"


def test_a_renamed_file_is_told_as_modified_when_its_handle_is_closed(server: TestedServer) -> None:
    """Windows reports what a rename did to the file with the last of its handle."""
    other = server.client()
    other.put("old")
    watch = Watch(server.client(), completion_filter=CompletionFilter.ATTRIBUTES)
    file_id = other.open("old")
    assert other.set_info(file_id, FileInfoClass.RENAME, RenameInformation(False, "new", 0)).status == 0
    assert watch.rest() == []
    assert other.close(file_id).status == 0
    assert watch.collect(1) == [("MODIFIED", "new")]


def test_requests_of_one_handle_are_answered_in_their_order(server: TestedServer) -> None:
    client, other = server.client(), server.client()
    watch = Watch(client, completion_filter=1)
    assert watch.rest() == []
    first, second = (client.send(Messages.change_notify(watch.file_id))[0] for _ in range(2))
    client.wait_for_interim(second)
    other.put("one")
    assert events_in(client.wait_for(first)) == [("ADDED", "one")]
    other.put("two")
    assert events_in(client.wait_for(second)) == [("ADDED", "two")]


def test_what_does_not_fit_is_for_the_client_to_look_at(server: TestedServer) -> None:
    client, other = server.client(), server.client()
    watch = Watch(client, completion_filter=1, size=100)
    for number in range(9):
        other.put(f"file{number}")
    assert watch.collect(1) == [("ADDED", "file0")]
    watch.ask()
    assert watch.answer().status == NtStatus.NOTIFY_ENUM_DIR
    other.put("after")
    assert watch.collect(1) == [("ADDED", "after")], "it goes on from there"


def test_a_request_without_room_is_told_that_something_happened(server: TestedServer) -> None:
    client, other = server.client(), server.client()
    watch = Watch(client, completion_filter=1)
    assert watch.rest() == []
    watch.ask(size=0)
    other.put("file")
    assert watch.answer().status == NtStatus.NOTIFY_ENUM_DIR


def test_a_folder_that_goes_ends_the_watch_on_it(server: TestedServer) -> None:
    server.files.add_directory("folder", 0o777)
    client, other = server.client(), server.client()
    watch = Watch(client, "folder")
    file_id = other.open("folder")
    assert other.set_info(file_id, FileInfoClass.DISPOSITION, DispositionInformation(True)).status == 0
    assert watch.answer().status == NtStatus.DELETE_PENDING
    assert client.ask(Messages.change_notify(watch.file_id)).status == NtStatus.DELETE_PENDING


@pytest.mark.parametrize("end", ["close", "tree disconnect", "logoff"])
def test_the_end_of_a_handle_ends_its_requests(server: TestedServer, end: str) -> None:
    client = server.client()
    watch = Watch(client, tree=True)
    ends = {
        "close": lambda: client.close(watch.file_id), "tree disconnect": client.tree_disconnect,
        "logoff": client.log_off,
    }  # fmt: skip
    assert ends[end]().status == 0
    assert watch.answer().status == NtStatus.NOTIFY_CLEANUP
    server.settle(lambda engine: engine.notifications.watcher_count == 0)
    assert server.inspect(lambda engine: engine.notifications.folder_count) == 0


def test_what_cannot_be_asked_for_is_refused(server: TestedServer) -> None:
    client = server.client()
    client.put("file")
    largest = server.inspect(lambda engine: engine.config.transact_bytes_max)
    folder = client.open("", AccessMask.GENERIC_READ, options=DIRECTORY)
    blind = client.open("", AccessMask.FILE_READ_ATTRIBUTES, options=DIRECTORY)
    for request, status in (
        (Messages.change_notify(client.open("file")), NtStatus.INVALID_PARAMETER),
        (Messages.change_notify(folder, size=largest + 1), NtStatus.INVALID_PARAMETER),
        (Messages.change_notify(blind), NtStatus.ACCESS_DENIED),
    ):
        assert client.ask(request).status == status
    unpaid = Messages.change_notify(folder, size=LENGTH + 1)
    unpaid.credit_charge = 1
    assert client.ask(unpaid).status == NtStatus.INVALID_PARAMETER


def test_the_servers_state_tells_who_watches(server: TestedServer) -> None:
    server.files.add_directory("folder", 0o777)
    client = server.client()
    Watch(client, tree=True)
    Watch(client, "folder")
    server.settle(lambda engine: engine.notifications.is_settled and engine.notifications.folder_count == 2)
    totals = server.inspect(lambda engine: engine.status())["totals"]
    assert (totals["watches"], totals["folders_watched"]) == (2, 2)
