"""The simulated kernel's locks on ranges of bytes: one owner's never conflict, they replace each other.

Knows: fcntl(2) on open-file-description locks.  Must not know: SMB.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from smbd_uring.ports import CheckRangeLock, Effect, RangeLock, SetRangeLock
from tests.sim.machine import Machine, OpenFile
from tests.sim.nodes import HeldRange, Node, failure

END = 1 << 63


def hold(node: Node, owner: object, start: int, end: int, kind: RangeLock) -> bool:
    """Let `owner` hold [start, end) so from now on; False when somebody else's lock is in the way."""
    if is_in_the_way(node, owner, start, end, kind):
        return False
    kept: list[HeldRange] = []
    for held in node.ranges:
        if held.owner is not owner:
            kept.append(held)
            continue
        for first, last in ((held.start, min(held.end, start)), (max(held.start, end), held.end)):
            if first < last:
                kept.append(HeldRange(owner, first, last, held.kind))
    if kind is not RangeLock.NONE:
        kept.append(HeldRange(owner, start, end, kind))
    node.ranges = kept
    return True


def is_in_the_way(node: Node, owner: object, start: int, end: int, kind: RangeLock) -> bool:
    """Whether somebody else holds a lock that such a one would conflict with."""
    return kind is not RangeLock.NONE and any(
        held.owner is not owner and held.start < end and start < held.end
        and RangeLock.EXCLUSIVE in (held.kind, kind)
        for held in node.ranges
    )  # fmt: skip


def set_range_lock(machine: Machine, effect: SetRangeLock) -> bool:
    opened = _file(machine, effect)
    if effect.kind is RangeLock.SHARED and not opened.reads:
        raise failure(errno.EBADF)
    if effect.kind is RangeLock.EXCLUSIVE and not opened.writes:
        raise failure(errno.EBADF)
    return hold(opened.node, opened, effect.offset, effect.offset + effect.length, effect.kind)


def check_range_lock(machine: Machine, effect: CheckRangeLock) -> bool:
    opened = _file(machine, effect)
    return is_in_the_way(opened.node, opened, effect.offset, effect.offset + effect.length, effect.kind)


def _file(machine: Machine, effect: SetRangeLock | CheckRangeLock) -> OpenFile:
    if not (0 <= effect.offset < END and 0 < effect.length <= END - effect.offset):
        raise failure(errno.EINVAL)
    opened = machine.file(effect.handle)
    if opened.is_path:
        raise failure(errno.EBADF)
    return opened


ACTIONS: dict[type[Effect[Any]], Callable[[Machine, Any], Any]] = {
    SetRangeLock: set_range_lock,
    CheckRangeLock: check_range_lock,
}
