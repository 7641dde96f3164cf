"""Guessing passwords: whatever a stranger does, an address learns about so many guesses in so much time and no more."""

from __future__ import annotations

import pytest

from smbd_uring import limits
from smbd_uring.wire.ntstatus import NtStatus
from tests.engine.servers import TestedServer
from tests.support.client_channel import ConnectionEnded
from tests.support.file_client import FileClient

OTHER_ADDRESS = "127.0.0.2"


def stranger(server: TestedServer, address: str = "127.0.0.1") -> FileClient:
    client = server.connect(address)
    assert client.negotiate().status == NtStatus.SUCCESS
    return client


def fill_the_places(server: TestedServer) -> None:
    """As many failed logons as are held back at a time; all of them are, once this returns."""
    client = stranger(server)
    for _ in range(limits.LOGONS_DELAYED_PER_ADDRESS_MAX):
        client.send(client.setup_message(b"no token"))
    client.forget()
    server.settle(lambda engine: engine.logon_delays.is_full("127.0.0.1"))


def test_with_every_place_taken_the_right_password_is_answered_like_a_wrong_one(server: TestedServer) -> None:
    fill_the_places(server)
    for password in ("secret", "wrong"):
        with pytest.raises(ConnectionEnded):
            stranger(server).log_on("anna", password)
    assert stranger(server, OTHER_ADDRESS).log_on("anna", "secret").status == NtStatus.SUCCESS
    server.advance(limits.LOGON_DELAY_MAX_S)
    assert stranger(server).log_on("anna", "secret").status == NtStatus.SUCCESS


@pytest.mark.parametrize("user", ["", "visitor"])
def test_a_logon_that_proves_nothing_does_not_shorten_the_delay(server: TestedServer, user: str) -> None:
    client = stranger(server)
    waited = []
    for _ in range(3):
        before = server.now
        assert client.log_on("anna", "wrong").status == NtStatus.LOGON_FAILURE
        waited.append(server.now - before)
        assert stranger(server).log_on(user, "any").status == NtStatus.SUCCESS
    for number, seconds in enumerate(waited):
        assert seconds >= limits.LOGON_DELAY_FIRST_S * 2**number
