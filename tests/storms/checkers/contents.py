"""No write that was acknowledged is lost, and nobody reads what is no longer there.

Each block of a file is a register.  Its reads and writes, as applications made them through whatever caches, must have
an order in which each takes effect at one moment between its beginning and its end, and every read gives what was
written last (linearizability; [1]).  What the file holds at the end is one more read.  Blocks can be looked at one by
one, for what is linearizable in each part is so as a whole.

A read from a cache counts from the moment on at which the server sent a break that had not arrived yet: until then the
client could not know.  A write that was never answered may take effect at any time after its beginning, or never.

The search is Wing and Gong's: of what has begun, try each that may come next, which is what begins before anything
else has ended; a state that was reached before (what is done, and the value) is not tried again.

[1] Herlihy and Wing, Linearizability: a correctness condition for concurrent objects, 1990.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tests.storms.history import (
    BLOCK_BYTES,
    BLOCK_STRIDE,
    EMPTY,
    FOREVER,
    BlockAccess,
    History,
)

STATES_MAX = 200_000
"""More would take seconds; a storm with so many accesses under way at once says nothing then."""


def check(history: History) -> Iterator[str]:
    """What is wrong."""
    registers: defaultdict[tuple[int, int], list[BlockAccess]] = defaultdict(list)
    for access in history.accesses:
        if not access.void:
            registers[access.inode, access.block].append(access)
    for (inode, block), accesses in registers.items():
        if inode in history.left_over:
            start = block * BLOCK_STRIDE
            value = history.left_over[inode][start : start + BLOCK_BYTES] or EMPTY
            end = history.ended_at
            accesses.append(BlockAccess(inode, block, value, False, end, end, "the file at the end"))
        accesses += [
            BlockAccess(inode, block, value, True, begin, FOREVER, "unanswered", certain=False)
            for begin, of_block, value in history.perhaps_written
            if of_block == block
        ]
        if not _is_linearizable(accesses):
            yield f"inode {inode}, block {block}: no order explains" + "".join(map(_line, sorted(accesses, key=_begin)))


def _begin(access: BlockAccess) -> float:
    return access.begin


def _line(access: BlockAccess) -> str:
    action = "writes" if access.is_write else "reads "
    end = f"{access.end:.6f}" if access.certain else "perhaps"
    return f"\n    {access.begin:.6f} .. {end:11} {access.who} {action} {access.value!r}"


def _is_linearizable(accesses: list[BlockAccess]) -> bool:
    ordered = sorted(accesses, key=_begin)
    ends = [access.end if access.certain else FOREVER for access in ordered]
    must = sum(1 << index for index, access in enumerate(ordered) if access.certain)
    seen: set[tuple[int, bytes]] = set()
    pending: list[tuple[int, bytes]] = [(0, EMPTY)]
    while pending:
        done, value = pending.pop()
        if done & must == must:
            return True
        if (done, value) in seen:
            continue
        seen.add((done, value))
        if len(seen) > STATES_MAX:
            return True
        pending += _next_states(ordered, ends, done, value)
    return False


def _next_states(
    ordered: list[BlockAccess], ends: list[float], done: int, value: bytes
) -> Iterator[tuple[int, bytes]]:
    """What may come next: an access that is not done and begins before any other such has ended."""
    first_end = FOREVER
    for index, access in enumerate(ordered):
        if done >> index & 1:
            continue
        if access.begin > first_end:
            return
        first_end = min(first_end, ends[index])
        if access.is_write:
            yield done | 1 << index, access.value
        elif access.value == value:
            yield done | 1 << index, value
