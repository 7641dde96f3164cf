"""Which file systems answer at once: the rule by which a file effect is performed in the loop's own thread.

Knows: mounts (proc(5), mountinfo), kinds of file systems.  Must not know: effects.

The rule.  A system call on a *local* file system (its data in this machine's memory or on its disks) takes about a
microsecond once the kernel has what it needs, less than asking anybody else to make it; so the loop makes it itself.
Everything else (network file systems, FUSE, whatever is not known) may wait for another machine or program for any
time, and is left to operations of the ring and to worker threads.

A local disk can be slow too.  Each call is timed, and a file system that took longer than INLINE_SLOW_S twice within
INLINE_PAUSE_S is not asked by the loop for the next INLINE_PAUSE_S: others go on while the workers wait.  So one slow
disk holds the loop once in a while for the length of a few calls, and a log line says so.  Time in which the thread was
kept from its processor by others is not the disk's, and does not count; one slow call may still be an accident.

A mount is known by its handles: as long as one is open the kernel keeps the mount and its number.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from smbd_uring import _native
from smbd_uring.limits import INLINE_PAUSE_S

if TYPE_CHECKING:
    from smbd_uring._native._values import ValueCache

_log = logging.getLogger("smbd.loop")

LOCAL_KINDS: Final = frozenset(
    {
        "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "overlay", "ramfs", "rootfs",
        "tmpfs", "xfs", "zfs",
    }
)  # fmt: skip
"""As mountinfo names them."""

CHANGE_TIME_KINDS: Final = frozenset({"btrfs", "ext2", "ext3", "ext4", "tmpfs", "xfs"})
"""Of them, those known to set a file's change time whenever its xattrs, permissions or names change."""

_MOUNTS: Final = Path("/proc/self/mountinfo")
_SCHEDULED: Final = Path("/proc/thread-self/schedstat")


class Volume:
    """One mounted file system, as long as handles on it are open."""

    __slots__ = (
        "_suspected_until", "device", "handles", "is_local", "kind", "mount", "resting_until", "tells_changes",
        "values",
    )  # fmt: skip

    def __init__(self, mount: int, kind: str, device: int) -> None:
        self.mount = mount
        self.kind = kind
        self.is_local = kind in LOCAL_KINDS
        self.tells_changes = kind in CHANGE_TIME_KINDS
        self.values: ValueCache | None = None
        self.device = device
        """Of the first handle, 0 where not local; other subvolumes of the same mount have numbers of their own."""
        self.handles = 0
        self.resting_until = 0.0 if self.is_local else math.inf
        """Before this the loop makes no call on it."""
        self._suspected_until = 0.0

    def values_of(self, xattr: bytes) -> ValueCache | None:
        """Where values of this xattr are remembered, if anywhere: the first one that is asked for is asked for always,
        and a value holds as long as the file's change time is the same."""
        if self.values is None and xattr and self.tells_changes and _native.ValueCache is not None:
            self.values = _native.ValueCache(xattr)
        return self.values

    def was_slow(self, seconds: float, now: float) -> None:
        """A call took longer than INLINE_SLOW_S; the second one is the last for a while."""
        if now >= self._suspected_until:
            self._suspected_until = now + INLINE_PAUSE_S
        else:
            self.resting_until = now + INLINE_PAUSE_S
            _log.warning(
                "%s file system, device %d:%d: calls take %.0f ms; worker threads make them for the next %.0f s",
                self.kind, os.major(self.device), os.minor(self.device), seconds * 1000, INLINE_PAUSE_S,
            )  # fmt: skip


class Volumes:
    """Which volume a handle is on."""

    def __init__(self, mount_of: Callable[[int], tuple[int, str, int]] | None = None) -> None:
        """`mount_of(descriptor)` gives (mount number, kind, device); tests bring their own."""
        self._mount_of = mount_of or read_mount
        self.of_handles: dict[int, Volume] = {}
        """Those known so far; `of` knows them all."""
        self._mounts: dict[int, Volume] = {}

    def of(self, handle: int) -> Volume:
        """The volume of an open handle."""
        return self.of_handles.get(handle) or self.enter(handle, None)

    def enter(self, handle: int, volume: Volume | None) -> Volume:
        """A handle is new here: on `volume`, or wherever the kernel says."""
        if volume is None:
            mount, kind, device = self._mount_of(handle)
            volume = self._mounts.get(mount) or Volume(mount, kind, device)
            self._mounts[mount] = volume
        if handle in self.of_handles:
            # Closed by somebody who did not say so.
            self.leave(handle)
        volume.handles += 1
        self.of_handles[handle] = volume
        self._mounts[volume.mount] = volume
        return volume

    def leave(self, handle: int) -> Volume | None:
        """The handle is being closed.  Result: the volume it was on, if it was known."""
        volume = self.of_handles.pop(handle, None)
        if volume is not None:
            volume.handles -= 1
            if not volume.handles:
                self._mounts.pop(volume.mount, None)
        return volume


def kept_from_processor_s() -> float:
    """How long the calling thread was ready to run and did not, in all (proc(5), schedstat); 0.0 where the kernel does
    not count it."""
    try:
        return int(_SCHEDULED.read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def read_mount(descriptor: int) -> tuple[int, str, int]:
    """(mount number, kind, device) of an open file, without asking its file system anything.

    The kind is "" for a descriptor that is not open, or on a mount that this process does not see.
    """
    try:
        lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines()
    except OSError:
        return (-1, "", 0)
    number = next((line.split()[1] for line in lines if line.startswith("mnt_id:")), "")
    for line in _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        fields = line.split(" ")
        if fields[0] == number:
            kind = fields[fields.index("-") + 1]
            # A local file system answers this at once; what mountinfo has is not what a btrfs subvolume says.
            device = os.fstat(descriptor).st_dev if kind in LOCAL_KINDS else 0
            return (int(number), kind, device)
    return (int(number) if number else -1, "", 0)
