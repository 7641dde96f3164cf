"""The simulated watches: on names, and on everything that happens in directories.

Knows: what was told of a directory's names before, the log of changes.  Must not know: who changes what.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from smbd_uring.ports import (
    Change,
    Effect,
    NameChange,
    TakeChanges,
    TakeNameChanges,
    UnwatchChanges,
    UnwatchNames,
    WatchChanges,
    WatchNames,
)
from tests.sim.machine import Machine
from tests.sim.nodes import failure

WATCHES_MAX = 64
CHANGE_WATCHES_MAX = 4096


def watch_names(machine: Machine, effect: WatchNames) -> int:
    node = machine.directory(effect.handle)
    if not machine.has_watches:
        raise failure(errno.EOPNOTSUPP)
    for number, (watched, _names) in machine.watches.items():
        if watched is node:
            return number
    if len(machine.watches) >= WATCHES_MAX:
        raise failure(errno.ENOSPC)
    number = machine.next_watch
    machine.next_watch += 1
    machine.watches[number] = (node, set(node.entries))
    return number


def unwatch_names(machine: Machine, effect: UnwatchNames) -> None:
    if machine.watches.pop(effect.watch, None) is not None:
        machine.watches_ended.append(effect.watch)


def take_name_changes(machine: Machine, _effect: TakeNameChanges) -> list[NameChange]:
    changes: list[NameChange] = []
    for number, (node, told) in list(machine.watches.items()):
        present = set(node.entries)
        changes += [NameChange(number, name, False) for name in sorted(told - present)]
        changes += [NameChange(number, name, True) for name in sorted(present - told)]
        machine.watches[number] = (node, present)
        if node.link_count == 0 and node.open_count == 0:
            del machine.watches[number]
            changes.append(NameChange(number, b"", False))
    changes += [NameChange(number, b"", False) for number in machine.watches_ended]
    machine.watches_ended.clear()
    return changes


def watch_changes(machine: Machine, effect: WatchChanges) -> int:
    node = machine.directory(effect.handle)
    if not machine.has_watches:
        raise failure(errno.EOPNOTSUPP)
    if machine.changes.watch_count >= CHANGE_WATCHES_MAX:
        raise failure(errno.ENOSPC)
    return machine.changes.watch(node, effect.contents)


def unwatch_changes(machine: Machine, effect: UnwatchChanges) -> None:
    machine.changes.unwatch(effect.watch)


def take_changes(machine: Machine, effect: TakeChanges) -> list[Change] | None:
    return machine.changes.take(effect.everything)


ACTIONS: dict[type[Effect[Any]], Callable[[Machine, Any], Any]] = {
    WatchNames: watch_names,
    UnwatchNames: unwatch_names,
    TakeNameChanges: take_name_changes,
    WatchChanges: watch_changes,
    UnwatchChanges: unwatch_changes,
    TakeChanges: take_changes,
}
