"""Leases that the kernel keeps on files for the server: it says when another process opens one, and lets it wait.

Knows: fcntl(2), F_SETLEASE.  Must not know: clients' leases, which depend on them.

Every driver performs these at once, in `perform_now`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from smbd_uring.ports.effects import Effect, Handle


class KernelLease(Enum):
    """What came of asking for one."""

    TAKEN = "taken"
    IN_USE = "in use"
    """The file is open elsewhere, too: by another process, or once more by this one; or, for a shared one, somebody has
    it open for writing, the handle itself included."""
    UNAVAILABLE = "unavailable"
    """The file system has none, or the server may not."""


@dataclass(slots=True)
class TakeKernelLease(Effect[KernelLease]):
    """Hear of the first other open of the file behind `handle`, or change of its size by name: of any when `exclusive`,
    else of those that may write.  Who opens it then waits until `EndKernelLease`, for
    `/proc/sys/fs/lease-break-time` seconds at most, and the driver tells `engine.kernel_lease_broken(handle, now)`.

    Result: KernelLease.  Closing the handle ends it.
    """

    handle: Handle
    exclusive: bool


@dataclass(slots=True)
class EndKernelLease(Effect[None]):
    """Give back the lease on `handle`, and let those go on that wait for it.  Result: None, also when there is none."""

    handle: Handle
