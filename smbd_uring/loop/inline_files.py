"""File effects performed at once, in the loop's own thread, where that takes no longer than asking others to.

Knows: which effects are quick on a local file system, and what could make one of them slow after all.  Must not know:
how slow ones are performed.  Which file systems count as local is for `volumes` to say.

The thread takes the identity that an effect names and keeps it for the next one: consecutive effects of one client
switch nothing.  Whoever calls the engine says `be_oneself` when it returns; nothing else of the loop may happen before,
because a thread, a socket or a process made as a client would be a client's.  Effects that ask no permission
(closing, looking at an open file) are performed as whoever the thread is.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final, NamedTuple

from smbd_uring.limits import INLINE_BUDGET_NS, INLINE_FREED_BYTES_MAX, INLINE_NAMES_MAX, INLINE_SLOW_S
from smbd_uring.loop import arguments, directories, libc, paths, syscalls
from smbd_uring.loop.change_watches import ChangeWatches
from smbd_uring.loop.identity import ThreadIdentity
from smbd_uring.loop.kernel_leases import KernelLeases
from smbd_uring.loop.name_watches import NameWatches
from smbd_uring.loop.volumes import Volume, Volumes, kept_from_processor_s
from smbd_uring.ports import (
    NOT_NOW,
    CheckAccess,
    CheckRangeLock,
    CloseHandle,
    CreateFile,
    Describe,
    DescribeAt,
    Effect,
    EndKernelLease,
    GetXattr,
    Handle,
    Link,
    ListDirectory,
    LookUp,
    MakeDirectory,
    OpenAt,
    Remove,
    Rename,
    Reopen,
    SetMode,
    SetRangeLock,
    SetTimes,
    SetXattr,
    Stat,
    StatEntries,
    StatVolume,
    TakeChanges,
    TakeKernelLease,
    TakeNameChanges,
    Truncate,
    Unlink,
    UnwatchChanges,
    UnwatchNames,
    Visit,
    WatchChanges,
    WatchNames,
)

_RESOLVE_NO_XDEV: Final = 0x01


class InlineFiles:
    """Performs effects for one loop.  Made and used in the loop's thread."""

    def __init__(
        self,
        volumes: Volumes | None = None,
        clock: Callable[[], float] = time.monotonic,
        kept_waiting_s: Callable[[], float] = kept_from_processor_s,
    ) -> None:
        """Tests bring their own `clock` and `kept_waiting_s`, the time the thread was kept from its processor."""
        self._volumes = volumes or Volumes()
        self._of_handles = self._volumes.of_handles
        self._clock = clock
        self._kept_waiting_s = kept_waiting_s
        self._kept_waiting_before = kept_waiting_s()
        self._identity = ThreadIdentity()
        self._watches = NameWatches()
        self.changes = ChangeWatches()
        self.kernel_leases = KernelLeases()

    def perform_now(self, effect: Effect[Any]) -> Any:
        """The effect's result, or NOT_NOW when nothing was done and others must.  Raises OSError, IdentityLost."""
        way = _WAYS.get(type(effect))
        if way is None:
            return self._perform_on_names(effect)
        began = self._clock()
        handle = way.handle(effect)
        if handle is None:
            return NOT_NOW
        if way.closes:
            self.kernel_leases.forget(handle)
        of_handle = self._volumes.leave if way.closes else self._of_handles.get
        volume = of_handle(handle)
        if volume is None and not way.closes:
            volume = self._volumes.of(handle)
        if volume is None or began < volume.resting_until:
            return NOT_NOW
        if way.needs_identity or (way.perform is _stat and effect.name):  # type: ignore[attr-defined]
            self._identity.assume(effect.credentials)  # type: ignore[attr-defined]
        try:
            result = way.perform(effect, volume, self._identity.number)
            if way.opens and result is not NOT_NOW:
                self._volumes.enter(result[0] if way.tells_more else result, volume)
            return result
        finally:
            ended = self._clock()
            if ended - began > INLINE_SLOW_S:
                self._was_slow(volume, ended - began, ended)

    def _was_slow(self, volume: Volume, seconds: float, now: float) -> None:
        before, self._kept_waiting_before = self._kept_waiting_before, self._kept_waiting_s()
        seconds -= self._kept_waiting_before - before
        if seconds > INLINE_SLOW_S:
            volume.was_slow(seconds, now)

    def _perform_on_names(self, effect: Effect[Any]) -> Any:
        """Effects about watches and leases; they never wait."""
        if isinstance(effect, TakeNameChanges):
            return self._watches.take()
        if isinstance(effect, WatchNames):
            if not self._volumes.of(effect.handle).is_local:
                raise arguments.refused(errno.EOPNOTSUPP, "changes made elsewhere would not be seen")
            self._identity.assume(None)
            return self._watches.watch(effect.handle)
        if isinstance(effect, UnwatchNames):
            return self._watches.unwatch(effect.watch)
        if isinstance(effect, TakeChanges):
            return self.changes.take(effect.everything)
        if isinstance(effect, WatchChanges):
            self._identity.assume(None)
            return self.changes.watch(effect.handle, effect.contents)
        if isinstance(effect, UnwatchChanges):
            return self.changes.unwatch(effect.watch)
        if isinstance(effect, TakeKernelLease):
            return self.kernel_leases.take(effect.handle, effect.exclusive)
        if isinstance(effect, EndKernelLease):
            return self.kernel_leases.end(effect.handle)
        return NOT_NOW

    def close(self) -> None:
        """End all watches and leases.  The thread is itself again."""
        self.be_oneself()
        self._watches.close()
        self.changes.close()
        self.kernel_leases.close()

    def forget(self, handle: Handle) -> None:
        """Somebody else closes this handle."""
        self._volumes.leave(handle)
        self.kernel_leases.forget(handle)

    def be_oneself(self) -> None:
        """The thread is the server's own again.  Raises IdentityLost."""
        if not self._identity.is_own:
            self._identity.assume(None)


# --- how each effect is performed: (effect, volume of its handle, number of the identity) to its result or NOT_NOW --


def _plainly(effect: Any, _volume: Volume, _number: int) -> Any:
    return syscalls.act(effect)


def _open_at(effect: OpenAt, _volume: Volume, _number: int) -> Any:
    path, flags = arguments.open_path(effect), arguments.open_flags(effect.flags)
    mode = arguments.open_mode(flags, effect.mode)
    directory = effect.directory
    assert directory is not None
    # Another mount below may be anybody's.
    resolve = effect.resolve | _RESOLVE_NO_XDEV
    try:
        return paths.open_at(directory, path, flags, mode, resolve)
    except OSError as error:
        return _not_now_if_mounted(error, effect.resolve)


def _look_up(effect: LookUp, volume: Volume, number: int) -> Any:
    path, xattr = arguments.path_below(effect.path), arguments.xattr_or_none(effect.xattr)
    flags = arguments.open_flags(effect.flags)
    try:
        return paths.look_up(
            effect.directory, path, flags, effect.resolve | _RESOLVE_NO_XDEV, xattr, volume.values_of(xattr), number
        )
    except OSError as error:
        return _not_now_if_mounted(error, effect.resolve)


def _visit(effect: Visit, _volume: Volume, _number: int) -> Any:
    path, flags = arguments.path_below(effect.path), arguments.open_flags(effect.flags)
    try:
        return paths.visit(effect.directory, path, flags, effect.resolve | _RESOLVE_NO_XDEV, effect.mode)
    except OSError as error:
        return _not_now_if_mounted(error, effect.resolve)


def _create_file(effect: CreateFile, _volume: Volume, _number: int) -> Any:
    path, flags = arguments.path_below(effect.path), arguments.open_flags(effect.flags)
    xattr, resolve = arguments.xattr_or_none(effect.xattr), effect.resolve | _RESOLVE_NO_XDEV
    try:
        return paths.create_file(
            effect.directory, path, flags, effect.mode & 0o7777, resolve, xattr, effect.value
        )
    except OSError as error:
        return _not_now_if_mounted(error, effect.resolve)


def _not_now_if_mounted(error: OSError, resolve: int) -> Any:
    if error.errno == errno.EXDEV and not resolve & _RESOLVE_NO_XDEV:
        return NOT_NOW
    raise error


def _close(effect: CloseHandle, _volume: Volume, _number: int) -> Any:
    return None if paths.close_small(effect.handle, INLINE_FREED_BYTES_MAX) else NOT_NOW


def _describe(effect: Describe, volume: Volume, number: int) -> paths.Described:
    xattr = arguments.xattr_or_none(effect.xattr)
    return paths.describe(effect.handle, xattr, volume.values_of(xattr), number)


def _describe_at(effect: DescribeAt, volume: Volume, number: int) -> Any:
    path, xattr = arguments.path_below(effect.path), arguments.xattr_or_none(effect.xattr)
    resolve = effect.resolve | _RESOLVE_NO_XDEV
    try:
        return paths.describe_at(effect.directory, path, resolve, xattr, volume.values_of(xattr), number)
    except OSError as error:
        return _not_now_if_mounted(error, effect.resolve)


def _stat(effect: Stat, volume: Volume, _number: int) -> Any:
    if not effect.name:
        return paths.stat(effect.directory, b"")
    status = paths.stat(effect.directory, arguments.component(effect.name), libc.UNASKED)
    return status if status.device == volume.device else NOT_NOW


def _remove(effect: Remove, _volume: Volume, _number: int) -> Any:
    path, name = arguments.path_below(effect.path), arguments.component(effect.name)
    try:
        removed = paths.remove(
            effect.directory, path, effect.resolve | _RESOLVE_NO_XDEV, name, effect.identity, effect.is_directory,
            INLINE_FREED_BYTES_MAX,
        )  # fmt: skip
    except OSError as error:
        return _not_now_if_mounted(error, effect.resolve)
    return None if removed else NOT_NOW


def _unlink(effect: Unlink, _volume: Volume, _number: int) -> Any:
    return NOT_NOW if _frees_much(effect.directory, effect.name) else syscalls.act(effect)


def _rename(effect: Rename, _volume: Volume, _number: int) -> Any:
    # From another mount the kernel refuses it before it looks at either name.
    return NOT_NOW if _frees_much(effect.new_directory, effect.new_name) else syscalls.act(effect)


def _frees_much(directory: Handle, name: bytes) -> bool:
    """Whether this name's going gives back so much that it takes long."""
    try:
        status = paths.stat(directory, arguments.component(name), libc.UNASKED)
    except OSError:
        return False
    return paths.is_larger(status, INLINE_FREED_BYTES_MAX)


def _truncate(effect: Truncate, _volume: Volume, _number: int) -> Any:
    status = os.fstat(effect.handle)
    if effect.size < status.st_size and status.st_blocks * 512 > INLINE_FREED_BYTES_MAX:
        return NOT_NOW
    return syscalls.act(effect)


def _list_directory(effect: ListDirectory, _volume: Volume, _number: int) -> Any:
    # Nobody else uses this handle's position while the loop's own thread does.
    os.lseek(effect.handle, 0, os.SEEK_SET)
    entries = directories.read_directory(effect.handle, INLINE_NAMES_MAX)
    return NOT_NOW if entries is None else entries


def _stat_entries(effect: StatEntries, volume: Volume, number: int) -> Any:
    names = arguments.components(effect.names)
    xattr = arguments.xattr_name(effect.xattr)
    answers = directories.stat_entries(
        effect.directory, names, xattr, volume.device, INLINE_BUDGET_NS, volume.values_of(xattr), number
    )
    return NOT_NOW if answers is None else answers


class Way(NamedTuple):
    """How one kind of effect is performed at once."""

    perform: Callable[[Any, Volume, int], Any]
    handle: Callable[[Any], Handle | None]
    """The handle that says which file system it is about; None when there is none yet."""
    needs_identity: bool = True
    """Whether the kernel asks who does it; of a Stat it does when there is a name to look up."""
    opens: bool = False
    """Whether the result is a new handle on the same mount."""
    tells_more: bool = False
    """Whether that handle is only the first part of the result."""
    closes: bool = False
    """Whether the handle is gone after it."""


_DIRECTORY: Final = attrgetter("directory")
_HANDLE: Final = attrgetter("handle")

_WAYS: Final[dict[type[Effect[Any]], Way]] = {
    OpenAt: Way(_open_at, _DIRECTORY, opens=True),
    LookUp: Way(_look_up, _DIRECTORY, opens=True, tells_more=True),
    Visit: Way(_visit, _DIRECTORY),
    CreateFile: Way(_create_file, _DIRECTORY, opens=True, tells_more=True),
    Reopen: Way(_plainly, _HANDLE, opens=True),
    CloseHandle: Way(_close, _HANDLE, needs_identity=False, closes=True),
    Describe: Way(_describe, _HANDLE),
    DescribeAt: Way(_describe_at, _DIRECTORY),
    Stat: Way(_stat, _DIRECTORY, needs_identity=False),
    StatVolume: Way(_plainly, _HANDLE, needs_identity=False),
    CheckAccess: Way(_plainly, _HANDLE),
    Truncate: Way(_truncate, _HANDLE),
    MakeDirectory: Way(_plainly, _DIRECTORY),
    Unlink: Way(_unlink, _DIRECTORY),
    Remove: Way(_remove, _DIRECTORY),
    Rename: Way(_rename, attrgetter("new_directory")),
    Link: Way(_plainly, attrgetter("new_directory")),
    SetTimes: Way(_plainly, _HANDLE),
    SetMode: Way(_plainly, _HANDLE),
    SetRangeLock: Way(_plainly, _HANDLE, needs_identity=False),
    CheckRangeLock: Way(_plainly, _HANDLE, needs_identity=False),
    GetXattr: Way(_plainly, _HANDLE),
    SetXattr: Way(_plainly, _HANDLE),
    ListDirectory: Way(_list_directory, _HANDLE, needs_identity=False),
    StatEntries: Way(_stat_entries, _DIRECTORY),
}
