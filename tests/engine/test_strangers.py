"""Before it has logged on a client has little to spend, and it cannot touch what is another session's."""

from __future__ import annotations

import pytest

from smbd_uring import limits
from smbd_uring.config import EngineConfig
from smbd_uring.engine.engine import Engine
from smbd_uring.wire.const import AccessMask, Command, CreateOptions, SecurityMode
from smbd_uring.wire.data import CancelRequest
from smbd_uring.wire.ntstatus import NtStatus
from tests.engine.servers import SERVER_GUID, SimulatedServer, TestedServer
from tests.support.client_messages import Message
from tests.support.file_client import FileClient, Messages
from tests.support.ntlm_client import NtlmInitiator

REQUIRED = SecurityMode.SIGNING_ENABLED | SecurityMode.SIGNING_REQUIRED


def begin_logon(client: FileClient) -> int:
    """The first half of a logon.  Result: its status."""
    return client.session_setup(NtlmInitiator("anna", "secret").negotiate()).status


def test_a_stranger_can_begin_few_sessions_and_a_user_more(server: TestedServer) -> None:
    client = server.connect()
    assert client.negotiate().status == NtStatus.SUCCESS
    for _ in range(limits.SESSIONS_UNAUTHENTICATED_MAX - 1):
        assert begin_logon(client) == NtStatus.MORE_PROCESSING_REQUIRED
    assert client.log_on("anna", "secret").status == NtStatus.SUCCESS
    for _ in range(limits.SESSIONS_UNAUTHENTICATED_MAX):
        assert client.log_on("bert", "secret").status == NtStatus.SUCCESS
    other = server.connect()
    assert other.negotiate().status == NtStatus.SUCCESS
    for _ in range(limits.SESSIONS_UNAUTHENTICATED_MAX):
        assert begin_logon(other) == NtStatus.MORE_PROCESSING_REQUIRED
    assert begin_logon(other) == NtStatus.TOO_MANY_SESSIONS


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_stranger_who_reads_no_answer_is_not_read_from_for_long(seed: int) -> None:
    server = SimulatedServer(EngineConfig(SERVER_GUID), seed)
    client = server.connect()
    assert client.negotiate().status == NtStatus.SUCCESS
    server.driver._plan_sending = lambda wire: None  # type: ignore[method-assign]  # the network takes nothing
    for _ in range(5000):
        client.credits = 64
        client.send(Messages.echo())
    client.forget()
    server.driver.advance(5.0)

    def unsent(engine: Engine) -> int:
        return max((connection.bytes_unsent for connection in engine.connections.values()), default=0)

    most = server.inspect(unsent)
    assert 0 < most <= limits.UNAUTHENTICATED_SEND_QUEUE_BYTES_MAX + limits.UNAUTHENTICATED_FRAME_BYTES_MAX
    server.finish()


@pytest.mark.parametrize("session_id", [0, 12345])
def test_a_cancel_of_no_session_ends_no_request_of_one_that_signs(server: TestedServer, session_id: int) -> None:
    client = server.client(security_mode=REQUIRED)
    folder = client.open("", AccessMask.GENERIC_READ, options=CreateOptions.FILE_DIRECTORY_FILE)
    (message_id,) = client.send(Messages.change_notify(folder))
    interim = client.wait_for_interim(message_id)
    forged = Message(Command.CANCEL, CancelRequest().encode(), message_id=message_id, session_id=session_id, sign=False)
    client.send(forged)
    server.assert_silent(client)
    client.cancel(async_id=interim.header.async_id)
    assert client.wait_for(message_id).status == NtStatus.CANCELLED
