"""SIGTERM in the middle of a hundred transfers: acknowledged writes are on disk, the end comes in time."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.interop.launching import ACCOUNT, Launch
from tests.support.endpoint import make_share
from tests.support.server import PROJECT, STOP_TIMEOUT_S
from tests.support.writers import BLOCK_BYTES, block, file_name

PROCESSES = 2
CLIENTS_PER_PROCESS = 50
MIDDLE_S = 1.0
"""How long everybody writes before the server is told to end."""


def start_writers(port: int, share: str, first: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.writers", str(port), share, ACCOUNT.name, ACCOUNT.password,
         str(first), str(CLIENTS_PER_PROCESS)],
        cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )


@pytest.mark.parametrize("uring", [True, False], ids=["io_uring", "no io_uring"])
def test_acknowledged_writes_survive_sigterm(launch: Launch, place: Path, uring: bool) -> None:
    share = make_share(place, f"data-{uring}".lower())
    server = launch([share], uring=uring)
    writers = [
        start_writers(server.endpoint.port, share.name, number * CLIENTS_PER_PROCESS)
        for number in range(PROCESSES)
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "writing\n"
        time.sleep(MIDDLE_S)

        took_s = server.terminate()

        assert took_s <= STOP_TIMEOUT_S
        reports = [json.loads(writer.communicate(timeout=30)[0]) for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()

    acknowledged: dict[str, int] = {name: count for report in reports for name, count in report.items()}
    assert len(acknowledged) == PROCESSES * CLIENTS_PER_PROCESS
    assert all(count > 0 for count in acknowledged.values()), "not everybody was writing at the end"
    for number in range(PROCESSES * CLIENTS_PER_PROCESS):
        stored = (share.path / file_name(number)).read_bytes()
        for position in range(acknowledged[file_name(number)]):
            start = position * BLOCK_BYTES
            assert stored[start : start + BLOCK_BYTES] == block(number, position)[:BLOCK_BYTES]
