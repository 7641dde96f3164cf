"""Caches exclude each other.

Whoever may delay writes (a lease with W, an exclusive or batch oplock) is alone with the file: nobody else has it open
for data, and so nobody else has a cache of it.  The right to handles is given only with the right to read.  That those
who may keep what they read miss no change is seen in the contents of the files (`contents`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tests.storms.history import HeldOpen, History

DATA_RIGHTS = 0x27
"""FILE_READ_DATA, FILE_WRITE_DATA, FILE_APPEND_DATA, FILE_EXECUTE."""


def check(history: History) -> Iterator[str]:
    """What is wrong."""
    opens: defaultdict[int, list[HeldOpen]] = defaultdict(list)
    for opened in history.opens:
        if opened.access & DATA_RIGHTS:
            opens[opened.inode].append(opened)
    for cache in history.caches:
        if (cache.writes or cache.handles) and not cache.reads:
            yield f"{cache.lease} has rights to inode {cache.inode} without that to read"
        if not cache.writes:
            continue
        for opened in opens[cache.inode]:
            if opened.lease != cache.lease and opened.overlaps(cache):
                yield (
                    f"{cache.lease} may delay writes to inode {cache.inode} from {cache.begin:.6f} to"
                    f" {cache.end:.6f}, and {opened.who} ({opened.lease or 'no cache'}) has it open from"
                    f" {opened.begin:.6f} to {opened.end:.6f}"
                )
