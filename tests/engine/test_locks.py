"""Byte-range locks as clients meet them: taken, refused, waited for, given back ([MS-SMB2] 3.3.5.14, [MS-FSA] 2.1.5.8).

What conflicts with what is proven for every pair in `tests/unit/engine/test_byte_range_locks.py`.
"""

from __future__ import annotations

import pytest

from smbd_uring import limits
from smbd_uring.engine.engine import Engine
from smbd_uring.ports import GrantOperation
from smbd_uring.wire.const import AccessMask, Capabilities, Command, CreateOptions, Dialect, HeaderFlags, LockFlags
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from tests.engine.conftest import MakeServer
from tests.engine.servers import TestedServer
from tests.support.client_messages import Message
from tests.support.file_client import FileClient, Messages

SHARED, EXCLUSIVE, UNLOCK = LockFlags.SHARED_LOCK, LockFlags.EXCLUSIVE_LOCK, LockFlags.UNLOCK
AT_ONCE = LockFlags.FAIL_IMMEDIATELY
SUCCESS, NOT_GRANTED, CONFLICT = NtStatus.SUCCESS, NtStatus.LOCK_NOT_GRANTED, NtStatus.FILE_LOCK_CONFLICT
NOT_LOCKED, INVALID = NtStatus.RANGE_NOT_LOCKED, NtStatus.INVALID_PARAMETER
LAST = (1 << 64) - 1
CONTENTS = b"0123456789"
DIRECTORY = CreateOptions.FILE_DIRECTORY_FILE


@pytest.fixture
def client(server: TestedServer) -> FileClient:
    server.files.add_file("file", CONTENTS, 0o777)
    return server.client()


@pytest.fixture
def pair(client: FileClient) -> tuple[FileId, FileId]:
    """Two handles of one client on one file."""
    return client.open("file"), client.open("file")


def lock(client: FileClient, file_id: FileId, offset: int, length: int, kind: int = EXCLUSIVE) -> NtStatus:
    return client.lock(file_id, offset, length, kind | AT_ONCE).status


def unlock(client: FileClient, file_id: FileId, offset: int, length: int) -> NtStatus:
    return client.lock(file_id, offset, length, UNLOCK).status


def wait_for_lock(client: FileClient, file_id: FileId, offset: int, length: int, kind: int = EXCLUSIVE) -> int:
    """A LOCK that waits.  Result: its MessageId."""
    (message_id,) = client.send(Messages.lock(file_id, (offset, length, kind)))
    assert client.wait_for_interim(message_id).header.flags & HeaderFlags.ASYNC_COMMAND
    return message_id


# --- taking and giving back --------------------------------------------------------------------------------------


def test_an_exclusive_lock_keeps_everybody_else_from_its_bytes_and_nobody_from_others(
    client: FileClient, pair: tuple[FileId, FileId]
) -> None:
    owner, other = pair
    assert lock(client, owner, 2, 3) == SUCCESS
    assert client.read(owner, 0, 10).status == client.write(owner, b"ab", 3).status == SUCCESS
    assert client.read(other, 0, 3).status == client.write(other, b"x", 4).status == CONFLICT
    assert client.read(other, 0, 2).status == client.write(other, b"x", 5).status == SUCCESS
    assert client.read(other, 3, 0).status == client.write(other, b"", 3).status == SUCCESS
    assert unlock(client, owner, 2, 3) == SUCCESS
    assert client.read(other, 0, 3).status == client.write(other, b"x", 4).status == SUCCESS


def test_a_shared_lock_keeps_everybody_from_changing_its_bytes_its_owner_too(
    client: FileClient, pair: tuple[FileId, FileId]
) -> None:
    owner, other = pair
    assert lock(client, owner, 2, 3, SHARED) == lock(client, other, 3, 3, SHARED) == SUCCESS
    for file_id in pair:
        assert client.read(file_id, 0, 10).status == SUCCESS
        assert client.write(file_id, b"x", 4).status == CONFLICT
        assert client.write(file_id, b"x", 8).status == SUCCESS


def test_another_client_meets_the_same_locks(server: TestedServer, client: FileClient) -> None:
    owner, stranger = client.open("file"), server.client()
    file_id = stranger.open("file")
    assert lock(client, owner, 0, 5) == SUCCESS
    assert lock(stranger, file_id, 4, 2) == NOT_GRANTED
    assert stranger.read(file_id, 0, 10).status == CONFLICT
    assert client.close(owner).status == SUCCESS
    assert lock(stranger, file_id, 4, 2) == SUCCESS
    assert stranger.read(file_id, 0, 10).status == SUCCESS


def test_only_the_exact_range_of_a_lock_of_the_same_handle_is_unlocked(
    client: FileClient, pair: tuple[FileId, FileId]
) -> None:
    owner, other = pair
    assert lock(client, owner, 10, 10) == SUCCESS
    for file_id, offset, length in ((owner, 10, 9), (owner, 11, 9), (owner, 9, 11), (other, 10, 10)):
        assert unlock(client, file_id, offset, length) == NOT_LOCKED
    assert unlock(client, owner, 10, 10) == SUCCESS
    assert unlock(client, owner, 10, 10) == NOT_LOCKED


def test_stacked_locks_go_one_by_one_the_exclusive_one_first(
    client: FileClient, pair: tuple[FileId, FileId]
) -> None:
    owner, other = pair
    assert lock(client, owner, 0, 4) == SUCCESS
    assert lock(client, owner, 0, 4, SHARED) == lock(client, owner, 0, 4, SHARED) == SUCCESS
    assert lock(client, owner, 0, 4) == lock(client, other, 0, 4, SHARED) == NOT_GRANTED
    assert unlock(client, owner, 0, 4) == SUCCESS
    assert lock(client, other, 0, 4, SHARED) == SUCCESS
    assert unlock(client, owner, 0, 4) == unlock(client, owner, 0, 4) == SUCCESS
    assert unlock(client, owner, 0, 4) == NOT_LOCKED


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, 0, SUCCESS), (LAST, 0, SUCCESS), (LAST, 1, SUCCESS), (LAST, 2, NtStatus.INVALID_LOCK_RANGE),
        (0, LAST, SUCCESS), (1, LAST, SUCCESS), (2, LAST, NtStatus.INVALID_LOCK_RANGE),
        (LAST, LAST, NtStatus.INVALID_LOCK_RANGE), ((1 << 63) - 1, 1, SUCCESS), ((1 << 63) - 1, 2, SUCCESS),
        (1 << 63, 1 << 63, SUCCESS),
    ],
)  # fmt: skip
def test_ranges_reach_to_the_last_offset_of_64_bits(
    client: FileClient, pair: tuple[FileId, FileId], offset: int, length: int, expected: NtStatus
) -> None:
    owner, other = pair
    assert lock(client, owner, offset, length) == expected
    if expected == SUCCESS:
        assert lock(client, other, offset, length) == (NOT_GRANTED if length else SUCCESS)
        assert unlock(client, owner, offset, length) == SUCCESS
    else:
        assert unlock(client, owner, offset, length) == NOT_LOCKED


@pytest.mark.parametrize("flags", range(0x40))
def test_flags_mean_one_of_five_things_or_nothing(client: FileClient, flags: int) -> None:
    file_id = client.open("file")
    assert lock(client, file_id, 0, 1, SHARED) == SUCCESS
    valid = {SHARED, SHARED | AT_ONCE, UNLOCK}
    expected = SUCCESS if flags in valid else NOT_GRANTED if flags == EXCLUSIVE | AT_ONCE else INVALID
    if flags == EXCLUSIVE:  # waits
        client.cancel(wait_for_lock(client, file_id, 0, 1, flags))
        return
    assert client.lock(file_id, 0, 1, flags).status == expected


# --- several at once ---------------------------------------------------------------------------------------------


def test_several_ranges_are_locked_together_or_not_at_all(client: FileClient, pair: tuple[FileId, FileId]) -> None:
    owner, other = pair
    assert lock(client, other, 20, 1) == SUCCESS
    kind = EXCLUSIVE | AT_ONCE
    assert client.ask(Messages.lock(owner, (0, 1, kind), (20, 1, kind), (30, 1, kind))).status == NOT_GRANTED
    assert lock(client, other, 0, 1) == lock(client, other, 30, 1) == SUCCESS
    assert client.ask(Messages.lock(owner, (5, 5, kind), (8, 1, kind))).status == NOT_GRANTED, "they meet each other"
    assert client.ask(Messages.lock(owner, (5, 3, kind), (8, 1, kind))).status == SUCCESS
    assert lock(client, other, 7, 2) == NOT_GRANTED
    both = Messages.lock(owner, (5, 3, UNLOCK), (8, 1, UNLOCK))
    assert client.ask(both).status == SUCCESS
    assert lock(client, other, 7, 2) == SUCCESS


def test_several_unlocks_go_as_far_as_they_go(client: FileClient, pair: tuple[FileId, FileId]) -> None:
    owner, other = pair
    for offset in (0, 10, 20):
        assert lock(client, owner, offset, 1) == SUCCESS
    assert client.ask(Messages.lock(owner, (0, 1, UNLOCK), (5, 1, UNLOCK), (10, 1, UNLOCK))).status == NOT_LOCKED
    assert lock(client, other, 0, 1) == SUCCESS
    assert lock(client, other, 10, 1) == NOT_GRANTED
    assert client.ask(Messages.lock(owner, (10, 1, UNLOCK), (20, 1, EXCLUSIVE))).status == INVALID
    assert lock(client, other, 10, 1) == SUCCESS
    assert lock(client, other, 20, 1) == NOT_GRANTED


def test_only_a_single_range_may_wait_and_kinds_do_not_mix(client: FileClient) -> None:
    file_id, at_once = client.open("file"), EXCLUSIVE | AT_ONCE
    for elements in (
        [(0, 1, EXCLUSIVE), (5, 1, EXCLUSIVE)], [(0, 1, at_once), (5, 1, EXCLUSIVE)], [(0, 1, at_once), (5, 1, UNLOCK)],
        [(0, 1, 0), (5, 1, UNLOCK)], [(0, 1, at_once)] * (limits.LOCKS_PER_REQUEST_MAX + 1),
    ):  # fmt: skip
        assert client.ask(Messages.lock(file_id, *elements)).status == INVALID
    assert unlock(client, file_id, 0, 1) == NOT_LOCKED


def test_folders_and_opens_that_only_look_are_not_locked(client: FileClient) -> None:
    folder = client.open("", AccessMask.FILE_READ_DATA, options=DIRECTORY)
    assert lock(client, folder, 0, 1) == unlock(client, folder, 0, 1) == NtStatus.INVALID_DEVICE_REQUEST
    assert client.lock(folder, 0, 1, SHARED | UNLOCK).status == INVALID
    looks_only = client.open("file", AccessMask.FILE_READ_ATTRIBUTES | AccessMask.DELETE)
    for kind in (SHARED, EXCLUSIVE):
        assert lock(client, looks_only, 0, 1, kind) == NtStatus.INVALID_HANDLE
    assert unlock(client, looks_only, 0, 1) == NOT_LOCKED


@pytest.mark.parametrize(
    ("access", "shared"),
    [
        (AccessMask.FILE_READ_DATA, SUCCESS), (AccessMask.FILE_EXECUTE, SUCCESS),
        (AccessMask.FILE_WRITE_DATA, NtStatus.INVALID_HANDLE), (AccessMask.FILE_APPEND_DATA, NtStatus.INVALID_HANDLE),
        (AccessMask.FILE_WRITE_DATA | AccessMask.FILE_READ_ATTRIBUTES, SUCCESS),
    ],
    ids=["read", "execute", "write", "append", "write and look"],
)  # fmt: skip
def test_who_reads_or_writes_locks_exclusively_and_who_looks_shares(
    client: FileClient, access: int, shared: NtStatus
) -> None:
    file_id = client.open("file", access)
    assert lock(client, file_id, 0, 1) == unlock(client, file_id, 0, 1) == SUCCESS
    assert lock(client, file_id, 0, 1, SHARED) == shared


# --- waiting -----------------------------------------------------------------------------------------------------


def test_a_lock_that_waits_is_granted_when_the_range_is_free(
    client: FileClient, pair: tuple[FileId, FileId]
) -> None:
    owner, other = pair
    assert lock(client, owner, 0, 4) == SUCCESS
    message_id = wait_for_lock(client, other, 2, 4)
    assert unlock(client, other, 2, 4) == NOT_LOCKED, "it is not held yet"
    assert unlock(client, owner, 0, 4) == SUCCESS
    assert client.wait_for(message_id).status == SUCCESS
    assert lock(client, owner, 0, 4) == NOT_GRANTED
    assert client.read(owner, 0, 4).status == CONFLICT


def test_those_who_wait_are_served_in_their_order(server: TestedServer, client: FileClient) -> None:
    holder = client.open("file")
    assert lock(client, holder, 0, 4) == SUCCESS
    clients = [server.client() for _ in range(3)]
    files = [waiting.open("file") for waiting in clients]
    ids = [wait_for_lock(waiting, file_id, 0, 4) for waiting, file_id in zip(clients, files, strict=True)]
    assert unlock(client, holder, 0, 4) == SUCCESS
    for turn, waiting in enumerate(clients):
        assert waiting.wait_for(ids[turn]).status == SUCCESS
        for later in clients[turn + 1 :]:
            server.assert_silent(later)
        assert waiting.close(files[turn]).status == SUCCESS


def test_a_reader_passes_a_writer_that_waits_for_another_reader(
    client: FileClient, pair: tuple[FileId, FileId]
) -> None:
    owner, other = pair
    assert lock(client, owner, 0, 4, SHARED) == SUCCESS
    message_id = wait_for_lock(client, other, 0, 4)
    third = client.open("file")
    assert lock(client, third, 0, 4, SHARED) == SUCCESS
    assert unlock(client, owner, 0, 4) == unlock(client, third, 0, 4) == SUCCESS
    assert client.wait_for(message_id).status == SUCCESS


def test_a_waiting_lock_ends_by_cancel_and_leaves_nothing(client: FileClient, pair: tuple[FileId, FileId]) -> None:
    owner, other = pair
    assert lock(client, owner, 0, 4) == SUCCESS
    message_id = wait_for_lock(client, other, 0, 4)
    client.cancel(message_id)
    assert client.wait_for(message_id).status == NtStatus.CANCELLED
    assert unlock(client, owner, 0, 4) == SUCCESS
    assert lock(client, owner, 0, 4) == SUCCESS


def test_a_waiting_lock_ends_with_its_handle(client: FileClient, pair: tuple[FileId, FileId]) -> None:
    owner, other = pair
    assert lock(client, owner, 0, 4) == SUCCESS
    message_id = wait_for_lock(client, other, 0, 4)
    assert client.close(other).status == SUCCESS
    assert client.wait_for(message_id).status == NOT_LOCKED


@pytest.mark.parametrize("command", [Command.TREE_DISCONNECT, Command.LOGOFF], ids=lambda command: command.name)
def test_when_all_handles_go_the_lock_of_the_first_goes_to_the_one_that_waits(
    client: FileClient, pair: tuple[FileId, FileId], command: Command
) -> None:
    owner, other = pair
    assert lock(client, owner, 0, 4) == SUCCESS
    message_id = wait_for_lock(client, other, 0, 4)
    client.send(Message(command, b"\4\0\0\0"))
    assert client.wait_for(message_id).status == SUCCESS


def test_a_connection_that_is_lost_lets_go_of_its_locks_and_of_its_place(
    server: TestedServer, client: FileClient
) -> None:
    holder, second, third = client, server.client(), server.client()
    held = holder.open("file")
    assert lock(holder, held, 0, 4) == SUCCESS
    wait_for_lock(second, second.open("file"), 0, 4)
    message_id = wait_for_lock(third, third.open("file"), 0, 4)
    second.transport.close()
    server.settle(lambda engine: len(engine.connections) == 2)
    holder.transport.close()
    assert third.wait_for(message_id).status == SUCCESS


def test_a_lock_waits_only_at_the_end_of_a_compound(client: FileClient, pair: tuple[FileId, FileId]) -> None:
    owner, other = pair
    assert lock(client, owner, 0, 4) == SUCCESS
    first, echo = client.ask_all(Messages.lock(other, (0, 4, EXCLUSIVE)), Messages.echo())
    assert (first.status, echo.status) == (NtStatus.INTERNAL_ERROR, SUCCESS)
    echo_id, message_id = client.send(Messages.echo(), Messages.lock(other, (0, 4, EXCLUSIVE)))
    assert client.wait_for(echo_id).status == SUCCESS
    client.wait_for_interim(message_id)
    assert unlock(client, owner, 0, 4) == SUCCESS
    assert client.wait_for(message_id).status == SUCCESS


# --- sent again --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", [Dialect.SMB_2_0_2, Dialect.SMB_2_1, Dialect.SMB_3_1_1], ids=lambda it: it.name)
def test_a_sequence_number_means_nothing_where_no_handle_outlives_its_connection(
    server: TestedServer, dialect: Dialect
) -> None:
    server.files.add_file("file", CONTENTS, 0o777)
    client = server.client(dialects=[dialect], capabilities=Capabilities.LARGE_MTU)
    file_id = client.open("file")
    sequence = 3 << 4 | 5
    assert client.lock(file_id, 0, 1, EXCLUSIVE | AT_ONCE, sequence).status == SUCCESS
    assert client.lock(file_id, 0, 1, EXCLUSIVE | AT_ONCE, sequence).status == NOT_GRANTED


def test_with_channels_a_lock_may_be_sent_again_on_another(server: TestedServer) -> None:
    server.files.add_file("file", CONTENTS, 0o777)
    client = server.client(dialects=[Dialect.SMB_3_1_1])
    file_id = client.open("file")
    sequence = 3 << 4 | 5
    for _ in range(2):
        assert client.lock(file_id, 0, 1, EXCLUSIVE | AT_ONCE, sequence).status == SUCCESS


def test_a_sequence_is_known_again_until_another_number_comes_for_its_index(server: TestedServer) -> None:
    server.files.add_file("file", CONTENTS, 0o777)
    client = server.client(dialects=[Dialect.SMB_3_1_1])
    file_id = client.open("file")
    exclusive = EXCLUSIVE | AT_ONCE
    for index, number, flags, expected, why in (
        (1, 5, exclusive, SUCCESS, "taken"),
        (1, 5, exclusive, SUCCESS, "told again"),
        (2, 5, exclusive, NOT_GRANTED, "another index"),
        (2, 5, exclusive, NOT_GRANTED, "what failed is not remembered"),
        (1, 6, exclusive, NOT_GRANTED, "another number: that of before is forgotten"),
        (1, 5, exclusive, NOT_GRANTED, "forgotten"),
        (64, 0, UNLOCK, SUCCESS, "an unlock is remembered as well"),
        (64, 0, UNLOCK, SUCCESS, "told again"),
        (0, 1, exclusive, SUCCESS, "index 0 is none"),
        (0, 1, exclusive, NOT_GRANTED, "index 0 is none"),
        (65, 1, UNLOCK, SUCCESS, "there are 64"),
        (65, 1, UNLOCK, NOT_LOCKED, "there are 64"),
    ):
        assert client.lock(file_id, 0, 1, flags, index << 4 | number).status == expected, why


# --- expiry ------------------------------------------------------------------------------------------------------


def test_an_expired_session_may_unlock_and_lock_nothing(make_server: MakeServer) -> None:
    server = make_server(session_lifetime_s=60.0)
    server.files.add_file("file", CONTENTS, 0o777)
    client = server.client()
    file_id = client.open("file")
    assert lock(client, file_id, 0, 4) == SUCCESS
    server.advance(61.0)
    assert lock(client, file_id, 8, 4) == NtStatus.NETWORK_SESSION_EXPIRED
    assert unlock(client, file_id, 0, 4) == SUCCESS
    assert unlock(client, file_id, 0, 4) == NtStatus.RANGE_NOT_LOCKED


# --- bounds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", ["LOCKS_PER_OPEN_MAX", "LOCKS_PER_FILE_MAX", "LOCKS_PER_SESSION_MAX"])
def test_there_are_only_so_many_locks(
    client: FileClient, pair: tuple[FileId, FileId], bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, bound, 3)
    owner, other = pair
    for offset in range(3):
        assert lock(client, owner, offset, 1) == SUCCESS
    assert lock(client, owner, 3, 1) == NtStatus.INSUFFICIENT_RESOURCES
    elsewhere = SUCCESS if bound == "LOCKS_PER_OPEN_MAX" else NtStatus.INSUFFICIENT_RESOURCES
    assert lock(client, other, 3, 1) == elsewhere
    assert unlock(client, owner, 0, 1) == SUCCESS
    assert lock(client, owner, 4, 1) == SUCCESS


def test_only_so_many_wait_for_one_file(
    client: FileClient, pair: tuple[FileId, FileId], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOCKS_WAITING_PER_FILE_MAX", 2)
    owner, other = pair
    assert lock(client, owner, 0, 4) == SUCCESS
    waiting = [wait_for_lock(client, other, 0, 4) for _ in range(2)]
    assert client.lock(other, 0, 4, EXCLUSIVE).status == NtStatus.INSUFFICIENT_RESOURCES
    client.cancel(waiting[0])
    assert client.wait_for(waiting[0]).status == NtStatus.CANCELLED
    wait_for_lock(client, other, 0, 4)


def test_the_status_tells_how_many_locks_an_open_holds(
    server: TestedServer, client: FileClient, pair: tuple[FileId, FileId]
) -> None:
    for offset in range(3):
        assert lock(client, pair[0], offset, 1) == SUCCESS
    status = server.inspect(lambda engine: engine.status())
    assert sorted(opened["locks"] for opened in status["opens"]) == [0, 3]


# --- data planes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grants", [True, False])
def test_the_answers_are_the_same_whether_a_data_plane_served_the_file_before_or_not(
    make_server: MakeServer, grants: bool
) -> None:
    server = make_server(grants=grants)
    server.files.add_file("file", CONTENTS, 0o777)
    client = server.client()
    owner, other = client.open("file"), client.open("file")
    for kind, own_write, read in ((EXCLUSIVE, SUCCESS, CONFLICT), (SHARED, CONFLICT, SUCCESS)):
        for file_id in (owner, other):
            assert client.write(file_id, b"ab", 2).status == client.read(file_id, 0, 4).status == SUCCESS
        assert lock(client, owner, 2, 2, kind) == SUCCESS
        assert client.write(owner, b"cd", 2).status == own_write
        assert client.read(owner, 0, 4).status == SUCCESS
        assert client.read(other, 0, 4).status == read
        assert client.write(other, b"ef", 2).status == CONFLICT
        assert unlock(client, owner, 2, 2) == SUCCESS


@pytest.mark.parametrize("driver", ["ring", "ring thread"])
@pytest.mark.parametrize("kind", [EXCLUSIVE, SHARED])
def test_a_lock_takes_from_data_planes_what_it_may_refuse_and_no_more(
    server: TestedServer, client: FileClient, pair: tuple[FileId, FileId], kind: int
) -> None:
    def granted() -> list[GrantOperation]:
        def look(engine: Engine) -> list[GrantOperation]:
            sessions = engine.sessions.values()
            opens = {opened.file_id: opened for session in sessions for opened in session.opens.values()}
            return [opens[file_id].granted_operations for file_id in pair]

        return server.inspect(look)

    everything = GrantOperation.READ | GrantOperation.WRITE | GrantOperation.FLUSH
    assert granted() == [everything, everything]
    assert lock(client, pair[0], 0, 1, kind) == SUCCESS
    if kind == EXCLUSIVE:
        assert granted() == [everything, GrantOperation.FLUSH]
    else:
        assert granted() == [everything & ~GrantOperation.WRITE] * 2
    assert lock(client, pair[1], 5, 1, kind) == SUCCESS
    assert granted() == [GrantOperation.FLUSH if kind == EXCLUSIVE else everything & ~GrantOperation.WRITE] * 2
    assert unlock(client, pair[0], 0, 1) == unlock(client, pair[1], 5, 1) == SUCCESS
    assert granted() == [everything, everything]
