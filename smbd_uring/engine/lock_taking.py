"""Taking byte-range locks and giving them back: at once, after a wait, and when an open goes.

Knows: the table of a file's locks, the kernel's, grants.  Must not know: messages.

A lock is entered into the table first; from then on the engine refuses what it forbids.  Then it is made real: data
planes lose what they may no longer do alone, what others were writing there comes to its end, and the kernel is told.
Only then its owner hears of it.  When a local program is in the way everything is taken back.

What is told to the kernel is told in turns, one coroutine a file, so that it never sees an old state after a new one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from typing import TYPE_CHECKING

from smbd_uring import limits
from smbd_uring.engine import grants, local_locks
from smbd_uring.engine.byte_range_locks import ByteRange, FileLocks, Lock, Waiting, drop_if_empty, table_of
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.lock_checks import writes_ended
from smbd_uring.engine.scheduler import Parking
from smbd_uring.wire.ntstatus import NtStatus

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.opens import File, Open
    from smbd_uring.engine.request import Request

log = logging.getLogger("smbd.fs")


class Outcome(Enum):
    """What became of a wish."""

    TAKEN = auto()
    HELD = auto()
    """A lock of this server is in the way."""
    HELD_LOCALLY = auto()
    """A local program's is."""


async def take(engine: Engine, opened: Open, wishes: Sequence[Lock]) -> Outcome:
    """Take all of these locks or none.  OSError as the kernel gives it, SmbError when there are too many."""
    with _table(engine, opened.file) as locks:
        async with locks.turns:
            _check_room(opened, locks, wishes)
            for count, lock in enumerate(wishes):
                if locks.conflicts(lock):
                    for entered in wishes[:count]:
                        locks.remove(entered)
                    return Outcome.HELD
                locks.enter(lock)
            made_real = await _make_real(engine, opened, locks, wishes)
    return Outcome.TAKEN if made_real else Outcome.HELD_LOCALLY


async def take_or_wait(request: Request, opened: Open, lock: Lock) -> None:
    """Take a lock, as soon as nothing is in the way.  SmbError when that does not come to pass: cancelled, the open
    closed, no room to wait; else as `take`."""
    engine = request.engine
    delay_s = limits.LOCAL_LOCK_RETRY_FIRST_S
    with _table(engine, opened.file) as locks:
        outcome = await take(engine, opened, [lock])
        if outcome is not Outcome.TAKEN:
            _check_may_wait(request, locks)
        waiting, place = Waiting(lock), len(locks.waiting)
        while outcome is not Outcome.TAKEN:
            if opened.closing or request.connection.is_closed:
                # Who waited was told already; nobody would tell this one.
                raise SmbError(NtStatus.RANGE_NOT_LOCKED if opened.closing else NtStatus.CANCELLED)
            waiting.rests = outcome is Outcome.HELD_LOCALLY
            locks.waiting.insert(place, waiting)
            await _wait(request, opened, locks, waiting, delay_s)
            if opened.closing:
                return  # it was taken, and is gone with its open
            if request.connection.is_closed:
                await give_back(engine, opened, locks, [lock])
                raise SmbError(NtStatus.CANCELLED)
            request.use_open_again(opened)
            async with locks.turns:
                made_real = await _make_real(engine, opened, locks, [lock])
            outcome = Outcome.TAKEN if made_real else Outcome.HELD_LOCALLY
            delay_s, place = min(2 * delay_s, limits.LOCAL_LOCK_RETRY_MAX_S), 0


async def unlock(engine: Engine, opened: Open, ranges: Sequence[ByteRange]) -> None:
    """Give back one lock after the other, as far as it goes.  SmbError(RANGE_NOT_LOCKED) at the first that is not
    there; those before it are gone."""
    with _table(engine, opened.file) as locks:
        found: list[Lock] = []
        async with locks.turns:
            for wanted in ranges:
                lock = locks.find(opened, wanted)
                if lock is None:
                    break
                locks.remove(lock)
                found.append(lock)
            await _settle_all(opened, locks, found)
        locks.let_in()
        await grants.reconsider(engine, opened.file)
    if len(found) < len(ranges):
        raise SmbError(NtStatus.RANGE_NOT_LOCKED)


async def give_back(engine: Engine, opened: Open, locks: FileLocks, given: Sequence[Lock]) -> None:
    """Let go of these locks, of which the kernel may know."""
    async with locks.turns:
        for lock in given:
            locks.remove(lock)
        await _settle_all(opened, locks, given)
    locks.let_in()
    await grants.reconsider(engine, opened.file)


async def restore(engine: Engine, opened: Open, had: Sequence[Lock]) -> None:
    """An open that is there again after a restart of the server gets the locks it had."""
    with _table(engine, opened.file) as locks:
        async with locks.turns:
            for lock in had:
                locks.enter(lock)
            for lock in had:
                try:
                    is_real = await local_locks.settle(opened, locks, lock.range)
                except OSError as error:
                    log.warning("taking the lock of a file again failed: %s", error)
                else:
                    if not is_real:
                        log.warning("a local program has locked what a client had locked when the server ended")


async def release(engine: Engine, opened: Open) -> None:
    """The open is being closed: everything it holds goes, and nobody uses its handle any more."""
    if opened.file.locks is None:
        return
    with _table(engine, opened.file) as locks:
        if not locks.count_of(opened):
            return
        async with locks.turns:
            locks.remove_all_of(opened)
            try:
                await local_locks.let_go(opened)
            except OSError as error:  # closing the handle will do
                log.warning("giving up the locks of a file failed: %s", error)
        locks.let_in()
        await grants.reconsider(engine, opened.file)


def end_waiting(opened: Open) -> None:
    """Nobody waits for a lock through this open any longer."""
    for request in list(opened.lock_requests):
        request.cleanup()


@contextmanager
def _table(engine: Engine, file: File) -> Iterator[FileLocks]:
    """The file's locks, for as long as somebody needs them."""
    locks = table_of(file, engine.scheduler)
    locks.users += 1
    try:
        yield locks
    finally:
        locks.users -= 1
        drop_if_empty(file)


def _check_room(opened: Open, locks: FileLocks, wishes: Sequence[Lock]) -> None:
    more = len(wishes)
    if (
        locks.count_of(opened) + more > limits.LOCKS_PER_OPEN_MAX
        or len(locks.held) + more > limits.LOCKS_PER_FILE_MAX
        or wishes[0].allowance.used + more > limits.LOCKS_PER_SESSION_MAX
    ):
        raise SmbError(NtStatus.INSUFFICIENT_RESOURCES)


def _check_may_wait(request: Request, locks: FileLocks) -> None:
    if not request.is_last_of_chain:
        raise SmbError(NtStatus.INTERNAL_ERROR)
    has_room = request.async_id or len(request.connection.async_requests) < limits.ASYNC_REQUESTS_MAX
    if not has_room or len(locks.waiting) >= limits.LOCKS_WAITING_PER_FILE_MAX:
        raise SmbError(NtStatus.INSUFFICIENT_RESOURCES)


async def _make_real(engine: Engine, opened: Open, locks: FileLocks, entered: Sequence[Lock]) -> bool:
    """Let locks that were entered mean something.  False, and they are gone, when a local program is in the way.
    OSError, and they are gone, when the kernel fails."""
    failure: OSError | None = None
    taken = True
    await grants.reconsider(engine, opened.file)
    for lock in entered:
        await writes_ended(engine, lock)
    try:
        for lock in entered:
            taken = taken and await local_locks.settle(opened, locks, lock.range)
    except OSError as error:
        failure = error
    if taken and failure is None:
        return True
    locks.is_shared_with_local_programs |= failure is None
    for lock in entered:
        locks.remove(lock)
    await _settle_all(opened, locks, entered)
    locks.let_in()
    await grants.reconsider(engine, opened.file)
    if failure is not None:
        raise failure
    return False


async def _settle_all(opened: Open, locks: FileLocks, changed: Sequence[Lock]) -> None:
    """Tell the kernel of locks that went.  Nothing can be in the way of that."""
    for lock in changed:
        try:
            await local_locks.settle(opened, locks, lock.range)
        except OSError as error:
            log.warning("giving back the lock of a file failed: %s", error)


async def _wait(request: Request, opened: Open, locks: FileLocks, waiting: Waiting, rest_s: float) -> None:
    """Wait until the lock is entered; one that rests does so for `rest_s` seconds.  SmbError when it never will be."""
    scheduler = request.engine.scheduler
    parking = Parking(scheduler)

    def end(status: NtStatus) -> None:
        if waiting in locks.waiting:
            locks.waiting.remove(waiting)
        parking.wake(status)

    def try_again() -> None:
        waiting.rests = False
        locks.let_in()

    waiting.entered = parking
    timer = scheduler.call_at(scheduler.now + rest_s, try_again) if waiting.rests else None
    request.cancel = lambda: end(NtStatus.CANCELLED)
    request.cleanup = lambda: end(NtStatus.RANGE_NOT_LOCKED)
    opened.lock_requests.add(request)
    request.stop_using_open()
    if not request.async_id:
        request.chain.go_async(request)
    status = await parking
    opened.lock_requests.discard(request)
    request.cancel = None
    if timer is not None:
        timer.cancel()
    if status is not None:
        raise SmbError(status)
