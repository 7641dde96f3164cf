"""How a bug is planted: a part of the engine is replaced for a while by one that makes a mistake now and then.

Knows: how to replace and to put back.  Must not know: any part, any rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

NOW_AND_THEN = 4


@dataclass(frozen=True, slots=True)
class Planted:
    """A bug, and the rule that it breaks."""

    name: str
    rule: str
    plant: Callable[[], AbstractContextManager[None]]
    is_rare: bool = False
    """Whether it takes hundreds of storms to find it."""


@contextmanager
def replaced(owner: Any, name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """With an attribute of a class or module wrapped."""
    before = getattr(owner, name)
    setattr(owner, name, make(before))
    try:
        yield
    finally:
        setattr(owner, name, before)


def now_and_then(every: int = NOW_AND_THEN) -> Callable[[], bool]:
    """True for each fourth call, or `every`."""
    calls = 0

    def is_due() -> bool:
        nonlocal calls
        calls += 1
        return calls % every == 0

    return is_due
