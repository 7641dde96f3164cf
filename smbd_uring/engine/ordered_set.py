"""A set whose members come in the order in which they were added.

Knows: nothing of the engine.  Must not know: what is kept in it.

The order of a plain set of objects follows from where they lie in memory.  Where members are told, woken or closed one
after the other that would decide who is first, differently in each run: unfair to clients, and a failure that a seed
has shown would not be shown again.
"""

from __future__ import annotations

from typing import TypeVar

Member = TypeVar("Member")


class OrderedSet(dict[Member, None]):
    """As much of a set as the engine needs, made of a dict: what a dict does with its keys is done with the members."""

    __slots__ = ()

    def add(self, member: Member) -> None:
        """One more, as the last; one that is there stays where it is."""
        self[member] = None

    def discard(self, member: Member) -> None:
        """One less; harmless when it is not there."""
        self.pop(member, None)
