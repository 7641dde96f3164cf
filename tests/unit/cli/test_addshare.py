"""`addshare` changes one share in smb.conf and leaves every other line as its owner wrote it."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from smbd_uring.cli import addshare, reloading
from smbd_uring.netlink import smb_conf

CONFIG = """\
# The family's server

[global]
\tworkgroup = HOME   ; at home

# Everybody's things
[Data]
\tpath = /srv/data   # the big disk
\t; read only since the move
\tRead  Only = yes

[other]
path = /srv/other
"""


@pytest.fixture(autouse=True)
def reloaded(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(reloading, "running_servers", lambda: [Path("/run/a-server")])
    monkeypatch.setattr(reloading, "request", lambda _directory, command: asked.append(command))
    return asked


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "smb.conf"
    file.write_text(CONFIG)
    return file


def run(config: Path, *arguments: str) -> int:
    return addshare.main([*arguments, "-c", str(config)])


@pytest.mark.parametrize("how", [["-a"], []])
def test_a_share_is_added_at_the_end(config: Path, how: list[str], reloaded: list[dict[str, Any]]) -> None:
    assert run(config, *how, "new", "-o", "path = /srv/new", "-o", "Guest  OK=yes") == 0
    assert config.read_text() == CONFIG + "\n[new]\n\tpath = /srv/new\n\tguest ok = yes\n"
    assert reloaded == [{"command": "reload"}]


def test_the_first_share_makes_the_file_and_its_folder(tmp_path: Path) -> None:
    config = tmp_path / "etc" / "smbd-uring" / "smb.conf"
    assert run(config, "-a", "new", "-o", "path = /srv/new") == 0
    assert config.read_text() == "[new]\n\tpath = /srv/new\n"
    assert stat.S_IMODE(config.stat().st_mode) == 0o644


@pytest.mark.parametrize("how", [["-u"], []])
@pytest.mark.parametrize("name", ["Data", "DATA", "data"])
def test_a_share_is_changed_where_its_values_stand(config: Path, how: list[str], name: str) -> None:
    assert run(config, *how, name, "-o", "read only = no", "-o", "comment = things") == 0
    assert config.read_text() == CONFIG.replace(
        "\tRead  Only = yes\n", "\tread only = no\n\tcomment = things\n"
    )


def test_a_share_that_comes_twice_is_changed_in_both_places(config: Path) -> None:
    """The first value counts, so one that is new must not hide behind one that stands further down."""
    config.write_text("[data]\npath = /a\n[other]\npath = /o\n[data]\nread only = yes\n")
    assert run(config, "-u", "data", "-o", "read only = no") == 0
    data = smb_conf.load(config).shares["data"]
    assert (data.text("path"), data.text("read only")) == ("/a", "no")
    assert smb_conf.load(config).shares["other"].values == {"path": "/o"}


def test_a_value_that_is_set_twice_is_changed_as_a_whole(config: Path) -> None:
    config.write_text("[data]\npath =\npath = /a\npath = /b\n")
    assert run(config, "-u", "data", "-o", "path = /c") == 0
    assert smb_conf.load(config).shares["data"].text("path") == "/c"


def test_a_value_is_taken_away_by_an_empty_one(config: Path) -> None:
    assert run(config, "-u", "data", "-o", "read only =") == 0
    assert smb_conf.load(config).shares["data"].text("read only") == ""


def test_a_deleted_share_takes_nothing_else_with_it(config: Path) -> None:
    assert run(config, "-d", "data") == 0
    before, _, after = CONFIG.partition("[Data]\n")
    assert config.read_text() == before + after[after.index("[other]") :]
    assert set(smb_conf.load(config).shares) == {"other"}


def test_a_comment_above_the_next_section_stays_with_it(config: Path) -> None:
    config.write_text("[a]\npath = /a\n# about a\n\n# about b\n[b]\npath = /b\n")
    assert run(config, "-u", "a", "-o", "comment = x") == 0
    assert config.read_text() == "[a]\npath = /a\n# about a\n\tcomment = x\n\n# about b\n[b]\npath = /b\n"
    assert run(config, "-d", "a") == 0
    assert config.read_text() == "# about b\n[b]\npath = /b\n"


def test_a_share_that_comes_twice_is_deleted_in_both_places(config: Path) -> None:
    config.write_text("[data]\npath = /a\n[other]\npath = /o\n[DATA]\nread only = yes\n")
    assert run(config, "-d", "data") == 0
    assert config.read_text() == "[other]\npath = /o\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-a", "DATA", "-o", "path = /x"], "there is a share [DATA] already; -u changes it"),
        (["-u", "new", "-o", "path = /x"], "there is no share [new]; -a adds it"),
        (["-d", "new"], "there is no share [new]; -a adds it"),
        (["-u", "data", "-o", "read only"], "'read only' is not OPTION = VALUE"),
        (["-u", "data", "-o", "reed only = no"], "'reed only = no' is not OPTION = VALUE"),
        (["-u", "data", "-o", "tcp port = 1"], "with an option that shares have"),
        (["-u", "data", "-o", "path = /a#1"], "a value cannot contain ; or #"),
        (["-u", "data", "-o", "path = /a\n[evil]"], "a value"),
        (["-a", "a]b", "-o", "path = /x"], "is not a share's name"),
        (["-a", "a[b", "-o", "path = /x"], "is not a share's name"),
        (["-a", "a\nb", "-o", "path = /x"], "is not a share's name"),
        (["-a", "a#b", "-o", "path = /x"], "is not a share's name"),
        (["-a", " a ", "-o", "path = /x"], "is not a share's name"),
        (["-a", "", "-o", "path = /x"], "is not a share's name"),
        (["-a", "global", "-o", "path = /x"], "is not a share's name"),
        (["-a", "IPC$", "-o", "path = /x"], "is not a share's name"),
        (["-a", "ä" * 32, "-o", "path = /x"], "at most 63 bytes"),
        (["-a", "\udcff", "-o", "path = /x"], "is not a share's name"),
        (["-a", "new"], "a share needs a folder: -o \"path = /some/folder\""),
        (["-u", "data", "-o", "create mask = rwx"], "create mask = rwx: this must be an octal mode"),
        (["-u", "data", "-o", "max connections = some"], "max connections = some: this must be a size"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_and_nothing_changes(
    config: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str],
    reloaded: list[dict[str, Any]],
) -> None:  # fmt: skip
    assert run(config, *arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith("smbd-uring addshare: ")
    assert message in said
    assert config.read_text() == CONFIG
    assert reloaded == []


def test_a_broken_file_is_not_written_over(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text("what is this\n")
    assert run(config, "-a", "new", "-o", "path = /x") == 1
    assert "smb.conf, line 1" in capsys.readouterr().err
    assert config.read_text() == "what is this\n"


def test_a_file_in_another_encoding_is_not_written_over(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_bytes(b"[gr\xf6\xdfe]\npath = /srv\n")
    assert run(config, "-a", "new", "-o", "path = /x") == 1
    assert "is not UTF-8 text" in capsys.readouterr().err


def test_line_ends_of_another_system_stay(config: Path) -> None:
    config.write_bytes(b"[data]\r\npath = /srv\r\n\r\n[other]\r\npath = /o\r\n")
    assert run(config, "-u", "data", "-o", "comment = x") == 0
    assert config.read_bytes() == b"[data]\r\npath = /srv\r\n\tcomment = x\r\n\r\n[other]\r\npath = /o\r\n"


@pytest.mark.parametrize("arguments", [[], ["-a", "-d", "data"], ["-x", "data"], ["data", "other"]])
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        addshare.main(arguments)
    assert ended.value.code == 2
    assert "usage: smbd-uring addshare" in capsys.readouterr().err
