"""ksmbdpwd.db: what ksmbd-tools wrote is read, what is written is whole and private, what is broken is named."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbd_uring.netlink.accounts import AccountsError, load, store

HASH = bytes.fromhex("a4f49c406510bdcab6824ee7c30fd852")
LINE = "anna:pPScQGUQvcq2gk7nww/YUg==\n"
"""As ksmbd.adduser writes HASH."""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "ksmbdpwd.db"


def test_a_file_that_is_not_there_has_no_accounts(database: Path) -> None:
    assert load(database) == {}


@pytest.mark.parametrize("text", [LINE, LINE.replace("=", ""), LINE.strip(), "\n" + LINE + "\n"])
def test_a_file_of_ksmbd_is_read_with_or_without_padding(database: Path, text: str) -> None:
    database.write_text(text)
    assert load(database) == {"anna": HASH}


def test_the_file_is_written_sorted_as_ksmbd_writes_it(database: Path) -> None:
    store(database, {"zoe": HASH, "Größe": HASH, "anna": HASH})
    base64 = LINE.removeprefix("anna:")
    assert database.read_text("utf-8") == f"Größe:{base64}anna:{base64}zoe:{base64}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("anna", "no NT hash of 16 bytes"),
        ("anna:", "no NT hash of 16 bytes"),
        ("anna:AAAA", "no NT hash of 16 bytes"),
        (LINE.strip()[:-2] + "AAAA", "no NT hash of 16 bytes"),
        ("anna:!!!!", "remove the line or add the account again"),
        (":pPScQGUQvcq2gk7nww/YUg==", "is no account name"),
        ("a\x01b:pPScQGUQvcq2gk7nww/YUg==", "is no account name"),
        (f"{'ä' * 24}:pPScQGUQvcq2gk7nww/YUg==", "is no account name"),
        ("anna:bert:pPScQGUQvcq2gk7nww/YUg==", "remove the line or add the account again"),
    ],
)
def test_one_broken_line_makes_the_file_unusable_and_is_named(database: Path, line: str, message: str) -> None:
    database.write_text(LINE + line + "\n")
    with pytest.raises(AccountsError, match=rf"ksmbdpwd\.db, line 2: .*{message}"):
        load(database)


def test_no_hash_appears_in_an_error(database: Path) -> None:
    database.write_text(LINE.strip() + "x\n")
    with pytest.raises(AccountsError) as raised:
        load(database)
    assert "pPScQ" not in str(raised.value)


def test_a_file_in_another_encoding_is_refused(database: Path) -> None:
    database.write_bytes(b"gr\xf6\xdfe:pPScQGUQvcq2gk7nww/YUg==\n")
    with pytest.raises(AccountsError, match="is not UTF-8"):
        load(database)


def test_a_new_file_is_for_its_owner_alone(database: Path) -> None:
    store(database, {"anna": HASH})
    assert stat.S_IMODE(database.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_a_file_keeps_its_mode(database: Path, mode: int) -> None:
    database.write_text("")
    database.chmod(mode)
    store(database, {"anna": HASH})
    assert stat.S_IMODE(database.stat().st_mode) == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_keeps_its_owner_and_group(database: Path) -> None:
    database.write_text("")
    os.chown(database, 65534, 65533)
    store(database, {"anna": HASH})
    assert (database.stat().st_uid, database.stat().st_gid) == (65534, 65533)


def test_a_link_stays_a_link(tmp_path: Path, database: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "accounts").write_text("")
    database.symlink_to(elsewhere / "accounts")
    store(database, {"anna": HASH})
    assert database.is_symlink()
    assert load(elsewhere / "accounts") == {"anna": HASH}


def test_who_reads_meanwhile_sees_the_old_file_or_the_new(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a crash before the new file is in place, the old one is untouched and nothing is left behind."""
    store(database, {"anna": HASH})

    def crash(*_: object) -> None:
        raise OSError("the disk went away")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="the disk went away"):
        store(database, {"bert": HASH})
    assert load(database) == {"anna": HASH}
    assert [path.name for path in database.parent.iterdir()] == ["ksmbdpwd.db"]


NAMES = st.text(st.characters(exclude_characters=":", exclude_categories=["C", "Z"]), min_size=1, max_size=11)


@given(st.dictionaries(NAMES, st.binary(min_size=16, max_size=16), max_size=8))
def test_what_is_stored_is_loaded(tmp_path_factory: pytest.TempPathFactory, written: dict[str, bytes]) -> None:
    database = tmp_path_factory.getbasetemp() / "round-trip.db"
    store(database, written)
    assert load(database) == written


@given(st.text(alphabet=st.sampled_from("anab:/+=\n\r \u2028") | st.characters(exclude_categories=["Cs"]), max_size=80))
def test_any_text_is_read_or_refused_with_a_line(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    database = tmp_path_factory.getbasetemp() / "any.db"
    database.write_text(text, "utf-8", newline="")
    try:
        read = load(database)
    except AccountsError as error:
        assert "any.db, line " in str(error)
        return
    assert all(len(value) == 16 for value in read.values())
