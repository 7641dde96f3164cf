"""READ and WRITE against byte-range locks: mandatory for every client, whoever holds the lock.

Knows: [MS-FSA] 2.1.5.3 (read), 2.1.5.4 (write), and what a lock has to wait for.  Must not know: how locks are taken.

A WRITE is checked when it begins and may take long.  A lock that is taken meanwhile waits for it, so that nothing
changes under its owner's hands: `begin_write` and `end_write` enclose what the engine writes, `writes_ended` waits.
What a data plane writes is waited for by `grants.reconsider`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smbd_uring.engine import local_locks
from smbd_uring.engine.byte_range_locks import ByteRange
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.scheduler import Parking
from smbd_uring.ports import RangeLock
from smbd_uring.wire.ntstatus import NtStatus

if TYPE_CHECKING:
    from smbd_uring.engine.byte_range_locks import Lock
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.opens import Open


class WriteUnderWay:
    """A WRITE of an open that has begun and has not ended, and who waits for that."""

    __slots__ = ("is_over", "length", "offset", "opened", "waiting")

    def __init__(self, opened: Open, offset: int, length: int) -> None:
        self.opened = opened
        self.offset = offset
        self.length = length
        self.is_over = False
        self.waiting: list[Parking] = []


async def check_read(engine: Engine, opened: Open, offset: int, length: int) -> None:
    """SmbError(FILE_LOCK_CONFLICT) when a lock keeps these bytes from being read.  No bytes are always free."""
    if not length:
        return
    wanted = ByteRange(offset, length)
    if await local_locks.look(engine, opened, wanted, RangeLock.SHARED):
        raise SmbError(NtStatus.FILE_LOCK_CONFLICT)
    locks = opened.file.locks
    if locks is not None and locks.refuses_read(opened, wanted):
        raise SmbError(NtStatus.FILE_LOCK_CONFLICT)


async def begin_write(engine: Engine, opened: Open, offset: int, length: int) -> WriteUnderWay:
    """These bytes are about to be written, `length` not 0.  SmbError(FILE_LOCK_CONFLICT) when a lock keeps them."""
    wanted = ByteRange(offset, length)
    if await local_locks.look(engine, opened, wanted, RangeLock.EXCLUSIVE):
        raise SmbError(NtStatus.FILE_LOCK_CONFLICT)
    locks = opened.file.locks
    if locks is not None and locks.refuses_write(opened, wanted):
        raise SmbError(NtStatus.FILE_LOCK_CONFLICT)
    write = WriteUnderWay(opened, offset, length)
    opened.file.writes.append(write)
    return write


def end_write(write: WriteUnderWay) -> None:
    """They are written, or never will be."""
    write.is_over = True
    write.opened.file.writes.remove(write)
    for parking in write.waiting:
        parking.wake()


async def writes_ended(engine: Engine, lock: Lock) -> None:
    """Wait for the WRITEs of others that were under way to the bytes of a lock when it was entered."""
    for write in list(lock.owner.file.writes):
        if write.is_over or write.opened is lock.owner:
            continue
        if lock.range.overlaps(ByteRange(write.offset, write.length)):
            parking = Parking(engine.scheduler)
            write.waiting.append(parking)
            await parking
