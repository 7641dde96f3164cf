"""A short comparison of the real thing: servers, load, floor, tables and the record it leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from smbd_uring.perf import command_line, document
from smbd_uring.perf.compare import OURS
from smbd_uring.perf.servers import PROJECT


def test_a_comparison_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "record.json"
    status = command_line.main([
        "compare", "--workloads", "read-4k,stat", "--protections", "plain", "--figures", "cpu", "--samba", "tuned",
        "--floor", "--rounds", "2", "--seconds", "0.2", "--warm-up", "0", "--json", str(file),
    ])  # fmt: skip
    printed = capsys.readouterr().out
    assert status == 0
    assert "Not clean" not in printed

    record = json.loads(file.read_text(encoding="utf-8"))
    servers = [(one["job"], one["server"], one["round"]) for one in record["rounds"]]
    assert servers == [
        *(("read-4k, plain, same", name, n) for n in range(2) for name in (OURS, "samba-tuned", "floor")),
        *(("stat, plain, same", name, n) for n in range(2) for name in (OURS, "samba-tuned")),
    ]
    costs = {name: document.stored_cpu(record, name) for name in (OURS, "samba-tuned", "floor")}
    assert all(cost > 0 for server in costs.values() for rounds in server.values() for cost in rounds)
    # Whatever the machine does: SMB cannot be cheaper than the bare bytes.
    assert min(costs["samba-tuned"]["read-4k, plain, same"]) > min(costs["floor"]["read-4k, plain, same"])
    assert "floor" in record["conclusions"] and "samba-tuned" in record["conclusions"]


def test_a_comparison_that_is_ended_leaves_no_server_behind(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "perf", "compare", "--workloads", "echo", "--samba", "tuned", "--seconds", "60",
        "--folder", str(tmp_path),
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "echo" in process.stderr.readline()
        servers = psutil.Process(process.pid).children(recursive=True)
        assert {"smbd"} < {server.name() for server in servers}
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM
    _, alive = psutil.wait_procs(servers, timeout=10)
    assert alive == []
    assert list(tmp_path.iterdir()) == []
