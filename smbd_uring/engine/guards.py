"""Guards: how the server hears of programs of this machine that use a file which clients cache.

Knows: the kernel's leases, which handles a file has.  Must not know: what is done about such a program
(`local_programs`).

A client that caches must lose its cache before a program of this machine sees or changes the file behind it.  The
kernel tells of such a program, and lets it wait, through a lease of its own on one of the server's handles, the file's
*guard*:

    guard      breaks when a program    taken for a file that clients cache when
    exclusive  opens the file           one handle uses its data
    shared     opens it to write        no handle may write, and nobody caches writes

It ends when another handle is about to be opened, when nobody caches the file any more, when its handle is closed, and
when a program wants the file and every client has given up its cache.

While a guard is *wanted back* the kernel keeps the program waiting, and nobody caches the file anew.  A file that a
program has open already is given to no client to cache.  Where the kernel has no leases, and where several handles use
the data and one may write, there is no guard, and what a local program does is not noticed.

The server's own opens break the kernel's leases as well, so it ends the guard before it opens the file once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smbd_uring.engine.scheduler import Parking
from smbd_uring.ports import EndKernelLease, Handle, KernelLease, TakeKernelLease

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.opens import File, Open


class Guard:
    """A lease of the kernel's on one handle of a file."""

    __slots__ = ("handle", "is_wanted_back", "opened", "waiting")

    def __init__(self, opened: Open, handle: Handle) -> None:
        self.opened = opened
        self.handle = handle
        self.is_wanted_back = False
        self.waiting: list[Parking] = []
        """Who wants it to be gone."""


async def are_in_the_way(engine: Engine, opened: Open, writes: bool) -> bool:
    """Whether local programs use a file, so that `opened` may cache nothing of it; `writes`: it wants to cache those.

    Takes the guard where there is one to have.  The answer holds until the next await.
    """
    file = opened.file
    await engine.closings.over(file.identity)
    if file.guard is None:
        return await take_guard(engine, file, writes) is KernelLease.IN_USE
    return file.guard.is_wanted_back


async def stand_aside(engine: Engine, file: File) -> None:
    """The server itself is about to open the file once more for its data."""
    while file.guard is not None:
        if file.guard.is_wanted_back:
            parking = Parking(engine.scheduler)
            file.guard.waiting.append(parking)
            await parking
        else:
            await end_guard(engine, file, file.guard)


def forget(engine: Engine, opened: Open) -> None:
    """The handle of `opened` is about to be closed, which ends a guard that it has."""
    guard = opened.file.guard
    if guard is not None and guard.opened is opened:
        _remove(engine, opened.file, guard)


async def take_guard(engine: Engine, file: File, writes: bool) -> KernelLease:
    """Take the guard that suits the handles there are.  IN_USE: a local program has the file open."""
    users = [opened for opened in file.opens if opened.uses_data]
    if not users or any(opened.handle is None for opened in users):
        return KernelLease.UNAVAILABLE
    guarding = users[0]
    assert guarding.handle is not None
    if not writes and await TakeKernelLease(guarding.handle, exclusive=False) is KernelLease.TAKEN:
        answer = KernelLease.TAKEN
    elif len(users) > 1:
        return KernelLease.UNAVAILABLE
    else:
        answer = await TakeKernelLease(guarding.handle, exclusive=True)
    if answer is KernelLease.TAKEN:
        file.guard = Guard(guarding, guarding.handle)
        engine.guarded[guarding.handle] = file
    return answer


async def end_guard(engine: Engine, file: File, guard: Guard) -> None:
    """Give it back: a program that waits goes on."""
    _remove(engine, file, guard)
    await EndKernelLease(guard.handle)


def _remove(engine: Engine, file: File, guard: Guard) -> None:
    file.guard = None
    del engine.guarded[guard.handle]
    for parking in guard.waiting:
        parking.wake()
