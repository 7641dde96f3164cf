"""Watches on what happens in directories, by inotify(7).

Knows: inotify, and how its events become `ports.Change`.  Must not know: who wants to know, what is below a directory.

An instance of its own, beside that of `name_watches`: the kernel keeps one mask for a directory and instance, and these
watches want to know more, of few directories, and not about the others.

Two events make one rename.  The kernel queues them one after the other, but not in one step: when the second one is
missing at the end of what was read, it is looked for once more, and only then the file has gone where nobody watches.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import logging
import os
import struct
import termios
import time
from typing import Final

from smbd_uring.limits import CHANGES_BYTES_PER_TURN
from smbd_uring.loop import arguments
from smbd_uring.loop.libc import checked
from smbd_uring.ports import Change, ChangeKind, Handle

_log = logging.getLogger("smbd.loop")

_IN_MODIFY: Final = 0x2
_IN_ATTRIB: Final = 0x4
_IN_MOVED_FROM: Final = 0x40
_IN_MOVED_TO: Final = 0x80
_IN_CREATE: Final = 0x100
_IN_DELETE: Final = 0x200
_IN_Q_OVERFLOW: Final = 0x4000
_IN_IGNORED: Final = 0x8000
_IN_ONLYDIR: Final = 0x0100_0000
_IN_EXCL_UNLINK: Final = 0x0400_0000
_IN_MASK_ADD: Final = 0x2000_0000
_IN_ISDIR: Final = 0x4000_0000
_NAMES: Final = (
    _IN_MOVED_FROM | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE | _IN_ONLYDIR | _IN_EXCL_UNLINK | _IN_MASK_ADD
)
_CONTENTS: Final = _IN_MODIFY | _IN_ATTRIB

_KINDS: Final = {
    _IN_CREATE: ChangeKind.ADDED,
    _IN_DELETE: ChangeKind.REMOVED,
    _IN_MODIFY: ChangeKind.WRITTEN,
    _IN_ATTRIB: ChangeKind.DESCRIBED,
}
_KIND_BITS: Final = 0xFFF

_EVENT: Final = struct.Struct("=iIII")
"""struct inotify_event: watch, mask, cookie, length of the name that follows, padded by NULs."""

_COUNT: Final = struct.Struct("=i")
_NO_COUNT: Final = _COUNT.pack(0)

_SECOND_HALF_S: Final = 20e-6
"""How long the second event of a rename may take: it is queued a few instructions after the first."""

_library = ctypes.CDLL(None, use_errno=True)


class ChangeWatches:
    """One inotify instance, made when something is to be watched for the first time."""

    def __init__(self) -> None:
        self.descriptor: int | None = None
        """Readable when there is something to take."""

    def watch(self, handle: Handle, contents: bool) -> int:
        """Perform `ports.WatchChanges`.  Raises OSError."""
        if self.descriptor is None:
            try:
                self.descriptor = checked(_library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
            except OSError as error:
                raise arguments.refused(errno.EOPNOTSUPP, f"no inotify: {error}") from error
        mask = _NAMES | _CONTENTS if contents else _NAMES
        return checked(_library.inotify_add_watch(self.descriptor, arguments.magic_path(handle), mask))

    def unwatch(self, watch: int) -> None:
        """Perform `ports.UnwatchChanges`."""
        if self.descriptor is not None:
            _library.inotify_rm_watch(self.descriptor, watch)

    def take(self, everything: bool) -> list[Change] | None:
        """Perform `ports.TakeChanges`."""
        if self.descriptor is None:
            return []
        reading = _Reading()
        reading.parse(_waiting(self.descriptor, everything))
        if reading.has_half_a_rename:
            time.sleep(_SECOND_HALF_S)
            reading.parse(_waiting(self.descriptor, everything))
        return reading.changes if reading.is_complete else None

    def close(self) -> None:
        """End all watches."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def _waiting(descriptor: int, everything: bool) -> bytes:
    """All that is there to read, or as much as one turn may take."""
    (waiting,) = _COUNT.unpack(fcntl.ioctl(descriptor, termios.FIONREAD, _NO_COUNT))
    return os.read(descriptor, waiting if everything else min(waiting, CHANGES_BYTES_PER_TURN)) if waiting else b""


class _Reading:
    """What one `take` makes of the kernel's events."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.is_complete = True
        self._departures: dict[int, int] = {}
        """Where in `changes` the first half of a rename is, by cookie."""
        self._told: set[tuple[int, int, bytes]] = set()
        """What was said of a file since its name came: a file that is written to all the time is told of once."""

    @property
    def has_half_a_rename(self) -> bool:
        """Whether the second half of a rename may still come."""
        return bool(self._departures)

    def parse(self, events: bytes) -> None:
        """Take in the kernel's events."""
        position, end = 0, len(events)
        while position < end:
            watch, mask, cookie, length = _EVENT.unpack_from(events, position)
            position += _EVENT.size
            padded = events[position : position + length]
            position += length
            if mask & _IN_Q_OVERFLOW:
                self.is_complete = False
            elif mask & _IN_IGNORED:
                self.changes.append(Change(watch, ChangeKind.ENDED))
            elif length:  # without a name it is about the directory itself
                self._add(watch, mask, cookie, padded.rstrip(b"\0"))

    def _add(self, watch: int, mask: int, cookie: int, name: bytes) -> None:
        is_directory = bool(mask & _IN_ISDIR)
        if mask & _CONTENTS:
            said = (watch, mask, name)
            if said in self._told:
                return
            self._told.add(said)
        elif self._told:
            for bit in (_IN_MODIFY, _IN_ATTRIB):
                self._told.discard((watch, bit, name))
        if mask & _IN_MOVED_FROM:
            self._departures[cookie] = len(self.changes)
            self.changes.append(Change(watch, ChangeKind.REMOVED, name, is_directory))
        elif mask & _IN_MOVED_TO:
            departure = self._departures.pop(cookie, None)
            if departure is None:
                self.changes.append(Change(watch, ChangeKind.MOVED_IN, name, is_directory))
            else:
                old = self.changes[departure]
                self.changes[departure] = Change(
                    old.watch, ChangeKind.RENAMED, old.name, is_directory, watch, name
                )
        else:
            self.changes.append(Change(watch, _KINDS[mask & _KIND_BITS], name, is_directory))
