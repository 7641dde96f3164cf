"""Watches on the names in directories, by inotify(7).

Knows: inotify.  Must not know: what names are wanted for, which file systems may be watched.

The kernel takes a change down before the call that makes it returns, whichever process that is; so what is read here
at any time is complete.  When its queue overflows it says so.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import logging
import os
import struct
import termios
from typing import Final

from smbd_uring.loop import arguments
from smbd_uring.loop.libc import checked
from smbd_uring.ports import Handle, NameChange

_log = logging.getLogger("smbd.loop")

_IN_MOVED_FROM: Final = 0x40
_IN_MOVED_TO: Final = 0x80
_IN_CREATE: Final = 0x100
_IN_DELETE: Final = 0x200
_IN_Q_OVERFLOW: Final = 0x4000
_IN_IGNORED: Final = 0x8000
_IN_ONLYDIR: Final = 0x0100_0000
_APPEARS: Final = _IN_MOVED_TO | _IN_CREATE
_WANTED: Final = _APPEARS | _IN_MOVED_FROM | _IN_DELETE | _IN_ONLYDIR

_EVENT: Final = struct.Struct("=iIII")
"""struct inotify_event: watch, mask, cookie, length of the name that follows, padded by NULs."""

_COUNT: Final = struct.Struct("=i")
_NO_COUNT: Final = _COUNT.pack(0)

_library = ctypes.CDLL(None, use_errno=True)


class NameWatches:
    """One inotify instance; without one (too many in use) nothing can be watched."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        try:
            self._descriptor = checked(_library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            _log.warning("changes of directories cannot be watched: %s; names are read again each time", error)

    def watch(self, handle: Handle) -> int:
        """Perform `ports.WatchNames`.  Raises OSError."""
        if self._descriptor is None:
            raise arguments.refused(errno.EOPNOTSUPP, "no inotify")
        path = arguments.magic_path(handle)
        return checked(_library.inotify_add_watch(self._descriptor, path, _WANTED))

    def unwatch(self, watch: int) -> None:
        """Perform `ports.UnwatchNames`."""
        if self._descriptor is not None:
            _library.inotify_rm_watch(self._descriptor, watch)

    def take(self) -> list[NameChange] | None:
        """Perform `ports.TakeNameChanges`."""
        if self._descriptor is None:
            return []
        (waiting,) = _COUNT.unpack(fcntl.ioctl(self._descriptor, termios.FIONREAD, _NO_COUNT))
        if not waiting:
            return []
        changes: list[NameChange] = []
        is_complete = True
        events = os.read(self._descriptor, waiting)
        position = 0
        while position < len(events):
            watch, mask, _cookie, length = _EVENT.unpack_from(events, position)
            position += _EVENT.size
            if mask & _IN_Q_OVERFLOW:
                is_complete = False
            elif mask & _IN_IGNORED:
                changes.append(NameChange(watch, b"", False))
            elif length:
                name = events[position : events.index(0, position)]
                changes.append(NameChange(watch, name, bool(mask & _APPEARS)))
            position += length
        return changes if is_complete else None

    def close(self) -> None:
        """End all watches."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
