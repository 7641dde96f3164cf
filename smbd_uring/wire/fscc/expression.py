"""Search expressions: does a name match a pattern with wildcards?

Knows: [MS-FSA] 2.1.4.4, and Windows' case rule.  Must not know: directories.

`*` any characters, `?` one; the three that clients derive from DOS patterns: `<` (DOS_STAR) any characters up to the
last dot, `>` (DOS_QM) one character, or none before a dot or at the end, `"` (DOS_DOT) a dot, or nothing at the end.
The states of the pattern that may still match are kept as a set, so that a hostile pattern costs time proportional to
pattern times name, never more.
"""

from __future__ import annotations

from functools import lru_cache

STAR = "*"
QUESTION = "?"
DOS_STAR = "<"
DOS_QM = ">"
DOS_DOT = '"'


@lru_cache(maxsize=4096)
def _fold_character(character: str) -> str:
    upper = character.upper()
    return upper if len(upper) == 1 else character


def fold_name(name: str) -> str:
    """The name in upper case as Windows compares it: character by character, never changing the length."""
    if name.isascii():
        return name.upper()
    return "".join(map(_fold_character, name))


def name_matches(pattern: str, name: str) -> bool:
    """Whether `name` matches `pattern`, without regard to case."""
    if pattern == STAR:
        return True
    return _matches(fold_name(pattern), fold_name(name))


def _matches(pattern: str, name: str) -> bool:
    last_dot = name.rfind(".")
    states = _closure({0}, pattern, name, 0)
    for position, character in enumerate(name):
        following: set[int] = set()
        for state in states:
            if state < len(pattern):
                _step(pattern, state, character, position, last_dot, following)
        states = _closure(following, pattern, name, position + 1)
        if not states:
            return False
    return len(pattern) in states


def _step(pattern: str, state: int, character: str, position: int, last_dot: int, following: set[int]) -> None:
    """Add the states that reading `character` in `state` leads to."""
    wanted = pattern[state]
    if wanted == STAR:
        following.add(state)
    elif wanted == DOS_STAR:
        # everything but the name's last dot, which ends it
        if character != "." or position != last_dot:
            following.add(state)
    elif wanted == QUESTION or (wanted == DOS_QM and character != "."):
        following.add(state + 1)
    elif wanted == DOS_DOT:
        if character == ".":
            following.add(state + 1)
    elif wanted == character:
        following.add(state + 1)


def _closure(states: set[int], pattern: str, name: str, position: int) -> set[int]:
    """Add the states that are reached without reading a character."""
    at_end = position == len(name)
    before_dot = not at_end and name[position] == "."
    reached = set(states)
    pending = list(states)
    while pending:
        state = pending.pop()
        if state >= len(pattern):
            continue
        wanted = pattern[state]
        empty = (
            wanted in (STAR, DOS_STAR)
            or (wanted == DOS_QM and (at_end or before_dot))
            or (wanted == DOS_DOT and at_end)
        )
        if empty and state + 1 not in reached:
            reached.add(state + 1)
            pending.append(state + 1)
    return reached
