"""A name matches as [MS-FSA] 2.1.4.4 says, in any case of letters, and no pattern takes long."""

from __future__ import annotations

import time
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbd_uring.wire.fscc import fold_name, name_matches

SHORT_PATTERNS = st.text('*?<>".aB', max_size=10)
SHORT_NAMES = st.text(".aAbc", max_size=10)
TIME_PER_NAME_MAX_S = 0.01
"""A hundred times what the slowest pattern needs, a hundredth of what backtracking would need for the tamest here."""


def specified(pattern: str, name: str) -> bool:
    """The rules one by one, by trying everything; fit for short patterns only."""
    pattern, name = pattern.upper(), name.upper()
    last_dot = name.rfind(".")

    @cache
    def rest_matches(p: int, n: int) -> bool:
        at_end = n == len(name)
        if p == len(pattern):
            return at_end
        wildcard = pattern[p]
        skips = rest_matches(p + 1, n)
        if wildcard == "*":
            return skips or (not at_end and rest_matches(p, n + 1))
        if wildcard == "<":
            return skips or (not at_end and n != last_dot and rest_matches(p, n + 1))
        if wildcard == ">":
            return skips if at_end or name[n] == "." else rest_matches(p + 1, n + 1)
        if wildcard == '"':
            return skips if at_end else name[n] == "." and rest_matches(p + 1, n + 1)
        return not at_end and wildcard in ("?", name[n]) and rest_matches(p + 1, n + 1)

    return rest_matches(0, 0)


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*", ["", "a", "a.b", "."], []),
        ("", [""], ["a"]),
        ("readme.txt", ["readme.txt", "README.TXT"], ["readme.tx", "readme.txt2", "xreadme.txt"]),
        ("*.txt", ["a.txt", ".txt", "a.b.TXT"], ["txt", "a.txt.b", "a.txtx"]),
        ("a?c", ["abc", "a.c"], ["ac", "abbc"]),
        ("??", ["ab"], ["a", "abc", ""]),
        ("*.*", ["a.b", ".", "a."], ["ab"]),
        ("a*b*c", ["abc", "axxbyyc", "abbcc"], ["acb", "ab"]),
        # `*.*`, `*.`, and `????.???` of DOS programs arrive as these.
        ('*"*', ["a", "a.b", ""], []),
        ("<", ["readme", ""], ["readme.txt"]),
        ("<.txt", ["a.txt", "a.b.txt"], ["a.txt.b", "atxt"]),
        ("<a", ["a", "ba"], ["x.a", "ab"]),
        (">>>>>>>>.>>>", ["a.b", "readme.txt"], ["readme", "longername.txt"]),
        ('>>>>>>>>">>>', ["a.b", "readme.txt", "readme"], ["longername", "a.html"]),
        ("a>>>", ["a", "ab", "abcd"], ["abcde", "b"]),
        (">a", ["ba"], ["a", ".a"]),
        ('a"', ["a", "a."], ["ab", "a.b"]),
        ('a"b', ["a.b"], ["ab", "a"]),
        ("ÄÖ*", ["äö", "ÄöÜ"], ["ao"]),
        ("straße", ["STRAßE"], ["strasse", "STRASSE"]),
        ("?", ["ä", "😀"], ["äö"]),
    ],
)
def test_patterns_match_what_they_should(pattern: str, matching: list[str], others: list[str]) -> None:
    assert [name for name in matching if not name_matches(pattern, name)] == []
    assert [name for name in others if name_matches(pattern, name)] == []


@given(SHORT_PATTERNS, SHORT_NAMES)
def test_every_short_pattern_matches_as_specified(pattern: str, name: str) -> None:
    assert name_matches(pattern, name) == specified(pattern, name)


@given(st.text(max_size=30))
def test_a_name_without_wildcards_matches_itself_in_either_case(name: str) -> None:
    name = "".join(character for character in name if character not in '*?<>"')
    assert name_matches(name, name)
    assert name_matches(fold_name(name), name) and name_matches(name, fold_name(name))


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*a" * 127, "a" * 255), ("*a" * 127 + "b", "a" * 255), ("*" * 255, "a" * 255), ("<>*" * 85, "a." * 127),
        ('<"' * 127, "." * 255), ("*?" * 127, "a" * 255), (">" * 255, "a" * 255), ("<a" * 127, "a.a" * 85),
    ],
)  # fmt: skip
def test_a_hostile_pattern_takes_no_longer_than_any_other(pattern: str, name: str) -> None:
    name_matches(pattern, name)
    fastest = min(timed(pattern, name) for _ in range(5))
    assert fastest < TIME_PER_NAME_MAX_S


def timed(pattern: str, name: str) -> float:
    """Seconds that one name takes."""
    started = time.perf_counter()
    name_matches(pattern, name)
    return time.perf_counter() - started


@given(st.text(max_size=30))
def test_folding_keeps_the_length_and_folds_once(name: str) -> None:
    folded = fold_name(name)
    assert len(folded) == len(name)
    assert name.isascii() is False or folded == name.upper()


@pytest.mark.parametrize(
    ("name", "folded"),
    [("abc", "ABC"), ("äöü", "ÄÖÜ"), ("ß", "ß"), ("ŉ", "ŉ"), ("ﬁ", "ﬁ"), ("привет", "ПРИВЕТ"), ("ÿ", "Ÿ")],
)
def test_letters_fold_one_to_one_as_windows_does(name: str, folded: str) -> None:
    assert fold_name(name) == folded
