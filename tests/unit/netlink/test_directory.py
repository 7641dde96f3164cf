"""What the files say, as one reading: shares, accounts and the companion's first message."""

from __future__ import annotations

import grp
import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from smbd_uring.netlink import accounts
from smbd_uring.netlink.directory import Directory, DirectoryError
from smbd_uring.netlink.flags import AccountFlags, GlobalFlags, ShareFlags, Signing
from smbd_uring.netlink.messages import INVALID_ID, StartingUp
from smbd_uring.netlink.nt_hash import nt_hash

HASH = nt_hash("secret")
A_SHARE = "[data]\npath = /srv\n"


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """Read a configuration's text, accounts, and what the command line said."""

    def read(text: str = "", names: tuple[str, ...] = (), **overlay: Any) -> Directory:
        config, database, overlay_file = tmp_path / "smb.conf", tmp_path / "ksmbdpwd.db", tmp_path / "overlay.json"
        config.write_text(text)
        accounts.store(database, dict.fromkeys(names, HASH))
        overlay_file.write_text(json.dumps(overlay))
        return Directory.read(config, database, overlay_file)

    return read


def as_user(monkeypatch: pytest.MonkeyPatch, uid: int, gid: int = 0, groups: tuple[int, ...] = ()) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(os, "getegid", lambda: gid)
    monkeypatch.setattr(os, "getgroups", lambda: list(groups))


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root, on a machine with the Unix users anna (1000, group staff 50) and nobody."""
    as_user(monkeypatch, 0)
    known = {
        "anna": pwd.struct_passwd(("anna", "x", 1000, 1000, "", "/", "")),
        "nobody": pwd.struct_passwd(("nobody", "x", 65534, 65534, "", "/", "")),
    }
    monkeypatch.setattr(pwd, "getpwnam", lambda name: known[name])
    monkeypatch.setattr(os, "getgrouplist", lambda _name, gid: [gid, 50])


# --- the first message ---


def test_without_a_word_the_defaults_are_told(read: Any) -> None:
    assert read().starting_up() == StartingUp(
        flags=GlobalFlags.DURABLE_HANDLE | GlobalFlags.LEASES | GlobalFlags.MULTICHANNEL, signing=Signing.AUTO,
        netbios_name="SMBD-URING", work_group="WORKGROUP", server_string="SMB SERVER",
        tcp_port=445, smb2_max_write=8 << 20, smb2_max_read=8 << 20, smb2_max_trans=8 << 20, smb2_max_credits=8192,
    )  # fmt: skip


def test_everything_of_global_is_told(read: Any) -> None:
    text = """[global]
        netbios name = BOX
        workgroup = HOME
        server string = a server
        server min protocol = SMB3_00
        server max protocol = SMB3_02
        server signing = mandatory
        smb3 encryption = mandatory
        smb2 leases = no
        server multi channel support = no
        smbd:FSCTL_SMBTORTURE = yes
        tcp port = 4450
        ipc timeout = 5
        deadtime = 10
        max open files = 100
        smb2 max read = 1M
        smb2 max write = 2M
        smb2 max trans = 64K
        smb2 max credits = 512
        max connections = 7
        max ip connections = 3
        """
    assert read(text).starting_up() == StartingUp(
        flags=GlobalFlags.ENCRYPTION | GlobalFlags.DURABLE_HANDLE | GlobalFlags.CHANNEL_FAILURES,
        signing=Signing.MANDATORY,
        min_prot="SMB3_00", max_prot="SMB3_02",
        netbios_name="BOX", work_group="HOME", server_string="a server", tcp_port=4450, ipc_timeout=5, deadtime=10,
        file_max=100, smb2_max_read=1 << 20, smb2_max_write=2 << 20, smb2_max_trans=65536, smb2_max_credits=512,
        max_connections=7, max_ip_connections=3,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "signing"),
    [
        ("mandatory", Signing.MANDATORY), ("required", Signing.MANDATORY), ("Auto", Signing.AUTO),
        ("enabled", Signing.ENABLED), ("disabled", Signing.DISABLED), ("what", Signing.DISABLED),
    ],
)  # fmt: skip
def test_server_signing_has_four_values(read: Any, value: str, signing: Signing) -> None:
    assert read(f"[global]\nserver signing = {value}\n").starting_up().signing == signing


ENCRYPTION = GlobalFlags.ENCRYPTION | GlobalFlags.ENCRYPTION_OFF


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        ("", GlobalFlags(0)),
        ("smb3 encryption = auto", GlobalFlags(0)),
        ("smb3 encryption = mandatory", GlobalFlags.ENCRYPTION),
        ("smb3 encryption = disabled", GlobalFlags.ENCRYPTION_OFF),
        ("server smb encrypt = required", GlobalFlags.ENCRYPTION),
        ("smb encrypt = off", GlobalFlags.ENCRYPTION_OFF),
    ],
)
def test_encryption_is_offered_required_or_off(read: Any, line: str, flags: GlobalFlags) -> None:
    assert read(f"[global]\n{line}\n").starting_up().flags & ENCRYPTION == flags


@pytest.mark.parametrize(
    ("line", "flags"), [("", GlobalFlags.DURABLE_HANDLE), ("durable handles = no", 0)], ids=["by default", "turned off"]
)
def test_handles_are_durable_unless_somebody_says_no(read: Any, line: str, flags: int) -> None:
    assert read(f"[global]\n{line}\n").starting_up().flags & GlobalFlags.DURABLE_HANDLE == flags


@pytest.mark.parametrize(("line", "flags"), [("", GlobalFlags.LEASES), ("smb2 leases = no", 0)])
def test_leases_are_offered_unless_somebody_says_no(read: Any, line: str, flags: int) -> None:
    assert read(f"[global]\n{line}\n").starting_up().flags & GlobalFlags.LEASES == flags


def test_a_share_that_is_continuously_available_is_told_of_in_general(read: Any) -> None:
    share = "[vm]\npath = /vm\ncontinuous availability = "
    for word, flags in (("yes", GlobalFlags.CONTINUOUS_AVAILABILITY), ("no", 0)):
        directory = read(f"{share}{word}\n")
        assert directory.starting_up().flags & GlobalFlags.CONTINUOUS_AVAILABILITY == flags
        assert bool(directory.shares["vm"].policy.flags & ShareFlags.CONTINUOUS_AVAILABILITY) == bool(flags)


# --- shares ---


def flags_of(read: Any, *lines: str) -> ShareFlags:
    return read(A_SHARE + "\n".join(lines)).shares["data"].policy.flags  # type: ignore[no-any-return]


def test_a_share_that_says_only_where_it_is_has_ksmbds_defaults(read: Any) -> None:
    share = read(A_SHARE).shares["data"]
    assert share.policy.flags == (
        ShareFlags.AVAILABLE | ShareFlags.BROWSEABLE | ShareFlags.READONLY | ShareFlags.STORE_DOS_ATTRS
        | ShareFlags.OPLOCKS | ShareFlags.HIDE_DOT_FILES | ShareFlags.FOLLOW_SYMLINKS | ShareFlags.CROSSMNT
    )  # fmt: skip
    assert (share.create_mask, share.directory_mask) == (0o744, 0o755)
    assert (share.force_create_mode, share.force_directory_mode) == (0, 0)
    assert (share.force_uid, share.force_gid) == (INVALID_ID, INVALID_ID)
    assert (share.veto_list, share.policy.connections_max) == ((), 0)


@pytest.mark.parametrize(
    ("lines", "writable"),
    [
        ([], False),
        (["read only = no"], True),
        (["read only = yes"], False),
        (["writable = yes"], True),
        (["writeable = yes"], True),
        (["write ok = yes"], True),
        (["writable = no"], False),
        (["read only = yes", "writable = yes"], False),
        (["read only = no", "writable = no"], True),
        (["read only = on"], False),
    ],
)
def test_read_only_wins_over_its_three_opposites(read: Any, lines: list[str], writable: bool) -> None:
    flags = flags_of(read, *lines)
    assert bool(flags & ShareFlags.WRITEABLE) is writable
    assert bool(flags & ShareFlags.READONLY) is not writable


@pytest.mark.parametrize("key", ["smb encrypt", "server smb encrypt", "smb3 encryption"])
@pytest.mark.parametrize(
    ("value", "encrypts"), [("required", True), ("mandatory", True), ("auto", False), ("off", False)]
)
def test_a_share_encrypts_when_it_insists(read: Any, key: str, value: str, encrypts: bool) -> None:
    assert bool(flags_of(read, f"{key} = {value}") & ShareFlags.ENCRYPT_DATA) is encrypts


def test_the_rest_of_a_share_is_read(read: Any) -> None:
    text = A_SHARE + (
        "create mask = 0600\ndirectory mask = 0700\nforce create mode = 0020\nforce directory mode = 2070\n"
        "veto files = /*.tmp/~$*/\nmax connections = 5\nvalid users = anna, @staff\ninvalid users = bert\n"
        "read list = carl\nwrite list = dora\nadmin users = emil\n"
    )
    share = read(text).shares["data"]
    assert (share.create_mask, share.directory_mask) == (0o600, 0o700)
    assert (share.force_create_mode, share.force_directory_mode) == (0o20, 0o2070)
    assert share.veto_list == ("*.tmp", "~$*")
    policy = share.policy
    assert (policy.connections_max, policy.valid_users, policy.invalid_users) == (5, ("anna", "@staff"), ("bert",))
    assert (policy.read_list, policy.write_list, policy.admin_users) == (("carl",), ("dora",), ("emil",))


def test_force_user_brings_its_group_unless_that_is_forced_too(read: Any, as_root: None) -> None:
    share = read(A_SHARE + "force user = anna\n").shares["data"]
    assert (share.force_uid, share.force_gid) == (1000, 1000)
    share = read(A_SHARE + "force user = anna\nforce group = root\n").shares["data"]
    assert (share.force_uid, share.force_gid) == (1000, 0)
    share = read(A_SHARE + "force group = root\n").shares["data"]
    assert (share.force_uid, share.force_gid) == (INVALID_ID, 0)


def test_the_pipe_share_is_always_there_and_cannot_be_configured(read: Any) -> None:
    share = read("[ipc$]\npath = /etc\nread only = no\n").shares["ipc$"]
    assert share.policy.flags & ShareFlags.PIPE
    assert share.path == ""


# --- the command line ---


def test_the_command_lines_share_replaces_the_files(read: Any) -> None:
    overlay = {"Data": {"path": "/elsewhere", "read only": False, "guest ok": True}}
    share = read(A_SHARE + "comment = x\n", shares=overlay).shares["data"]
    assert share.path == "/elsewhere"
    assert share.policy.flags & ShareFlags.WRITEABLE
    assert share.policy.flags & ShareFlags.GUEST_OK


def test_the_command_lines_share_has_the_files_defaults(read: Any) -> None:
    share = read("[global]\nhide dot files = no\n", shares={"data": {"path": "/srv"}}).shares["data"]
    assert not share.policy.flags & ShareFlags.HIDE_DOT_FILES


def test_the_command_lines_account_goes_beside_the_files(read: Any) -> None:
    reading = read("", ("anna",), users={"bert": nt_hash("other").hex()})
    assert reading.passwords == {"anna": HASH, "bert": nt_hash("other")}


def test_the_command_line_may_say_what_global_says(read: Any) -> None:
    assert read("[global]\nworkgroup = HOME\n", **{"global": {"workgroup": "AWAY"}}).starting_up().work_group == "AWAY"


# --- broken files ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[data]\nread only = no\n", r"share \[data\] has no path; add"),
        ("what\n", "line 1"),
        (A_SHARE + "create mask = rwx\n", r"smb\.conf, line 3: \[data\] create mask"),
        (A_SHARE + "max connections = some\n", r"smb\.conf, line 3: \[data\] max connections"),
        (A_SHARE + "force user = no such user\n", r"share \[data\]: .*force user"),
        ("[global]\ntcp port = 70000\n", r"smb\.conf, line 2: \[global\] tcp port = 70000: this must be at most 65535"),
        ("[global]\nipc timeout = 65536\n", r"line 2: \[global\] ipc timeout"),
        ("[global]\nsmb2 max read = 5G\n", r"line 2: \[global\] smb2 max read"),
        ("[global]\nrestrict anonymous = some\n", r"line 2: \[global\] restrict anonymous"),
        (f"[global]\nnetbios name = {'ä' * 15}\n", r"\[global\] cannot be told to the server"),
        (f"[global]\nguest account = {'x' * 48}\n", "is no account name"),
        (f"[data]\npath = /{'x' * 65536}\n", r"share \[data\] cannot be told to the server"),
    ],
)
def test_a_broken_file_is_found_when_it_is_read(read: Any, text: str, message: str) -> None:
    with pytest.raises(DirectoryError, match=message):
        read(text)


def test_a_broken_database_is_found_when_it_is_read(tmp_path: Path) -> None:
    database = tmp_path / "ksmbdpwd.db"
    database.write_text("anna\n")
    with pytest.raises(DirectoryError, match=r"ksmbdpwd\.db, line 1"):
        Directory.read(None, database, None)


def test_a_configuration_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match=r"No such file or directory.*nowhere"):
        Directory.read(tmp_path / "nowhere", None, None)


def test_no_files_at_all_leave_the_pipe_share() -> None:
    reading = Directory.read(None, None, None)
    assert set(reading.shares) == {"ipc$"}
    assert reading.login("anna") is None


# --- accounts ---


@pytest.mark.parametrize("name", ["anna", "ANNA", "Anna"])
def test_an_account_is_the_unix_user_of_its_name(read: Any, as_root: None, name: str) -> None:
    account = read("", ("anna",)).login(name)
    assert (account.name, account.uid, account.gid, account.groups) == ("anna", 1000, 1000, (1000, 50))
    assert (account.nt_hash, account.flags) == (HASH, AccountFlags.OK)


def test_an_account_without_a_unix_user_cannot_log_on_to_roots_server(
    read: Any, as_root: None, caplog: pytest.LogCaptureFixture
) -> None:
    account = read("", ("stranger",)).login("stranger")
    assert account.flags == AccountFlags.BAD_UID
    assert account.nt_hash == b""
    assert "useradd stranger" in caplog.text


def test_the_command_lines_account_without_a_unix_user_is_who_runs_the_server(read: Any, as_root: None) -> None:
    account = read("", users={"stranger": HASH.hex()}).login("stranger")
    assert (account.uid, account.gid, account.flags) == (0, 0, AccountFlags.OK)


def test_a_users_server_does_everything_as_that_user(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 1234, 56, (56, 78))
    account = read("", ("stranger",)).login("stranger")
    assert (account.uid, account.gid, account.groups) == (1234, 56, (56, 78))


@pytest.mark.parametrize(
    ("text", "mapped"), [("", False), ("map to guest = never", False), ("map to guest = Bad User", True)]
)
def test_a_stranger_is_a_guest_only_where_the_file_says_so(read: Any, as_root: None, text: str, mapped: bool) -> None:
    account = read(f"[global]\n{text}\n", ("anna",)).login("stranger")
    assert (account is not None) is mapped
    if mapped:
        assert (account.name, account.uid, account.nt_hash) == ("nobody", 65534, b"")
        assert account.flags == AccountFlags.OK | AccountFlags.GUEST_ACCOUNT


def test_the_empty_name_is_the_guest(read: Any, as_root: None) -> None:
    account = read("[global]\nguest account = anna\n").login("")
    assert (account.name, account.uid) == ("anna", 1000)
    assert account.flags & AccountFlags.GUEST_ACCOUNT


def test_a_guest_account_that_is_no_unix_user_is_nobody_and_never_root(read: Any, as_root: None) -> None:
    account = read("[global]\nguest account = stranger\n").login("")
    assert (account.uid, account.gid, account.groups) == (65534, 65534, ())


# --- lists ---


def test_a_list_holds_names_and_groups(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    users = {
        "anna": pwd.struct_passwd(("anna", "x", 1000, 50, "", "/", "")),
        "bert": pwd.struct_passwd(("bert", "x", 1001, 1001, "", "/", "")),
        "carl": pwd.struct_passwd(("carl", "x", 1002, 1002, "", "/", "")),
    }
    groups = {"staff": grp.struct_group(("staff", "x", 50, ["bert"]))}
    monkeypatch.setattr(pwd, "getpwnam", lambda name: users[name])
    monkeypatch.setattr(grp, "getgrnam", lambda name: groups[name])
    contains = read().contains
    assert contains(("bert", "anna"), "ANNA")
    assert contains(("@staff",), "anna"), "staff is anna's own group"
    assert contains(("@staff",), "bert"), "bert is a member"
    assert not contains(("@staff",), "carl")
    assert not contains(("@staff",), "stranger")
    assert not contains(("@no such group", "staff"), "anna")
    assert not contains((), "anna")
