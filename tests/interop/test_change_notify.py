"""Foreign clients are told what programs on the server's machine do: smbclient's `notify`, smbprotocol's watcher."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from smbprotocol.change_notify import ChangeNotifyFlags, CompletionFilter, FileSystemWatcher

from tests.interop.launching import Launch
from tests.support import smbclient
from tests.support.endpoint import Endpoint, make_share
from tests.support.smb2_client import Client

TIMEOUT_S = 10.0


@pytest.fixture(scope="module", params=["io_uring", "no io_uring"])
def endpoint(launch: Launch, place: Path, target: str, request: pytest.FixtureRequest) -> Endpoint:
    uring = request.param == "io_uring"
    if target == "samba" and not uring:
        pytest.skip("Samba is run in one way only")
    return launch([make_share(place, "data" if uring else "data-epoll")], uring=uring).endpoint


@pytest.fixture
def folder(endpoint: Endpoint, request: pytest.FixtureRequest) -> Path:
    (share,) = endpoint.shares.values()
    path = share / "".join(letter for letter in request.node.name if letter.isalnum())[:80]
    path.mkdir()
    path.chmod(0o777)
    return path



def watch(client: Client, path: str) -> FileSystemWatcher:
    """A watcher that the server has taken down."""
    watcher = FileSystemWatcher(client.open(path, options=1))
    watcher.start(
        CompletionFilter.FILE_NOTIFY_CHANGE_FILE_NAME | CompletionFilter.FILE_NOTIFY_CHANGE_DIR_NAME,
        ChangeNotifyFlags.SMB2_WATCH_TREE,
    )
    time.sleep(0.2)
    return watcher


def told(watcher: FileSystemWatcher) -> list[tuple[int, str]]:
    """What the watcher was told: actions and paths."""
    assert watcher.response_event.wait(TIMEOUT_S)
    return [(one["action"].get_value(), one["file_name"].get_value()) for one in watcher.result]


def test_smbprotocol_is_told_of_a_rename_below_the_folder(endpoint: Endpoint, folder: Path, target: str) -> None:
    if target == "samba":
        pytest.skip("Samba does not hear of what programs do below the folder")
    (share,) = endpoint.shares
    (folder / "sub").mkdir()
    (folder / "sub" / "old").touch()
    with Client(endpoint, share) as client:
        watcher = watch(client, folder.name)
        (folder / "sub" / "old").rename(folder / "sub" / "new")
        assert told(watcher) == [(4, r"sub\old"), (5, r"sub\new")]


def test_smbclient_prints_what_happens(endpoint: Endpoint, folder: Path, tmp_path: Path) -> None:
    (share,) = endpoint.shares
    process = smbclient.start(endpoint, [f"notify {folder.name}"], tmp_path, share=share, timeout_s=int(TIMEOUT_S))
    assert process.stdout is not None
    try:
        time.sleep(1.0)  # smbclient says nothing before something happens
        (folder / "file").write_bytes(b"data")
        assert process.stdout.readline().split() == ["0001", "file"]
        shutil.rmtree(folder)
        assert any(line.split() == ["0002", "file"] for line in process.stdout)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
