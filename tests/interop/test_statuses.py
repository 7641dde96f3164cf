"""What goes wrong gets the status that Samba's server gives for it, and the server goes on.

Given the same folder on a private Samba and on the target, both working as the same Unix user, every case
sends the same requests to both, through smbprotocol, and the two lists of statuses must be equal.  `PINNED`
says what the most important ones are, so that an error in a case itself does not go unnoticed; `DIFFERENCES`
lists where our server differs on purpose.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from smbprotocol.open import CreateDisposition, CreateOptions

from tests.interop.launching import ACCOUNT, Launch
from tests.interop.status_cases import CASES, DIFFERENCES, PINNED, fill
from tests.support.endpoint import Account, Endpoint, Share, make_share, open_folder
from tests.support.peer import Peer
from tests.support.smb2_client import ACCESS_READ, ACCESS_WRITE, SUCCESS, Client, status_of

TINY_BYTES = 1 << 20

def refusals(endpoint: Endpoint) -> list[str]:
    """Statuses for a wrong password, an unknown user, an unknown share, and a good logon after them."""
    wrong = Account(endpoint.account.name, "wrong")
    unknown = Account("nobody-of-this-name", "wrong")
    return [
        status_of(lambda: Client(endpoint, account=wrong).close()),
        status_of(lambda: Client(endpoint, account=unknown).close()),
        status_of(lambda: Client(endpoint, "no-such-share").close()),
        status_of(lambda: Client(endpoint).close()),
    ]


def build(place: Path) -> list[Share]:
    """The shares of one server, filled."""
    place.mkdir()
    shares = [make_share(place, "data"), make_share(place, "tiny")]
    fill(shares[0].path)
    return [*shares, Share("read-only", shares[0].path, read_only=True)]


@pytest.fixture(scope="module")
def reference(needs_samba: None) -> Iterator[Endpoint]:
    with open_folder("reference") as place:
        state = place / "samba"
        state.mkdir()
        with Peer(state, build(place / "shares"), [ACCOUNT]) as peer:
            yield peer.endpoint


@pytest.fixture(scope="module")
def endpoint(launch: Launch, place: Path) -> Endpoint:
    return launch(build(place / "shares"), unix_users=True).endpoint


@pytest.fixture
def clients(reference: Endpoint, endpoint: Endpoint) -> Iterator[tuple[Client, Client]]:
    """A connection to Samba and one to the target."""
    with Client(reference) as expected, Client(endpoint) as actual:
        yield expected, actual


@pytest.mark.parametrize("name", sorted(CASES))
def test_status_is_sambas(clients: tuple[Client, Client], target: str, name: str) -> None:
    expected, actual = (CASES[name](client) for client in clients)
    if name in PINNED:
        assert expected == PINNED[name], "Samba itself answers otherwise: the case is wrong"
    if target == "own" and name in DIFFERENCES:
        expected = DIFFERENCES[name].statuses
    assert actual == expected


def test_logon_and_connect_refusals_are_sambas(reference: Endpoint, endpoint: Endpoint) -> None:
    expected = refusals(reference)
    assert expected == ["STATUS_LOGON_FAILURE", "STATUS_LOGON_FAILURE", "STATUS_BAD_NETWORK_NAME", SUCCESS]
    assert refusals(endpoint) == expected


def test_read_only_share_refuses_as_samba_does(reference: Endpoint, endpoint: Endpoint) -> None:
    def answers(endpoint: Endpoint) -> list[str]:
        with Client(endpoint, "read-only") as client:
            actions: list[Callable[[], object]] = [
                lambda: client.read(r"case\file"),
                lambda: client.create(r"case\put", b"x"),
                lambda: client.open_and_close(r"case\file", ACCESS_WRITE),
                lambda: client.open_and_close(r"case\file", disposition=CreateDisposition.FILE_OPEN_IF),
                lambda: client.open_and_close(r"case\file", disposition=CreateDisposition.FILE_OVERWRITE_IF),
                lambda: client.mkdir(r"case\made"),
                lambda: client.delete(r"case\file"),
                lambda: client.delete(r"case\nothing"),
                lambda: client.rename(r"case\file", r"case\renamed"),
                lambda: client.truncate(r"case\file", 0),
                lambda: client.open_and_close(r"case\file", options=CreateOptions.FILE_DELETE_ON_CLOSE),
            ]
            return [status_of(action) for action in actions]

    expected = answers(reference)
    assert expected[:2] == [SUCCESS, "STATUS_ACCESS_DENIED"]
    assert answers(endpoint) == expected
    assert (endpoint.path() / "case" / "file").read_bytes() == b"content"


@pytest.fixture
def tiny_disks(reference: Endpoint, endpoint: Endpoint) -> Iterator[None]:
    """A file system of 1 MiB under the share "tiny" of both servers."""
    mounted: list[Path] = []
    try:
        for server in (reference, endpoint):
            path = server.path("tiny")
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={TINY_BYTES},mode=0777", "tmpfs", str(path)],
                check=True, timeout=20,
            )
            mounted.append(path)
        yield
    finally:
        for path in mounted:
            # Lazily: a server that lost a connection a moment ago may still hold a file in it.
            subprocess.run(["umount", "-l", str(path)], check=True, timeout=20)


@pytest.mark.parametrize("length", [65536, 60_000])
def test_full_disk_refuses_as_samba_does(
    reference: Endpoint, endpoint: Endpoint, tiny_disks: None, length: int
) -> None:
    """Given WRITEs of which the last does not fit, or only in part: then that part is on the disk all the same."""

    def answers(endpoint: Endpoint) -> list[str]:
        with Client(endpoint, "tiny") as client:
            opened = client.open("big", ACCESS_READ | ACCESS_WRITE, disposition=CreateDisposition.FILE_CREATE)
            written: list[str] = []
            for offset in range(0, 2 * TINY_BYTES, length):
                written.append(status_of(partial(opened.write, b"x" * length, offset)))
                if written[-1] != SUCCESS:
                    break
            opened.close()
            assert (endpoint.path("tiny") / "big").read_bytes() == b"x" * TINY_BYTES
            return [
                written[-1],
                status_of(lambda: client.create("small", b"x" * 10000)),
                status_of(lambda: client.delete("big")),
                status_of(lambda: client.create("again", b"x" * 10000)),
            ]

    expected = answers(reference)
    assert expected == ["STATUS_DISK_FULL", "STATUS_DISK_FULL", SUCCESS, SUCCESS]
    assert answers(endpoint) == expected


def test_nothing_outside_the_share_was_touched(clients: tuple[Client, Client], endpoint: Endpoint) -> None:
    """Given all of the above, also run again here, the files beside the share are as they were."""
    for name in ("dots", "symlinks_that_leave", "new_file_through_symlink_that_leaves"):
        CASES[name](clients[1])
    beside = endpoint.path().parent
    assert (beside / "outside").read_bytes() == b"secret"
    assert sorted(path.name for path in (beside / "outside folder").iterdir()) == ["file"]
    assert not (beside / "out").exists()
