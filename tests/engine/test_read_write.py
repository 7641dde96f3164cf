"""Data in, data out, at every edge ([MS-SMB2] 3.3.5.11 to 3.3.5.13)."""

from __future__ import annotations

import errno
import random

import pytest

from smbd_uring import limits
from smbd_uring.ports import Synchronize, WriteAt
from smbd_uring.wire.const import (
    AccessMask,
    Command,
    CreateDisposition,
    CreateOptions,
    Dialect,
    FileInfoClass,
    WriteFlags,
)
from smbd_uring.wire.data import ReadRequest, ReadResponse, WriteRequest, WriteResponse
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.query import QueryInfoResponse
from tests.engine.servers import SimulatedServer, TestedServer
from tests.support.client import CREDITS_ASKED
from tests.support.client_messages import Message
from tests.support.file_client import Messages, charge

READ, WRITE, APPEND = AccessMask.FILE_READ_DATA, AccessMask.FILE_WRITE_DATA, AccessMask.FILE_APPEND_DATA
CREATE, OPEN_IF = CreateDisposition.CREATE, CreateDisposition.OPEN_IF
END = 1 << 63
CONTENTS = b"0123456789"


@pytest.fixture
def open_file(server: TestedServer):
    """A client, and a file of ten bytes that it has open for everything."""
    server.files.add_file("file", CONTENTS, 0o777)
    client = server.client()
    return client, client.open("file")


@pytest.mark.parametrize(
    ("offset", "length", "minimum", "expected"),
    [
        (0, 10, 0, b"0123456789"), (0, 100, 0, b"0123456789"), (0, 100, 10, b"0123456789"), (3, 4, 4, b"3456"),
        (9, 1, 1, b"9"), (5, 65536, 0, b"56789"), (0, 0, 0, b""), (10, 0, 0, b""), (END - 1, 0, 0, b""),
        (0, 100, 11, None), (10, 1, 0, None), (11, 1, 0, None), (END - 2, 1, 0, None), (5, 6, 6, None), (0, 0, 1, None),
    ],
)  # fmt: skip
def test_reading_gives_what_is_there_or_says_that_the_file_has_ended(
    open_file, offset: int, length: int, minimum: int, expected: bytes | None
) -> None:
    client, file_id = open_file
    reply = client.read(file_id, offset, length, minimum_count=minimum)
    if expected is None:
        assert reply.status == NtStatus.END_OF_FILE
    else:
        assert reply.expect(ReadResponse).data == expected


@pytest.mark.parametrize(("offset", "length"), [(END, 1), (END - 1, 2), ((1 << 64) - 1, 1), (END, 0)])
def test_an_offset_that_no_file_has_is_invalid_to_read_from(open_file, offset: int, length: int) -> None:
    client, file_id = open_file
    assert client.read(file_id, offset, length).status == NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize(
    ("offset", "length"),
    [(END, 1), (END - 1, 2), ((1 << 64) - 1, 1), (0xFFF_FFFF_0000, 1), (0xFFF_FFFE_FFFF, 2)],
)
def test_an_offset_that_no_file_has_is_invalid_to_write_to(
    server: TestedServer, open_file, offset: int, length: int
) -> None:
    client, file_id = open_file
    assert client.write(file_id, b"x" * length, offset).status == NtStatus.INVALID_PARAMETER
    assert server.files.data("file") == CONTENTS


def test_a_file_is_read_and_written_up_to_the_largest_size_in_one_request(server: TestedServer) -> None:
    data = random.Random(1).randbytes(limits.IO_BYTES_MAX)
    client = server.client()
    while client.credits < 2 * charge(len(data)):
        client.echo(credits=512)
    file_id = client.open("file", disposition=CREATE)
    assert client.write(file_id, data).expect(WriteResponse).count == len(data)
    assert client.read(file_id, 0, len(data)).expect(ReadResponse).data == data
    assert server.files.data("file") == data
    over = charge(len(data)) + 1
    assert client.read(file_id, 0, len(data) + 1, credit_charge=over).status == NtStatus.INVALID_PARAMETER


def test_writing_beyond_the_end_leaves_zeros(server: TestedServer, open_file) -> None:
    client, file_id = open_file
    assert client.write(file_id, b"end", 20).status == NtStatus.SUCCESS
    assert server.files.data("file") == CONTENTS + bytes(10) + b"end"


def test_a_hole_in_a_file_is_read_as_zeros(open_file) -> None:
    # No page of it is in memory.
    client, file_id = open_file
    assert client.write(file_id, b"end", 200_000).status == NtStatus.SUCCESS
    assert client.read(file_id, 100_000, 65536).expect(ReadResponse).data == bytes(65536)


def test_writing_nothing_writes_nothing(server: TestedServer, open_file) -> None:
    client, file_id = open_file
    assert client.write(file_id, b"", 1000).expect(WriteResponse).count == 0
    assert server.files.data("file") == CONTENTS


def test_the_right_to_append_is_no_right_to_change(server: TestedServer) -> None:
    server.files.add_file("file", CONTENTS, 0o777)
    client = server.client()
    file_id = client.open("file", APPEND)
    assert client.write(file_id, b"x", 9).status == NtStatus.ACCESS_DENIED
    assert client.write(file_id, b"x", 10).status == NtStatus.SUCCESS
    assert server.files.data("file") == CONTENTS + b"x"


@pytest.mark.parametrize(
    ("access", "reads", "writes"),
    [(READ, True, False), (WRITE, False, True), (AccessMask.FILE_EXECUTE, True, False),
     (AccessMask.FILE_READ_ATTRIBUTES, False, False), (AccessMask.DELETE, False, False)],
)  # fmt: skip
def test_a_handle_does_what_it_was_opened_for(server: TestedServer, access: int, reads: bool, writes: bool) -> None:
    server.files.add_file("file", CONTENTS, 0o777)
    client = server.client()
    file_id = client.open("file", access)
    assert client.read(file_id).status == (NtStatus.SUCCESS if reads else NtStatus.ACCESS_DENIED)
    assert client.write(file_id, b"x").status == (NtStatus.SUCCESS if writes else NtStatus.ACCESS_DENIED)
    assert client.flush(file_id).status == (NtStatus.SUCCESS if writes else NtStatus.ACCESS_DENIED)


def test_a_directory_has_no_data(server: TestedServer) -> None:
    client = server.client()
    folder = client.open("folder", disposition=CREATE, options=CreateOptions.FILE_DIRECTORY_FILE)
    assert client.read(folder).status == NtStatus.INVALID_DEVICE_REQUEST
    assert client.write(folder, b"x").status == NtStatus.ACCESS_DENIED


def test_channels_of_rdma_are_not_for_tcp(open_file) -> None:
    client, file_id = open_file
    for channel in (1, 2, 3):
        read = ReadRequest(1, 0, file_id, channel=channel).encode()
        write = WriteRequest(0, file_id, b"x", channel=channel).encode()
        for command, body in ((Command.READ, read), (Command.WRITE, write)):
            reply = client.ask(Message(command, body, credits=CREDITS_ASKED))
            assert reply.status == NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize("dialect", [Dialect.SMB_2_0_2, Dialect.SMB_2_1])
def test_a_payload_must_be_paid_for(server: TestedServer, dialect: Dialect) -> None:
    server.files.add_file("file", CONTENTS, 0o777)
    client = server.client(dialects=[dialect])
    file_id = client.open("file")
    assert client.read(file_id, 0, 65536, credit_charge=1).status == NtStatus.SUCCESS
    assert client.read(file_id, 0, 65537, credit_charge=1).status == NtStatus.INVALID_PARAMETER
    assert client.write(file_id, bytes(65537), credit_charge=1).status == NtStatus.INVALID_PARAMETER
    if dialect == Dialect.SMB_2_1:
        assert client.read(file_id, 0, 65537, credit_charge=2).status == NtStatus.SUCCESS
        assert client.read(file_id, 0, 1, credit_charge=5).status == NtStatus.SUCCESS, "too much is no harm"


def test_many_reads_and_writes_at_once_each_get_their_own(server: TestedServer) -> None:
    client = server.client()
    file_id = client.open("file", disposition=CREATE)
    client.echo(credits=300)
    blocks = [bytes([number]) * (number * 37 + 1) for number in range(60)]
    sent = [client.send(Messages.write(file_id, number << 14, block))[0] for number, block in enumerate(blocks)]
    for message_id, block in reversed(list(zip(sent, blocks, strict=True))):
        assert client.wait_for(message_id).expect(WriteResponse).count == len(block)
    sent = [client.send(Messages.read(file_id, n << 14, len(block)))[0] for n, block in enumerate(blocks)]
    for message_id, block in zip(sent, blocks, strict=True):
        assert client.wait_for(message_id).expect(ReadResponse).data == block


def test_the_position_of_a_handle_follows_its_reads(open_file) -> None:
    client, file_id = open_file

    def position() -> int:
        reply = client.query_info(file_id, FileInfoClass.POSITION)
        return int.from_bytes(reply.expect(QueryInfoResponse).buffer, "little")

    assert position() == 0
    client.read(file_id, 2, 3)
    assert position() == 5
    client.write(file_id, b"xyz", 6)
    assert position() == 5, "a WRITE leaves it"
    assert client.read(file_id, 1000, 1).status == NtStatus.END_OF_FILE
    assert position() == 5


def test_the_place_of_the_data_is_named_even_where_there_is_none(open_file) -> None:
    client, file_id = open_file
    nothing = WriteRequest(0, file_id, b"")
    assert client.ask(Message(Command.WRITE, nothing.encode())).status == NtStatus.SUCCESS
    nothing.is_placed = False
    assert client.ask(Message(Command.WRITE, nothing.encode())).status == NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize("channel", [1, 2, 3])
def test_memory_that_only_rdma_reaches_is_refused(open_file, channel: int) -> None:
    client, file_id = open_file
    asked = ReadRequest(1, 0, file_id, channel=channel)
    assert client.ask(Message(Command.READ, asked.encode())).status == NtStatus.INVALID_PARAMETER
    told = WriteRequest(0, file_id, b"x", channel=channel)
    assert client.ask(Message(Command.WRITE, told.encode())).status == NtStatus.INVALID_PARAMETER
    told.channel = 4
    assert client.ask(Message(Command.WRITE, told.encode())).status == NtStatus.SUCCESS, "which means nothing"


# --- where the disk has its say: the simulated world alone can be told to fail ---


def test_a_broken_disk_is_an_io_error(simulated: SimulatedServer) -> None:
    simulated.files.add_file("file", CONTENTS, 0o777)
    client = simulated.client()
    file_id = client.open("file")
    simulated.world.kernel.fail(WriteAt, errno.EIO)
    assert client.write(file_id, b"x").status == NtStatus.IO_DEVICE_ERROR
    simulated.world.kernel.fail(Synchronize, errno.EIO)
    assert client.flush(file_id).status == NtStatus.IO_DEVICE_ERROR
    assert client.write(file_id, b"x").status == NtStatus.SUCCESS


def test_a_full_disk_says_so(simulated: SimulatedServer) -> None:
    simulated.files.add_file("file", CONTENTS, 0o777)
    client = simulated.client()
    file_id = client.open("file")
    simulated.world.kernel.fail(WriteAt, errno.ENOSPC)
    assert client.write(file_id, b"x").status == NtStatus.DISK_FULL


def test_flush_and_write_through_reach_the_disk_and_plain_writes_need_not(simulated: SimulatedServer) -> None:
    calls = simulated.world.kernel.calls
    client = simulated.client()
    file_id = client.open("file", disposition=CREATE)
    client.write(file_id, b"x")
    assert calls["Synchronize"] == 0
    client.write(file_id, b"x", write_flags=WriteFlags.WRITE_THROUGH)
    assert calls["Synchronize"] == 1
    client.flush(file_id)
    assert calls["Synchronize"] == 2
    through = client.open("through", disposition=OPEN_IF, options=CreateOptions.FILE_WRITE_THROUGH)
    client.write(through, b"x")
    assert calls["Synchronize"] == 3
