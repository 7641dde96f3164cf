"""Where a server listens when nobody says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from smbd_uring.loop.listen import ListenAddress
from smbd_uring.server import listen_addresses
from smbd_uring.server_options import ServerOptions

CONFIGURATION = Path("/etc/smbd-uring/smb.conf")
ANYBODY = ["127.0.0.1:4450"]
EVERYWHERE = ["0.0.0.0:445", "[::]:445"]


@pytest.mark.parametrize(
    ("uid", "config_file", "expected"),
    [(0, CONFIGURATION, EVERYWHERE), (0, None, ANYBODY), (1000, CONFIGURATION, ANYBODY), (1000, None, ANYBODY)],
)
def test_only_root_with_a_configuration_serves_the_network(
    uid: int, config_file: Path | None, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert [str(address) for address in listen_addresses(options(config_file), 445)] == expected


def test_what_is_asked_for_is_what_is_listened_on() -> None:
    asked = ListenAddress("127.0.0.1", 4460)
    assert listen_addresses(options(CONFIGURATION, asked), 445) == (asked,)


def options(config_file: Path | None, *listen: ListenAddress) -> ServerOptions:
    return ServerOptions(
        config_file=config_file, accounts_file=None, state_directory=None, listen=listen, overlay={},
        use_uring=True, rings=None, grants=True, spawn_companion=True,
    )  # fmt: skip
