"""A small disk for a test: a file system in memory that is mounted nowhere and ends with the process at the latest.

Knows: how Linux makes file systems ([MAN] fsopen(2), fsmount(2)).  Must not know: who fills it.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FSOPEN, FSCONFIG, FSMOUNT = 430, 431, 432
"""Numbers of system calls, which are the same on x86, ARM, POWER, RISC-V and s390."""
CLOSE_ON_EXEC = 1
SET_STRING, CREATE = 1, 6

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def memory_disk(size: int) -> Iterator[Path]:
    """An empty file system of `size` bytes, a multiple of the page size, to which every user may write.

    The path given is one of this process alone, through a descriptor.  Raises OSError: EPERM for who is not root.
    """
    described = _system_call(FSOPEN, b"tmpfs", CLOSE_ON_EXEC)
    try:
        for key, value in ((b"size", str(size).encode()), (b"mode", b"0777")):
            _system_call(FSCONFIG, described, SET_STRING, key, value, 0)
        _system_call(FSCONFIG, described, CREATE, None, None, 0)
        mounted = _system_call(FSMOUNT, described, CLOSE_ON_EXEC, 0)
    finally:
        os.close(described)
    try:
        yield Path(f"/proc/{os.getpid()}/fd/{mounted}")
    finally:
        os.close(mounted)


def _system_call(number: int, *arguments: int | bytes | None) -> int:
    result: int = _libc.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
