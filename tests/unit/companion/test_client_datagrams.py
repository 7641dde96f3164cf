"""What travels together in one datagram, and what becomes of it when answers are late or do not fit."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from smbd_uring import limits
from smbd_uring.companion.client import CompanionClient
from smbd_uring.netlink import genl
from smbd_uring.netlink.channel import Channel, Delivery, companion_channel
from smbd_uring.netlink.messages import (
    INVALID_ID,
    Event,
    LoginRequest,
    LoginRequestExt,
    LoginResponse,
    LoginResponseExt,
    ShareConfigRequest,
    ShareConfigResponse,
    StartingUp,
    TreeConnectRequest,
    TreeConnectResponse,
    TreeDisconnectRequest,
)
from smbd_uring.ports import (
    AccountFlags,
    AskLogin,
    AskShare,
    AskTogether,
    AskTree,
    CompanionUnavailable,
    Credentials,
    ShareFlags,
    TellTreeDisconnect,
    TreeAnswer,
    TreeFlags,
    TreeStatus,
)

NOW = 1000.0
TOO_LATE = NOW + limits.COMPANION_ANSWER_TIMEOUT_S
ASK_TREE = AskTree("anna", AccountFlags.OK, 7, 3, "data", "192.0.2.1")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[CompanionClient]:
    client = CompanionClient(tmp_path)
    yield client
    client.close()


@pytest.fixture
def companion(client: CompanionClient, tmp_path: Path) -> Iterator[Channel]:
    """A companion that has announced itself and says no more by itself."""
    end = companion_channel(tmp_path)
    say(end, Event.STARTING_UP, StartingUp().encode())
    client.readable(NOW)
    yield end
    end.close()


def say(companion: Channel, event: Event, data: bytes) -> None:
    assert companion.send(genl.encode(event, data, companion.port)) is Delivery.SENT


def data_share(handle: int) -> ShareConfigResponse:
    flags = int(ShareFlags.AVAILABLE)
    return ShareConfigResponse(handle, flags, 0o744, 0o755, 0, 0, INVALID_ID, INVALID_ID, "data", (), "/srv")


def heard(companion: Channel) -> list[tuple[int, bytes]]:
    """What the client sent since the last time, heartbeats left out."""
    messages = [message for datagram in companion.receive() for message in genl.decode(datagram.data)]
    return [message for message in messages if message[0] != Event.HEARTBEAT_REQUEST]


def test_questions_asked_together_are_one_datagram_and_one_answer(client: CompanionClient, companion: Channel) -> None:
    client.submit("token", AskTogether((AskShare("data"), ASK_TREE)), NOW)
    (datagram,) = companion.receive()
    (share_event, share), (tree_event, tree) = genl.decode(datagram.data)
    assert (share_event, tree_event) == (Event.SHARE_CONFIG_REQUEST, Event.TREE_CONNECT_REQUEST)
    tree_handle = TreeConnectRequest.decode(tree).handle
    say(companion, Event.TREE_CONNECT_RESPONSE, TreeConnectResponse(tree_handle, 0, int(TreeFlags.WRITABLE)).encode())
    client.readable(NOW)
    assert client.take_answers() == [], "half of an answer is none"
    say(companion, Event.SHARE_CONFIG_RESPONSE, data_share(ShareConfigRequest.decode(share).handle).encode())
    client.readable(NOW)
    ((token, (share_answer, tree_answer), error),) = client.take_answers()
    assert (token, error) == ("token", None)
    assert share_answer.path == "/srv" and tree_answer == TreeAnswer(TreeStatus.OK, TreeFlags.WRITABLE)


def test_names_that_cannot_be_are_answered_together_too(client: CompanionClient, companion: Channel) -> None:
    client.submit("token", AskTogether((AskShare("x" * 64), replace(ASK_TREE, share="x" * 64))), NOW)
    assert heard(companion) == []
    assert client.take_answers() == [("token", (None, TreeAnswer(TreeStatus.ERROR, TreeFlags(0))), None)]


def test_one_without_answer_is_no_answer_to_any(client: CompanionClient, companion: Channel) -> None:
    client.submit("token", AskTogether((AskShare("data"), ASK_TREE)), NOW)
    _, (_, tree) = heard(companion)
    handle = TreeConnectRequest.decode(tree).handle
    say(companion, Event.TREE_CONNECT_RESPONSE, TreeConnectResponse(handle, 0, 0).encode())
    client.readable(NOW)
    client.tick(TOO_LATE)
    ((token, _, error),) = client.take_answers()
    assert token == "token" and isinstance(error, CompanionUnavailable)


def test_groups_are_asked_for_again_by_themselves_when_the_companion_came_back(
    client: CompanionClient, companion: Channel
) -> None:
    """Given an account that was told, and a companion that died before it told the groups."""
    client.submit("token", AskLogin("anna"), NOW)
    (_, question), _ = heard(companion)
    handle = LoginRequest.decode(question).handle
    status = int(AccountFlags.OK | AccountFlags.EXTENSION)
    say(companion, Event.LOGIN_RESPONSE, LoginResponse(handle, 100, 1000, "anna", status, bytes(16)).encode())
    say(companion, Event.STARTING_UP, StartingUp().encode())
    client.readable(NOW)
    ((event, groups),) = heard(companion)
    assert event == Event.LOGIN_REQUEST_EXT and LoginRequestExt.decode(groups).handle == handle
    say(companion, Event.LOGIN_RESPONSE_EXT, LoginResponseExt(handle, (27,)).encode())
    client.readable(NOW)
    ((_, answer, _),) = client.take_answers()
    assert answer.credentials == Credentials(1000, 100, (27,))


# --- notices ---


def test_notices_travel_with_the_next_question_and_before_it(client: CompanionClient, companion: Channel) -> None:
    """Given a share with a bound on connections, a tree's end makes room for the one that is asked about next."""
    client.submit("one", TellTreeDisconnect(7, 3), NOW)
    assert heard(companion) == []
    client.submit("two", ASK_TREE, NOW + 0.01)
    (datagram,) = companion.receive()
    commands = [command for command, _ in genl.decode(datagram.data)]
    assert commands == [Event.TREE_DISCONNECT_REQUEST, Event.TREE_CONNECT_REQUEST]
    assert client.next_deadline() == NOW + limits.COMPANION_HEARTBEAT_S, "nothing else waits"


def test_more_notices_than_go_with_a_question_arrive_in_order(client: CompanionClient, companion: Channel) -> None:
    for number in range(200):
        client.submit("notice", TellTreeDisconnect(number, 3), NOW)
    client.submit("token", ASK_TREE, NOW)
    *notices, (event, _) = heard(companion)
    assert [TreeDisconnectRequest.decode(notice).session_id for _, notice in notices] == list(range(200))
    assert event == Event.TREE_CONNECT_REQUEST


def test_what_waits_to_be_told_is_told_at_the_end(client: CompanionClient, companion: Channel) -> None:
    """Given a companion that outlives this server, it must not count trees of one that is gone."""
    client.submit("one", TellTreeDisconnect(7, 3), NOW)
    client.close()
    ((event, _),) = heard(companion)
    assert event == Event.TREE_DISCONNECT_REQUEST


# --- answers that are late or do not fit ---


def test_a_question_that_was_given_up_leaves_no_waiter(client: CompanionClient, companion: Channel) -> None:
    client.submit("token", AskTogether((AskShare("data"), ASK_TREE)), NOW)
    client.tick(TOO_LATE)
    ((token, _, error),) = client.take_answers()
    assert token == "token" and isinstance(error, CompanionUnavailable)
    assert len(heard(companion)) == 2
    client.tick(TOO_LATE + limits.COMPANION_ANSWER_TIMEOUT_S)
    assert client.take_answers() == [] and heard(companion) == []


@pytest.mark.parametrize("flags", [AccountFlags.OK, AccountFlags.OK | AccountFlags.EXTENSION])
def test_a_login_answered_with_a_name_that_cannot_be_is_answered(
    client: CompanionClient, companion: Channel, flags: AccountFlags
) -> None:
    """48 bytes of no UTF-8 become 48 characters, which fit in no question: such an account gets no tree."""
    client.submit("token", AskLogin("anna"), NOW)
    (_, question), _ = heard(companion)
    response = struct.pack("=4sII48sHH18s66x", question[:4], 0, 0, b"\xff" * 48, int(flags), 16, bytes(16))
    say(companion, Event.LOGIN_RESPONSE, response)
    if flags & AccountFlags.EXTENSION:
        handle = int.from_bytes(question[:4], "little")
        say(companion, Event.LOGIN_RESPONSE_EXT, LoginResponseExt(handle, (1,)).encode())
    client.readable(NOW)
    ((_, account, error),) = client.take_answers()
    assert error is None
    client.submit("tree", replace(ASK_TREE, account=account.account), NOW)
    ((_, tree, error),) = client.take_answers()
    assert error is None and tree.status == TreeStatus.ERROR
