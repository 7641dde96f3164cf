"""Files are touched as the Unix user the account maps to, so that the kernel decides what he may do."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from tests.interop.launching import ACCOUNT, Launch
from tests.support.endpoint import Account, Endpoint, make_share
from tests.support.smb2_client import ACCESS_READ, ACCESS_WRITE, SUCCESS, Client, status_of

pytestmark = pytest.mark.usefixtures("needs_root")

SECOND_ACCOUNT = Account("games", "Another 1!")
FORCED_USER = "nobody"
DENIED = "STATUS_ACCESS_DENIED"


@pytest.fixture(scope="module", params=["io_uring", "no io_uring"])
def endpoint(launch: Launch, place: Path, target: str, request: pytest.FixtureRequest) -> Endpoint:
    if target == "samba" and request.param != "io_uring":
        pytest.skip("Samba is run in one way only")
    folder = place / request.param
    folder.mkdir()
    shares = [make_share(folder, "data"), make_share(folder, "forced", force_user=FORCED_USER)]
    (shares[0].path / "secret").write_bytes(b"root's")
    (shares[0].path / "secret").chmod(0o600)
    (shares[0].path / "closed").mkdir(mode=0o755)
    (shares[0].path / "closed" / "file").write_bytes(b"root's")
    (shares[0].path / "locked").mkdir(mode=0o700)
    (shares[0].path / "locked" / "file").write_bytes(b"root's")
    server = launch(
        shares, [ACCOUNT, SECOND_ACCOUNT], unix_users=True, uring=request.param == "io_uring"
    )
    return server.endpoint


def owner(path: Path) -> str:
    return pwd.getpwuid(path.stat().st_uid).pw_name


@pytest.mark.parametrize("account", [ACCOUNT, SECOND_ACCOUNT], ids=lambda account: account.name)
def test_what_an_account_makes_is_its_users(endpoint: Endpoint, account: Account) -> None:
    with Client(endpoint, account=account) as client:
        client.create(f"file of {account.name}", b"x")
        client.mkdir(f"folder of {account.name}")
    made = [endpoint.path() / f"{kind} of {account.name}" for kind in ("file", "folder")]
    for path in made:
        assert owner(path) == account.name
        assert path.stat().st_gid == pwd.getpwnam(account.name).pw_gid


def test_the_kernel_refuses_what_the_user_may_not(endpoint: Endpoint) -> None:
    with Client(endpoint) as client:
        assert status_of(lambda: client.read("secret")) == DENIED
        assert status_of(lambda: client.open_and_close("secret", ACCESS_WRITE)) == DENIED
        assert status_of(lambda: client.read(r"closed\file")) == SUCCESS
        assert status_of(lambda: client.create(r"closed\new")) == DENIED
        assert status_of(lambda: client.mkdir(r"closed\new")) == DENIED
        assert status_of(lambda: client.delete(r"closed\file")) == DENIED
        assert status_of(lambda: client.rename(r"closed\file", r"stolen")) == DENIED
        assert status_of(lambda: client.read(r"locked\file")) == DENIED
        assert status_of(lambda: client.listing("locked")) == DENIED
    assert (endpoint.path() / "closed" / "file").read_bytes() == b"root's"


def test_one_users_file_is_closed_to_another(endpoint: Endpoint) -> None:
    with Client(endpoint) as client:
        client.create("private", b"mine")
    os.chmod(endpoint.path() / "private", 0o600)
    with Client(endpoint, account=SECOND_ACCOUNT) as client:
        assert status_of(lambda: client.open_and_close("private", ACCESS_READ)) == DENIED
    with Client(endpoint) as client:
        assert client.read("private") == b"mine"


def test_force_user_makes_everything_that_users(endpoint: Endpoint) -> None:
    for account in (ACCOUNT, SECOND_ACCOUNT):
        with Client(endpoint, "forced", account=account) as client:
            client.create(f"file by {account.name}", b"x")
            client.mkdir(f"folder by {account.name}")
    made = list(endpoint.path("forced").iterdir())
    assert len(made) == 4
    assert {owner(path) for path in made} == {FORCED_USER}


def test_two_users_at_once_keep_their_own_identity(endpoint: Endpoint) -> None:
    with Client(endpoint) as first, Client(endpoint, account=SECOND_ACCOUNT) as second:
        for number in range(20):
            first.create(f"turn {number} first")
            second.create(f"turn {number} second")
    for number in range(20):
        assert owner(endpoint.path() / f"turn {number} first") == ACCOUNT.name
        assert owner(endpoint.path() / f"turn {number} second") == SECOND_ACCOUNT.name


@pytest.mark.parametrize("cores", ["one core", "all cores"])
def test_a_write_is_not_the_administrators(launch: Launch, place: Path, target: str, cores: str) -> None:
    """A program whose set-user-id bit appears while a client has it open loses the bit with the client's next WRITE,
    whether a thread of its own serves it (on several cores) or the engine's."""
    if target == "samba":
        pytest.skip("the server chooses its threads by what it finds; Samba has none to choose")
    folder = place / cores
    folder.mkdir()
    share = make_share(folder, "data")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)} if cores == "one core" else before)
    try:
        server = launch([share], [ACCOUNT], unix_users=True)
    finally:
        os.sched_setaffinity(0, before)
    path = share.path / "program"
    with Client(server.endpoint) as client:
        client.create("program", b"first")
        opened = client.open("program", ACCESS_WRITE)
        opened.write(b"other", 0)
        path.chmod(0o4777)
        opened.write(b"third", 0)
        opened.close()
    assert path.read_bytes() == b"third"
    assert path.stat().st_mode & 0o6000 == 0
