"""Requests that come too late, or again, on another channel ([MS-SMB2] 3.3.5.2.10)."""

from __future__ import annotations

import pytest

from smbd_uring.engine.channel_sequence import AHEAD_MAX
from smbd_uring.wire.const import Command, CreateDisposition, Dialect, FileInfoClass, HeaderFlags
from smbd_uring.wire.data import ReadResponse
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from tests.engine.conftest import MakeServer
from tests.engine.servers import SimulatedServer, TestedServer
from tests.support.file_client import FileClient, Messages

REPLAY = HeaderFlags.REPLAY_OPERATION
STALE = NtStatus.FILE_NOT_AVAILABLE
POSITION = (0x1000).to_bytes(8, "little")
FSCTL_CREATE_OR_GET_OBJECT_ID = 0x0009_00C0

SEQUENCES = (
    (0, True), (0x8000, False), (0x8001, False), (0xFFFF, False), (0x7FFF, True), (0x7FFE, False), (0, False),
    (0x8000, True), (0xFFFF, True), (0, True), (1, True), (0, False), (1, True), (0xFFFF, False),
)  # fmt: skip
"""Numbers in their order, and whether each is taken: up to 0x7FFF ahead is newer, also round the end."""


def opened(server: TestedServer, **negotiation: object) -> tuple[FileClient, FileId]:
    client = server.client(**negotiation)
    return client, client.open("file", disposition=CreateDisposition.OPEN_IF)


@pytest.mark.parametrize("flags", [0, REPLAY], ids=["first time", "replay"])
@pytest.mark.parametrize("command", [Command.WRITE, Command.SET_INFO, Command.IOCTL])
def test_what_changes_something_is_refused_when_its_number_is_older(
    server: TestedServer, command: Command, flags: int
) -> None:
    client, file_id = opened(server)
    for number, is_taken in SEQUENCES:
        if command == Command.WRITE:
            reply = client.write(file_id, b"data", channel_sequence=number, flags=flags)
        elif command == Command.SET_INFO:
            reply = client.set_info(
                file_id, FileInfoClass.POSITION, POSITION, channel_sequence=number, flags=flags
            )
        else:
            reply = client.ioctl(FSCTL_CREATE_OR_GET_OBJECT_ID, file_id=file_id, channel_sequence=number, flags=flags)
        assert (reply.status != STALE) == is_taken, f"{command.name} with {number:#06x}: {reply.status!r}"
        assert client.query_info(file_id, FileInfoClass.POSITION, channel_sequence=number, flags=flags).status == 0
    assert AHEAD_MAX == 0x7FFF


def test_a_late_read_is_harmless_and_answered(server: TestedServer) -> None:
    client, file_id = opened(server)
    assert client.write(file_id, b"data", channel_sequence=5).status == 0
    assert client.read(file_id, channel_sequence=4).expect(ReadResponse).data == b"data"


def test_a_write_of_the_first_channel_comes_too_late_also_when_it_could_be_granted(server: TestedServer) -> None:
    client, file_id = opened(server)
    assert client.write(file_id, b"first").status == 0  # a data plane's, where there is one
    assert client.write(file_id, b"other", channel_sequence=1).status == 0
    assert client.write(file_id, b"stale").status == STALE
    assert client.write(file_id, b"stale", flags=REPLAY).status == STALE
    assert client.read(file_id, channel_sequence=1).expect(ReadResponse).data == b"other"


def test_the_new_number_is_served_by_the_data_plane_again(make_server: MakeServer) -> None:
    server = make_server()
    client, file_id = opened(server)
    assert client.write(file_id, b"data", channel_sequence=7).status == 0
    before = server.inspect(lambda engine: engine.request_counts[Command.WRITE])
    assert client.write(file_id, b"more", channel_sequence=7).status == 0
    served = server.inspect(lambda engine: engine.request_counts[Command.WRITE]) - before
    has_plane = server.inspect(lambda engine: next(iter(engine.connections.values())).plane is not None)
    assert served == (0 if has_plane else 1)


@pytest.mark.parametrize("dialect", [Dialect.SMB_2_0_2, Dialect.SMB_2_1])
def test_before_3_0_the_field_means_nothing(server: TestedServer, dialect: Dialect) -> None:
    client, file_id = opened(server, dialects=(dialect,))
    assert client.write(file_id, b"data", channel_sequence=9).status == 0
    assert client.write(file_id, b"data", channel_sequence=3).status == 0


def test_a_replay_is_refused_while_the_original_may_still_be_done(simulated: SimulatedServer) -> None:
    client, file_id = opened(simulated)
    (original,) = client.send(Messages.write(file_id, 0, b"original"))
    again = Messages.write(file_id, 0, b"replayed")
    again.flags, again.channel_sequence = REPLAY, 1
    (replayed,) = client.send(again)
    statuses = client.wait_for(original).status, client.wait_for(replayed).status
    assert statuses in ((0, STALE), (0, 0)), "the original is done, the replay refused unless it came later"
    if statuses[1] == STALE:
        assert client.read(file_id).expect(ReadResponse).data == b"original"
    assert client.write(file_id, b"finally!", channel_sequence=1, flags=REPLAY).status == 0


def test_a_notification_that_waits_is_nothing_that_a_replay_could_overtake(server: TestedServer) -> None:
    client = server.client()
    folder = client.open("", options=1)
    (waiting,) = client.send(Messages.change_notify(folder))
    interim = client.wait_for_interim(waiting)
    for number in (30000, 60000, 0):
        assert client.query_info(folder, FileInfoClass.POSITION, channel_sequence=number).status == 0
    assert client.set_info(folder, FileInfoClass.POSITION, POSITION, flags=REPLAY).status == 0
    client.cancel(async_id=interim.header.async_id)
    assert client.wait_for(waiting).status == NtStatus.CANCELLED
    assert client.set_info(folder, FileInfoClass.POSITION, POSITION, flags=REPLAY).status == 0
