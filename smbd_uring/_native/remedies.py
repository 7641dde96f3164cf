"""Why io_uring cannot be used, and what to do about it.

Knows: the errors of setting up a ring and the settings behind them.  Must not know: the ring.  Plain
Python, so that it can be tested without one.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

_DISABLED = Path("/proc/sys/kernel/io_uring_disabled")


class RingUnavailable(Exception):  # noqa: N818 - a state of the machine, not a mistake
    """io_uring cannot be used here; the message says why and what would change that."""


def remedy(step: str, number: int, disabled: Path = _DISABLED) -> str:
    """A line for an administrator: what failed (`step`, errno `number`) and what helps."""
    return f"{step}: {os.strerror(number)}; {_advice(number, disabled)}"


def _advice(number: int, disabled: Path) -> str:
    if number == errno.EPERM:
        setting = _read(disabled)
        if setting == "2":
            return "it is switched off: sysctl kernel.io_uring_disabled=0"
        if setting == "1":
            return (
                "it is for root and the group kernel.io_uring_group only: sysctl kernel.io_uring_disabled=0, "
                "or start the server as root"
            )
        return (
            "a seccomp filter refuses it, as containers' default profiles do: allow io_uring_setup, "
            "io_uring_enter and io_uring_register"
        )
    if number == errno.ENOSYS:
        return "the kernel was built without CONFIG_IO_URING, or a seccomp filter hides it"
    if number == errno.ENOMEM:
        return "the memory lock limit is too low: raise `ulimit -l` (RLIMIT_MEMLOCK) to 16 MiB"
    if number in (errno.EMFILE, errno.ENFILE):
        return "there are too few descriptors: raise `ulimit -n` (RLIMIT_NOFILE)"
    if number == errno.EINVAL:
        return "this kernel's io_uring lacks it: a newer kernel has it (Debian 12's and Ubuntu 24.04's do)"
    return "unexpected; please report it"


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
