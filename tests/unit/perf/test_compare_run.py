"""A short comparison of the real thing: servers, load, floor, tables and the record it leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from smbd_uring.perf import command_line, document
from smbd_uring.perf.compare import OURS


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
