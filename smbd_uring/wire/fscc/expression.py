"""Search expressions: does a name match a pattern with wildcards?

Knows: [MS-FSA] 2.1.4.4, and Windows' case rule.  Must not know: directories.

`*` any characters, `?` one; the three that clients derive from DOS patterns: `<` (DOS_STAR) any characters up to the
last dot, `>` (DOS_QM) one character, or none before a dot or at the end, `"` (DOS_DOT) a dot, or nothing at the end.

A pattern is an automaton whose state i means: the first i characters of the pattern are matched.  All states that may
still lead to a match are kept at once, as the bits of one integer, so that each character of a name costs a handful
of integer operations whatever the pattern is: a hostile one cannot make a listing slow.
"""

from __future__ import annotations

from functools import lru_cache

STAR = "*"
QUESTION = "?"
DOS_STAR = "<"
DOS_QM = ">"
DOS_DOT = '"'
DOT = "."
PATTERNS_COMPILED_MAX = 256
"""Compiled patterns kept; a listing needs its own for as long as it goes on."""


@lru_cache(maxsize=4096)
def _fold_character(character: str) -> str:
    upper = character.upper()
    # No character becomes two, and none outside ASCII (dotless i, long s) becomes one inside.
    return upper if len(upper) == 1 and upper.isascii() == character.isascii() else character


def fold_name(name: str) -> str:
    """The name in upper case as Windows compares it: character by character, never changing the length."""
    if name.isascii():
        return name.upper()
    return "".join(map(_fold_character, name))


def name_matches(pattern: str, name: str) -> bool:
    """Whether `name` matches `pattern`, without regard to case."""
    if pattern == STAR:
        return True
    return _compile(pattern).matches(fold_name(name))


class _Expression:
    """A folded pattern as bit masks: bit i of a mask stands for the pattern's character i."""

    __slots__ = (
        "_accepted", "_dos_dot", "_dos_qm", "_dos_star", "_literals", "_question", "_star",
    )  # fmt: skip

    def __init__(self, pattern: str) -> None:
        masks: dict[str, int] = {}
        for index, character in enumerate(pattern):
            masks[character] = masks.get(character, 0) | 1 << index
        self._star = masks.pop(STAR, 0)
        self._dos_star = masks.pop(DOS_STAR, 0)
        self._question = masks.pop(QUESTION, 0)
        self._dos_qm = masks.pop(DOS_QM, 0)
        self._dos_dot = masks.pop(DOS_DOT, 0)
        self._literals = masks
        self._accepted = 1 << len(pattern)

    def matches(self, name: str) -> bool:
        """Whether a folded name matches."""
        last_dot = name.rfind(DOT)
        states = 1
        for position, character in enumerate(name):
            if character == DOT:
                states = _skip(states, self._star | self._dos_star | self._dos_qm)
                stays = self._star if position == last_dot else self._star | self._dos_star
                moves = self._question | self._dos_dot | self._literals.get(DOT, 0)
            else:
                states = _skip(states, self._star | self._dos_star)
                stays = self._star | self._dos_star
                moves = self._question | self._dos_qm | self._literals.get(character, 0)
            states = states & stays | (states & moves) << 1
            if not states:
                return False
        states = _skip(states, self._star | self._dos_star | self._dos_qm | self._dos_dot)
        return states & self._accepted != 0


def _skip(states: int, empty: int) -> int:
    """Add the states reached by matching nothing with the wildcards in `empty`.

    Adding a state's bit to a run of ones turns the run into zeros from there on and the bit after the run into a one:
    the bits that changed are the states which that state leads to.
    """
    return states | (empty + (states & empty)) ^ empty


@lru_cache(maxsize=PATTERNS_COMPILED_MAX)
def _compile(pattern: str) -> _Expression:
    return _Expression(fold_name(pattern))
