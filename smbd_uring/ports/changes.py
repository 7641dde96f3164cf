"""Effects that tell what happens in directories, whoever makes it happen, and what they result in.

Knows: what a kernel can tell of changes below a directory.  Must not know: SMB, how it is told.

A watch is on one directory: it tells of the names in it and of the files behind them, not of what is further below.
What a watch tells is in the order in which it happened, over all watches of a driver.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from smbd_uring.ports.effects import Effect, Handle


class ChangeKind(Enum):
    """What happened."""

    ADDED = auto()
    """A name came: made, linked, or renamed from where nobody watches."""
    MOVED_IN = auto()
    """A name came from where nobody watches, with whatever was below it."""
    REMOVED = auto()
    RENAMED = auto()
    """`name` in `watch` became `new_name` in `new_watch`."""
    WRITTEN = auto()
    """A file's data or size changed."""
    DESCRIBED = auto()
    """What is known of a file changed: times, mode, owner, extended attributes."""
    ENDED = auto()
    """The watch is over: it was ended, or its directory is gone."""


class Change(NamedTuple):
    """One thing that happened to `name` in the directory of `watch`."""

    watch: int
    kind: ChangeKind
    name: bytes = b""
    is_directory: bool = False
    new_watch: int = 0
    new_name: bytes = b""


@dataclass(slots=True)
class WatchChanges(Effect[int]):
    """From now on take down what happens in a directory; what is WRITTEN and DESCRIBED only with `contents`.
    Result: the number of the watch; a directory watched already keeps its own and may get `contents` in addition.

    OSError: EOPNOTSUPP when nothing can be watched at all, ENOSPC when there are too many watches.  `handle` may be of
    any kind; the server's own identity needs the right to read the directory.
    """

    handle: Handle
    contents: bool


@dataclass(slots=True)
class UnwatchChanges(Effect[None]):
    """End a watch.  What was taken down before still comes, ENDED after it.  Result: None, also when it is over."""

    watch: int


@dataclass(slots=True)
class TakeChanges(Effect[list[Change] | None]):
    """What was taken down since the last time, in order.  With `everything` it is complete, what anybody has finished
    is in it; without there may be more, which is for the next time.
    Result: list of Change, or None when there was too much and some is lost; which, nobody knows."""

    everything: bool = True


@dataclass(slots=True)
class AwaitChanges(Effect[bool]):
    """Wait until there is something to take.  Result: True; False when `StopAwaitingChanges` ended the wait.  At most
    one wait at a time."""


@dataclass(slots=True)
class StopAwaitingChanges(Effect[None]):
    """The last watch is over: end the wait of `AwaitChanges`, if there is one.  Result: None."""
