"""What `status` and `doctor` print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from smbd_uring.cli import doctor
from smbd_uring.cli.status import tables

STATUS = {
    "version": "1",
    "listening": ["127.0.0.1:4450"],
    "companion": {"pid": 7, "connected": True},
    "sessions": [{"user": "anna", "opens": 2}, {"user": "bert", "opens": 0}],
    "opens": [],
}


def test_plain_values_share_a_table_and_lists_of_objects_have_their_own() -> None:
    server, sessions = tables(STATUS)
    assert ["companion", "pid 7, connected True"] in server[2]
    assert ["listening", "127.0.0.1:4450"] in server[2]
    assert sessions == ("sessions", ["user", "opens"], [["anna", "2"], ["bert", "0"]])


def test_doctor_says_the_same_to_people_and_to_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = doctor.main(["--json", "--state-dir", str(tmp_path)])
    findings = json.loads(capsys.readouterr().out)
    assert doctor.main(["--state-dir", str(tmp_path)]) == status
    for_people = capsys.readouterr().out
    assert status == any(finding["level"] == "missing" for finding in findings)
    for finding in findings:
        assert finding["what"] in for_people
        assert finding["found"] in for_people
        assert finding["remedy"] in for_people


def test_doctor_finds_a_state_directory_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert doctor.main(["--json", "--state-dir", str(tmp_path / "file" / "below")]) == 1
    findings = json.loads(capsys.readouterr().out)
    assert [finding["remedy"] for finding in findings if finding["level"] == "missing"] == [
        "use another --state-dir"
    ]
