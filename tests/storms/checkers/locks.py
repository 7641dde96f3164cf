"""No lock is forgotten.

A range that was locked stays so until it is unlocked or its open ends: no other open locks a range that conflicts, and
none reads through an exclusive lock or writes through any.  A request counts when all of it, from sending to answer,
lies within the time the lock was held.  And what was locked can be unlocked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

from tests.storms.history import DataRequest, HeldLock, History


def check(history: History) -> Iterator[str]:
    """What is wrong."""
    yield from history.lost_locks
    by_inode: defaultdict[int, list[HeldLock]] = defaultdict(list)
    for lock in history.locks:
        by_inode[lock.inode].append(lock)
    for locks in by_inode.values():
        for one, other in combinations(locks, 2):
            if one.opened is not other.opened and one.overlaps(other) and _conflict(one, other):
                yield f"{_described(one)} stands beside {_described(other)}"
    for request in history.data_requests:
        for lock in by_inode.get(request.inode, ()):
            if _went_through(request, lock):
                action = "writes" if request.is_write else "reads"
                yield (
                    f"{request.who} {action} [{request.start}, {request.stop}) from {request.begin:.6f} to"
                    f" {request.end:.6f} through {_described(lock)}"
                )


def _conflict(one: HeldLock, other: HeldLock) -> bool:
    return (one.exclusive or other.exclusive) and one.start < other.stop and other.start < one.stop


def _went_through(request: DataRequest, lock: HeldLock) -> bool:
    if request.opened is lock.opened or not (request.is_write or lock.exclusive):
        return False
    if not (lock.begin <= request.begin and request.end <= lock.end):
        return False
    return request.start < lock.stop and lock.start < request.stop


def _described(lock: HeldLock) -> str:
    kind = "exclusive" if lock.exclusive else "shared"
    return (
        f"{lock.who}'s {kind} lock of [{lock.start}, {lock.stop}) of inode {lock.inode}"
        f" from {lock.begin:.6f} to {lock.end:.6f}"
    )
