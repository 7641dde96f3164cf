"""Programs of this machine that want a file which clients cache: every client gives up its cache first.

Knows: guards, breaks.  Must not know: how the kernel tells of a program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smbd_uring.engine.breaks import break_others
from smbd_uring.engine.guards import Guard, end_guard, take_guard
from smbd_uring.engine.oplock_states import Operation, W
from smbd_uring.engine.scheduler import Parking
from smbd_uring.ports import Handle, KernelLease

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.opens import File


async def settle(engine: Engine, file: File) -> None:
    """Handles of the file were closed, or somebody stopped caching it: have the guard that is right now."""
    cached = 0 if file.caching is None else max(holder.state.held for holder in file.caching.holders)
    if not cached:
        if file.guard is not None and not file.guard.is_wanted_back:
            await end_guard(engine, file, file.guard)
    elif file.guard is None and await take_guard(engine, file, bool(cached & W)) is KernelLease.IN_USE:
        await _break_all(engine, file)


def guard_broken(engine: Engine, handle: Handle) -> None:
    """A local program waits for the file behind a handle."""
    file = engine.guarded.get(handle)
    if file is None or file.guard is None or file.guard.is_wanted_back:
        return
    file.guard.is_wanted_back = True
    engine.scheduler.start(_give_back(engine, file, file.guard))


async def _give_back(engine: Engine, file: File, guard: Guard) -> None:
    await _break_all(engine, file)
    if file.guard is guard:
        await end_guard(engine, file, guard)


async def _break_all(engine: Engine, file: File) -> None:
    """Wait until nobody caches anything that the program might miss or make untrue."""
    while slow := break_others(engine, file, None, Operation.CHANGE_DATA):
        parking = Parking(engine.scheduler)
        for holder in slow:
            holder.waiting.add(parking)
        await parking
        for holder in slow:
            holder.waiting.discard(parking)
