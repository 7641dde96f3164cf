"""`make run` on a fresh checkout builds and serves; started again it serves at once.

Takes minutes, because it makes a virtual environment and builds the native parts: run by `make test-slow`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support import smbclient
from tests.support.endpoint import Account, Endpoint
from tests.support.server import PROJECT

PORT = 4450
FIRST_TIMEOUT_S = 600.0
SECOND_TIMEOUT_S = 3.0
LISTENING = f"listening on 127.0.0.1:{PORT}"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean clone of the project."""
    path = tmp_path_factory.mktemp("checkout") / "project"
    subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(path)], check=True, timeout=60)
    return path


def serve_and_stop(checkout: Path, scratch: Path, timeout_s: float) -> float:
    """Run `make run` until it serves, fetch the greeting with what it printed, stop it by SIGINT.

    Result: seconds from the command to `listening on`.
    """
    log = scratch / "log"
    with log.open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            ["make", "run"], cwd=checkout, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        while LISTENING not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() - started < timeout_s, log.read_text()
            time.sleep(0.02)
        took_s = time.monotonic() - started
        told = re.search(r"-U '(?P<name>[^%']+)%(?P<password>[^']+)'", log.read_text())
        assert told is not None, log.read_text()
        endpoint = Endpoint(PORT, Account(told["name"], told["password"]), {})
        smbclient.run(endpoint, ["get README.txt fetched"], scratch, share="demo")
        assert (scratch / "fetched").read_bytes() == (checkout / ".demo/share/README.txt").read_bytes()
    finally:
        # Ctrl-C in a terminal reaches everything that `make run` started.
        os.killpg(process.pid, signal.SIGINT)
        process.wait(20)
    return took_s


@pytest.mark.slow
def test_two_commands_are_enough(checkout: Path, tmp_path: Path) -> None:
    serve_and_stop(checkout, tmp_path, FIRST_TIMEOUT_S)
    assert serve_and_stop(checkout, tmp_path, FIRST_TIMEOUT_S) < SECOND_TIMEOUT_S
