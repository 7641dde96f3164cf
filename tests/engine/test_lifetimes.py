"""What ends while it is in use: handles, trees, sessions and connections, each with requests under way."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from smbd_uring.config import EngineConfig
from smbd_uring.ports import Stat
from smbd_uring.wire.const import AccessMask, CloseFlags, Command, CreateDisposition, FileInfoClass
from smbd_uring.wire.create import CloseResponse
from smbd_uring.wire.fscc import decode_directory_listing
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.query import QueryDirectoryResponse
from smbd_uring.wire.session import LogoffRequest, SessionSetupRequest
from smbd_uring.wire.tree import TreeDisconnectRequest
from tests.engine.servers import SERVER_GUID, SimulatedServer, TestedServer
from tests.sim.driver import Weather
from tests.support.client_messages import Message
from tests.support.file_client import Messages
from tests.support.ntlm_client import NtlmInitiator

ROUNDS = 20
"""Repetitions of what goes wrong only when two things meet at the right moment."""

Ending = Callable[[], Message]
GONE = (NtStatus.FILE_CLOSED, NtStatus.NETWORK_NAME_DELETED, NtStatus.USER_SESSION_DELETED)


def tree_disconnect() -> Message:
    return Message(Command.TREE_DISCONNECT, TreeDisconnectRequest().encode(), credits=2)


def logoff() -> Message:
    return Message(Command.LOGOFF, LogoffRequest().encode(), credits=2)


def begin_logon() -> Message:
    """SESSION_SETUP that begins a session of its own."""
    token = NtlmInitiator("anna", "secret").negotiate()
    return Message(Command.SESSION_SETUP, SessionSetupRequest(security_buffer=token).encode(), session_id=0)


# --- two that close the same ---


def test_two_closes_at_once_end_in_one_success_and_one_file_closed(server: TestedServer) -> None:
    client = server.client()
    client.put("file", b"data")
    for _ in range(ROUNDS):
        file_id = client.open("file")
        (first,) = client.send(Messages.close(file_id, CloseFlags.POSTQUERY_ATTRIB))
        (second,) = client.send(Messages.close(file_id, CloseFlags.POSTQUERY_ATTRIB))
        statuses = {client.wait_for(first).status, client.wait_for(second).status}
        assert statuses == {NtStatus.SUCCESS, NtStatus.FILE_CLOSED}


@pytest.mark.parametrize("end", [tree_disconnect, logoff])
def test_a_close_and_the_end_of_its_tree_do_not_wait_for_each_other(server: TestedServer, end: Ending) -> None:
    for _ in range(ROUNDS):
        client = server.client()
        client.put("file", b"data")
        file_id = client.open("file")
        (close,) = client.send(Messages.close(file_id, CloseFlags.POSTQUERY_ATTRIB))
        (last,) = client.send(end())
        assert client.wait_for(close).status in (NtStatus.SUCCESS, *GONE)
        assert client.wait_for(last).status == NtStatus.SUCCESS
        client.transport.close()


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("end", [tree_disconnect, logoff])
def test_a_create_that_fails_late_does_not_keep_its_tree_from_ending(seed: int, end: Ending) -> None:
    """The open is entered before its space is set aside; when that fails the end of the tree is closing it already."""
    weather = Weather(effect_delay_max_s=0.5, effect_now_probability=0.0)
    server = SimulatedServer(EngineConfig(SERVER_GUID), seed, weather)
    too_much = (1 << 62).to_bytes(8, "little")
    client = server.client()
    (create,) = client.send(
        Messages.create("file", disposition=CreateDisposition.CREATE, contexts=[(b"AlSi", too_much)])
    )
    server.settle(lambda engine: engine.opens.count == 1)
    (last,) = client.send(end())
    assert client.wait_for(create).status in (NtStatus.DISK_FULL, *GONE)
    assert client.wait_for(last).status == NtStatus.SUCCESS
    server.finish()


# --- a close that meets an error ---


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_handle_is_closed_even_when_its_attributes_cannot_be_told(seed: int) -> None:
    server = SimulatedServer(EngineConfig(SERVER_GUID), seed)
    client = server.client()
    client.put("file", b"data")
    file_id = client.open("file")
    server.world.kernel.fail(Stat, errno.EIO)
    answer = client.close(file_id, attributes=True).expect(CloseResponse)
    assert answer.flags == 0 and answer.end_of_file == 0
    assert client.close(file_id).status == NtStatus.FILE_CLOSED
    server.finish()


# --- the connection that ends ---


def test_what_a_compound_still_holds_is_not_begun_once_its_connection_is_gone(server: TestedServer) -> None:
    """The first request is a failed logon, whose answer is held back; those behind it would begin sessions that
    nobody ends."""
    client = server.connect()
    assert client.negotiate(credits=32).status == NtStatus.SUCCESS
    broken = Message(Command.SESSION_SETUP, SessionSetupRequest(security_buffer=b"no token").encode(), session_id=0)
    client.send(broken, *(begin_logon() for _ in range(8)))
    client.forget()
    server.settle(lambda engine: bool(engine.scheduler.tasks))
    client.transport.close()
    server.settle(lambda engine: not engine.connections)
    server.advance(1.0)
    server.settle(lambda engine: not engine.scheduler.tasks)
    assert server.inspect(lambda engine: len(engine.sessions)) == 0


# --- listings ---


def test_two_requests_that_list_one_handle_at_once_share_its_entries(server: TestedServer) -> None:
    names = {f"file {number}" for number in range(60)}
    for name in names:
        server.files.add_file(name)
    client = server.client()
    while client.credits < 64:
        assert client.echo().status == NtStatus.SUCCESS
    folder = client.open("", AccessMask.GENERIC_READ)
    asked = [client.send(Messages.query_directory(folder, size=4096))[0] for _ in range(6)]
    replies = [client.wait_for(message_id) for message_id in asked]
    found: list[str] = []
    for reply in replies:
        if reply.status == NtStatus.SUCCESS:
            buffer = reply.expect(QueryDirectoryResponse).buffer
            found += [entry.file_name for entry in decode_directory_listing(FileInfoClass.ID_BOTH_DIRECTORY, buffer)]
        else:
            assert reply.status == NtStatus.NO_MORE_FILES
    found += [entry.file_name for entry in client.listing(folder)]
    assert sorted(found) == sorted([".", "..", *names])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_who_comes_back_waits_for_the_old_session_even_when_it_is_ending_already(seed: int) -> None:
    """The server has noticed that the connection is gone, and is still closing files, when the client is back."""
    server = SimulatedServer(EngineConfig(SERVER_GUID), seed, Weather(effect_delay_max_s=0.2))
    client = server.client()
    for number in range(5):
        client.open(f"file {number}", disposition=CreateDisposition.OPEN_IF, share=0)
    assert client.session is not None
    old = client.session.session_id
    client.transport.close()
    server.settle(lambda engine: len(engine.connections) == 0)
    assert server.engine.opens.count > 0
    again = server.connect()
    assert again.negotiate().status == NtStatus.SUCCESS
    server.driver.weather = Weather(effect_delay_max_s=0.0001)
    assert again.log_on("anna", "secret", previous_session_id=old).status == NtStatus.SUCCESS
    assert server.engine.opens.count == 0
    server.finish()
