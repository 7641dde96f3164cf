"""Who a thread is while it touches files: credentials of one client, for one thread, and the way back.

Knows: setfsuid(2), setfsgid(2), setgroups(2), capabilities(7).  Must not know: effects, sessions, accounts.

The C library's setgroups changes every thread of the process; the bare system call changes the caller alone,
which is what a worker needs.  When the file system uid leaves 0 the kernel itself takes the file
capabilities (CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_CHOWN, CAP_FSETID ...) out of the thread's effective set, and
puts them back when it returns to 0.  That happens for a process that runs as uid 0 only, so only such a
process may switch: one that holds capabilities as an ordinary user would keep them while it pretends to be a
client.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final, NamedTuple

from smbd_uring import _native
from smbd_uring.loop import libc
from smbd_uring.ports import Credentials


class _Numbers(NamedTuple):
    """System call numbers of one architecture, those that take 32-bit ids."""

    getgroups: int
    setgroups: int
    setfsuid: int
    setfsgid: int


_NUMBERS: Final = {
    "x86_64": _Numbers(115, 116, 122, 123),
    "aarch64": _Numbers(158, 159, 151, 152),
    "riscv64": _Numbers(158, 159, 151, 152),
    "arm": _Numbers(205, 206, 215, 216),
    "i386": _Numbers(205, 206, 215, 216),
}

_CAP_SETGID: Final = 6
_CAP_SETUID: Final = 7
_PR_GET_SECUREBITS: Final = 27
_SECBIT_NO_SETUID_FIXUP: Final = 1 << 2
_GROUPS_MAX: Final = 65536
"""NGROUPS_MAX of Linux."""
_IDENTITIES_NUMBERED_MAX: Final = 4096
"""More than are active on any server; whoever is forgotten gets a new number."""
_NO_ID: Final = 0xFFFF_FFFF
"""(uid_t)-1: setfsuid and setfsgid change nothing and tell the present value."""


class IdentityLost(RuntimeError):  # noqa: N818 - the condition is the name
    """A thread could not return to the server's own identity and must not go on."""


def architecture() -> str:
    """The system call table this process uses: a 32-bit process has the 32-bit one on a 64-bit kernel too."""
    machine = platform.machine()
    if ctypes.sizeof(ctypes.c_void_p) == 4:
        return "arm" if machine.startswith(("arm", "aarch64")) else "i386"
    return machine


@cache
def why_not() -> str | None:
    """Why this process cannot take clients' identities, in words for an administrator; None when it can."""
    if architecture() not in _NUMBERS:
        return f"system call numbers of {architecture()} are not known"
    if os.geteuid() != 0:
        return "the server does not run as root"
    capabilities = _effective_capabilities()
    if not (capabilities >> _CAP_SETUID & 1 and capabilities >> _CAP_SETGID & 1):
        return "the server lacks CAP_SETUID or CAP_SETGID"
    bits = ctypes.CDLL(None, use_errno=True).prctl(_PR_GET_SECUREBITS, 0, 0, 0, 0)
    if bits & _SECBIT_NO_SETUID_FIXUP:
        return "the secure bit NO_SETUID_FIXUP keeps capabilities across a change of user"
    if _groups_are_fixed():
        return "the user namespace does not allow setgroups"
    return None


def may_switch() -> bool:
    """Whether files can be touched with clients' credentials.  If not, everything runs as the server's own
    user."""
    return why_not() is None


class ThreadIdentity:
    """The identity of the thread that made this object; only that thread may use it.

    It remembers what it took last, so a run of effects with the same credentials switches once.
    """

    def __init__(self) -> None:
        """Take down who the thread is now: what it returns to."""
        self._switches = may_switch()
        self._own = Credentials(os.geteuid(), os.getegid(), _groups() if self._switches else ())
        self._present: Credentials | None = None
        self._own_too: Credentials | None = None
        """Credentials last seen that are no other than the thread's own."""
        self.number = 0
        """Of the present identity: 0 for the thread's own, else one that no other identity has or will have."""
        self._numbers: dict[Credentials, int] = {}
        self._next_number = 1

    @property
    def is_own(self) -> bool:
        """Whether the thread is itself."""
        return self._present is None

    def assume(self, credentials: Credentials | None) -> None:
        """Be `credentials` from now on, or the server itself for None.

        Does nothing in a process that may not switch.  Raises OSError(EPERM) when the kernel does not take
        the ids (unmapped in a user namespace), being itself again; IdentityLost when it cannot be.
        """
        if credentials is self._present or not self._switches or credentials == self._present:
            return
        if credentials is None or credentials is self._own_too or _are_the_same(credentials, self._own):
            self._own_too = credentials
            if self._present is not None:
                self._return()
            return
        # From one client to the next without being root in between: the capabilities of a uid that is not 0 stay away.
        self._present = credentials
        try:
            _take(credentials)
        except OSError:
            self._return()
            raise
        self.number = self._number_of(credentials)

    def _return(self) -> None:
        try:
            _take(self._own)
        except OSError as error:
            raise IdentityLost(f"cannot return to uid {self._own.uid}: {error}") from error
        self._present = None
        self.number = 0

    def _number_of(self, credentials: Credentials) -> int:
        number = self._numbers.get(credentials)
        if number is None:
            if len(self._numbers) >= _IDENTITIES_NUMBERED_MAX:
                self._numbers.clear()
            number = self._numbers[credentials] = self._next_number
            self._next_number += 1
        return number


@contextmanager
def acting_as(credentials: Credentials | None) -> Iterator[None]:
    """The calling thread is `credentials` inside the block, and itself again after it.  Raises as
    `assume`."""
    if credentials is None or not may_switch():
        yield
        return
    identity = ThreadIdentity()
    identity.assume(credentials)
    try:
        yield
    finally:
        identity.assume(None)


def _are_the_same(one: Credentials, other: Credentials) -> bool:
    """Whether the kernel makes no difference between them."""
    return (one.uid, one.gid) == (other.uid, other.gid) and {*one.groups, one.gid} == {*other.groups, other.gid}


def _take(credentials: Credentials) -> None:
    """Set groups, gid and uid of the calling thread and read them back; OSError(EPERM) when they did not
    take."""
    numbers = _numbers()
    if _native.take_identity is None:
        _take_by_ctypes(numbers, credentials)
        return
    number = _native.take_identity(
        numbers.setgroups, numbers.setfsgid, numbers.setfsuid, credentials.groups, credentials.gid, credentials.uid
    )
    if number:
        raise OSError(number, f"the kernel did not take uid {credentials.uid}, gid {credentials.gid}")


@cache
def _numbers() -> _Numbers:
    return _NUMBERS[architecture()]


def _take_by_ctypes(numbers: _Numbers, credentials: Credentials) -> None:
    # Groups and gid first on the way down; on the way up the same order works, because CAP_SETGID and
    # CAP_SETUID are not among the capabilities that a file system uid takes away.
    groups = sorted(set(credentials.groups))
    array = (ctypes.c_uint32 * len(groups))(*groups)
    libc.raw_syscall(numbers.setgroups, ctypes.c_int(len(groups)), array)
    libc.raw_syscall(numbers.setfsgid, ctypes.c_uint32(credentials.gid))
    libc.raw_syscall(numbers.setfsuid, ctypes.c_uint32(credentials.uid))
    # setfsuid and setfsgid report no failure; only asking again shows it.
    gid = libc.raw_syscall(numbers.setfsgid, ctypes.c_uint32(_NO_ID)) & 0xFFFF_FFFF
    uid = libc.raw_syscall(numbers.setfsuid, ctypes.c_uint32(_NO_ID)) & 0xFFFF_FFFF
    if (uid, gid) != (credentials.uid, credentials.gid) or sorted(_groups()) != groups:
        raise OSError(errno.EPERM, f"the kernel did not take uid {credentials.uid}, gid {credentials.gid}")


def _groups() -> tuple[int, ...]:
    """Supplementary groups of the calling thread."""
    numbers = _numbers()
    count = libc.raw_syscall(numbers.getgroups, ctypes.c_int(0), None)
    array = (ctypes.c_uint32 * min(count, _GROUPS_MAX))()
    count = libc.raw_syscall(numbers.getgroups, ctypes.c_int(len(array)), array) if count else 0
    return tuple(array[:count])


def _groups_are_fixed() -> bool:
    """Whether the process is in a user namespace that was made by somebody without privileges (user_namespaces(7))."""
    try:
        with open("/proc/self/setgroups", encoding="ascii") as setgroups:
            return setgroups.read().strip() == "deny"
    except OSError:
        return False


def _effective_capabilities() -> int:
    with open("/proc/thread-self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("CapEff:"):
                return int(line.split()[1], 16)
    return 0
