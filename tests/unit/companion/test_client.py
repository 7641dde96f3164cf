"""The client asks over a real channel; a companion that the test plays itself answers, or does not."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smbd_uring import limits
from smbd_uring.companion.client import CompanionClient
from smbd_uring.netlink import channel, genl, messages
from smbd_uring.netlink.channel import BUSY_RETRY_S, Channel, Delivery, companion_channel
from smbd_uring.netlink.messages import INVALID_ID, Event
from smbd_uring.ports import (
    AccountFlags,
    AskLogin,
    AskShare,
    AskTree,
    CompanionUnavailable,
    Credentials,
    LoginAnswer,
    ShareFlags,
    TellLogout,
    TellTreeDisconnect,
    TreeAnswer,
    TreeFlags,
    TreeStatus,
)

TIMEOUT_S = limits.COMPANION_ANSWER_TIMEOUT_S
ARRIVAL_TIMEOUT_MS = 2000
HASH = bytes(range(16))
AVAILABLE = int(ShareFlags.AVAILABLE)


def refused_netlink() -> socket.socket:
    raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")


@pytest.fixture(params=["netlink", "unix"])
def client(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CompanionClient]:
    if request.param == "unix":
        monkeypatch.setattr(channel, "_netlink_socket", refused_netlink)
    with closing(CompanionClient(tmp_path)) as client:
        yield client


class Companion:
    """The other end, as the test plays it."""

    def __init__(self, state_directory: Path, client: CompanionClient) -> None:
        self._client = client
        self.end: Channel = companion_channel(state_directory)

    def say(self, message: Any, now: float = 0.0, event: Event | None = None) -> None:
        """Send a message (as `event` where that is not its own) and let the client read it."""
        self.send(genl.encode(message.EVENT if event is None else event, message.encode()), now)

    def send(self, datagram: bytes, now: float = 0.0) -> None:
        """Send bytes and let the client read them."""
        assert self.end.send(datagram) is Delivery.SENT
        wait_for(self._client.fileno())
        self._client.readable(now)

    def hear(self) -> list[Any]:
        """What the client sent so far, decoded; heartbeats and the questions for groups behind logins aside."""
        heard = []
        while datagrams := self.end.receive():
            for datagram in datagrams:
                for command, data in genl.decode(datagram.data):
                    if command not in (Event.HEARTBEAT_REQUEST, Event.LOGIN_REQUEST_EXT):
                        heard.append(QUESTIONS[Event(command)].decode(data))
        return heard

    def hear_all(self, now: float) -> list[Any]:
        """What the client sends from `now` on as long as it has something to send again soon."""
        heard = self.hear()
        while (due := self._client.next_deadline()) is not None and due <= now + BUSY_RETRY_S:
            now = due
            self._client.tick(now)
            heard += self.hear()
        return heard

    def hear_one(self) -> Any:
        """The one message that waits."""
        (message,) = self.hear()
        return message


QUESTIONS: dict[Event, Any] = {
    message.EVENT: message
    for message in (
        messages.LoginRequest, messages.LoginRequestExt, messages.ShareConfigRequest, messages.TreeConnectRequest,
        messages.TreeDisconnectRequest, messages.LogoutRequest,
    )
}  # fmt: skip


def wait_for(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    assert poll.poll(ARRIVAL_TIMEOUT_MS), "nothing arrived"


@pytest.fixture
def silent(tmp_path: Path, client: CompanionClient) -> Iterator[Companion]:
    """A companion that has not announced itself yet."""
    companion = Companion(tmp_path, client)
    with closing(companion.end):
        yield companion


@pytest.fixture
def companion(silent: Companion) -> Companion:
    """A companion that has."""
    silent.say(messages.StartingUp(netbios_name="ONE"))
    return silent


def share_config(handle: int, name: str, **values: Any) -> messages.ShareConfigResponse:
    plain = messages.ShareConfigResponse(
        handle, AVAILABLE, 0o744, 0o755, 0, 0, INVALID_ID, INVALID_ID, name, (), "/srv"
    )
    return replace(plain, **values)


def ask_tree(share: str = "data", address: str = "192.0.2.1") -> AskTree:
    return AskTree("anna", AccountFlags.OK, 7, 3, share, address)


def unavailable(client: CompanionClient) -> list[object]:
    """Tokens of the questions that were answered with CompanionUnavailable; all answers must be such."""
    answers = client.take_answers()
    assert all(isinstance(error, CompanionUnavailable) for _, _, error in answers)
    return [token for token, _, _ in answers]


# --- starting up ---


def test_the_first_message_is_kept_for_the_server(client: CompanionClient, silent: Companion) -> None:
    assert client.startup is None and client.peer_pid is None
    silent.say(messages.StartingUp(netbios_name="ONE", smb2_max_read=65536))
    assert client.startup == messages.StartingUp(netbios_name="ONE", smb2_max_read=65536)
    assert client.peer_pid is not None


def test_a_second_companion_is_not_listened_to_while_the_first_lives(
    tmp_path: Path, client: CompanionClient, companion: Companion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getpid", lambda: 1)
    other = Companion(tmp_path, client)
    with closing(other.end):
        other.say(messages.StartingUp(netbios_name="TWO"))
        client.submit("login", AskLogin("anna"), 0.0)
        assert other.hear() == []
        question = companion.hear_one()
        other.say(messages.LoginResponse(question.handle, 0, 0, "anna", int(AccountFlags.OK), HASH))
        assert client.take_answers() == []


def test_a_companion_that_came_back_is_asked_what_waits(
    tmp_path: Path, client: CompanionClient, companion: Companion
) -> None:
    client.submit("login", AskLogin("anna"), 10.0)
    companion.end.close()
    again = Companion(tmp_path, client)
    with closing(again.end):
        again.say(messages.StartingUp(netbios_name="TWO"), 10.5)
        assert client.startup is not None and client.startup.netbios_name == "ONE", "[global] counts once"
        question = again.hear_one()
        again.say(messages.LoginResponse(question.handle, 1, 2, "anna", int(AccountFlags.OK), HASH), 10.6)
        assert [token for token, _, error in client.take_answers() if error is None] == ["login"]


def test_one_that_says_so_again_is_asked_again_and_answers_once(
    client: CompanionClient, companion: Companion
) -> None:
    client.submit("token", ask_tree(), 0.0)
    companion.say(messages.StartingUp(netbios_name="ONE"))
    first, second = companion.hear()
    assert first == second
    companion.say(messages.TreeConnectResponse(first.handle, 0, 0))
    companion.say(messages.TreeConnectResponse(first.handle, int(TreeStatus.CONNECTION_EXISTS), 0))
    assert client.take_answers() == [("token", TreeAnswer(TreeStatus.OK, TreeFlags(0)), None)]


# --- logins ---


def test_an_account_without_groups_takes_one_answer(client: CompanionClient, companion: Companion) -> None:
    client.submit("token", AskLogin("anna"), 0.0)
    question = companion.hear_one()
    assert isinstance(question, messages.LoginRequest) and question.account == "anna"
    companion.say(messages.LoginResponse(question.handle, 100, 1000, "anna", int(AccountFlags.OK), HASH))
    assert client.take_answers() == [
        ("token", LoginAnswer("anna", AccountFlags.OK, Credentials(1000, 100), HASH), None)
    ]
    assert client.take_answers() == []


def test_groups_are_asked_for_together_with_the_account(client: CompanionClient, companion: Companion) -> None:
    """Given an account whose groups follow, there is no account before they are there, and nothing else is asked."""
    client.submit("token", AskLogin("anna"), 0.0)
    (datagram,) = companion.end.receive()
    (event, login), (event_of_groups, groups) = genl.decode(datagram.data)
    assert (event, event_of_groups) == (Event.LOGIN_REQUEST, Event.LOGIN_REQUEST_EXT)
    asked = messages.LoginRequestExt.decode(groups)
    assert asked.account == "anna" and asked.handle == messages.LoginRequest.decode(login).handle
    handle = asked.handle
    flags = AccountFlags.OK | AccountFlags.EXTENSION
    companion.say(messages.LoginResponse(handle, 100, 1000, "anna", int(flags), HASH))
    assert client.take_answers() == []
    assert companion.end.receive() == []
    companion.say(messages.LoginResponseExt(handle, (100, 27)))
    ((_, answer, error),) = client.take_answers()
    assert error is None and answer.credentials == Credentials(1000, 100, (100, 27))


def test_groups_get_no_time_of_their_own(client: CompanionClient, companion: Companion) -> None:
    client.submit("token", AskLogin("anna"), 0.0)
    handle = companion.hear_one().handle
    flags = int(AccountFlags.OK | AccountFlags.EXTENSION)
    companion.say(messages.LoginResponse(handle, 100, 1000, "anna", flags, HASH), TIMEOUT_S - 0.1)
    client.tick(TIMEOUT_S)
    assert unavailable(client) == ["token"]


@pytest.mark.parametrize("status", [AccountFlags.BAD_USER, AccountFlags.BAD_UID, AccountFlags.BAD_PASSWORD])
def test_an_account_that_is_not_ok_is_none(
    client: CompanionClient, companion: Companion, status: AccountFlags
) -> None:
    client.submit("token", AskLogin("anna"), 0.0)
    companion.say(messages.LoginResponse(companion.hear_one().handle, 0, 0, "", int(status), b""))
    assert client.take_answers() == [("token", None, None)]


@pytest.mark.parametrize("name", ["a" * 48, "ä" * 24, "\ud83d", "a\0b"])
def test_names_that_no_account_can_have_are_nobody(
    client: CompanionClient, companion: Companion, name: str
) -> None:
    client.submit("login", AskLogin(name), 0.0)
    client.submit("share", AskShare(name + "x" * 40), 0.0)
    client.submit("tree", ask_tree(name + "x" * 40), 0.0)
    client.submit("notice", TellLogout(name, AccountFlags.OK), 0.0)
    assert client.take_answers() == [
        ("login", None, None), ("share", None, None), ("tree", TreeAnswer(TreeStatus.ERROR, TreeFlags(0)), None),
        ("notice", None, None),
    ]  # fmt: skip
    assert companion.hear() == []


# --- shares ---


def test_a_share_is_told_with_all_its_values(client: CompanionClient, companion: Companion) -> None:
    client.submit("token", AskShare("DATA"), 0.0)
    flags = AVAILABLE | int(ShareFlags.WRITEABLE)
    companion.say(
        share_config(
            companion.hear_one().handle, "Data", flags=flags, create_mask=0o640, force_uid=12, veto_list=("*.tmp", "x"),
            path="/srv/\udcff",
        )
    )  # fmt: skip
    ((token, share, error),) = client.take_answers()
    assert (token, error) == ("token", None)
    assert (share.name, share.path, share.flags) == ("Data", "/srv/\udcff", ShareFlags(flags))
    assert (share.create_mask, share.force_uid, share.force_gid) == (0o640, 12, None)
    assert share.veto_list == ("*.tmp", "x")


def test_a_share_is_found_however_its_letters_are_composed(client: CompanionClient, companion: Companion) -> None:
    client.submit("token", AskShare("caf\u00e9"), 0.0)
    companion.say(share_config(companion.hear_one().handle, "Cafe\u0301"))
    assert client.take_answers()[0][1].name == "Cafe\u0301"


def test_a_share_is_asked_for_anew_each_time_so_that_a_reload_holds(
    client: CompanionClient, companion: Companion
) -> None:
    for path in ("/srv/old", "/srv/new"):
        client.submit("token", AskShare("data"), 0.0)
        companion.say(share_config(companion.hear_one().handle, "data", path=path))
        assert client.take_answers()[0][1].path == path


def test_a_share_that_is_not_there_is_none(client: CompanionClient, companion: Companion) -> None:
    client.submit("token", AskShare("data"), 0.0)
    companion.say(share_config(companion.hear_one().handle, "data", flags=0, path=""))
    assert client.take_answers() == [("token", None, None)]


def test_another_share_than_was_asked_for_is_refused(client: CompanionClient, companion: Companion) -> None:
    client.submit("token", AskShare("data"), 0.0)
    companion.say(share_config(companion.hear_one().handle, "secrets"))
    assert unavailable(client) == ["token"]


# --- trees ---


@pytest.mark.parametrize(("address", "flags"), [("192.0.2.1", 2), ("2001:db8::1", 3)])
def test_a_tree_question_names_account_share_and_address(
    client: CompanionClient, companion: Companion, address: str, flags: int
) -> None:
    client.submit("token", ask_tree(address=address), 0.0)
    asked = companion.hear_one()
    assert (asked.account, asked.account_flags, asked.share) == ("anna", int(AccountFlags.OK), "data")
    assert (asked.session_id, asked.connect_id, asked.peer_address, asked.flags) == (7, 3, address, flags)
    companion.say(messages.TreeConnectResponse(asked.handle, 0, int(TreeFlags.WRITABLE)))
    assert client.take_answers() == [("token", TreeAnswer(TreeStatus.OK, TreeFlags.WRITABLE), None)]


def test_a_verdict_that_is_none_is_a_refusal(client: CompanionClient, companion: Companion) -> None:
    client.submit("token", ask_tree(), 0.0)
    companion.say(messages.TreeConnectResponse(companion.hear_one().handle, 77, 0))
    assert client.take_answers()[0][1].status == TreeStatus.ERROR


# --- notices ---


def test_notices_are_answered_at_once_and_arrive_soon(client: CompanionClient, companion: Companion) -> None:
    client.submit("one", TellTreeDisconnect(7, 3), 0.0)
    client.submit("two", TellLogout("anna", AccountFlags.BAD_PASSWORD), 0.0)
    assert client.take_answers() == [("one", None, None), ("two", None, None)]
    due = client.next_deadline()
    assert due == limits.COMPANION_NOTICE_DELAY_S
    client.tick(due)
    assert client.next_deadline() == limits.COMPANION_HEARTBEAT_S
    assert companion.hear() == [
        messages.TreeDisconnectRequest(7, 3), messages.LogoutRequest("anna", int(AccountFlags.BAD_PASSWORD))
    ]  # fmt: skip


def test_a_companion_that_is_away_is_told_nothing_later(client: CompanionClient, silent: Companion) -> None:
    client.submit("one", TellTreeDisconnect(7, 3), 0.0)
    assert client.take_answers() == [("one", None, None)]
    silent.say(messages.StartingUp())
    client.tick(limits.COMPANION_NOTICE_DELAY_S)
    assert silent.hear() == []


# --- answers that do not fit ---


def test_an_answer_of_another_kind_answers_nothing(client: CompanionClient, companion: Companion) -> None:
    client.submit("token", AskLogin("anna"), 0.0)
    handle = companion.hear_one().handle
    companion.say(share_config(handle, "anna"))
    companion.say(messages.TreeConnectResponse(handle, 0, 0))
    companion.say(messages.LoginResponseExt(handle, (0,)))  # groups of an account that was not told
    assert client.take_answers() == []
    companion.say(messages.LoginResponse(handle, 1, 2, "anna", int(AccountFlags.OK), HASH))
    assert len(client.take_answers()) == 1


def test_an_answer_counts_once_and_an_unknown_handle_never(client: CompanionClient, companion: Companion) -> None:
    client.submit("token", ask_tree(), 0.0)
    handle = companion.hear_one().handle
    companion.say(messages.TreeConnectResponse(handle + 1, 0, 0))
    assert client.take_answers() == []
    companion.say(messages.TreeConnectResponse(handle, 0, 0))
    companion.say(messages.TreeConnectResponse(handle, 0, 0))
    assert len(client.take_answers()) == 1


def test_no_handle_is_in_use_twice(client: CompanionClient, companion: Companion) -> None:
    for number in range(100):
        client.submit(number, ask_tree(), 0.0)
    assert len({asked.handle for asked in companion.hear_all(0.0)}) == 100


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_garbage_is_dropped_and_the_client_goes_on(
    client: CompanionClient, companion: Companion, data: st.DataObject
) -> None:
    event = data.draw(st.sampled_from(sorted(Event)))
    payload = data.draw(st.binary(max_size=800))
    whole = genl.encode(event, payload)
    garbage = data.draw(
        st.one_of(
            st.binary(max_size=200).filter(bool),
            st.just(whole),
            st.integers(1, len(whole) - 1).map(lambda length: whole[:length]),
            st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)).map(
                lambda change: whole[: change[0]] + bytes([change[1]]) + whole[change[0] + 1 :]
            ),
        )
    )
    companion.send(garbage)
    client.take_answers()
    client.submit("after", ask_tree(), 0.0)
    asked = companion.hear()[-1]
    companion.say(messages.TreeConnectResponse(asked.handle, 0, 0))
    assert [token for token, _, error in client.take_answers() if error is None] == ["after"]


# --- time ---


def test_a_question_without_answer_ends_in_time(client: CompanionClient, companion: Companion) -> None:
    client.submit("token", AskLogin("anna"), 100.0)
    client.tick(100.0 + TIMEOUT_S - 0.01)
    assert client.take_answers() == []
    client.tick(100.0 + TIMEOUT_S)
    assert unavailable(client) == ["token"]
    companion.say(messages.LoginResponse(companion.hear_one().handle, 0, 0, "anna", int(AccountFlags.OK), HASH))
    assert client.take_answers() == [], "an answer that comes too late answers nothing"


def test_without_a_companion_a_question_waits_as_long(client: CompanionClient) -> None:
    client.submit("token", AskShare("data"), 100.0)
    assert client.next_deadline() == 100.0 + TIMEOUT_S
    client.tick(100.0 + TIMEOUT_S)
    assert unavailable(client) == ["token"]
    assert client.next_deadline() is None


def test_one_question_too_many_is_refused_at_once(client: CompanionClient) -> None:
    for number in range(limits.COMPANION_QUESTIONS_MAX):
        client.submit(number, AskLogin("anna"), 0.0)
    assert client.take_answers() == []
    client.submit("straw", AskLogin("anna"), 0.0)
    assert unavailable(client) == ["straw"]


def test_a_companion_that_died_is_missed_at_the_next_heartbeat(
    client: CompanionClient, companion: Companion
) -> None:
    companion.end.close()
    heartbeat = client.next_deadline()
    assert heartbeat == limits.COMPANION_HEARTBEAT_S
    client.tick(heartbeat)
    assert client.peer_pid is None


def test_a_companion_that_lives_gets_heartbeats(client: CompanionClient, companion: Companion) -> None:
    for turn in range(1, 4):
        client.tick(turn * limits.COMPANION_HEARTBEAT_S)
    commands = [command for datagram in companion.end.receive() for command, _ in genl.decode(datagram.data)]
    assert commands == [Event.HEARTBEAT_REQUEST] * 3
    assert client.peer_pid is not None


def test_what_finds_a_full_queue_is_sent_later_and_once(client: CompanionClient, companion: Companion) -> None:
    """More questions and notices than the queue of a socket file holds, to a companion that does not read at first."""
    count = 256
    for number in range(count):
        client.submit(number, ask_tree(), 0.0)
        client.submit("notice", TellTreeDisconnect(number, 1), 0.0)
    client.tick(limits.COMPANION_HEARTBEAT_S)
    assert client.peer_pid is not None, "one that does not read is not one that is gone"
    assert client.take_answers() == [("notice", None, None)] * count

    heard = companion.hear_all(limits.COMPANION_HEARTBEAT_S)
    asked = [message.handle for message in heard if isinstance(message, messages.TreeConnectRequest)]
    told = [message.session_id for message in heard if isinstance(message, messages.TreeDisconnectRequest)]
    assert len(asked) == len(set(asked)) == count
    assert told == list(range(count))
