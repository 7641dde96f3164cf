"""Questions that run into their time limit leave nothing behind: no waiter, no tree that is counted for ever."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smbd_uring import limits
from smbd_uring.companion.client import CompanionClient
from smbd_uring.netlink import genl
from smbd_uring.netlink.channel import Channel, Delivery, companion_channel
from smbd_uring.netlink.messages import Event, StartingUp
from smbd_uring.ports import AccountFlags, AskLogin, AskTree, CompanionUnavailable

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


def heard(companion: Channel) -> list[tuple[int, bytes]]:
    """What the client sent since the last time, heartbeats left out."""
    messages = [genl.decode(datagram.data) for datagram in companion.receive()]
    return [message for message in messages if message[0] != Event.HEARTBEAT_REQUEST]


def failed(client: CompanionClient) -> list[Any]:
    """Tokens of questions that failed; nothing else was answered."""
    answers = client.take_answers()
    assert all(isinstance(error, CompanionUnavailable) for _, _, error in answers)
    return [token for token, _, _ in answers]


def test_a_tree_that_was_given_up_is_told_to_be_gone(client: CompanionClient, companion: Channel) -> None:
    """The companion may count it by now, and nobody else would ever say that it is gone."""
    client.submit("token", ASK_TREE, NOW)
    client.tick(TOO_LATE)
    assert failed(client) == ["token"]
    connect, (event, notice) = heard(companion)
    assert connect[0] == Event.TREE_CONNECT_REQUEST
    assert (event, struct.unpack_from("=QQ", notice)) == (Event.TREE_DISCONNECT_REQUEST, (7, 3))


def test_a_tree_that_no_companion_was_asked_about_is_not(client: CompanionClient, tmp_path: Path) -> None:
    client.submit("token", ASK_TREE, NOW)
    client.tick(TOO_LATE)
    assert failed(client) == ["token"]
    companion = companion_channel(tmp_path)
    say(companion, Event.STARTING_UP, StartingUp().encode())
    client.readable(TOO_LATE)
    assert heard(companion) == []
    companion.close()


@pytest.mark.parametrize("flags", [AccountFlags.OK, AccountFlags.OK | AccountFlags.EXTENSION])
def test_a_login_answered_with_a_name_that_cannot_be_is_not_lost(
    client: CompanionClient, companion: Channel, flags: AccountFlags
) -> None:
    """48 bytes of no UTF-8 become 48 characters, which do not fit in the question for the account's groups."""
    client.submit("token", AskLogin("anna"), NOW)
    ((_, question),) = heard(companion)
    response = struct.pack("=4sII48sHH18s66x", question[:4], 0, 0, b"\xff" * 48, int(flags), 16, bytes(16))
    say(companion, Event.LOGIN_RESPONSE, response)
    client.readable(NOW)
    assert client.take_answers() == []
    client.tick(TOO_LATE)
    assert failed(client) == ["token"]
