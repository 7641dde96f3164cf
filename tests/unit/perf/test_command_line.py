"""`bench`: wrong usage is answered with 2 and a reason, before anything is started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from smbd_uring.perf import command_line
from smbd_uring.perf.command_line import COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_measurement_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: python -m perf {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "--workloads", "read-4k,nothing"],
        ["compare", "--protections", "rot13"],
        ["compare", "--samba", "windows"],
        ["compare", "--rounds", "0"],
        ["compare", "--rounds", "many"],
        ["compare", "--seconds", "0"],
        ["compare", "--seconds", "nan"],
        ["compare", "--warm-up", "-1"],
        ["matrix", "--depths", "1,,8"],
        ["matrix", "--workload", "table"],
        ["linear", "--entries", "10"],
        ["linear", "--entries", "5000,2000"],
        ["regress"],
        ["regress", "--against", "HEAD", "--figures", "throughput"],
    ],
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.main(arguments)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_a_measurement_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["measure"]) == 2
    assert command_line.main([]) == 2
    assert "compare" in capsys.readouterr().err


def test_a_revision_that_is_none_fails_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["regress", "--against", "no-such-revision"]) == 1
    assert "no-such-revision" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "[]", json.dumps({"format": 0, "rounds": []}), json.dumps({"format": 1})])
def test_a_file_that_is_no_record_fails_at_once(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "stored.json"
    file.write_text(content, encoding="utf-8")
    assert command_line.main(["regress", "--against", str(file)]) == 1
    assert str(file) in capsys.readouterr().err
