"""What may be written after `serve`, and what it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from smbd_uring.cli import main as command_line
from smbd_uring.cli.serve import (
    default_configuration,
    main,
    overlay,
    parser,
    share_argument,
    user_argument,
)
from smbd_uring.netlink import paths


@pytest.mark.parametrize(
    ("text", "name", "path", "read_only", "guest"),
    [
        ("a=/srv/a", "a", "/srv/a", False, False),
        ("a=/srv/a,ro", "a", "/srv/a", True, False),
        ("a=/srv/a,guest", "a", "/srv/a", False, True),
        ("a=/srv/a,ro,guest", "a", "/srv/a", True, True),
        ("a=/srv/a,guest,ro", "a", "/srv/a", True, True),
        ("with space=/srv/x=y,z", "with space", "/srv/x=y,z", False, False),
    ],
)
def test_a_share(text: str, name: str, path: str, read_only: bool, guest: bool) -> None:
    assert share_argument(text) == (name, Path(path), read_only, guest)


def test_a_relative_path_is_below_the_working_directory() -> None:
    assert share_argument("a=files").path == Path.cwd() / "files"


def test_a_password_may_have_colons() -> None:
    assert user_argument("anna:a:b") == ("anna", "a:b")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--share", "nopath"], ["--share", "=/srv"], ["--share", "a="],
        ["--user", "anna"], ["--user", ":secret"],
        ["--rings", "0"], ["--rings", "x"], ["--listen", "nowhere"],
        ["--listen", "127.0.0.1:70000"], ["--companion", "maybe"], ["--unknown"], ["stray"],
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_a_share_whose_folder_is_missing_ends_with_1_and_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--share", f"a={tmp_path}/missing"]) == 1
    assert f"{tmp_path}/missing" in capsys.readouterr().err


def test_listening_twice_is_two_addresses() -> None:
    options = parser().parse_args(["--listen", "127.0.0.1:4450", "--listen", "[::1]:4450"])
    assert [str(address) for address in options.listen] == ["127.0.0.1:4450", "[::1]:4450"]


def test_the_machines_configuration_counts_unless_shares_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "default_paths", lambda: (tmp_path / "smb.conf", tmp_path / "ksmbdpwd.db"))
    assert default_configuration([]) is None
    (tmp_path / "smb.conf").touch()
    assert default_configuration([]) == tmp_path / "smb.conf"
    assert default_configuration([share_argument("a=/srv")]) is None


def test_passwords_reach_the_companion_as_hashes() -> None:
    made = overlay([share_argument("a=/srv,ro")], [user_argument("anna:password")])
    assert made["shares"] == {"a": {"path": "/srv", "read only": True, "guest ok": False}}
    assert made["users"] == {"anna": "8846f7eaee8fb117ad06bdd830b7586c"}


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "usage"), (["frobnicate"], 2, "no command"), (["trace", "slow"], 1, "later version"),
        (["bench"], 2, "measurements"), (["--help"], 0, "usage"), (["--version"], 0, "smbd-uring"),
    ],
)  # fmt: skip
def test_the_exit_status_of_the_command_line(
    arguments: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(arguments) == status
    printed = capsys.readouterr()
    assert said in (printed.err if status else printed.out)
