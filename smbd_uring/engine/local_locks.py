"""The clients' byte-range locks as local programs see them: open-file-description locks on the opens' handles.

Knows: how the kernel's locks differ from [MS-FSA]'s.  Must not know: who wants a lock and why.

The kernel keeps one kind of lock a byte for each open file: locks neither stack nor have borders, a new one replaces
what was there.  So after each change the kernel is told, for the bytes concerned, the strongest of what the open still
holds there.  What the kernel cannot say is kept by the engine alone, and clients see it, local programs do not:

* bytes whose offset does not fit into 63 bits, and locks of no bytes;
* an exclusive lock of an open that cannot write: the kernel wants a handle for writing, so it is told of a shared one,
  as Samba does; a shared lock of an open that cannot read;
* everything on a file system without locks.

Between opens of this server the kernel never sees a conflict that the engine did not: what overlaps there overlaps
here.  Anything in the way is therefore a local program's, or another machine's.

READ and WRITE ask for local programs' locks as Samba does with `strict locking = auto`: not where that would cost a
client that is alone.  An open, or else its first READ or WRITE, looks whether there is any, and so does every LOCK;
from then on data planes leave the file to the engine, which asks the kernel each time, until there is none.
A lock that a local program takes while clients' data planes serve the file keeps other LOCKs away, not their data.
"""

from __future__ import annotations

import errno
import logging
from itertools import pairwise
from typing import TYPE_CHECKING

from smbd_uring.engine import grants
from smbd_uring.engine.byte_range_locks import ByteRange, drop_if_empty, table_of
from smbd_uring.ports import CheckRangeLock, Handle, RangeLock, SetRangeLock

if TYPE_CHECKING:
    from smbd_uring.engine.byte_range_locks import FileLocks
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.opens import File, Open

log = logging.getLogger("smbd.fs")

KERNEL_END = 1 << 63
"""The kernel's offsets are below."""

_EVERYTHING = ByteRange(0, KERNEL_END)
_NO_LOCKS_HERE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


async def settle(opened: Open, locks: FileLocks, changed: ByteRange) -> bool:
    """Have the kernel hold for `opened` what it holds of the bytes `changed`.

    Result: False when a local program's lock is in the way; then some of the bytes may have been taken, and the caller
    takes back what it entered and calls again.  OSError as the kernel gives it.
    """
    for start, end, kind in _pieces(opened, locks, changed):
        if opened.handle is not None and not await _set(opened.handle, start, end - start, kind):
            return False
    return True


async def look(engine: Engine, opened: Open, wanted: ByteRange, kind: RangeLock) -> bool:
    """Whether a local program's lock keeps these bytes from being read (`kind` SHARED) or written (EXCLUSIVE).

    When it is known that no local program holds any, the kernel is not asked.
    """
    locks, handle = opened.file.locks, opened.handle
    if handle is None or (opened.knows_local_locks and (locks is None or not locks.is_shared_with_local_programs)):
        return False
    if locks is None or not locks.held:  # any lock there is is a local program's
        is_shared = await _is_locked(handle, _EVERYTHING, RangeLock.EXCLUSIVE)
        opened.knows_local_locks = True
        await _is_shared(engine, opened.file, is_shared)
        if not is_shared:
            return False
    return await _is_locked(handle, wanted, kind)


async def _is_shared(engine: Engine, file: File, is_shared: bool) -> None:
    if (file.locks is not None and file.locks.is_shared_with_local_programs) == is_shared:
        return
    table_of(file, engine.scheduler).is_shared_with_local_programs = is_shared
    drop_if_empty(file)
    await grants.reconsider(engine, file)


async def _is_locked(handle: Handle, wanted: ByteRange, kind: RangeLock) -> bool:
    try:
        return await CheckRangeLock(handle, wanted.offset, wanted.length, kind)
    except OSError as error:
        if error.errno in _NO_LOCKS_HERE:
            return False
        raise


async def let_go(opened: Open) -> None:
    """The open holds no bytes any longer."""
    if opened.handle is not None:
        await _set(opened.handle, *_EVERYTHING, RangeLock.NONE)


def _pieces(opened: Open, locks: FileLocks, changed: ByteRange) -> list[tuple[int, int, RangeLock]]:
    """What the open holds of the bytes `changed`, from border to border."""
    start, end = changed.offset, min(changed.offset + changed.length, KERNEL_END)
    if start >= end:
        return []
    held = [lock for lock in locks.held_by(opened) if lock.range.length and lock.range.overlaps(changed)]
    borders = {start, end}
    for lock in held:
        borders |= {border for border in (lock.range.offset, lock.range.offset + lock.range.length)
                    if start < border < end}  # fmt: skip
    pieces: list[tuple[int, int, RangeLock]] = []
    edges = sorted(borders)
    for first, last in pairwise(edges):
        kinds = [
            RangeLock.EXCLUSIVE if lock.is_exclusive else RangeLock.SHARED
            for lock in held
            if lock.range.offset <= first < lock.range.offset + lock.range.length
        ]
        kind = max(kinds, default=RangeLock.NONE)
        if pieces and pieces[-1][2] is kind:
            pieces[-1] = (pieces[-1][0], last, kind)
        else:
            pieces.append((first, last, kind))
    return pieces


async def _set(handle: Handle, offset: int, length: int, kind: RangeLock) -> bool:
    try:
        return await SetRangeLock(handle, offset, length, kind)
    except OSError as error:
        if error.errno == errno.EBADF and kind is RangeLock.EXCLUSIVE:
            return await _set(handle, offset, length, RangeLock.SHARED)
        if error.errno == errno.EBADF and kind is RangeLock.SHARED:
            return True
        if error.errno in _NO_LOCKS_HERE:
            log.debug("a lock that local programs do not see: %s", error)
            return True
        raise
