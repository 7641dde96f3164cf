"""What clients are told of when a file was written, and which attribute its writing gives it."""

from __future__ import annotations

from smbd_uring.limits import WRITE_TIME_DELAY_S
from smbd_uring.wire.const import Command, CreateDisposition, FileAttributes, FileInfoClass
from smbd_uring.wire.create import CreateResponse
from smbd_uring.wire.data import LockRequest
from smbd_uring.wire.fscc import AllInformation, BasicInformation, EndOfFileInformation
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from smbd_uring.wire.query import QueryInfoResponse
from tests.engine.servers import SimulatedServer, TestedServer
from tests.support.client_messages import Message
from tests.support.file_client import FileClient

LONG_AGO = 125_000_000_000_000_000
CREATE = CreateDisposition.CREATE


def write_time(client: FileClient, file_id: FileId) -> int:
    buffer = client.query_info(file_id, FileInfoClass.ALL).expect(QueryInfoResponse).buffer
    return AllInformation.decode(buffer).basic.last_write_time


def set_basic(client: FileClient, file_id: FileId, *, written: int = 0, attributes: int = 0) -> None:
    reply = client.set_info(file_id, FileInfoClass.BASIC, BasicInformation(0, 0, written, 0, attributes))
    assert reply.status == NtStatus.SUCCESS


def test_a_write_is_told_after_a_while_and_the_next_when_the_handle_is_closed(simulated: SimulatedServer) -> None:
    client = simulated.client()
    file_id = client.open("file", disposition=CREATE)
    made = write_time(client, file_id)
    simulated.advance(1)
    client.write(file_id, b"x")
    assert write_time(client, file_id) == made
    simulated.advance(WRITE_TIME_DELAY_S + 0.1)
    first = write_time(client, file_id)
    assert first > made
    simulated.advance(1)
    client.write(file_id, b"y")
    simulated.advance(WRITE_TIME_DELAY_S + 0.1)
    assert write_time(client, file_id) == first
    client.close(file_id)
    assert client.create("file").expect(CreateResponse).last_write_time > first


def test_a_flush_and_another_size_tell_it_at_once(simulated: SimulatedServer) -> None:
    client = simulated.client()
    for name, size in (("flushed", None), ("cut", 1)):
        file_id = client.open(name, disposition=CREATE)
        made = write_time(client, file_id)
        simulated.advance(1)
        client.write(file_id, b"x")
        assert write_time(client, file_id) == made
        if size is None:
            assert client.flush(file_id).status == NtStatus.SUCCESS
        else:
            reply = client.set_info(file_id, FileInfoClass.END_OF_FILE, EndOfFileInformation(size))
            assert reply.status == NtStatus.SUCCESS
        assert write_time(client, file_id) > made


def test_a_time_that_was_set_outlasts_what_is_written(server: TestedServer) -> None:
    client = server.client()
    file_id = client.open("file", disposition=CREATE)
    other = client.open("file")
    set_basic(client, file_id, written=LONG_AGO)
    client.write(file_id, b"x")
    client.write(other, b"y")
    assert client.flush(other).status == NtStatus.SUCCESS
    assert write_time(client, file_id) == write_time(client, other) == LONG_AGO
    client.close(other)
    client.close(file_id)
    assert client.create("file").expect(CreateResponse).last_write_time == LONG_AGO


def test_the_first_write_through_a_handle_marks_the_file_to_be_archived(server: TestedServer) -> None:
    client = server.client()
    client.put("file", b"data")
    for position in (0, 100):
        file_id = client.open("file")
        set_basic(client, file_id, attributes=FileAttributes.NORMAL)
        client.write(file_id, b"x", position)
        assert client.create("file").expect(CreateResponse).file_attributes == FileAttributes.ARCHIVE
        set_basic(client, file_id, attributes=FileAttributes.NORMAL)
        client.write(file_id, b"y", position)
        assert client.create("file").expect(CreateResponse).file_attributes == FileAttributes.NORMAL, "only the first"
        client.close(file_id)


def test_a_lock_of_nothing_on_no_file_is_about_the_file(server: TestedServer) -> None:
    client = server.client()
    nothing = LockRequest(FileId(5, 5), [])
    assert client.ask(Message(Command.LOCK, nothing.encode())).status == NtStatus.FILE_CLOSED
    nothing.file_id = client.open("file", disposition=CREATE)
    assert client.ask(Message(Command.LOCK, nothing.encode())).status == NtStatus.INVALID_PARAMETER
