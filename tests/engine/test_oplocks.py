"""Oplocks: granted, broken, acknowledged, waited for."""

from __future__ import annotations

import pytest

from smbd_uring import limits
from smbd_uring.config import Encryption
from smbd_uring.wire.classes import FsctlCode
from smbd_uring.wire.const import AccessMask, Command, CreateDisposition, OplockLevel
from smbd_uring.wire.create import CreateResponse
from smbd_uring.wire.data import ReadResponse
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.tree import TreeDisconnectRequest
from tests.engine.caching import acknowledge_oplock, ask_for_oplock, got, told_of_oplock, with_oplocks
from tests.engine.conftest import MakeServer
from tests.engine.servers import TestedServer
from tests.support.client_messages import Message
from tests.support.file_client import Messages

NONE, II, EXCLUSIVE, BATCH = OplockLevel.NONE, OplockLevel.II, OplockLevel.EXCLUSIVE, OplockLevel.BATCH
LOOKS = AccessMask.FILE_READ_ATTRIBUTES


@pytest.fixture
def caching(server: TestedServer) -> TestedServer:
    return with_oplocks(server)


@pytest.mark.parametrize("level", [II, EXCLUSIVE, BATCH])
def test_who_is_alone_gets_what_it_asks_for(caching: TestedServer, level: OplockLevel) -> None:
    client = caching.client()
    assert got(client.ask(ask_for_oplock("a", level))).level == level


def test_a_share_without_oplocks_gives_none(server: TestedServer) -> None:
    assert got(server.client().ask(ask_for_oplock("a", BATCH))).level == NONE


def test_a_directory_has_no_oplock(caching: TestedServer) -> None:
    client = caching.client()
    assert got(client.ask(ask_for_oplock("folder", BATCH, options=1))).level == NONE


def test_another_clients_open_waits_until_the_holder_has_come_down(caching: TestedServer) -> None:
    holder, other = caching.client(), caching.client()
    first = got(holder.ask(ask_for_oplock("a", BATCH)))
    (waiting,) = other.send(ask_for_oplock("a", BATCH))
    assert told_of_oplock(holder) == (first.file_id, II)
    assert other.wait_for_interim(waiting).status == NtStatus.PENDING
    caching.assert_silent(other)
    assert acknowledge_oplock(holder, first.file_id, II) == NtStatus.SUCCESS
    assert got(other.wait_for(waiting)).level == II


def test_the_holder_may_close_instead(caching: TestedServer) -> None:
    holder, other = caching.client(), caching.client()
    first = got(holder.ask(ask_for_oplock("a", BATCH, share=0)))
    (waiting,) = other.send(ask_for_oplock("a", BATCH))
    told_of_oplock(holder)
    assert holder.close(first.file_id).status == NtStatus.SUCCESS
    assert got(other.wait_for(waiting)).level == BATCH


def test_the_holders_connection_may_end(caching: TestedServer) -> None:
    holder, other = caching.client(), caching.client()
    holder.ask(ask_for_oplock("a", BATCH))
    (waiting,) = other.send(ask_for_oplock("a", BATCH))
    told_of_oplock(holder)
    holder.transport.close()
    assert got(other.wait_for(waiting)).level == BATCH


def test_a_holder_that_says_nothing_is_waited_for_35_seconds(caching: TestedServer) -> None:
    holder, other = caching.client(), caching.client()
    first = got(holder.ask(ask_for_oplock("a", BATCH)))
    (waiting,) = other.send(ask_for_oplock("a", NONE))
    told_of_oplock(holder)
    other.wait_for_interim(waiting)
    caching.advance(limits.BREAK_ACKNOWLEDGMENT_TIMEOUT_S - 1)
    assert caching.inspect(lambda engine: engine.opens.count) == 1
    caching.advance(2)
    assert got(other.wait_for(waiting)).level == NONE
    assert acknowledge_oplock(holder, first.file_id, II) == NtStatus.INVALID_OPLOCK_PROTOCOL


def test_a_holder_that_cannot_be_reached_is_given_up_before_that(make_server: MakeServer) -> None:
    server = with_oplocks(make_server(channel_failures=True))
    holder, other = server.client(), server.client()
    holder.ask(ask_for_oplock("a", BATCH))
    holder.ioctl(FsctlCode.SMBTORTURE_FORCE_UNACKED_TIMEOUT)
    (waiting,) = other.send(ask_for_oplock("a", BATCH))
    other.wait_for_interim(waiting)
    for _ in range(int(limits.CONNECTION_SILENCE_S)):
        server.advance(1)
    assert got(other.wait_for(waiting)).level == BATCH


def test_how_long_can_be_set(make_server: MakeServer) -> None:
    server = with_oplocks(make_server(break_timeout_s=0.1))
    holder, other = server.client(), server.client()
    holder.ask(ask_for_oplock("a", EXCLUSIVE))
    (waiting,) = other.send(ask_for_oplock("a", NONE))
    told_of_oplock(holder)
    assert got(other.wait_for(waiting)).level == NONE


def test_who_waits_can_be_cancelled(caching: TestedServer) -> None:
    holder, other = caching.client(), caching.client()
    first = got(holder.ask(ask_for_oplock("a", BATCH)))
    (waiting,) = other.send(ask_for_oplock("a", NONE))
    interim = other.wait_for_interim(waiting)
    other.cancel(async_id=interim.header.async_id)
    assert other.wait_for(waiting).status == NtStatus.CANCELLED
    told_of_oplock(holder)
    assert acknowledge_oplock(holder, first.file_id, II) == NtStatus.SUCCESS
    assert caching.inspect(lambda engine: engine.opens.count) == 1


def test_who_waits_goes_with_its_tree(caching: TestedServer) -> None:
    holder, other = caching.client(), caching.client()
    holder.ask(ask_for_oplock("a", BATCH))
    (waiting,) = other.send(ask_for_oplock("a", NONE))
    other.wait_for_interim(waiting)
    body = TreeDisconnectRequest().encode()
    (leaving,) = other.send(Message(Command.TREE_DISCONNECT, body, credits=8))
    assert other.wait_for(waiting).status == NtStatus.CANCELLED
    assert other.wait_for(leaving).status == NtStatus.SUCCESS


def test_who_waits_may_vanish(caching: TestedServer) -> None:
    holder, other = caching.client(), caching.client()
    holder.ask(ask_for_oplock("a", BATCH))
    (waiting,) = other.send(ask_for_oplock("a", NONE))
    other.wait_for_interim(waiting)
    other.transport.close()
    caching.settle(lambda engine: len(engine.sessions) == 1)


def test_an_open_in_a_compound_says_that_it_waits_and_then_all_is_answered(caching: TestedServer) -> None:
    holder, other = caching.client(), caching.client()
    first = got(holder.ask(ask_for_oplock("a", EXCLUSIVE)))
    opening, reading, closing = other.send(
        ask_for_oplock("a", NONE), Messages.read(Messages.ANY, 0, 10).related(), Messages.close().related()
    )
    told_of_oplock(holder)
    assert other.wait_for_interim(opening).status == NtStatus.PENDING
    holder.write(first.file_id, b"delayed")
    assert acknowledge_oplock(holder, first.file_id, II) == NtStatus.SUCCESS
    other.wait_for(opening).expect(CreateResponse)
    assert bytes(other.wait_for(reading).expect(ReadResponse).data) == b"delayed"
    assert other.wait_for(closing).status == NtStatus.SUCCESS


def test_what_comes_before_it_in_a_compound_is_answered_before(caching: TestedServer) -> None:
    holder, other = caching.client(), caching.client()
    first = got(holder.ask(ask_for_oplock("a", EXCLUSIVE)))
    echo, opening, closing = other.send(Messages.echo(), ask_for_oplock("a", NONE), Messages.close().related())
    assert other.wait_for(echo).status == NtStatus.SUCCESS
    interim = other.wait_for_interim(opening)
    other.cancel(async_id=interim.header.async_id)
    assert other.wait_for(opening).status == NtStatus.CANCELLED
    assert other.wait_for(closing).status == NtStatus.CANCELLED
    told_of_oplock(holder)
    assert acknowledge_oplock(holder, first.file_id, II) == NtStatus.SUCCESS


@pytest.mark.parametrize("disposition", [CreateDisposition.OVERWRITE, CreateDisposition.SUPERSEDE])
def test_an_overwrite_leaves_nothing(caching: TestedServer, disposition: CreateDisposition) -> None:
    holder, other = caching.client(), caching.client()
    first = got(holder.ask(ask_for_oplock("a", BATCH)))
    (waiting,) = other.send(ask_for_oplock("a", NONE, disposition=disposition))
    assert told_of_oplock(holder) == (first.file_id, NONE)
    assert acknowledge_oplock(holder, first.file_id, NONE) == NtStatus.SUCCESS
    other.wait_for(waiting).expect(CreateResponse)


def test_looking_at_attributes_breaks_nothing(caching: TestedServer) -> None:
    holder, other = caching.client(), caching.client()
    holder.ask(ask_for_oplock("a", BATCH))
    assert got(other.ask(ask_for_oplock("a", NONE, LOOKS))).level == NONE
    caching.assert_silent(holder)


def test_every_level_ii_oplock_ends_with_a_write_the_writers_own_too(caching: TestedServer) -> None:
    one, two = caching.client(), caching.client()
    first, second = (got(client.ask(ask_for_oplock("a", II))) for client in (one, two))
    assert (first.level, second.level) == (II, II)
    assert one.write(first.file_id, b"new").status == NtStatus.SUCCESS
    assert told_of_oplock(one) == (first.file_id, NONE)
    assert told_of_oplock(two) == (second.file_id, NONE)
    assert acknowledge_oplock(two, second.file_id, NONE) == NtStatus.INVALID_OPLOCK_PROTOCOL


def test_a_write_that_a_data_plane_could_have_served_breaks_who_reads(caching: TestedServer) -> None:
    writer, reader = caching.client(), caching.client()
    writing = got(writer.ask(ask_for_oplock("a", NONE)))
    for turn in range(3):
        assert writer.write(writing.file_id, b"before").status == NtStatus.SUCCESS
        reading = got(reader.ask(ask_for_oplock("a", II)))
        assert reading.level == II
        assert writer.write(writing.file_id, b"turn %d" % turn).status == NtStatus.SUCCESS
        assert told_of_oplock(reader) == (reading.file_id, NONE)
        assert bytes(reader.read(reading.file_id).expect(ReadResponse).data) == b"turn %d" % turn
        reader.close(reading.file_id)


def test_wrong_acknowledgments(caching: TestedServer) -> None:
    holder, other = caching.client(), caching.client()
    for answer, status in (
        (OplockLevel.LEASE, NtStatus.INVALID_PARAMETER), (BATCH, NtStatus.INVALID_OPLOCK_PROTOCOL),
        (EXCLUSIVE, NtStatus.SUCCESS), (NONE, NtStatus.SUCCESS),
    ):  # fmt: skip
        first = got(holder.ask(ask_for_oplock("a", BATCH)))
        (waiting,) = other.send(ask_for_oplock("a", II))
        told_of_oplock(holder)
        assert acknowledge_oplock(holder, first.file_id, answer) == status
        assert acknowledge_oplock(holder, first.file_id, NONE) == NtStatus.INVALID_OPLOCK_PROTOCOL
        second = got(other.wait_for(waiting))
        assert second.level == II
        other.close(second.file_id)
        holder.close(first.file_id)


def test_sessions_that_encrypt_are_told_sealed(make_server: MakeServer) -> None:
    server = with_oplocks(make_server(encryption=Encryption.REQUIRED))
    holder, other = server.client(), server.client()
    holder.ask(ask_for_oplock("a", BATCH))
    other.send(ask_for_oplock("a", NONE))
    assert holder.wait_for_break().sealed
