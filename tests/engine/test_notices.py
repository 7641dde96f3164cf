"""Given a client that has to be told something, it hears of it although the channel it was told on dies.

[MS-SMB2] 3.3.4.6, 3.3.4.7: a break that could not be sent on one connection is sent on another.
"""

from __future__ import annotations

import pytest

from smbd_uring import limits
from smbd_uring.wire.classes import FsctlCode
from smbd_uring.wire.const import OplockLevel
from smbd_uring.wire.ntstatus import NtStatus
from tests.engine.caching import (
    KEY,
    OTHER_KEY,
    RH,
    RWH,
    acknowledge_lease,
    acknowledge_oplock,
    ask_for_lease,
    ask_for_oplock,
    got,
    told_of_lease,
    told_of_oplock,
    with_oplocks,
)
from tests.engine.conftest import MakeServer
from tests.engine.servers import SimulatedServer, TestedServer
from tests.engine.test_channels import second_channel
from tests.sim.network import SimulatedSocket
from tests.support.client_channel import ConnectionEnded
from tests.support.file_client import FileClient

FAIL = FsctlCode.SMBTORTURE_FORCE_UNACKED_TIMEOUT
OTHER_GUID = bytes(range(16))
TOO_LONG_S = limits.CHANNEL_SILENCE_S + 0.1


def other_client(server: TestedServer) -> FileClient:
    """Somebody else."""
    return server.client(client_guid=OTHER_GUID)


def hold_lease(client: FileClient) -> None:
    """Cache all there is to cache of "file"."""
    assert got(client.ask(ask_for_lease("file", KEY, RWH))).state == RWH


def open_beside(client: FileClient) -> int:
    """Ask for a file that somebody else holds a lease of.  Result: the request that waits now."""
    (message_id,) = client.send(ask_for_lease("file", OTHER_KEY, RWH))
    client.wait_for_interim(message_id)
    return message_id


def come_down(holder: FileClient, opener: FileClient, message_id: int) -> None:
    """The holder hears of it, answers, and the other one has the file."""
    assert told_of_lease(holder)[:3] == (KEY, RWH, RH)
    assert acknowledge_lease(holder, KEY, RH) == NtStatus.SUCCESS
    assert got(opener.wait_for(message_id)).state == RH


def test_it_hears_on_its_first_channel(server: TestedServer) -> None:
    first = with_oplocks(server).client()
    second = second_channel(server, first)
    hold_lease(second)
    opener = other_client(server)
    come_down(first, opener, open_beside(opener))
    server.assert_silent(second)
    server.advance(TOO_LONG_S)
    assert first.echo().status == NtStatus.SUCCESS, "its kernel has acknowledged"


@pytest.mark.parametrize("kind", ["lease", "oplock"])
def test_a_channel_that_dies_before_the_answer_takes_nothing_with_it(server: TestedServer, kind: str) -> None:
    first = with_oplocks(server).client()
    second = second_channel(server, first)
    opener = other_client(server)
    if kind == "lease":
        hold_lease(first)
        message_id = open_beside(opener)
        told_of_lease(first)
        first.transport.close()
        come_down(second, opener, message_id)
    else:
        file_id = got(first.ask(ask_for_oplock("file", OplockLevel.BATCH))).file_id
        (message_id,) = opener.send(ask_for_oplock("file", OplockLevel.BATCH))
        assert told_of_oplock(first) == (file_id, OplockLevel.II)
        first.transport.close()
        assert told_of_oplock(second) == (file_id, OplockLevel.II)
        assert acknowledge_oplock(second, file_id, OplockLevel.II) == NtStatus.SUCCESS
        assert got(opener.wait_for(message_id)).level == OplockLevel.II


def test_what_was_answered_is_not_told_again(server: TestedServer) -> None:
    first = with_oplocks(server).client()
    second = second_channel(server, first)
    hold_lease(first)
    opener = other_client(server)
    come_down(first, opener, open_beside(opener))
    first.transport.close()
    server.settle(lambda engine: len(engine.connections) == 2)
    assert second.echo().status == NtStatus.SUCCESS
    server.assert_silent(second)


def test_a_channel_on_which_nobody_acknowledges_is_given_up(make_server: MakeServer) -> None:
    server = with_oplocks(make_server(channel_failures=True))
    first = server.client()
    second = second_channel(server, first)
    third = second_channel(server, first)
    hold_lease(second)
    assert first.ioctl(FAIL, session_id=0, tree_id=0).status == NtStatus.SUCCESS
    assert second.ioctl(FAIL, session_id=0, tree_id=0).status == NtStatus.SUCCESS
    opener = other_client(server)
    message_id = open_beside(opener)
    for deaf in first, second:
        assert told_of_lease(deaf)[:3] == (KEY, RWH, RH)
        server.advance(TOO_LONG_S)
        with pytest.raises(ConnectionEnded):
            deaf.receive_frame()
    come_down(third, opener, message_id)


def test_the_last_channel_is_not_given_up_so_soon(make_server: MakeServer) -> None:
    server = with_oplocks(make_server(channel_failures=True))
    only = server.client()
    hold_lease(only)
    assert only.ioctl(FAIL, session_id=0, tree_id=0).status == NtStatus.SUCCESS
    opener = other_client(server)
    message_id = open_beside(opener)
    server.advance(5 * TOO_LONG_S)
    come_down(only, opener, message_id)


def test_no_client_has_a_channel_counted_as_dead_unless_the_configuration_says_so(server: TestedServer) -> None:
    client = server.client()
    assert client.ioctl(FAIL, session_id=0, tree_id=0).status == NtStatus.USER_SESSION_DELETED
    assert client.ioctl(FAIL).status == NtStatus.NOT_SUPPORTED
    assert server.inspect(lambda engine: [each.is_failing for each in engine.connections.values()]) == [False]


def test_a_pulled_cable_delays_a_break_by_seconds(simulated: SimulatedServer) -> None:
    first = with_oplocks(simulated).client()
    second = second_channel(simulated, first)
    hold_lease(first)
    assert isinstance(first.transport, SimulatedSocket)
    first.transport.unplug()
    opener = other_client(simulated)
    message_id = open_beside(opener)
    simulated.advance(TOO_LONG_S)
    come_down(second, opener, message_id)
