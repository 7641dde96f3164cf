"""Servers for the tests with foreign clients.

By default they run against our server; `--target samba` runs them against Samba instead, to prove the tests.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.interop.launching import ACCOUNT, Launch
from tests.support.endpoint import Account, Endpoint, Share, make_share, open_folder
from tests.support.peer import Peer, find_smbd
from tests.support.server import Server, write_configuration


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--target", choices=["own", "samba"], default="own",
        help="the server that tests/interop run against (default: own)",
    )


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> str:
    """Which server is tested: "own" or "samba"."""
    # The option is unknown where pytest was started above this folder and reads this file too late.
    chosen: str = request.config.getoption("--target", default="own")
    return chosen


@pytest.fixture(scope="session")
def needs_root() -> None:
    """For tests that switch users, mount, or run Samba."""
    if os.geteuid() != 0:
        pytest.skip("needs root")


@pytest.fixture(scope="session")
def needs_samba(needs_root: None) -> None:
    """For tests that compare with Samba.  `make test` installs it, so that root without it is an error."""
    assert find_smbd() is not None, "the package samba is missing; `make test` installs it"


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder for one test module, which every Unix user may enter."""
    with open_folder("interop") as folder:
        yield folder


@pytest.fixture(scope="module")
def launch(target: str, place: Path, request: pytest.FixtureRequest) -> Iterator[Launch]:
    """Starts the target: `launch(shares, accounts, unix_users=False, uring=True)`.

    What still runs at the end of the module is ended, and must end cleanly.  With `unix_users` the accounts
    are Unix users and files are touched as those; without it our server does everything as itself.
    """
    with ExitStack() as running:
        count = 0

        def start(
            shares: Sequence[Share], accounts: Sequence[Account] = (ACCOUNT,), *, unix_users: bool = False,
            uring: bool = True,
        ) -> Server | Peer:
            nonlocal count
            count += 1
            folder = place / f"server{count}"
            folder.mkdir()
            if target == "samba":
                request.getfixturevalue("needs_samba")
                return running.enter_context(Peer(folder, shares, accounts))
            configuration = write_configuration(folder, shares, accounts) if unix_users else None
            server = Server(folder, shares, accounts, uring=uring, configuration=configuration)
            return running.enter_context(server)

        yield start


@pytest.fixture(scope="module")
def endpoint(launch: Launch, place: Path) -> Endpoint:
    """The target with one share, "data"."""
    return launch([make_share(place, "data")]).endpoint


@pytest.fixture
def folder(endpoint: Endpoint, request: pytest.FixtureRequest) -> Path:
    """A fresh folder in the share "data", for this test alone; a client sees it by its name."""
    allowed = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
    path = endpoint.path() / allowed[:80]
    path.mkdir()
    path.chmod(0o777)
    return path
