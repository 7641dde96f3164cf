"""The companion dies in the middle of a copy: the copy goes on, and soon new logons work again."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from pathlib import Path

import pytest
from smbprotocol.exceptions import SMBResponseException
from smbprotocol.open import CreateDisposition

from tests.interop.launching import Launch
from tests.support.endpoint import Endpoint, make_share
from tests.support.server import Server
from tests.support.smb2_client import ACCESS_READ, ACCESS_WRITE, Client

BLOCK_BYTES = 65536
LOGON_AGAIN_S = 2.0


class Copy(threading.Thread):
    """Writes random blocks to a file until told to stop, then reads them all back."""

    def __init__(self, client: Client, name: str) -> None:
        super().__init__()
        self._client = client
        self._name = name
        self.enough = threading.Event()
        self.blocks = 0
        self.written = hashlib.sha256()
        self.read_back = hashlib.sha256()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._copy()
        except BaseException as error:
            self.error = error

    def _copy(self) -> None:
        source = random.Random(5)
        opened = self._client.open(
            self._name, ACCESS_READ | ACCESS_WRITE, disposition=CreateDisposition.FILE_CREATE
        )
        while not self.enough.is_set():
            data = source.randbytes(BLOCK_BYTES)
            opened.write(data, self.blocks * BLOCK_BYTES)
            self.written.update(data)
            self.blocks += 1
        for number in range(self.blocks):
            self.read_back.update(opened.read(number * BLOCK_BYTES, BLOCK_BYTES))
        opened.close()


def wait_for_logon(endpoint: Endpoint, share: str) -> float:
    """Try new logons until one works.  Result: how long that took, in seconds."""
    started = time.monotonic()
    while True:
        try:
            Client(endpoint, share).close()
            return time.monotonic() - started
        except SMBResponseException:
            assert time.monotonic() - started < 10, "no logon works any more"


@pytest.mark.parametrize("uring", [True, False], ids=["io_uring", "no io_uring"])
def test_a_copy_outlives_the_companion(launch: Launch, place: Path, target: str, uring: bool) -> None:
    if target == "samba":
        pytest.skip("Samba has no companion")
    share = make_share(place, f"data-{uring}".lower())
    server = launch([share], uring=uring)
    assert isinstance(server, Server)
    with Client(server.endpoint, share.name) as client:
        copy = Copy(client, "copy")
        copy.start()
        try:
            while copy.blocks < 20 and copy.is_alive():
                time.sleep(0.01)
            companion = server.companion()
            assert companion is not None, "the server has no companion"

            companion.kill()
            killed_at = copy.blocks
            took_s = wait_for_logon(server.endpoint, share.name)
        finally:
            copy.enough.set()
            copy.join(60)

    assert copy.error is None, copy.error
    assert took_s < LOGON_AGAIN_S
    assert copy.blocks > killed_at, "nothing was copied while the companion was away"
    assert copy.read_back.digest() == copy.written.digest()
    assert hashlib.sha256((share.path / "copy").read_bytes()).digest() == copy.written.digest()
    replacement = server.companion()
    assert replacement is not None and replacement.pid != companion.pid
