"""Share modes hold: no two opens stand beside each other that exclude each other.

[MS-FSA] 2.1.5.1.2: each open's rights to read, write and delete must be allowed by what every other one shares.
Opens that want none of these neither suffer nor cause a conflict.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

from tests.storms.history import HeldOpen, History

SHARED_BY_RIGHT = ((0x21, 1), (0x06, 2), (0x1_0000, 4))
"""FILE_READ_DATA and FILE_EXECUTE, FILE_WRITE_DATA and FILE_APPEND_DATA, DELETE; and the bit that shares them."""


def check(history: History) -> Iterator[str]:
    """What is wrong."""
    by_inode: defaultdict[int, list[HeldOpen]] = defaultdict(list)
    for held in history.opens:
        by_inode[held.inode].append(held)
    for opens in by_inode.values():
        for one, other in combinations(opens, 2):
            if one.overlaps(other) and (_refuses(one, other) or _refuses(other, one)):
                yield (
                    f"inode {one.inode}: {one.who} holds access {one.access:#x} sharing {one.share} from"
                    f" {one.begin:.6f} to {one.end:.6f}, {other.who} access {other.access:#x} sharing {other.share}"
                    f" from {other.begin:.6f} to {other.end:.6f}"
                )


def _refuses(one: HeldOpen, other: HeldOpen) -> bool:
    if not any(one.access & rights for rights, _ in SHARED_BY_RIGHT):
        return False
    return any(other.access & rights and not one.share & shared for rights, shared in SHARED_BY_RIGHT)
