"""What one client sends can use up its own allowance and nobody else's memory."""

from __future__ import annotations

import pytest

from smbd_uring import limits
from smbd_uring.engine.engine import Engine
from smbd_uring.wire.const import AccessMask, CreateDisposition, CreateOptions
from smbd_uring.wire.data import ReadResponse
from smbd_uring.wire.header import split_compound
from smbd_uring.wire.ntstatus import NtStatus
from tests.engine.servers import TestedServer
from tests.support.client_channel import ConnectionEnded
from tests.support.file_client import FileClient, Messages

MIB = 1024 * 1024


def gather_credits(client: FileClient, wanted: int) -> None:
    while client.credits < wanted:
        assert client.echo(credits=8192).status == NtStatus.SUCCESS


def test_a_compound_whose_answers_fit_in_no_frame_is_answered_in_several(server: TestedServer) -> None:
    client = server.client()
    data = bytes(range(256)) * (8 * MIB // 256)
    server.files.add_file("file", data)
    gather_credits(client, 3 * 128 + 8)
    file_id = client.open("file", AccessMask.GENERIC_READ)
    client.send(*(Messages.read(file_id, 0, len(data)) for _ in range(3)))
    client.forget()
    answers: list[memoryview] = []
    while len(answers) < 3:
        frame = client.receive_frame()
        assert len(frame) <= limits.FRAME_BYTES_MAX, "the length runs into the frame's type"
        answers += split_compound(frame, 3)
    for answer in answers:
        assert bytes(ReadResponse.decode(answer).data) == data


def test_a_frame_that_wants_more_than_a_connection_may_have_in_work_ends_it(server: TestedServer) -> None:
    client = server.client()
    client.put("file", b"data")
    file_id = client.open("file")
    requests = limits.OUTSTANDING_BYTES_MAX // limits.IO_BYTES_MAX + 1
    gather_credits(client, requests * 128 + 8)
    client.send(*(Messages.read(file_id, 0, limits.IO_BYTES_MAX) for _ in range(requests)))
    client.forget()
    with pytest.raises(ConnectionEnded):
        client.receive_frame()


def held_by_requests(engine: Engine) -> int:
    """Bytes of received frames that requests under way hold on to."""
    return sum(
        len(request.message)
        for connection in engine.connections.values()
        for request in connection.requests.values()
    )


def test_a_request_that_waits_holds_on_to_nothing_of_its_frame(server: TestedServer) -> None:
    client = server.client()
    client.put("file", b"")
    file_id = client.open("file")
    folder = client.open(
        "folder", disposition=CreateDisposition.CREATE, options=CreateOptions.FILE_DIRECTORY_FILE
    )
    gather_credits(client, 64)
    write, notify = client.send(Messages.write(file_id, 0, bytes(MIB)), Messages.change_notify(folder))
    client.wait_for_interim(notify)
    assert client.wait_for(write).status == NtStatus.SUCCESS
    assert server.inspect(held_by_requests) == 0
    assert client.close(folder).status == NtStatus.SUCCESS
    assert client.wait_for(notify).status == NtStatus.NOTIFY_CLEANUP
