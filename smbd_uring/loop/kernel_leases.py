"""Leases on files, by fcntl(2), and the signals that break them.

Knows: F_SETLEASE, signalfd(2).  Must not know: why a lease is wanted.

The kernel tells of a break by a signal, to the one thread that took the lease, which blocks it and reads it from a
descriptor.  When too many signals wait, SIGIO comes instead of one that names the file; then all leases are looked at.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import logging
import os
import signal
import struct
from contextlib import suppress
from typing import Final

from smbd_uring.loop.libc import checked
from smbd_uring.ports import Handle, KernelLease

_log = logging.getLogger("smbd.loop")

_F_SETSIG: Final = 10
_F_SETOWN_EX: Final = 15
_F_OWNER_TID: Final = 0
_SIGNAL: Final = signal.SIGRTMIN + 7
"""One that nothing else in the process uses."""

_SIGNAL_INFORMATION_BYTES: Final = 128
_DESCRIPTOR_OFFSET: Final = 20
"""Of ssi_fd in struct signalfd_siginfo."""
_READ_AT_ONCE: Final = 32
_SIGNALS_BYTES: Final = 8
"""The kernel's sigset_t."""

_library = ctypes.CDLL(None, use_errno=True)


class KernelLeases:
    """The leases of one thread, which makes, uses and closes this."""

    def __init__(self) -> None:
        self._thread = _library.gettid()
        self._held: dict[Handle, int] = {}
        """Leases by what they are broken with: F_WRLCK or F_RDLCK."""
        numbers = (_SIGNAL, signal.SIGIO)
        self._blocked = set(numbers) - signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        wanted = struct.pack("=Q", sum(1 << number - 1 for number in numbers))
        assert len(wanted) == _SIGNALS_BYTES
        self._descriptor = checked(_library.signalfd(-1, wanted.ljust(_SIGNAL_INFORMATION_BYTES, b"\0"),
                                                     os.O_NONBLOCK | os.O_CLOEXEC))

    def fileno(self) -> int:
        """Readable when a lease is broken."""
        return self._descriptor

    def take(self, handle: Handle, exclusive: bool) -> KernelLease:
        """Perform `ports.TakeKernelLease`."""
        kind = fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK
        try:
            # Before the lease: the first break must find whom to tell, and how.
            fcntl.fcntl(handle, _F_SETOWN_EX, struct.pack("=ii", _F_OWNER_TID, self._thread))
            fcntl.fcntl(handle, _F_SETSIG, _SIGNAL)
            fcntl.fcntl(handle, fcntl.F_SETLEASE, kind)
        except OSError as error:
            if error.errno == errno.EAGAIN:
                return KernelLease.IN_USE
            _log.debug("no lease of the kernel's on %d: %s", handle, error)
            return KernelLease.UNAVAILABLE
        self._held[handle] = kind
        return KernelLease.TAKEN

    def end(self, handle: Handle) -> None:
        """Perform `ports.EndKernelLease`."""
        if self._held.pop(handle, None) is not None:
            with suppress(OSError):
                fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)

    def forget(self, handle: Handle) -> None:
        """The handle is being closed, which ends its lease."""
        self._held.pop(handle, None)

    def broken(self) -> list[Handle]:
        """Whose leases the kernel wants back and were not reported before."""
        found: dict[Handle, None] = {}
        while True:
            try:
                signals = os.read(self._descriptor, _SIGNAL_INFORMATION_BYTES * _READ_AT_ONCE)
            except BlockingIOError:
                break
            for start in range(0, len(signals), _SIGNAL_INFORMATION_BYTES):
                number, descriptor = (
                    struct.unpack_from("=i", signals, start + offset)[0] for offset in (0, _DESCRIPTOR_OFFSET)
                )
                if number == signal.SIGIO:
                    found |= dict.fromkeys(self._held)
                elif descriptor in self._held:
                    found[Handle(descriptor)] = None
        return [handle for handle in found if self._is_wanted_back(handle)]

    def close(self) -> None:
        """End all leases."""
        for handle in list(self._held):
            self.end(handle)
        # A signal that nobody read would end the process once it is not blocked any more.
        self.broken()
        os.close(self._descriptor)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._blocked)

    def _is_wanted_back(self, handle: Handle) -> bool:
        """Whether the lease is about to be another one: the signal may be of a file that had this number before."""
        try:
            return fcntl.fcntl(handle, fcntl.F_GETLEASE) != self._held[handle]
        except OSError:
            return False
