"""`adduser` changes ksmbdpwd.db as ksmbd-tools' own does, and says what it will not do."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smbd_uring.cli import adduser, reloading
from smbd_uring.cli.control_client import ControlError
from smbd_uring.netlink import accounts
from smbd_uring.netlink.nt_hash import nt_hash


@pytest.fixture(autouse=True)
def reloaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, dict[str, Any]]]:
    """One server runs; what it is asked is kept."""
    asked: list[tuple[Path, dict[str, Any]]] = []
    monkeypatch.setattr(reloading, "running_servers", lambda: [Path("/run/a-server")])
    monkeypatch.setattr(reloading, "request", lambda directory, command: asked.append((directory, command)))
    return asked


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "etc" / "ksmbdpwd.db"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "smb.conf"


def run(database: Path, config: Path, *arguments: str) -> int:
    return adduser.main([*arguments, "-i", str(database), "-c", str(config)])


def given(database: Path, *names: str) -> None:
    database.parent.mkdir(exist_ok=True)
    accounts.store(database, {name: nt_hash("before") for name in names})


@pytest.mark.parametrize("how", [["-a"], []])
def test_an_account_is_added(
    database: Path, config: Path, how: list[str], reloaded: list[tuple[Path, dict[str, Any]]]
) -> None:
    assert run(database, config, *how, "anna", "-p", "secret") == 0
    assert accounts.load(database) == {"anna": nt_hash("secret")}
    assert reloaded == [(Path("/run/a-server"), {"command": "reload"})]


@pytest.mark.parametrize("how", [["-u"], []])
def test_an_account_gets_another_password(database: Path, config: Path, how: list[str]) -> None:
    given(database, "anna", "bert")
    assert run(database, config, *how, "anna", "-p", "secret") == 0
    assert accounts.load(database) == {"anna": nt_hash("secret"), "bert": nt_hash("before")}


def test_an_account_is_deleted(database: Path, config: Path) -> None:
    given(database, "anna", "bert")
    assert run(database, config, "-d", "anna") == 0
    assert accounts.load(database) == {"bert": nt_hash("before")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-a", "anna", "-p", "x"], "there is an account 'anna' already; -u changes its password"),
        (["-u", "carl", "-p", "x"], "there is no account 'carl'; -a adds it"),
        (["-d", "carl"], "there is no account 'carl'"),
        (["-a", "a:b", "-p", "x"], "'a:b' is no account name"),
        (["-a", "", "-p", "x"], "'' is no account name"),
        (["-a", "ä" * 24, "-p", "x"], "is no account name: 1 to 47 bytes"),
        (["-a", "\udcff", "-p", "x"], "is no account name"),
        (["-a", "carl", "-p", "ä" * 65], "a password has at most 128 bytes"),
        (["-a", "carl", "-p", "\udcff"], "the password is not UTF-8 text"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_changes(
    database: Path, config: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str],
    reloaded: list[tuple[Path, dict[str, Any]]],
) -> None:  # fmt: skip
    given(database, "anna")
    before = database.read_bytes()
    assert run(database, config, *arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith("smbd-uring adduser: ")
    assert message in said
    assert database.read_bytes() == before
    assert reloaded == []


def answering(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    """Somebody at the terminal types `answers`."""
    typed: Iterator[str] = iter(answers)
    monkeypatch.setattr(getpass, "getpass", lambda _prompt: next(typed))


def test_without_a_password_it_is_asked_for_twice(
    database: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, "secret", "secret")
    assert run(database, config, "-a", "anna") == 0
    assert accounts.load(database) == {"anna": nt_hash("secret")}


def test_two_passwords_that_differ_change_nothing(
    database: Path, config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, "secret", "sceret")
    assert run(database, config, "-a", "anna") == 1
    assert "the two passwords differ; nothing was changed" in capsys.readouterr().err
    assert not database.exists()


def test_nobody_at_the_terminal_is_a_failure(
    database: Path, config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nobody(_prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr(getpass, "getpass", nobody)
    assert run(database, config, "-a", "anna") == 1
    assert "no password was given" in capsys.readouterr().err


def test_a_password_may_be_empty(database: Path, config: Path) -> None:
    assert run(database, config, "-a", "anna", "-p", "") == 0
    assert accounts.load(database) == {"anna": nt_hash("")}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[global]\nguest account = anna\n", "`guest account` of [global]"),
        ("[data]\npath = /srv\nvalid users = bert, anna\n", "`valid users` of [data]"),
        ("[data]\npath = /srv\nwrite list = anna\n", "`write list` of [data]"),
        ("[global]\ninvalid users = anna\n[data]\npath = /srv\n", "`invalid users` of [global]"),
    ],
)
def test_an_account_that_the_configuration_names_is_not_deleted(
    database: Path, config: Path, text: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given(database, "anna")
    config.write_text(text)
    assert run(database, config, "-d", "anna") == 1
    assert f"'anna' is in {named}; take it out there first" in capsys.readouterr().err
    assert "anna" in accounts.load(database)


def test_a_broken_database_is_not_written_over(
    database: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database.parent.mkdir()
    database.write_text("what is this\n")
    assert run(database, config, "-a", "anna", "-p", "x") == 1
    assert "ksmbdpwd.db, line 1" in capsys.readouterr().err
    assert database.read_text() == "what is this\n"


@pytest.mark.parametrize("arguments", [[], ["-a", "-d", "anna"], ["-x", "anna"], ["anna", "bert"]])
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        adduser.main(arguments)
    assert ended.value.code == 2
    assert "usage: smbd-uring adduser" in capsys.readouterr().err


def test_a_server_that_does_not_want_to_reload_is_no_failure(
    database: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ControlError("the companion is away")

    monkeypatch.setattr(reloading, "request", refuse)
    assert run(database, config, "-a", "anna", "-p", "x") == 0
