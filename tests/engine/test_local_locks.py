"""Byte-range locks between clients and local programs: each sees the other's ([MS-FSA] 2.1.5.8, fcntl(2))."""

from __future__ import annotations

import errno

import pytest

from smbd_uring import limits
from smbd_uring.ports import SetRangeLock
from smbd_uring.wire.const import AccessMask, LockFlags
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from tests.engine.conftest import MakeServer
from tests.engine.servers import SimulatedServer, TestedServer
from tests.support.file_client import FileClient, Messages

SHARED, EXCLUSIVE, UNLOCK = LockFlags.SHARED_LOCK, LockFlags.EXCLUSIVE_LOCK, LockFlags.UNLOCK
SUCCESS, NOT_GRANTED, CONFLICT = NtStatus.SUCCESS, NtStatus.LOCK_NOT_GRANTED, NtStatus.FILE_LOCK_CONFLICT
READ, WRITE = AccessMask.FILE_READ_DATA, AccessMask.FILE_WRITE_DATA
SIZE = 100
KERNEL_END = 1 << 63


@pytest.fixture
def client(server: TestedServer) -> FileClient:
    server.files.add_file("file", bytes(SIZE), 0o777)
    return server.client()


def lock(client: FileClient, file_id: FileId, offset: int, length: int, kind: int = EXCLUSIVE) -> NtStatus:
    return client.lock(file_id, offset, length, kind | LockFlags.FAIL_IMMEDIATELY).status


def unlock(client: FileClient, file_id: FileId, offset: int, length: int) -> NtStatus:
    return client.lock(file_id, offset, length, UNLOCK).status


def seen(server: TestedServer, end: int = 12) -> str:
    """What a local program finds of the first bytes of the file: free, shared or exclusive, a letter each."""
    files = server.files
    return "".join(
        "." if files.is_range_free("file", at, 1, True) else "s" if files.is_range_free("file", at, 1, False) else "X"
        for at in range(end)
    )


# --- what local programs see -------------------------------------------------------------------------------------


def test_local_programs_see_the_strongest_lock_of_each_byte(server: TestedServer, client: FileClient) -> None:
    file_id = client.open("file")
    for offset, length, kind, picture in (
        (2, 6, EXCLUSIVE, "..XXXXXX...."), (4, 2, SHARED, "..XXXXXX...."), (6, 4, SHARED, "..XXXXXXss.."),
        (9, 2, SHARED, "..XXXXXXsss."),
    ):  # fmt: skip
        assert lock(client, file_id, offset, length, kind) == SUCCESS
        assert seen(server) == picture
    for offset, length, picture in (
        (2, 6, "....sssssss."), (6, 4, "....ss...ss."), (4, 2, ".........ss."), (9, 2, "............"),
    ):  # fmt: skip
        assert unlock(client, file_id, offset, length) == SUCCESS
        assert seen(server) == picture


def test_the_locks_of_several_opens_do_not_get_into_each_others_way(server: TestedServer, client: FileClient) -> None:
    first, second = client.open("file"), client.open("file")
    assert lock(client, first, 0, 4, SHARED) == lock(client, second, 2, 4, SHARED) == SUCCESS
    assert lock(client, second, 8, 2) == SUCCESS
    assert seen(server) == "ssssss..XX.."
    assert client.close(second).status == SUCCESS
    assert seen(server) == "ssss........"
    assert client.close(first).status == SUCCESS
    assert seen(server) == "............"


def test_what_is_taken_back_is_taken_back_for_local_programs_too(server: TestedServer, client: FileClient) -> None:
    file_id = client.open("file")
    release = server.files.hold_range("file", 10, 1, False)
    kind = EXCLUSIVE | LockFlags.FAIL_IMMEDIATELY
    assert client.ask(Messages.lock(file_id, (0, 2, kind), (5, 8, kind))).status == NOT_GRANTED
    release()
    assert seen(server) == "............"
    assert client.ask(Messages.lock(file_id, (0, 2, kind), (5, 8, kind))).status == SUCCESS
    assert seen(server) == "XX...XXXXXXX"


def test_offsets_beyond_the_kernels_are_kept_by_the_engine_alone(server: TestedServer, client: FileClient) -> None:
    first, second = client.open("file"), client.open("file")
    for offset, length in ((KERNEL_END - 1, 2), (KERNEL_END + 5, 5), (0, 0)):
        assert lock(client, first, offset, length) == SUCCESS
    assert not server.files.is_range_free("file", KERNEL_END - 1, 1, False)
    assert lock(client, second, KERNEL_END, 1) == lock(client, second, KERNEL_END + 9, 3) == NOT_GRANTED
    assert unlock(client, first, KERNEL_END - 1, 2) == SUCCESS
    assert server.files.is_range_free("file", KERNEL_END - 1, 1, True)


@pytest.mark.parametrize(
    ("access", "kind", "picture"), [(READ, EXCLUSIVE, "ss.."), (READ, SHARED, "ss.."), (WRITE, EXCLUSIVE, "XX..")]
)
def test_an_open_that_cannot_write_shows_a_shared_lock_for_an_exclusive_one(
    server: TestedServer, client: FileClient, access: int, kind: int, picture: str
) -> None:
    file_id, other = client.open("file", access), client.open("file")
    assert lock(client, file_id, 0, 2, kind) == SUCCESS
    assert seen(server, 4) == picture
    assert client.read(other, 0, 4).status == (CONFLICT if kind == EXCLUSIVE else SUCCESS)
    assert unlock(client, file_id, 0, 2) == SUCCESS
    assert seen(server, 4) == "...."


def test_a_shared_lock_of_an_open_that_cannot_read_is_kept_by_the_engine_alone(
    server: TestedServer, client: FileClient
) -> None:
    file_id, other = client.open("file", WRITE | AccessMask.FILE_READ_ATTRIBUTES), client.open("file")
    assert lock(client, file_id, 0, 2, SHARED) == SUCCESS
    assert seen(server, 4) == "...."
    assert client.write(other, b"x", 1).status == CONFLICT


# --- what clients see --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_exclusive", [True, False])
@pytest.mark.parametrize("grants", [True, False])
def test_a_local_programs_lock_is_met_by_locks_reads_and_writes(
    make_server: MakeServer, is_exclusive: bool, grants: bool
) -> None:
    server = make_server(grants=grants)
    server.files.add_file("file", bytes(SIZE), 0o777)
    client = server.client()
    release = server.files.hold_range("file", 10, 10, is_exclusive)
    file_id = client.open("file")
    assert client.write(file_id, b"x", 15).status == CONFLICT
    assert client.read(file_id, 0, 15).status == (CONFLICT if is_exclusive else SUCCESS)
    assert client.write(file_id, b"x", 20).status == client.read(file_id, 0, 10).status == SUCCESS
    assert lock(client, file_id, 5, 10) == NOT_GRANTED
    assert lock(client, file_id, 5, 10, SHARED) == (NOT_GRANTED if is_exclusive else SUCCESS)
    release()
    assert lock(client, file_id, 20, 10) == SUCCESS
    assert client.write(file_id, b"x", 15).status == client.read(file_id, 0, 20).status == SUCCESS


def test_a_file_that_local_programs_left_needs_no_look_any_more(server: TestedServer, client: FileClient) -> None:
    release = server.files.hold_range("file", 10, 10, True)
    file_id = client.open("file")
    assert client.read(file_id, 10, 1).status == CONFLICT
    release()
    assert client.read(file_id, 10, 1).status == SUCCESS
    has_table = server.inspect(
        lambda engine: [opened.file.locks for session in engine.sessions.values() for opened in session.opens.values()]
    )
    assert has_table == [None]


def test_a_lock_waits_for_a_local_program_as_long_as_it_takes(server: TestedServer, client: FileClient) -> None:
    file_id = client.open("file")
    release = server.files.hold_range("file", 0, 10, True)
    (message_id,) = client.send(Messages.lock(file_id, (0, 4, EXCLUSIVE)))
    client.wait_for_interim(message_id)
    for _ in range(8):
        server.advance(limits.LOCAL_LOCK_RETRY_MAX_S)
    assert client.echo().status == SUCCESS
    release()
    server.advance(limits.LOCAL_LOCK_RETRY_MAX_S)
    assert client.wait_for(message_id).status == SUCCESS
    assert seen(server) == "XXXX........"


def test_a_wait_for_a_local_program_is_cancelled(server: TestedServer, client: FileClient) -> None:
    file_id = client.open("file")
    release = server.files.hold_range("file", 0, 10, False)
    (message_id,) = client.send(Messages.lock(file_id, (0, 4, EXCLUSIVE)))
    client.wait_for_interim(message_id)
    server.advance(limits.LOCAL_LOCK_RETRY_MAX_S)
    client.cancel(message_id)
    assert client.wait_for(message_id).status == NtStatus.CANCELLED
    release()
    assert seen(server) == "............"


# --- file systems without locks, and broken ones -----------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS], ids=errno.errorcode.get)
def test_where_the_kernel_keeps_no_locks_clients_still_have_them(simulated: SimulatedServer, number: int) -> None:
    simulated.files.add_file("file", bytes(SIZE), 0o777)
    client = simulated.client()
    first, second = client.open("file"), client.open("file")
    simulated.world.kernel.fail(SetRangeLock, number)
    assert lock(client, first, 0, 4) == SUCCESS
    assert lock(client, second, 0, 4) == NOT_GRANTED


def test_a_lock_that_the_kernel_fails_to_take_is_not_taken(simulated: SimulatedServer) -> None:
    simulated.files.add_file("file", bytes(SIZE), 0o777)
    client = simulated.client()
    first, second = client.open("file"), client.open("file")
    kind = EXCLUSIVE | LockFlags.FAIL_IMMEDIATELY
    simulated.world.kernel.fail(SetRangeLock, errno.EIO, nth=2)
    assert client.ask(Messages.lock(first, (0, 4, kind), (6, 4, kind))).status == NtStatus.IO_DEVICE_ERROR
    assert seen(simulated) == "............"
    assert lock(client, second, 0, 10) == SUCCESS
