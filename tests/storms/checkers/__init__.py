"""The rules that a storm must not break, one a module: each looks at a history and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.storms.checkers import answers, caches, contents, locks, sharing
from tests.storms.history import History


class Violation(NamedTuple):
    """A rule that was broken, and how."""

    rule: str
    what: str


Checker = Callable[[History], Iterator[str]]

CHECKERS: dict[str, Checker] = {
    "answers": answers.check,
    "caches": caches.check,
    "contents": contents.check,
    "locks": locks.check,
    "sharing": sharing.check,
}
"""By the rule's name.  What is left over in the server is looked at apart from these (`leaks`)."""


def check(history: History) -> list[Violation]:
    """Everything that is wrong."""
    return [Violation(rule, what) for rule, checker in CHECKERS.items() for what in checker(history)]
