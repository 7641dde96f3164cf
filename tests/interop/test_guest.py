"""Who gives no name gets in where a share allows guests, nowhere else; a wrong password makes no guest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.launching import ACCOUNT, Launch
from tests.support import smbclient
from tests.support.endpoint import Account, Endpoint, make_share
from tests.support.smbclient import Transport

ANONYMOUS = Account("", "")
PLAIN = Transport("SMB3_11", "plain")
"""Without a password there is no key to sign with."""


@pytest.fixture(scope="module")
def endpoint(launch: Launch, place: Path) -> Endpoint:
    return launch([make_share(place, "open", guest=True), make_share(place, "closed")]).endpoint


def attempt(
    endpoint: Endpoint, share: str, account: Account, scratch: Path, *commands: str
) -> tuple[str, int]:
    return smbclient.attempt(endpoint, commands, scratch, share=share, account=account, transport=PLAIN)


def test_a_guest_stores_and_fetches_where_he_may(endpoint: Endpoint, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("from nobody")

    output, status = attempt(
        endpoint, "open", ANONYMOUS, tmp_path, "put note stored", "get stored fetched", "ls"
    )

    assert status == 0, output
    assert (endpoint.path("open") / "stored").read_text() == "from nobody"
    assert (tmp_path / "fetched").read_text() == "from nobody"


def test_a_guest_is_refused_elsewhere(endpoint: Endpoint, tmp_path: Path) -> None:
    output, status = attempt(endpoint, "closed", ANONYMOUS, tmp_path, "ls")
    assert status != 0
    assert "tree connect failed: NT_STATUS_ACCESS_DENIED" in output


@pytest.mark.parametrize(
    "account", [Account(ACCOUNT.name, "wrong"), Account("nobody-of-this-name", "wrong")],
    ids=["wrong password", "unknown user"],
)
def test_a_failed_logon_is_no_guest(endpoint: Endpoint, tmp_path: Path, account: Account) -> None:
    output, status = attempt(endpoint, "open", account, tmp_path, "ls")
    assert status != 0
    assert "NT_STATUS_LOGON_FAILURE" in output


def test_an_account_uses_a_guest_share_as_itself(endpoint: Endpoint, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("signed")
    smbclient.run(endpoint, ["put note by-account", "get by-account fetched"], tmp_path, share="open")
    assert (tmp_path / "fetched").read_text() == "signed"
