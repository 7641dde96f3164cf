"""Names: which are the same, which are hidden, which cannot be."""

from __future__ import annotations

import errno
import fnmatch
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbd_uring.filesystem.names import client_name, encode_component, fold, fold_on_disk, is_vetoed
from smbd_uring.wire.fscc import fold_name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("README.txt", "readme.TXT"),
        ("Äpfel", "äPFEL"),
        ("ΣΊΓΜΑ", "σίγμα"),
        ("ÿ", "Ÿ"),
    ],
)
def test_names_that_are_the_same(one: str, other: str) -> None:
    assert fold(one) == fold(other)
    assert fold_on_disk(one.encode()) == fold(other)
    assert fold_on_disk(other.encode()) == fold(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ß", "ss"), ("\u0131", "I"), ("\u017f", "S"), ("a", "ä"), ("a", "a "), ("ﬁ", "fi"), ("ä", "a\u0308"),
        ("한글", unicodedata.normalize("NFD", "한글")),
    ],
)  # fmt: skip
def test_names_that_are_not(one: str, other: str) -> None:
    assert fold(one) != fold(other)
    assert fold_on_disk(one.encode()) != fold(other)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"*/:<>?\\|'), min_size=1))
def test_who_creates_a_name_and_who_looks_for_it_take_the_same_for_the_same(name: str) -> None:
    assert fold(name) == fold_name(name) == fold_on_disk(name.encode())
    assert fold(fold(name)) == fold(name)


@pytest.mark.parametrize(
    "name", [b"a\\b", b"a:b", b"a*", b"?", b'"', b"<", b">", b"|", b"\x01", b"\xff", b"\xed\xa0\x80"]
)
def test_a_name_no_client_can_be_told(name: bytes) -> None:
    assert client_name(name) is None


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("", errno.EINVAL), (".", errno.EINVAL), ("..", errno.EINVAL), ("a/b", errno.EINVAL), ("a\0", errno.EINVAL),
        ("x" * 256, errno.ENAMETOOLONG), ("ä" * 128, errno.ENAMETOOLONG), ("\ud800", errno.EILSEQ),
    ],
)  # fmt: skip
def test_a_name_the_kernel_cannot_have(name: str, number: int) -> None:
    with pytest.raises(OSError) as caught:
        encode_component(name)
    assert caught.value.errno == number


def test_the_longest_name_passes() -> None:
    assert len(encode_component("x" * 255)) == 255


@pytest.mark.parametrize(
    ("pattern", "name"),
    [("*.tmp", "a.TMP"), ("a?c", "aBc"), ("*", "x"), ("a*b*c", "aXXbYYbZc"), ("äh*", "ÄHM"), ("**", ""), ("x*", "X")],
)
def test_a_vetoed_name(pattern: str, name: str) -> None:
    assert is_vetoed(("never", pattern), name)


@pytest.mark.parametrize(
    ("pattern", "name"), [("*.tmp", "a.tmpx"), ("a?c", "ac"), ("", "x"), ("a*b", "ba"), ("[ab]", "a")]
)
def test_a_name_not_vetoed(pattern: str, name: str) -> None:
    assert not is_vetoed((pattern,), name)


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=10))
def test_wildcards_match_as_everywhere(pattern: str, name: str) -> None:
    assert is_vetoed((pattern,), name) == fnmatch.fnmatchcase(name, pattern)


def test_a_pattern_with_many_stars_costs_little() -> None:
    assert not is_vetoed(("*a" * 60 + "b",), "a" * 250)
