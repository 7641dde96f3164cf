"""The simulated kernel's leases on files.

Knows: who else has a file open.  Must not know: why a lease is wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smbd_uring.ports import Effect, EndKernelLease, Handle, KernelLease, TakeKernelLease
from tests.sim.machine import Machine
from tests.sim.nodes import Node


def take_kernel_lease(machine: Machine, effect: TakeKernelLease) -> KernelLease:
    mine = machine.file(effect.handle)
    others = [
        opened for handle, opened in machine.open_files.items() if opened.node is mine.node and handle != effect.handle
    ]
    if effect.exclusive:
        in_the_way = any(opened.reads or opened.writes for opened in others)
    else:
        in_the_way = mine.writes or any(opened.writes for opened in others)
    if in_the_way:
        return KernelLease.IN_USE
    machine.kernel_leases[effect.handle] = effect.exclusive
    return KernelLease.TAKEN


def end_kernel_lease(machine: Machine, effect: EndKernelLease) -> None:
    machine.kernel_leases.pop(effect.handle, None)


def leases_broken_by(machine: Machine, node: Node, writes: bool) -> list[Handle]:
    """The leases that a local program breaks that opens a file, to write or to read."""
    return [
        handle
        for handle, exclusive in machine.kernel_leases.items()
        if machine.file(handle).node is node and (exclusive or writes)
    ]


ACTIONS: dict[type[Effect[Any]], Callable[[Machine, Any], Any]] = {
    TakeKernelLease: take_kernel_lease,
    EndKernelLease: end_kernel_lease,
}
