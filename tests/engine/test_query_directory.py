"""What is in a folder, in every layout, in replies of every size ([MS-SMB2] 3.3.5.18)."""

from __future__ import annotations

import pytest

from smbd_uring import limits
from smbd_uring.wire.const import AccessMask, CreateOptions, FileAttributes, FileInfoClass, QueryDirectoryFlags
from smbd_uring.wire.fscc import DIRECTORY_CLASSES, decode_directory_listing
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from smbd_uring.wire.query import QueryDirectoryResponse
from tests.engine.servers import TestedServer
from tests.support.file_client import FileClient

DIRECTORY = CreateOptions.FILE_DIRECTORY_FILE
RESTART, SINGLE, REOPEN = (
    QueryDirectoryFlags.RESTART_SCANS, QueryDirectoryFlags.RETURN_SINGLE_ENTRY, QueryDirectoryFlags.REOPEN,
)  # fmt: skip
READ = AccessMask.GENERIC_READ
DOTS = {".", ".."}


def folder_of(server: TestedServer, *names: str) -> tuple[FileClient, FileId]:
    """A client with an open folder in which there are files of these names."""
    server.files.add_directory("folder", 0o777)
    for name in names:
        server.files.add_file(f"folder/{name}", b"", 0o666)
    client = server.client()
    return client, client.open("folder", READ, options=DIRECTORY)


def names(client: FileClient, folder: FileId, pattern: str = "*", **options: int) -> list[str]:
    """The names in one reply."""
    buffer = client.query_directory(folder, pattern, **options).expect(QueryDirectoryResponse).buffer
    return [entry.file_name for entry in decode_directory_listing(FileInfoClass.ID_BOTH_DIRECTORY, buffer)]


@pytest.mark.parametrize("info_class", sorted(DIRECTORY_CLASSES))
def test_every_class_tells_what_it_has_room_for(server: TestedServer, info_class: int) -> None:
    server.files.add_directory("folder", 0o777)
    server.files.add_file("folder/file", b"12345", 0o666)
    server.files.add_directory("folder/below", 0o777)
    client = server.client()
    folder = client.open("folder", READ, options=DIRECTORY)
    found = {entry.file_name: entry for entry in client.listing(folder, info_class=info_class)}
    assert set(found) == {"file", "below"} | DOTS
    if info_class != FileInfoClass.NAMES:
        assert found["file"].end_of_file == 5
        assert found["file"].allocation_size >= 5
        assert found["below"].end_of_file == 0
        for name, entry in found.items():
            assert bool(entry.file_attributes & FileAttributes.DIRECTORY) == (name != "file")
            assert 0 < entry.creation_time <= entry.change_time
    if info_class >= FileInfoClass.ID_BOTH_DIRECTORY and found["file"].file_id:
        assert len({entry.file_id for name, entry in found.items() if name not in DOTS}) == 2


def test_dots_come_first_and_the_end_is_said_once_and_again(server: TestedServer) -> None:
    client, folder = folder_of(server, "a", "b")
    first = names(client, folder)
    assert first[:2] == [".", ".."] and set(first[2:]) == {"a", "b"}
    for _ in range(2):
        assert client.query_directory(folder).status == NtStatus.NO_MORE_FILES


def test_an_empty_folder_and_the_root_have_dots_too(server: TestedServer) -> None:
    client, folder = folder_of(server)
    assert names(client, folder) == [".", ".."]
    assert set(names(client, client.open("", READ, options=DIRECTORY))) == {"folder"} | DOTS


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", {"a.txt", "B.TXT", "c.doc", "ä", "noext"} | DOTS), ("*.txt", {"a.txt", "B.TXT"}),
        ("A.TXT", {"a.txt"}), ("b.txt", {"B.TXT"}), ("?.txt", {"a.txt", "B.TXT"}), ("Ä", {"ä"}),
        ("*.*", {"a.txt", "B.TXT", "c.doc"}), ("<.txt", {"a.txt", "B.TXT"}), ("n*t", {"noext"}),
        ("?", {"ä"}), ("*.???", {"a.txt", "B.TXT", "c.doc"}),
    ],
)  # fmt: skip
def test_patterns_follow_the_rules_and_not_the_case(server: TestedServer, pattern: str, expected: set[str]) -> None:
    client, folder = folder_of(server, "a.txt", "B.TXT", "c.doc", "ä", "noext")
    found = {entry.file_name for entry in client.listing(folder, pattern)}
    if expected & DOTS != DOTS:
        found -= DOTS
    assert found == expected


@pytest.mark.parametrize("pattern", ["missing", "x*", "*.zip", "a.txtx", "a.txt\\", "..\\outside"])
def test_what_matches_nothing_is_no_such_file(server: TestedServer, pattern: str) -> None:
    client, folder = folder_of(server, "a.txt")
    assert client.query_directory(folder, pattern).status == NtStatus.NO_SUCH_FILE


def test_a_pattern_holds_until_the_listing_begins_anew(server: TestedServer) -> None:
    client, folder = folder_of(server, "a", "b", "c")
    assert names(client, folder, "b") == ["b"]
    assert client.query_directory(folder, "*").status == NtStatus.NO_MORE_FILES
    assert names(client, folder, "", query_flags=RESTART) == ["b"]
    assert set(names(client, folder, "*", query_flags=RESTART)) == {"a", "b", "c"} | DOTS
    assert names(client, folder, "c", query_flags=REOPEN) == ["c"]


def test_a_new_listing_sees_what_is_new(server: TestedServer) -> None:
    client, folder = folder_of(server, "a")
    assert "b" not in names(client, folder)
    client.put(r"folder\b")
    assert "b" in names(client, folder, query_flags=RESTART)


def test_one_at_a_time(server: TestedServer) -> None:
    client, folder = folder_of(server, "a", "b", "c")
    found = [names(client, folder, query_flags=SINGLE) for _ in range(5)]
    assert all(len(reply) == 1 for reply in found)
    assert {reply[0] for reply in found} == {"a", "b", "c"} | DOTS
    assert client.query_directory(folder, query_flags=SINGLE).status == NtStatus.NO_MORE_FILES


@pytest.mark.parametrize("size", [150, 221, 255, 256, 1000, 4096])  # 221 ends in the padding behind ".."
def test_small_buffers_take_more_replies_and_lose_nothing(server: TestedServer, size: int) -> None:
    wanted = [f"{number:03d}{'x' * (number % 15)}" for number in range(100)]
    client, folder = folder_of(server, *wanted)
    found = [entry.file_name for entry in client.listing(folder, size=size)]
    assert sorted(set(found) - DOTS) == wanted
    assert len(found) == len(set(found))


@pytest.mark.parametrize("size", [0, 1, 104])
def test_a_buffer_too_small_for_one_entry_is_a_mismatch_and_does_not_lose_it(
    server: TestedServer, size: int
) -> None:
    client, folder = folder_of(server, "a")
    assert client.query_directory(folder, "a", size=size).status == NtStatus.INFO_LENGTH_MISMATCH
    assert names(client, folder, "a") == ["a"]


def test_entries_that_vanish_meanwhile_are_left_out(server: TestedServer) -> None:
    wanted = [f"{number:04d}" for number in range(1200)]
    client, folder = folder_of(server, *wanted)
    seen = set(names(client, folder, size=200))
    other = server.client()
    for name in ("0000", "0700", "1199"):
        file_id = other.open(rf"folder\{name}", options=CreateOptions.FILE_DELETE_ON_CLOSE, access=AccessMask.DELETE)
        other.close(file_id)
    seen |= {entry.file_name for entry in client.listing(folder)}
    assert set(wanted) - seen <= {"0000", "0700", "1199"}
    assert seen - set(wanted) == DOTS


def test_a_huge_folder_is_listed_whole_and_once(server: TestedServer) -> None:
    wanted = [f"file number {number}" for number in range(20000)]
    client, folder = folder_of(server, *wanted)
    client.echo(credits=64)
    found = [entry.file_name for entry in client.listing(folder, size=1 << 20)]
    assert len(found) == 20002
    assert set(found) == set(wanted) | DOTS


def test_only_a_directory_opened_for_listing_is_listed(server: TestedServer) -> None:
    client, _ = folder_of(server, "a")
    file_id = client.open(r"folder\a", READ)
    assert client.query_directory(file_id).status == NtStatus.INVALID_PARAMETER
    blind = client.open("folder", AccessMask.FILE_READ_ATTRIBUTES, options=DIRECTORY)
    assert client.query_directory(blind).status == NtStatus.ACCESS_DENIED


def test_unknown_classes_and_long_patterns_are_refused(server: TestedServer) -> None:
    client, folder = folder_of(server, "a")
    for info_class in (0, 4, 99, 255):
        reply = client.query_directory(folder, info_class=info_class)
        assert reply.status == NtStatus.INVALID_INFO_CLASS
    assert client.query_directory(folder, "x" * 256).status == NtStatus.OBJECT_NAME_INVALID


def test_a_buffer_must_be_paid_for(server: TestedServer) -> None:
    client, folder = folder_of(server, "a")
    reply = client.query_directory(folder, size=65537, credit_charge=1)
    assert reply.status == NtStatus.INVALID_PARAMETER
    assert client.query_directory(folder, size=65537, credit_charge=2).status == NtStatus.SUCCESS


def test_two_handles_of_one_folder_are_listed_apart(server: TestedServer) -> None:
    client, folder = folder_of(server, "a", "b")
    other = client.open("folder", READ, options=DIRECTORY)
    assert len(names(client, folder, query_flags=SINGLE)) == 1
    assert len(names(client, other)) == 4
    assert len(names(client, folder)) == 3


def test_what_the_listings_of_a_connection_remember_is_bounded(
    server: TestedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DIRECTORY_ENTRIES_MAX", 7)
    monkeypatch.setattr(limits, "DIRECTORY_BATCH_ENTRIES", 1)
    for number in range(4):
        server.files.add_file(f"file{number}", b"", 0o777)
    client = server.client()
    first, second = (
        client.open("", AccessMask.FILE_LIST_DIRECTORY, options=CreateOptions.FILE_DIRECTORY_FILE) for _ in range(2)
    )
    single = QueryDirectoryFlags.RETURN_SINGLE_ENTRY
    assert client.query_directory(first, query_flags=single).status == NtStatus.SUCCESS
    assert client.query_directory(second, query_flags=single).status == NtStatus.INSUFFICIENT_RESOURCES
    client.close(first)
    assert client.query_directory(second, query_flags=single).status == NtStatus.SUCCESS
