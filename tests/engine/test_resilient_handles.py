"""Handles that a client asks to be kept for it whatever happens to its connection ([MS-SMB2] 3.3.5.15.9)."""

from __future__ import annotations

import pytest

from smbd_uring import limits
from smbd_uring.wire import create_contexts, durable_contexts
from smbd_uring.wire.const import AccessMask, CreateDisposition, Dialect, FileInfoClass, FsctlCode
from smbd_uring.wire.create import CreateResponse
from smbd_uring.wire.data import ReadResponse
from smbd_uring.wire.ioctl import encode_resiliency_timeout
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from tests.engine.conftest import MakeServer
from tests.engine.servers import TestedServer
from tests.support.client_messages import Reply
from tests.support.file_client import FileClient

NOT_FOUND = NtStatus.OBJECT_NAME_NOT_FOUND
CREATE, OPEN = CreateDisposition.CREATE, CreateDisposition.OPEN
POSITION = (0x1000).to_bytes(8, "little")
FILE_DELETE_ON_CLOSE = 0x1000


def make_resilient(client: FileClient, file_id: FileId, timeout_ms: int = 10_000) -> int:
    """Result: the status."""
    data = encode_resiliency_timeout(timeout_ms)
    return client.ioctl(FsctlCode.LMR_REQUEST_RESILIENCY, data, file_id=file_id, max_output=0).status


def take_up(client: FileClient, file_id: FileId, name: str = "whatever") -> Reply:
    context = (create_contexts.DURABLE_RECONNECT, durable_contexts.encode_durable_reconnect(file_id))
    return client.create(name, 0x1234_5678, disposition=77, options=0x7777_7777, contexts=(context,))


def leave(server: TestedServer, client: FileClient) -> None:
    """The client's connection breaks, and the server has noticed."""
    before = server.inspect(lambda engine: len(engine.connections))
    client.transport.close()
    server.settle(lambda engine: len(engine.connections) < before and not engine.scheduler.tasks)


def resilient(server: TestedServer, user: str = "anna", **creation: int) -> tuple[FileClient, FileId]:
    client = server.client(user=user)
    file_id = client.open("file", disposition=CREATE, **creation)
    assert client.write(file_id, b"data").status == 0
    assert make_resilient(client, file_id) == 0
    return client, file_id


def test_a_client_that_comes_back_goes_on_where_it_was(server: TestedServer) -> None:
    client, file_id = resilient(server, share=0)
    assert client.set_info(file_id, FileInfoClass.POSITION, POSITION).status == 0
    leave(server, client)
    again = server.client()
    answer = take_up(again, file_id).expect(CreateResponse)
    assert answer.file_id.persistent == file_id.persistent
    assert answer.file_id.volatile != file_id.volatile
    assert (answer.create_action, answer.end_of_file) == (1, 4)
    assert again.read(answer.file_id).expect(ReadResponse).data == b"data"
    assert again.write(answer.file_id, b"more", 4).status == 0
    assert again.close(answer.file_id).status == 0
    assert again.get("file") == b"datamore"


def test_meanwhile_nobody_gets_what_the_handle_does_not_share(server: TestedServer) -> None:
    client, _ = resilient(server, share=0)
    leave(server, client)
    other = server.client(user="bert")
    assert other.create("file", AccessMask.GENERIC_READ).status == NtStatus.SHARING_VIOLATION
    server.advance(11)
    assert other.create("file", AccessMask.GENERIC_READ).status == 0


def test_after_its_time_it_is_gone(server: TestedServer) -> None:
    client, file_id = resilient(server)
    leave(server, client)
    server.advance(11)
    assert take_up(server.client(), file_id).status == NOT_FOUND


def test_nobody_else_gets_it(server: TestedServer) -> None:
    client, file_id = resilient(server)
    leave(server, client)
    assert take_up(server.client(user="bert"), file_id).status == NtStatus.ACCESS_DENIED
    assert take_up(server.client(user=""), file_id).status == NtStatus.ACCESS_DENIED
    assert take_up(server.client(share="sealed"), file_id).status != 0
    assert take_up(server.client(), file_id).status == 0


def test_it_cannot_be_taken_from_a_client_that_is_there(server: TestedServer) -> None:
    client, file_id = resilient(server)
    assert take_up(server.client(), file_id).status == NOT_FOUND
    assert take_up(client, file_id).status == NOT_FOUND
    assert client.read(file_id).status == 0


def test_a_client_that_logs_on_again_takes_its_own_handle_over(server: TestedServer) -> None:
    client, file_id = resilient(server)
    again = server.connect()
    assert again.negotiate().status == 0
    session = client.session
    assert session is not None
    assert again.log_on("anna", "secret", previous_session_id=session.session_id).status == 0
    assert again.tree_connect("data").status == 0
    assert take_up(again, file_id).status == 0
    assert client.read(file_id).status == NtStatus.USER_SESSION_DELETED


@pytest.mark.parametrize("end", ["close", "tree disconnect"])
def test_an_explicit_end_is_the_end(server: TestedServer, end: str) -> None:
    client, file_id = resilient(server)
    if end == "close":
        assert client.close(file_id).status == 0
    else:
        assert client.tree_disconnect().status == 0
        assert client.tree_connect("data").status == 0
    assert take_up(client, file_id).status == NOT_FOUND


def test_a_logoff_leaves_it_for_the_next_session(server: TestedServer) -> None:
    client, file_id = resilient(server)
    assert client.log_off().status == 0
    assert take_up(server.client(), file_id).status == 0


def test_deletion_on_close_waits_for_the_real_close(server: TestedServer) -> None:
    client, file_id = resilient(server, options=FILE_DELETE_ON_CLOSE)
    leave(server, client)
    again = server.client()
    answer = take_up(again, file_id).expect(CreateResponse)
    assert again.close(answer.file_id).status == 0
    assert again.create("file").status == NOT_FOUND


def test_deletion_on_close_happens_when_nobody_comes_back(server: TestedServer) -> None:
    client, _ = resilient(server, options=FILE_DELETE_ON_CLOSE)
    leave(server, client)
    server.advance(11)
    assert server.client().create("file").status == NOT_FOUND


def test_it_can_be_lost_and_taken_up_many_times(server: TestedServer) -> None:
    client, file_id = resilient(server)
    for _ in range(5):
        leave(server, client)
        server.advance(8)  # of ten: each time anew
        client = server.client()
        file_id = take_up(client, file_id).expect(CreateResponse).file_id
    assert client.read(file_id).expect(ReadResponse).data == b"data"


def test_too_long_a_time_is_refused_and_none_is_the_servers_own(server: TestedServer) -> None:
    client = server.client()
    file_id = client.open("file", disposition=CREATE)
    too_long = round(limits.RESILIENCY_TIMEOUT_MAX_S * 1000) + 1
    assert make_resilient(client, file_id, too_long) == NtStatus.INVALID_PARAMETER
    assert make_resilient(client, file_id, 0) == 0
    leave(server, client)
    server.advance(limits.RESILIENCY_TIMEOUT_S - 1)
    assert take_up(server.client(), file_id).status == 0


def test_a_request_that_is_cut_short_is_refused(server: TestedServer) -> None:
    client = server.client()
    file_id = client.open("file", disposition=CREATE)
    reply = client.ioctl(FsctlCode.LMR_REQUEST_RESILIENCY, bytes(7), file_id=file_id)
    assert reply.status == NtStatus.INVALID_PARAMETER


def test_2_0_2_does_not_know_it(server: TestedServer) -> None:
    client = server.client(dialects=(Dialect.SMB_2_0_2,))
    assert make_resilient(client, client.open("file", disposition=CREATE)) == NtStatus.INVALID_DEVICE_REQUEST


def test_the_oldest_goes_when_too_many_wait(server: TestedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HANDLES_AWAY_PER_OWNER_MAX", 2)
    client = server.client()
    handles = []
    for number in range(3):
        file_id = client.open(f"file{number}", disposition=CREATE)
        assert make_resilient(client, file_id) == 0
        handles.append(file_id)
        assert client.log_off().status == 0
        client = server.client()
    assert [take_up(client, file_id).status for file_id in handles] == [NOT_FOUND, 0, 0]


def test_a_server_that_keeps_no_handles_says_so(make_server: MakeServer) -> None:
    server = make_server(durable_handles=False)
    client = server.client()
    assert make_resilient(client, client.open("file", disposition=CREATE)) == NtStatus.NOT_SUPPORTED


def test_the_status_tells_of_handles_that_wait(server: TestedServer) -> None:
    client, _ = resilient(server)
    leave(server, client)
    status = server.inspect(lambda engine: engine.status())
    assert status["totals"]["handles_waiting"] == 1
    shown = [(each["session"], each["path"], each["durability"]) for each in status["opens"]]
    assert shown == [(None, "file", "RESILIENT_AWAY")]
