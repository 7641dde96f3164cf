"""Where the files are when nobody says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from smbd_uring.netlink import paths
from smbd_uring.netlink.paths import default_paths


@pytest.fixture
def ksmbd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """ksmbd's folder of a machine that may have one."""
    monkeypatch.setattr(paths, "KSMBD_FOLDER", tmp_path)
    return tmp_path


def test_root_takes_over_what_ksmbd_was_configured_with(ksmbd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (ksmbd / "ksmbd.conf").touch()
    assert default_paths() == (ksmbd / "ksmbd.conf", ksmbd / "ksmbdpwd.db")


def test_without_ksmbd_root_has_a_folder_of_our_own(ksmbd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_paths() == (Path("/etc/smbd-uring/smb.conf"), Path("/etc/smbd-uring/ksmbdpwd.db"))


@pytest.mark.parametrize(
    ("variable", "folder"), [("/config", "/config/smbd-uring"), (None, "/users/anna/.config/smbd-uring"),
                             ("", "/users/anna/.config/smbd-uring")],
)  # fmt: skip
def test_a_user_has_a_folder_of_their_own_whatever_the_machine_has(
    ksmbd: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None, folder: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/users/anna")
    if variable is None:
        monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CONFIG_HOME", variable)
    (ksmbd / "ksmbd.conf").touch()
    assert default_paths() == (Path(folder, "smb.conf"), Path(folder, "ksmbdpwd.db"))
