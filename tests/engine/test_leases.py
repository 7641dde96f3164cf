"""Leases: by client and key, across opens, names and connections; broken in steps; of directories too."""

from __future__ import annotations

import pytest

from smbd_uring import limits
from smbd_uring.wire.const import AccessMask, Capabilities, CreateDisposition, Dialect, FileInfoClass, OplockLevel
from smbd_uring.wire.create import CreateResponse
from smbd_uring.wire.data import ReadResponse
from smbd_uring.wire.fscc import DispositionInformation, EndOfFileInformation, LinkInformation, RenameInformation
from smbd_uring.wire.negotiate import NegotiateResponse
from smbd_uring.wire.ntstatus import NtStatus
from tests.engine.caching import (
    DATA,
    KEY,
    OTHER_KEY,
    RH,
    RW,
    RWH,
    THIRD_KEY,
    R,
    acknowledge_lease,
    ask_for_lease,
    ask_for_oplock,
    got,
    told_of_lease,
    with_oplocks,
)
from tests.engine.conftest import MakeServer
from tests.engine.servers import TestedServer
from tests.support.file_client import Encodable, FileClient, Messages

MINE, YOURS = b"a client's guid.", b"another's guid.."
BREAKING = 2
DIRECTORY = 1
ACKNOWLEDGE = 1


@pytest.fixture
def caching(server: TestedServer) -> TestedServer:
    return with_oplocks(server)


def mine(server: TestedServer) -> FileClient:
    return server.client(client_guid=MINE)


def yours(server: TestedServer) -> FileClient:
    return server.client(client_guid=YOURS)


# --- what is offered ---

SMB2_1 = Capabilities.LEASING
SMB3 = Capabilities.LEASING | Capabilities.DIRECTORY_LEASING


@pytest.mark.parametrize(
    ("dialect", "offered"),
    [(Dialect.SMB_2_0_2, 0), (Dialect.SMB_2_1, SMB2_1), (Dialect.SMB_3_0, SMB3), (Dialect.SMB_3_1_1, SMB3)],
)
def test_leases_are_offered_from_2_1_on_and_of_directories_from_3_0(
    server: TestedServer, dialect: Dialect, offered: int
) -> None:
    client = server.connect()
    answer = client.negotiate(dialects=(dialect,), capabilities=0x7F).expect(NegotiateResponse)
    assert answer.capabilities & SMB3 == offered


def test_leases_can_be_turned_off(make_server: MakeServer) -> None:
    server = with_oplocks(make_server(leases=False))
    client = server.connect()
    assert not client.negotiate(capabilities=0x7F).expect(NegotiateResponse).capabilities & SMB3
    client.log_on("anna", "secret")
    client.tree_connect("data")
    assert got(client.ask(ask_for_lease("a", KEY, RWH))).level == OplockLevel.NONE
    assert got(client.ask(ask_for_oplock("b", OplockLevel.BATCH))).level == OplockLevel.BATCH


def test_a_share_without_oplocks_gives_no_lease(server: TestedServer) -> None:
    assert got(mine(server).ask(ask_for_lease("a", KEY, RWH))).level == OplockLevel.NONE


# --- by client and key ---


def test_the_opens_of_one_client_and_key_share_a_lease_over_all_its_connections(caching: TestedServer) -> None:
    one, two, other = mine(caching), mine(caching), yours(caching)
    first = got(one.ask(ask_for_lease("a", KEY, R, epoch=5)))
    assert (first.state, first.epoch) == (R, 6)
    second = got(two.ask(ask_for_lease("a", KEY, RWH, epoch=90)))
    assert (second.state, second.epoch) == (RWH, 7)
    assert got(other.ask(ask_for_lease("b", KEY, RWH))).state == RWH, "another client has keys of its own"
    one.close(first.file_id)
    assert got(one.ask(ask_for_lease("a", KEY, 0))).state == RWH, "as long as one of its opens is left"
    caching.assert_silent(two)


def test_a_key_stands_for_one_file(caching: TestedServer) -> None:
    client = mine(caching)
    client.put("other")
    first = got(client.ask(ask_for_lease("a", KEY, RWH)))
    assert client.ask(ask_for_lease("other", KEY, RWH)).status == NtStatus.INVALID_PARAMETER
    assert client.ask(ask_for_lease("new", KEY, RWH)).status == NtStatus.INVALID_PARAMETER
    assert client.create("new").status == NtStatus.OBJECT_NAME_NOT_FOUND, "and nothing was made"
    client.close(first.file_id)
    assert got(client.ask(ask_for_lease("new", KEY, RWH))).state == RWH


def test_and_not_for_one_name(caching: TestedServer) -> None:
    client = mine(caching)
    first = got(client.ask(ask_for_lease("a", KEY, RWH, access=DATA | AccessMask.DELETE)))
    assert client.set_info(first.file_id, FileInfoClass.LINK, LinkInformation(False, "b")).status == NtStatus.SUCCESS
    assert got(client.ask(ask_for_lease("b", KEY, RWH))).state == RWH
    client.set_info(first.file_id, FileInfoClass.RENAME, RenameInformation(False, "c"))
    assert got(client.ask(ask_for_lease("c", KEY, RWH))).state == RWH
    caching.assert_silent(client)


def test_the_key_of_a_file_that_is_being_deleted_is_free(caching: TestedServer) -> None:
    client = mine(caching)
    first = got(client.ask(ask_for_lease("a", KEY, RWH, access=DATA | AccessMask.DELETE)))
    client.set_info(first.file_id, FileInfoClass.DISPOSITION, DispositionInformation(True))
    second = got(client.ask(ask_for_lease("b", KEY, RWH)))
    assert second.state == RWH
    client.close(first.file_id)
    assert got(client.ask(ask_for_lease("b", KEY, R))).state == RWH


def test_a_client_has_so_many_leases(caching: TestedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LEASES_PER_CLIENT_MAX", 2)
    client = mine(caching)
    answers = [got(client.ask(ask_for_lease(f"{n}", bytes([n]) * 16, RWH))) for n in range(3)]
    assert [answer.level for answer in answers] == [OplockLevel.LEASE, OplockLevel.LEASE, OplockLevel.NONE]
    client.close(answers[0].file_id)
    assert got(client.ask(ask_for_lease("2", b"2" * 16, R))).state == R


def test_the_version_is_that_of_the_first_open(caching: TestedServer) -> None:
    client, other = mine(caching), yours(caching)
    assert got(client.ask(ask_for_lease("a", KEY, R, version=1, epoch=7))).epoch == 0
    assert got(client.ask(ask_for_lease("a", KEY, RWH, version=2, epoch=7))).epoch == 0
    other.send(ask_for_oplock("a", OplockLevel.NONE))
    assert told_of_lease(client) == (KEY, RWH, RH, ACKNOWLEDGE, 0)


# --- breaks ---


def test_a_break_in_steps_moves_the_epoch_once(caching: TestedServer) -> None:
    holder, other = mine(caching), yours(caching)
    got(holder.ask(ask_for_lease("a", KEY, RWH, epoch=10)))
    (opening,) = other.send(ask_for_oplock("a", 0))
    assert told_of_lease(holder) == (KEY, RWH, RH, ACKNOWLEDGE, 12)
    again = got(holder.ask(ask_for_lease("a", KEY, RWH)))
    assert (again.state, again.flags, again.epoch) == (RWH, BREAKING, 12)
    (emptying,) = other.send(ask_for_oplock("a", 0, disposition=CreateDisposition.OVERWRITE))
    other.wait_for_interim(emptying)
    assert acknowledge_lease(holder, KEY, RH) == NtStatus.SUCCESS
    assert told_of_lease(holder) == (KEY, RH, R, ACKNOWLEDGE, 12)
    assert acknowledge_lease(holder, KEY, RH) == NtStatus.REQUEST_NOT_ACCEPTED
    assert acknowledge_lease(holder, KEY, R) == NtStatus.SUCCESS
    assert told_of_lease(holder) == (KEY, R, 0, 0, 12)
    other.wait_for(opening).expect(CreateResponse)
    other.wait_for(emptying).expect(CreateResponse)
    assert acknowledge_lease(holder, KEY, 0) == NtStatus.UNSUCCESSFUL
    assert acknowledge_lease(holder, OTHER_KEY, 0) == NtStatus.OBJECT_NAME_NOT_FOUND


def test_a_sharing_violation_is_answered_when_the_handle_is_not_only_kept_for_itself(caching: TestedServer) -> None:
    holder, other = mine(caching), yours(caching)
    first = got(holder.ask(ask_for_lease("a", KEY, RWH)))
    (opening,) = other.send(ask_for_oplock("a", 0, share=0))
    assert told_of_lease(holder)[1:3] == (RWH, RW)
    acknowledge_lease(holder, KEY, RW)
    assert other.wait_for(opening).status == NtStatus.SHARING_VIOLATION
    holder.close(first.file_id)
    second = got(holder.ask(ask_for_lease("a", OTHER_KEY, RWH)))
    (opening,) = other.send(ask_for_oplock("a", 0, share=0))
    told_of_lease(holder)
    holder.close(second.file_id)
    other.wait_for(opening).expect(CreateResponse)


def test_what_was_delayed_is_read_by_whoever_opens_next(caching: TestedServer) -> None:
    holder, other = mine(caching), yours(caching)
    first = got(holder.ask(ask_for_lease("a", KEY, RWH)))
    (opening,) = other.send(ask_for_lease("a", OTHER_KEY, RWH))
    told_of_lease(holder)
    assert holder.write(first.file_id, b"flushed before the acknowledgment").status == NtStatus.SUCCESS
    acknowledge_lease(holder, KEY, RH)
    second = got(other.wait_for(opening))
    assert second.state == RH
    assert bytes(other.read(second.file_id).expect(ReadResponse).data) == b"flushed before the acknowledgment"


def test_a_write_breaks_the_leases_of_others_and_not_its_own(caching: TestedServer) -> None:
    one, two = mine(caching), yours(caching)
    first, second = got(one.ask(ask_for_lease("a", KEY, RH))), got(two.ask(ask_for_lease("a", OTHER_KEY, RH)))
    for _ in range(2):
        assert one.write(first.file_id, b"x").status == NtStatus.SUCCESS
    assert told_of_lease(two)[:4] == (OTHER_KEY, RH, 0, ACKNOWLEDGE)
    acknowledge_lease(two, OTHER_KEY, 0)
    caching.assert_silent(two)
    assert two.write(second.file_id, b"y").status == NtStatus.SUCCESS
    assert told_of_lease(one)[:4] == (KEY, RH, 0, ACKNOWLEDGE)


@pytest.mark.parametrize(
    ("info_class", "information", "left"),
    [
        (FileInfoClass.END_OF_FILE, EndOfFileInformation(3), 0),
        (FileInfoClass.RENAME, RenameInformation(False, "b"), R),
        (FileInfoClass.LINK, LinkInformation(False, "b"), R),
        (FileInfoClass.DISPOSITION, DispositionInformation(True), R),
    ],
    ids=["size", "rename", "link", "deletion"],
)
def test_changes_break_what_they_do_not_go_with(
    caching: TestedServer, info_class: FileInfoClass, information: Encodable, left: int
) -> None:
    holder, other = mine(caching), yours(caching)
    got(holder.ask(ask_for_lease("a", KEY, RH)))
    second = got(other.ask(ask_for_oplock("a", 0, DATA | AccessMask.DELETE)))
    (changing,) = other.send(Messages.set_info(second.file_id, info_class, information))
    assert told_of_lease(holder)[1:3] == (RH, left)
    acknowledge_lease(holder, KEY, left)
    assert other.wait_for(changing).status == NtStatus.SUCCESS


def test_closing_a_handle_that_deletes_tells_who_keeps_the_file_open(caching: TestedServer) -> None:
    holder, other = mine(caching), yours(caching)
    got(holder.ask(ask_for_lease("a", KEY, RH)))
    doomed = other.open("a", AccessMask.DELETE, options=0x1000)
    caching.assert_silent(holder)
    (closing,) = other.send(Messages.close(doomed))
    assert told_of_lease(holder)[1:4] == (RH, R, ACKNOWLEDGE)
    assert other.wait_for_interim(closing).status == NtStatus.PENDING
    acknowledge_lease(holder, KEY, R)
    assert other.wait_for(closing).status == NtStatus.SUCCESS


def test_and_a_client_that_goes_does_not_wait_for_it(caching: TestedServer) -> None:
    holder, other = mine(caching), yours(caching)
    got(holder.ask(ask_for_lease("a", KEY, RH)))
    other.open("a", AccessMask.DELETE, options=0x1000)
    other.transport.close()
    assert told_of_lease(holder)[1:4] == (RH, R, ACKNOWLEDGE)
    caching.settle(lambda engine: len(engine.sessions) == 1)


def test_a_file_that_is_only_kept_open_may_be_replaced(caching: TestedServer) -> None:
    holder, other = mine(caching), yours(caching)
    kept = got(holder.ask(ask_for_lease("target", KEY, RH)))
    source = got(other.ask(ask_for_oplock("source", 0, DATA | AccessMask.DELETE)))
    (renaming,) = other.send(
        Messages.set_info(source.file_id, FileInfoClass.RENAME, RenameInformation(True, "target"))
    )
    assert told_of_lease(holder)[1:3] == (RH, R)
    holder.close(kept.file_id)
    assert other.wait_for(renaming).status == NtStatus.SUCCESS


# --- byte-range locks ---

EXCLUSIVE_LOCK = 0x02


def test_bytes_that_are_locked_leave_the_next_client_no_cache(caching: TestedServer) -> None:
    holder, other = mine(caching), yours(caching)
    first = got(holder.ask(ask_for_lease("a", KEY, RWH)))
    holder.write(first.file_id, b"x")
    assert holder.lock(first.file_id, 0, 1, EXCLUSIVE_LOCK).status == NtStatus.SUCCESS
    (opening,) = other.send(ask_for_lease("a", OTHER_KEY, RWH))
    told_of_lease(holder)
    acknowledge_lease(holder, KEY, RH)
    assert got(other.wait_for(opening)).state == 0


def test_locks_beyond_what_is_in_the_file_do_not_matter(caching: TestedServer) -> None:
    holder, other = mine(caching), yours(caching)
    first = got(holder.ask(ask_for_lease("a", KEY, RWH)))
    assert holder.lock(first.file_id, 0, 1, EXCLUSIVE_LOCK).status == NtStatus.SUCCESS
    (opening,) = other.send(ask_for_lease("a", OTHER_KEY, RWH))
    assert told_of_lease(holder)[1:3] == (RWH, RH)
    acknowledge_lease(holder, KEY, RH)
    assert got(other.wait_for(opening)).state == RH


def test_nor_do_those_of_a_file_that_was_emptied(caching: TestedServer) -> None:
    holder, other = mine(caching), yours(caching)
    first = got(holder.ask(ask_for_lease("a", KEY, RWH)))
    holder.write(first.file_id, b"x")
    assert holder.lock(first.file_id, 0, 1, EXCLUSIVE_LOCK).status == NtStatus.SUCCESS
    (opening,) = other.send(ask_for_lease("a", OTHER_KEY, RWH, disposition=CreateDisposition.OVERWRITE))
    assert told_of_lease(holder)[1:3] == (RWH, 0)
    acknowledge_lease(holder, KEY, 0)
    assert got(other.wait_for(opening)).state == RH


def test_a_lock_breaks_who_reads(caching: TestedServer) -> None:
    one, two = mine(caching), yours(caching)
    first, _ = got(one.ask(ask_for_lease("a", KEY, RH))), got(two.ask(ask_for_lease("a", OTHER_KEY, RH)))
    assert one.lock(first.file_id, 0, 1, EXCLUSIVE_LOCK).status == NtStatus.SUCCESS
    assert told_of_lease(two)[:4] == (OTHER_KEY, RH, 0, ACKNOWLEDGE)


# --- what an administrator sees ---


def test_status_shows_who_caches_what(caching: TestedServer) -> None:
    holder, other = mine(caching), yours(caching)
    got(holder.ask(ask_for_lease("a", KEY, RWH)))
    got(other.ask(ask_for_oplock("b", OplockLevel.II)))
    other.send(ask_for_oplock("a", 0))
    told_of_lease(holder)
    status = caching.inspect(lambda engine: engine.status())
    shown = {opened["path"]: opened["caches"] for opened in status["opens"]}
    assert shown == {"a": f"RWH by lease {KEY.hex()}, told to keep RH", "b": "R by oplock"}
    assert (status["totals"]["leases"], status["totals"]["oplocks"]) == (1, 1)


# --- the data plane ---


def test_who_is_alone_with_a_lease_is_served_without_a_decision(caching: TestedServer) -> None:
    client = mine(caching)
    first = got(client.ask(ask_for_lease("a", KEY, RWH)))
    client.write(first.file_id, b"data")
    operations = caching.inspect(
        lambda engine: [
            int(opened.granted_operations)
            for session in engine.sessions.values()
            for opened in session.opens.values()
            if session.connection.plane is not None
        ]
    )
    assert operations in ([7], []), "READ, WRITE and FLUSH, where there is a data plane"


# --- directories ---


def make_folder(client: FileClient) -> None:
    client.close(client.open("folder", disposition=CreateDisposition.CREATE, options=DIRECTORY))


def open_folder(client: FileClient, key: bytes, name: str = "folder") -> int:
    return got(client.ask(ask_for_lease(name, key, RWH, access=1, options=DIRECTORY))).state


def test_a_directory_is_leased_to_be_read_and_kept_open(caching: TestedServer) -> None:
    client = mine(caching)
    assert open_folder(client, KEY) == RH
    assert got(client.ask(ask_for_lease("other", OTHER_KEY, RWH, version=1, options=1))).level == OplockLevel.NONE


def test_a_storm_of_changes_is_told_once(caching: TestedServer) -> None:
    watcher, other = mine(caching), yours(caching)
    open_folder(watcher, KEY)
    for number in range(5):
        other.put(f"folder\\{number}", b"x")
    assert told_of_lease(watcher)[:4] == (KEY, RH, 0, ACKNOWLEDGE)
    acknowledge_lease(watcher, KEY, 0)
    other.put("folder\\one more")
    caching.assert_silent(watcher)


def test_whoever_says_whose_the_directory_is_does_not_break_his_own(caching: TestedServer) -> None:
    watcher, other = mine(caching), yours(caching)
    open_folder(watcher, KEY)
    made = got(watcher.ask(ask_for_lease("folder\\a", OTHER_KEY, RWH, parent=KEY, access=DATA | AccessMask.DELETE)))
    watcher.write(made.file_id, b"x")
    watcher.set_info(made.file_id, FileInfoClass.RENAME, RenameInformation(False, "folder\\b"))
    watcher.close(made.file_id)
    caching.assert_silent(watcher)
    got(other.ask(ask_for_lease("folder\\c", OTHER_KEY, RWH, parent=KEY)))
    assert told_of_lease(watcher)[:3] == (KEY, RH, 0), "a key is its own client's only"


def test_what_was_written_shows_when_it_is_closed(caching: TestedServer) -> None:
    watcher, other = mine(caching), yours(caching)
    make_folder(other)
    made = other.open("folder\\a", disposition=CreateDisposition.CREATE)
    open_folder(watcher, KEY)
    other.write(made, b"x")
    caching.assert_silent(watcher)
    other.close(made)
    assert told_of_lease(watcher)[:3] == (KEY, RH, 0)


@pytest.mark.parametrize("change", ["delete", "rename away", "rename into", "link into", "size"])
def test_every_change_of_an_entry_breaks(caching: TestedServer, change: str) -> None:
    watcher, other = mine(caching), yours(caching)
    make_folder(other)
    inside, outside = other.open("folder\\in", disposition=2), other.open("out", disposition=2)
    open_folder(watcher, KEY, "FOLDER")
    if change == "delete":
        other.set_info(inside, FileInfoClass.DISPOSITION, DispositionInformation(True))
        caching.assert_silent(watcher)
        other.close(inside)
    elif change == "rename away":
        other.set_info(inside, FileInfoClass.RENAME, RenameInformation(False, "gone"))
    elif change == "rename into":
        other.set_info(outside, FileInfoClass.RENAME, RenameInformation(False, "folder\\came"))
    elif change == "link into":
        other.set_info(outside, FileInfoClass.LINK, LinkInformation(False, "folder\\came"))
    else:
        other.set_info(inside, FileInfoClass.END_OF_FILE, EndOfFileInformation(9))
    assert told_of_lease(watcher)[:3] == (KEY, RH, 0)


def test_the_lease_follows_a_directory_that_is_renamed(caching: TestedServer) -> None:
    watcher, other = mine(caching), yours(caching)
    access = AccessMask.DELETE | 1
    first = got(watcher.ask(ask_for_lease("folder", KEY, RH, access=access, options=DIRECTORY)))
    watcher.set_info(first.file_id, FileInfoClass.RENAME, RenameInformation(False, "renamed"))
    other.put("renamed\\a")
    assert told_of_lease(watcher)[:3] == (KEY, RH, 0)


def test_a_directory_with_open_files_is_renamed_when_they_are_only_kept_open(caching: TestedServer) -> None:
    holder, other = mine(caching), yours(caching)
    make_folder(other)
    kept = got(holder.ask(ask_for_lease("folder\\a", THIRD_KEY, RH)))
    folder = other.open("folder", AccessMask.DELETE, options=DIRECTORY)
    (renaming,) = other.send(
        Messages.set_info(folder, FileInfoClass.RENAME, RenameInformation(False, "renamed"))
    )
    assert told_of_lease(holder)[:3] == (THIRD_KEY, RH, R)
    holder.close(kept.file_id)
    assert other.wait_for(renaming).status == NtStatus.SUCCESS


# --- the size of a file that somebody writes to ---


def test_a_size_that_is_not_known_yet_is_not_the_one_it_has_anyway(caching: TestedServer) -> None:
    holder, other = mine(caching), yours(caching)
    caching.files.add_file("file", b"text", 0o666)
    assert got(holder.ask(ask_for_lease("file", KEY, RWH))).state == RWH
    looking = other.open("file", AccessMask.FILE_READ_ATTRIBUTES)
    assert other.set_info(looking, FileInfoClass.END_OF_FILE, EndOfFileInformation(4)).status == NtStatus.ACCESS_DENIED
    caching.assert_silent(holder)
