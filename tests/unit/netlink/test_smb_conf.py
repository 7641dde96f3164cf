"""smb.conf: what ksmbd-tools accepts is read as it reads it; what is wrong is named by file and line."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbd_uring.netlink import smb_conf
from smbd_uring.netlink.smb_conf import ConfError, Configuration, Section, section_key


def parse(text: str) -> Configuration:
    return smb_conf.parse(text, "smb.conf")


def share(text: str) -> Section:
    """The one share of a file that begins with its section line."""
    return parse("[data]\n" + text).shares["data"]


# --- lines, sections and keys ---


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("path = /srv", "/srv"),
        ("\t  path\t=\t/srv", "/srv"),
        ("PATH=/srv", "/srv"),
        ("path = /srv ; the old disk", "/srv"),
        ("path = /srv#1", "/srv"),
        ("path = /srv\r", "/srv"),
        ("path = /srv/two words", "/srv/two words"),
        ("path = /a=b", "/a=b"),
        ("path = /srv  \t", "/srv"),
        ("path = /größe", "/größe"),
    ],
)
def test_a_line_is_a_key_and_a_value_up_to_the_first_comment(line: str, value: str) -> None:
    assert share(line).text("path") == value


def test_blanks_within_a_key_count_as_one() -> None:
    assert share("Read \t  Only = no").values == {"read only": "no"}


def test_empty_lines_and_comments_say_nothing() -> None:
    configuration = parse("\n   \n# [gone]\n; path = /x\n[data] # ours\n\tpath = /srv\n\t# read only = no\n")
    assert configuration.shares["data"].values == {"path": "/srv"}


@pytest.mark.parametrize(
    ("written", "asked"),
    [("Data", "DATA"), ("Größe", "GRÖSSE"), ("caf\u00e9", "CAFE\u0301"), ("two words", "Two Words")],
)
def test_a_share_is_found_whatever_the_case_and_composition_of_its_name(written: str, asked: str) -> None:
    found = parse(f"[{written}]\npath = /srv").shares[section_key(asked)]
    assert (found.name, found.text("path")) == (written, "/srv")


def test_a_section_that_comes_again_goes_on() -> None:
    configuration = parse("[data]\npath = /srv\n[other]\npath = /o\n[DATA]\nread only = no\n[Global]\ndeadtime = 5\n")
    assert configuration.shares["data"].values == {"path": "/srv", "read only": "no"}
    assert configuration.globals.number("deadtime", 0) == 5
    assert set(configuration.shares) == {"data", "other"}


def test_the_first_value_that_is_not_empty_counts() -> None:
    assert share("path =\npath = /first\npath = /second").text("path") == "/first"


def test_an_empty_value_is_not_set() -> None:
    section = share("path =\nread only =\nmax connections =\ncreate mask =\nvalid users =")
    assert section.text("path", "/default") == "/default"
    assert section.boolean("read only", True) is True
    assert section.size("max connections", 7) == 7
    assert section.octal("create mask", 0o700) == 0o700
    assert section.words("valid users") == ()


def test_a_share_without_a_word_exists() -> None:
    assert parse("[empty]").shares["empty"].values == {}


# --- [global] as defaults ---


def test_share_keys_in_global_are_the_shares_defaults() -> None:
    configuration = parse(
        "[data]\npath = /srv\nread only = yes\n[global]\nread only = no\nveto files = /*.tmp/\nworkgroup = HOME\n"
    )
    data = configuration.shares["data"]
    assert data.boolean("read only", False) is True, "the share's own value wins"
    assert data.text("veto files") == "/*.tmp/"
    assert "workgroup" not in data.values


def test_an_empty_value_in_a_share_leaves_the_default() -> None:
    assert parse("[global]\nread only = no\n[data]\nread only =\n").shares["data"].text("read only") == "no"


@pytest.mark.parametrize("key", ["guest account", "max connections"])
def test_two_keys_mean_something_else_in_global_and_are_no_defaults(key: str) -> None:
    configuration = parse(f"[global]\n{key} = 5\n[data]\npath = /srv\n")
    assert configuration.globals.text(key) == "5"
    assert key not in configuration.shares["data"].values


# --- kinds of values ---


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("yes", True), ("YES", True), ("1", True), ("true", True), ("enable", True), ("enabled", True), ("1abc", True),
        ("no", False), ("0", False), ("false", False), ("on", False), ("y", False), ("disable", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("default", [True, False])
def test_true_is_what_begins_with_yes_1_true_or_enable(value: str, meant: bool, default: bool) -> None:
    assert share(f"read only = {value}").boolean("read only", default) is meant


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("0", 0), ("65536", 65536), ("64K", 65536), ("64k", 65536), ("4M", 4 << 20), ("4MB", 4 << 20),
        ("4 M", 4 << 20), ("1G", 1 << 30), ("0x10000", 65536), ("0x10K", 16384), ("010", 8), ("0", 0),
    ],
)  # fmt: skip
def test_a_size_is_a_number_in_any_c_notation_with_a_suffix(value: str, size: int) -> None:
    assert share(f"max connections = {value}").size("max connections", 1) == size


@pytest.mark.parametrize("value", ["M", "-4", "4X", "1_000", "4.5M", "lots", "09", "0xK", "٤"])
def test_a_size_that_is_none_names_file_line_and_key(value: str) -> None:
    with pytest.raises(ConfError, match=r"smb\.conf, line 3: \[data\] max connections = .*size such as 4M"):
        share(f"path = /srv\nmax connections = {value}").size("max connections", 1)


@pytest.mark.parametrize("value", ["many", "-1", "1_0", "0x10", "12 34", "1.5"])
def test_a_number_that_is_none_names_file_line_and_key(value: str) -> None:
    with pytest.raises(ConfError, match=r"smb\.conf, line 2: \[global\] deadtime = .* must be a number"):
        parse(f"[global]\ndeadtime = {value}").globals.number("deadtime", 0)


def test_a_number_above_its_bound_is_refused() -> None:
    section = parse("[global]\ntcp port = 65536\nsmb2 max read = 5G").globals
    with pytest.raises(ConfError, match=r"line 2: .* at most 65535"):
        section.number("tcp port", 445, 65535)
    with pytest.raises(ConfError, match=r"line 3: .* at most 4294967295"):
        section.size("smb2 max read", 1)


@pytest.mark.parametrize(("value", "mode"), [("0755", 0o755), ("755", 0o755), ("7777", 0o7777), ("0", 0)])
def test_modes_are_octal(value: str, mode: int) -> None:
    assert share(f"create mask = {value}").octal("create mask", 0) == mode


@pytest.mark.parametrize("value", ["0888", "rwx", "-1", "0o755", "100000"])
def test_a_mode_that_is_none_names_file_line_and_key(value: str) -> None:
    with pytest.raises(ConfError, match=r"smb\.conf, line 2: \[data\] create mask = .*octal mode"):
        share(f"create mask = {value}").octal("create mask", 0)


def test_a_wrong_default_is_named_where_it_was_written() -> None:
    configuration = parse("[global]\n\ncreate mask = x\n[data]\npath = /srv\n")
    with pytest.raises(ConfError, match=r"line 3: \[data\] create mask"):
        configuration.shares["data"].octal("create mask", 0)


@pytest.mark.parametrize("value", ["anna,bert @staff", "anna bert\t@staff", " anna , bert,,@staff ,"])
def test_a_list_is_separated_by_blanks_tabs_and_commas(value: str) -> None:
    assert share(f"valid users = {value}").words("valid users") == ("anna", "bert", "@staff")


# --- what is refused ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path = /srv\n", "line 1: 'path' stands before any section"),
        ("[data]\n\nwhat is this\n", "line 3: 'what is this' is neither"),
        ("[data]\n= /srv\n", "line 2: .* is neither"),
        ("[data\n", "line 1: .* is not a section"),
        ("[]\n", "line 1: .* is not a section"),
        ("[a[b]\n", "line 1: .* is not a section"),
        ("[data] path = /srv\n", "line 1: .* is not a section"),
        ("[da\x01ta]\n", "line 1: .* is not a section"),
        (f"[{'ä' * 32}]\n", "line 1: .* at most 63 bytes"),
    ],
)
def test_a_file_with_a_wrong_line_is_refused_whole(text: str, message: str) -> None:
    with pytest.raises(ConfError, match=r"smb\.conf, " + message):
        parse(text)


def test_a_name_of_63_bytes_is_taken() -> None:
    assert list(parse(f"[{'x' * 63}]").shares) == ["x" * 63]


def test_an_unknown_key_is_ignored_with_a_word_for_those_who_look(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "smbd.companion"):
        assert share("spotlight = yes\npath = /srv").text("path") == "/srv"
    (record,) = caplog.records
    assert record.levelname == "DEBUG"
    assert "smb.conf, line 2: 'spotlight'" in record.message


# --- files ---


def test_a_file_that_is_not_there_is_the_callers_business(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        smb_conf.load(tmp_path / "smb.conf")


def test_a_file_in_another_encoding_is_refused_with_the_remedy(tmp_path: Path) -> None:
    file = tmp_path / "smb.conf"
    file.write_bytes(b"[data]\npath = /gr\xf6\xdfe\n")
    with pytest.raises(ConfError, match=r"smb\.conf is not UTF-8 text \(byte 17\); save it as UTF-8"):
        smb_conf.load(file)


def test_a_byte_order_mark_is_not_part_of_the_first_section(tmp_path: Path) -> None:
    file = tmp_path / "smb.conf"
    file.write_bytes(b"\xef\xbb\xbf[data]\npath = /srv\n")
    assert smb_conf.load(file).shares["data"].text("path") == "/srv"


@given(st.text(alphabet=st.sampled_from("[]=;# \t\r\nabÄß\x00\u0301") | st.characters(), max_size=200))
def test_any_text_is_read_or_refused_with_a_line(text: str) -> None:
    try:
        configuration = parse(text)
    except ConfError as error:
        assert "smb.conf, line " in str(error)
        return
    for key, section in configuration.shares.items():
        assert key == section_key(section.name)
        assert all(value == value.strip() for value in section.values.values())


_VALUES = st.text(st.characters(exclude_characters=";#\n", exclude_categories=["Cs"]), max_size=20)


@given(_VALUES)
def test_any_value_is_of_its_kind_or_refused(value: str) -> None:
    section = share(f"path = {value}")
    for read in (section.number, section.size, section.octal):
        try:
            assert read("path", 0) >= 0
        except ConfError as error:
            assert "smb.conf, line 2" in str(error)


@pytest.mark.parametrize("key", sorted(smb_conf.RESTRICTIONS_NOT_HEEDED))
def test_a_restriction_that_does_not_work_is_said(key: str, caplog: pytest.LogCaptureFixture) -> None:
    smb_conf.parse(f"[data]\n{key} = 10.0.0.1\n", "smb.conf")
    assert f"smb.conf, line 2: `{key}` is not heeded" in caplog.text
    caplog.clear()
    smb_conf.parse(f"[data]\n{key} =\n", "smb.conf")
    assert not caplog.text
