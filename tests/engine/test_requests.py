"""Compounds, credits, asynchronous requests and CANCEL, whatever the commands ([MS-SMB2] 3.3.5.2)."""

from __future__ import annotations

import pytest

from smbd_uring import limits
from smbd_uring.wire.const import AccessMask, Command, CreateDisposition, CreateOptions, Dialect, HeaderFlags
from smbd_uring.wire.create import CreateResponse
from smbd_uring.wire.data import ReadResponse
from smbd_uring.wire.error_response import ErrorResponse
from smbd_uring.wire.header import HEADER_SIZE
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from tests.engine.conftest import MakeServer
from tests.engine.servers import TestedServer
from tests.support.client import DIALECTS
from tests.support.client_messages import Message
from tests.support.file_client import FileClient, Messages

ANY = Messages.ANY
DIRECTORY = CreateOptions.FILE_DIRECTORY_FILE
MISSING = NtStatus.OBJECT_NAME_NOT_FOUND
READ = AccessMask.GENERIC_READ
CONTENTS = b"0123456789"


@pytest.fixture
def client(server: TestedServer) -> FileClient:
    """A client of a share with one file."""
    server.files.add_file("file", CONTENTS, 0o777)
    return server.client()


# --- compounds ---


def test_related_requests_use_the_file_of_the_one_before(server: TestedServer, client: FileClient) -> None:
    answers = client.ask_all(
        Messages.create("new", disposition=CreateDisposition.CREATE), Messages.write(ANY, 0, b"data").related(),
        Messages.read(ANY, 1, 2).related(), Messages.close().related(),
    )  # fmt: skip
    assert [answer.status for answer in answers] == [NtStatus.SUCCESS] * 4
    assert answers[2].expect(ReadResponse).data == b"at"
    assert [bool(answer.header.flags & HeaderFlags.RELATED_OPERATIONS) for answer in answers] == [False] + [True] * 3
    assert server.inspect(lambda engine: engine.opens.count) == 0


def test_the_answers_of_a_compound_are_one_frame_each_8_aligned(client: FileClient) -> None:
    frame = client.frame(Messages.create("file"), Messages.read(ANY, 0, 3).related(), Messages.close().related())
    client.send_raw(frame)
    reply = client.receive_frame()
    lengths = []
    while following := int.from_bytes(reply[20:24], "little"):
        assert following % 8 == 0
        lengths.append(following)
        reply = reply[following:]
    assert len(lengths) == 2
    assert len(reply) == HEADER_SIZE + 60, "the last one is not padded"
    client.forget()


def test_what_follows_a_failed_create_fails_like_it(client: FileClient) -> None:
    answers = client.ask_all(
        Messages.create("missing"), Messages.read(ANY, 0, 1).related(), Messages.close().related()
    )
    assert [answer.status for answer in answers] == [MISSING] * 3


def test_a_failure_that_is_no_create_does_not_stop_the_rest(client: FileClient) -> None:
    answers = client.ask_all(
        Messages.create("file"), Messages.read(ANY, 100, 1).related(), Messages.close().related()
    )
    assert [answer.status for answer in answers] == [NtStatus.SUCCESS, NtStatus.END_OF_FILE, NtStatus.SUCCESS]


def test_unrelated_requests_stand_for_themselves(client: FileClient) -> None:
    answers = client.ask_all(Messages.create("missing"), Messages.create("file"), Messages.echo())
    assert [answer.status for answer in answers] == [MISSING, NtStatus.SUCCESS, NtStatus.SUCCESS]


def test_an_unrelated_request_breaks_the_relation(client: FileClient) -> None:
    answers = client.ask_all(Messages.create("file"), Messages.close())
    assert [answer.status for answer in answers] == [NtStatus.SUCCESS, NtStatus.FILE_CLOSED]


def test_the_first_request_has_nothing_to_relate_to(client: FileClient) -> None:
    answers = client.ask_all(Messages.create("file").related(), Messages.close().related())
    assert [answer.status for answer in answers] == [NtStatus.INVALID_PARAMETER] * 2


def test_a_related_request_takes_session_and_tree_from_before_whatever_it_says(client: FileClient) -> None:
    read = Messages.read(ANY, 0, 1).related()
    read.session_id, read.tree_id = 0xFFFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF
    create, answer, close = client.ask_all(Messages.create("file"), read, Messages.close().related())
    assert [create.status, answer.status, close.status] == [NtStatus.SUCCESS] * 3


def test_a_related_request_may_name_its_file(client: FileClient) -> None:
    file_id = client.open("file")
    answers = client.ask_all(Messages.read(file_id, 0, 2), Messages.read(file_id, 2, 2).related(),
                             Messages.read(ANY, 4, 2).related())  # fmt: skip
    assert [answer.expect(ReadResponse).data for answer in answers] == [b"01", b"23", b"45"]


@pytest.mark.parametrize("following", [1, 7, 8, 63, 100, 0x7FFF_FFF8, 0xFFFF_FFF8])
def test_a_compound_that_points_nowhere_ends_the_connection(client: FileClient, following: int) -> None:
    first = Messages.echo()
    first.next_command = following
    client.send(first, Messages.echo())
    client.assert_ended()


def test_too_long_a_compound_ends_the_connection(client: FileClient) -> None:
    client.echo(credits=200)
    answers = client.ask_all(*(Messages.echo() for _ in range(limits.COMPOUND_REQUESTS_MAX)))
    assert len(answers) == limits.COMPOUND_REQUESTS_MAX
    client.send(*(Messages.echo() for _ in range(limits.COMPOUND_REQUESTS_MAX + 1)))
    client.assert_ended()


# --- credits ---


def test_a_client_gets_the_credits_it_asks_for_up_to_the_window(make_server: MakeServer) -> None:
    server = make_server(credits_max=200)
    client = server.client()
    for _ in range(5):
        client.echo(credits=512)
    assert client.credits == 200
    client.echo(credits=0)
    assert client.credits == 200, "at least one for each request"


def test_a_stranger_gets_few(server: TestedServer) -> None:
    client = server.connect()
    client.negotiate(credits=0xFFFF)
    assert client.credits == limits.CREDITS_UNAUTHENTICATED_MAX
    client.log_on("anna", "secret", credits=512)
    assert client.credits > limits.CREDITS_UNAUTHENTICATED_MAX


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("offset", [-1, 10_000, (1 << 64) - 1])
def test_a_message_id_outside_the_window_ends_the_connection(
    server: TestedServer, dialect: Dialect, offset: int
) -> None:
    client = server.client(dialects=[dialect])
    echo = Messages.echo()
    echo.message_id = offset if offset > 1 << 63 else client.next_message_id + offset
    client.send(echo)
    client.assert_ended()


def test_a_message_id_is_used_once(client: FileClient) -> None:
    notify = Messages.change_notify(client.open("", READ, options=DIRECTORY))
    (message_id,) = client.send(notify)
    client.wait_for_interim(message_id)
    echo = Messages.echo()
    echo.message_id = message_id
    client.send(echo)
    client.assert_ended()


def test_message_ids_may_come_in_any_order(client: FileClient) -> None:
    first = client.next_message_id
    for message_id in (first + 5, first + 2, first, first + 1):
        echo = Messages.echo()
        echo.message_id = message_id
        assert client.ask(echo).status == NtStatus.SUCCESS


def test_a_charge_takes_that_many_ids(client: FileClient) -> None:
    first = client.next_message_id
    assert client.echo(credit_charge=4).status == NtStatus.SUCCESS
    echo = Messages.echo()
    echo.message_id = first + 3
    client.send(echo)
    client.assert_ended()


def test_before_multi_credit_a_charge_is_nothing(server: TestedServer) -> None:
    client = server.client(dialects=[Dialect.SMB_2_0_2])
    frame = bytearray(client.frame(echo := Messages.echo()))
    frame[6:8] = b"\x40\0"
    client.send_raw(bytes(frame))
    assert echo.message_id is not None
    assert client.wait_for(echo.message_id).status == NtStatus.SUCCESS
    assert client.echo().status == NtStatus.SUCCESS


# --- asynchronous requests ---


def watch(client: FileClient) -> tuple[int, int, FileId]:
    """A CHANGE_NOTIFY that waits.  Result: its MessageId, its AsyncId and its folder."""
    folder = client.open("", READ, options=DIRECTORY)
    (message_id,) = client.send(Messages.change_notify(folder))
    interim = client.wait_for_interim(message_id)
    assert interim.header.flags & HeaderFlags.ASYNC_COMMAND
    assert not interim.signed
    return message_id, interim.header.async_id, folder


@pytest.mark.parametrize("by_async_id", [True, False], ids=["by AsyncId", "by MessageId"])
@pytest.mark.parametrize("signed", [False, True], ids=["plain", "signed"])
def test_a_waiting_request_ends_when_it_is_cancelled(client: FileClient, by_async_id: bool, signed: bool) -> None:
    message_id, async_id, _ = watch(client)
    if by_async_id:
        client.cancel(async_id=async_id, sign=signed)
    else:
        client.cancel(message_id, sign=signed)
    answer = client.wait_for(message_id)
    answer.expect(ErrorResponse, NtStatus.CANCELLED)
    assert answer.header.async_id == async_id
    assert answer.header.credits == 0, "they came with the interim answer"


def test_a_cancel_that_finds_nothing_is_not_answered(server: TestedServer, client: FileClient) -> None:
    message_id, async_id, _ = watch(client)
    client.cancel(async_id=async_id + 1)
    client.cancel(message_id + 1)
    client.cancel(0)
    server.assert_silent(client)
    client.cancel(async_id=async_id)
    assert client.wait_for(message_id).status == NtStatus.CANCELLED
    client.cancel(async_id=async_id)
    assert client.echo().status == NtStatus.SUCCESS


def test_a_cancel_with_a_wrong_signature_is_ignored(server: TestedServer, client: FileClient) -> None:
    message_id, async_id, _ = watch(client)
    client.cancel(async_id=async_id, sign=True, wrong_signature=True)
    server.assert_silent(client)
    client.cancel(async_id=async_id, sign=True)
    assert client.wait_for(message_id).status == NtStatus.CANCELLED


def test_closing_its_folder_ends_a_watch(client: FileClient) -> None:
    message_id, _, folder = watch(client)
    assert client.close(folder).status == NtStatus.SUCCESS
    assert client.wait_for(message_id).status == NtStatus.NOTIFY_CLEANUP


def test_disconnecting_the_tree_ends_a_watch(client: FileClient) -> None:
    message_id, _, _ = watch(client)
    assert client.tree_disconnect().status == NtStatus.SUCCESS
    assert client.wait_for(message_id).status == NtStatus.NOTIFY_CLEANUP


def test_logging_off_ends_a_watch(client: FileClient) -> None:
    message_id, _, _ = watch(client)
    client.send(Message(Command.LOGOFF, b"\4\0\0\0"))
    assert client.wait_for(message_id).status in (NtStatus.NOTIFY_CLEANUP, NtStatus.CANCELLED)


def test_a_watch_at_the_end_of_a_compound_waits_and_what_came_before_is_answered(client: FileClient) -> None:
    create = Messages.create("", READ, options=DIRECTORY)
    create_id, notify_id = client.send(create, Messages.change_notify(ANY).related())
    client.wait_for(create_id).expect(CreateResponse)
    interim = client.wait_for_interim(notify_id)
    client.cancel(async_id=interim.header.async_id)
    assert client.wait_for(notify_id).status == NtStatus.CANCELLED


def test_a_watch_in_the_middle_of_a_compound_does_not_wait(client: FileClient) -> None:
    folder = client.open("", READ, options=DIRECTORY)
    notify, echo = client.ask_all(Messages.change_notify(folder), Messages.echo())
    assert notify.status == NtStatus.INTERNAL_ERROR
    assert echo.status == NtStatus.SUCCESS


def test_a_watch_needs_a_folder_that_may_be_listed(client: FileClient) -> None:
    for name, access, options in (("file", READ, 0), ("", AccessMask.FILE_READ_ATTRIBUTES, DIRECTORY)):
        file_id = client.open(name, access, options=options)
        status = client.ask(Messages.change_notify(file_id)).status
        assert status == (NtStatus.ACCESS_DENIED if options else NtStatus.INVALID_PARAMETER)


def test_only_so_many_requests_wait_on_one_connection(
    client: FileClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ASYNC_REQUESTS_MAX", 3)
    watches = [watch(client) for _ in range(3)]
    folder = client.open("", READ, options=DIRECTORY)
    assert client.ask(Messages.change_notify(folder)).status == NtStatus.INSUFFICIENT_RESOURCES
    client.cancel(async_id=watches[0][1])
    assert client.wait_for(watches[0][0]).status == NtStatus.CANCELLED
    watch(client)


# --- commands that are not there, or not yet ---


@pytest.mark.parametrize("command", [0x13, 0x14, 0xFF, 0xFFFF])
def test_an_unknown_command_is_invalid(client: FileClient, command: int) -> None:
    assert client.ask(Message(command, bytes(64))).status == NtStatus.INVALID_PARAMETER
    assert client.echo().status == NtStatus.SUCCESS


@pytest.mark.parametrize("command", [command for command in Command if command not in (0, 12, 0x13)])
def test_an_empty_body_is_invalid_whatever_the_command(client: FileClient, command: Command) -> None:
    assert client.ask(Message(command, b"")).status == NtStatus.INVALID_PARAMETER
    assert client.ask(Message(command, b"\xff" * 128)).status == NtStatus.INVALID_PARAMETER
    assert client.echo().status == NtStatus.SUCCESS


def test_a_response_is_no_request(client: FileClient) -> None:
    echo = Messages.echo()
    echo.flags |= HeaderFlags.SERVER_TO_REDIR
    client.send(echo)
    client.assert_ended()


def test_control_codes_are_not_supported_and_not_made_up(client: FileClient) -> None:
    file_id = client.open("file")
    assert client.ioctl(0x0014_0078, file_id=file_id).status == NtStatus.NOT_SUPPORTED
    assert client.ioctl(0x0011_0018).status == NtStatus.NOT_SUPPORTED
    assert client.ioctl(0x0006_0194).status == NtStatus.FS_DRIVER_REQUIRED
    assert client.ioctl(0x0014_0078, file_id=FileId(1, 2)).status == NtStatus.FILE_CLOSED
