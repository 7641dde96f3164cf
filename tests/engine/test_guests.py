"""Guests and anonymous clients have no keys: where something must be protected they have no place."""

from __future__ import annotations

import pytest

from smbd_uring.config import Encryption
from smbd_uring.wire.const import Dialect
from smbd_uring.wire.ntstatus import NtStatus
from tests.engine.conftest import MakeServer


@pytest.mark.parametrize("dialect", [Dialect.SMB_3_0, Dialect.SMB_3_1_1])
@pytest.mark.parametrize("user", ["", "visitor"])
def test_a_server_that_encrypts_every_session_has_no_guests(
    make_server: MakeServer, user: str, dialect: Dialect
) -> None:
    client = make_server(encryption=Encryption.REQUIRED).connect()
    assert client.negotiate([dialect]).status == NtStatus.SUCCESS
    assert client.log_on(user, "anything" if user else "").status == NtStatus.LOGON_FAILURE
