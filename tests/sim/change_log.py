"""What the simulated kernel takes down of changes in watched directories, as inotify does.

Knows: nodes and their names.  Must not know: who changes what.
"""

from __future__ import annotations

from collections.abc import Callable

from smbd_uring.ports import Change, ChangeKind
from tests.sim.nodes import Node

CHANGES_AT_ONCE = 64
CHANGES_MAX = 2000
"""Changes that nobody took, above which all are lost."""


def _nobody() -> None:
    """Nobody waits."""


class ChangeLog:
    """The watches of one machine and what they have to tell.  `on_change` is called when there is something."""

    def __init__(self) -> None:
        self.on_change: Callable[[], None] = _nobody
        self._watches: dict[int, tuple[Node, bool]] = {}
        self._next_watch = 1
        self._changes: list[Change] = []
        self._is_lost = False

    @property
    def has_something(self) -> bool:
        """Whether there is something to take."""
        return bool(self._changes) or self._is_lost

    @property
    def watch_count(self) -> int:
        """How many directories are watched."""
        return len(self._watches)

    def watch(self, node: Node, contents: bool) -> int:
        """Watch a directory; its number."""
        number = self._number(node)
        if number is None:
            number = self._next_watch
            self._next_watch += 1
            self._watches[number] = (node, contents)
        elif contents:
            self._watches[number] = (node, True)
        return number

    def unwatch(self, number: int) -> None:
        """End a watch."""
        if self._watches.pop(number, None) is not None:
            self._add(Change(number, ChangeKind.ENDED))

    def take(self, everything: bool) -> list[Change] | None:
        """What there is, or some of it; None when something was lost."""
        count = len(self._changes) if everything else CHANGES_AT_ONCE
        changes, self._changes = self._changes[:count], self._changes[count:]
        if self._is_lost:
            self._is_lost = False
            return None
        return changes

    def lose(self) -> None:
        """Too much happened at once."""
        self._is_lost = True
        self._changes.clear()
        self.on_change()

    def added(self, directory: Node, name: bytes) -> None:
        """A name was made."""
        number = self._number(directory)
        if number is not None:
            self._add(Change(number, ChangeKind.ADDED, name, directory.entries[name].is_directory))

    def removed(self, directory: Node, name: bytes, node: Node) -> None:
        """A name was taken away from a node."""
        number = self._number(directory)
        if number is not None:
            self._add(Change(number, ChangeKind.REMOVED, name, node.is_directory))
        self.gone(node)

    def renamed(self, old_parent: Node, old_name: bytes, new_parent: Node, new_name: bytes) -> None:
        """A node has another name."""
        old, new = self._number(old_parent), self._number(new_parent)
        is_directory = new_parent.entries[new_name].is_directory
        if old is not None and new is not None:
            self._add(Change(old, ChangeKind.RENAMED, old_name, is_directory, new, new_name))
        elif old is not None:
            self._add(Change(old, ChangeKind.REMOVED, old_name, is_directory))
        elif new is not None:
            self._add(Change(new, ChangeKind.MOVED_IN, new_name, is_directory))

    def written(self, node: Node) -> None:
        """A file's data changed."""
        self._about(node, ChangeKind.WRITTEN)

    def described(self, node: Node) -> None:
        """What is known of a node changed."""
        self._about(node, ChangeKind.DESCRIBED)

    def gone(self, node: Node) -> None:
        """A node lost a name or a handle; without any of both its watch is over."""
        if node.is_directory and node.link_count == 0 and node.open_count == 0:
            number = self._number(node)
            if number is not None:
                self.unwatch(number)

    def _about(self, node: Node, kind: ChangeKind) -> None:
        for number, (directory, contents) in self._watches.items():
            if contents:
                for name, other in directory.entries.items():
                    if other is node:
                        self._add(Change(number, kind, name, node.is_directory))

    def _number(self, node: Node) -> int | None:
        return next((number for number, (watched, _) in self._watches.items() if watched is node), None)

    def _add(self, change: Change) -> None:
        if self._is_lost or (self._changes and self._changes[-1] == change and change.kind in _MERGED):
            return
        self._changes.append(change)
        if len(self._changes) > CHANGES_MAX:
            self.lose()
        self.on_change()


_MERGED = (ChangeKind.WRITTEN, ChangeKind.DESCRIBED)
