"""Any effect of `ports` on files, and the one on interfaces, performed at once by system calls in the calling thread.

Knows: which call each effect is.  Must not know: threads, rings, when anybody wants it.

Handles are descriptor numbers.  A handle must not be closed while another effect on it is under way.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Collection
from typing import Any

from smbd_uring.loop import arguments, directories, libc, paths
from smbd_uring.loop.identity import ThreadIdentity, acting_as
from smbd_uring.loop.interfaces import interface_addresses
from smbd_uring.ports import (
    Allocate,
    CheckAccess,
    CheckRangeLock,
    CloseHandle,
    Created,
    CreateFile,
    Describe,
    DescribeAt,
    DirectoryEntry,
    Effect,
    FileStatus,
    GetXattr,
    Handle,
    Link,
    ListDirectory,
    ListInterfaceAddresses,
    LookedUp,
    LookUp,
    MakeDirectory,
    OpenAt,
    RangeLock,
    ReadAt,
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
    Synchronize,
    Truncate,
    Unlink,
    Visit,
    VolumeStatus,
    WatchNames,
    WriteAt,
)


def perform(effect: Effect[Any], identity: ThreadIdentity | None = None) -> Any:
    """Perform `effect` and return its result.

    `identity` is the calling thread's own, kept from call to call; without one the thread takes the effect's
    credentials for this call only.  Raises OSError, and TypeError for an effect that is not about files.
    """
    credentials = getattr(effect, "credentials", None)
    if identity is not None:
        identity.assume(credentials)
        return act(effect)
    with acting_as(credentials):
        return act(effect)


def act(effect: Effect[Any]) -> Any:
    """Perform `effect` as whoever the thread is.  Raises as `perform`."""
    action = _ACTIONS.get(type(effect))
    if action is None:
        raise TypeError(f"not an effect on files: {type(effect).__name__}")
    return action(effect)


def _open_at(effect: OpenAt) -> Handle:
    path = arguments.open_path(effect)
    flags = arguments.open_flags(effect.flags)
    directory = libc.AT_FDCWD if effect.directory is None else effect.directory
    return paths.open_at(directory, path, flags, arguments.open_mode(flags, effect.mode), effect.resolve)


def _look_up(effect: LookUp) -> LookedUp:
    path, flags = arguments.path_below(effect.path), arguments.open_flags(effect.flags)
    return paths.look_up(effect.directory, path, flags, effect.resolve, arguments.xattr_or_none(effect.xattr))


def _visit(effect: Visit) -> FileStatus:
    path, flags = arguments.path_below(effect.path), arguments.open_flags(effect.flags)
    return paths.visit(effect.directory, path, flags, effect.resolve, effect.mode)


def _create_file(effect: CreateFile) -> Created:
    path, flags = arguments.path_below(effect.path), arguments.open_flags(effect.flags)
    xattr = arguments.xattr_or_none(effect.xattr)
    return paths.create_file(
        effect.directory, path, flags, effect.mode & 0o7777, effect.resolve, xattr, effect.value
    )


def _describe(effect: Describe) -> paths.Described:
    return paths.describe(effect.handle, arguments.xattr_or_none(effect.xattr))


def _describe_at(effect: DescribeAt) -> paths.Described:
    path, xattr = arguments.path_below(effect.path), arguments.xattr_or_none(effect.xattr)
    return paths.describe_at(effect.directory, path, effect.resolve, xattr)


def _reopen(effect: Reopen) -> Handle:
    return paths.reopen(effect.handle, arguments.open_flags(effect.flags))


def _close(effect: CloseHandle) -> None:
    os.close(effect.handle)


def _read_at(effect: ReadAt) -> bytes:
    arguments.file_range(effect.offset, effect.length)
    data = os.pread(effect.handle, effect.length, effect.offset)
    while data and len(data) < effect.length:
        more = os.pread(effect.handle, effect.length - len(data), effect.offset + len(data))
        if not more:
            break
        data += more
    return data


def _write_at(effect: WriteAt) -> int:
    view = arguments.byte_view(effect.data)
    arguments.file_range(effect.offset, len(view))
    done = 0
    while done < len(view):
        count = os.pwrite(effect.handle, view[done:], effect.offset + done)
        if count == 0:
            raise arguments.refused(errno.EIO, "the file takes no more bytes")
        done += count
    return done


def _synchronize(effect: Synchronize) -> None:
    (os.fdatasync if effect.data_only else os.fsync)(effect.handle)


def _set_range_lock(effect: SetRangeLock) -> bool:
    arguments.lock_range(effect.offset, effect.length)
    return libc.set_range_lock(effect.handle, effect.offset, effect.length, _LOCK_TYPES[effect.kind])


def _check_range_lock(effect: CheckRangeLock) -> bool:
    arguments.lock_range(effect.offset, effect.length)
    return libc.is_range_locked(effect.handle, effect.offset, effect.length, _LOCK_TYPES[effect.kind])


def _stat(effect: Stat) -> FileStatus:
    return paths.stat(effect.directory, arguments.component_or_self(effect.name))


def _stat_volume(effect: StatVolume) -> VolumeStatus:
    return libc.fstatfs(effect.handle)


def _check_access(effect: CheckAccess) -> None:
    paths.check_access(effect.handle, effect.mode)


def _truncate(effect: Truncate) -> None:
    arguments.file_range(effect.size, 0)
    os.ftruncate(effect.handle, effect.size)


def _allocate(effect: Allocate) -> None:
    arguments.file_range(effect.offset, effect.length)
    libc.fallocate(effect.handle, effect.mode, effect.offset, effect.length)


def _make_directory(effect: MakeDirectory) -> None:
    os.mkdir(arguments.component(effect.name), effect.mode, dir_fd=effect.directory)


def _unlink(effect: Unlink) -> None:
    remove = os.rmdir if effect.is_directory else os.unlink
    remove(arguments.component(effect.name), dir_fd=effect.directory)


def _remove(effect: Remove) -> None:
    path, name = arguments.path_below(effect.path), arguments.component(effect.name)
    paths.remove(effect.directory, path, effect.resolve, name, effect.identity, effect.is_directory)


def _rename(effect: Rename) -> None:
    libc.renameat2(
        effect.old_directory,
        arguments.component(effect.old_name),
        effect.new_directory,
        arguments.component(effect.new_name),
        effect.flags,
    )


def _link(effect: Link) -> None:
    os.link(
        arguments.component(effect.old_name),
        arguments.component(effect.new_name),
        src_dir_fd=effect.old_directory,
        dst_dir_fd=effect.new_directory,
        follow_symlinks=False,
    )


def _set_times(effect: SetTimes) -> None:
    libc.set_times(arguments.magic_path(effect.handle), effect.accessed_ns, effect.modified_ns)


def _set_mode(effect: SetMode) -> None:
    os.chmod(arguments.magic_path(effect.handle), effect.mode & 0o7777)


def _get_xattr(effect: GetXattr) -> bytes:
    return paths.get_xattr(effect.handle, arguments.xattr_name(effect.name))


def _set_xattr(effect: SetXattr) -> None:
    paths.set_xattr(effect.handle, arguments.xattr_name(effect.name), effect.value)


def _list_directory(effect: ListDirectory) -> list[DirectoryEntry]:
    # A position belongs to the open file, not to the number: reading through the handle itself would make two
    # listings under way at once share one, so each reads through an open file of its own.
    fresh = os.open(arguments.magic_path(effect.handle), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        entries = directories.read_directory(fresh)
        assert entries is not None
        return entries
    finally:
        os.close(fresh)


def _stat_entries(effect: StatEntries) -> Collection[directories.EntryFacts]:
    xattr, names = arguments.xattr_name(effect.xattr), arguments.components(effect.names)
    answers = directories.stat_entries(effect.directory, names, xattr)
    assert answers is not None
    return answers


def _watch_names(_effect: WatchNames) -> int:
    raise arguments.refused(errno.EOPNOTSUPP, "only a loop watches names")


_LOCK_TYPES = {RangeLock.NONE: fcntl.F_UNLCK, RangeLock.SHARED: fcntl.F_RDLCK, RangeLock.EXCLUSIVE: fcntl.F_WRLCK}

_ACTIONS: dict[type[Effect[Any]], Callable[[Any], Any]] = {
    ListInterfaceAddresses: lambda _effect: interface_addresses(),
    OpenAt: _open_at,
    LookUp: _look_up,
    Visit: _visit,
    CreateFile: _create_file,
    Describe: _describe,
    DescribeAt: _describe_at,
    Reopen: _reopen,
    CloseHandle: _close,
    ReadAt: _read_at,
    WriteAt: _write_at,
    Synchronize: _synchronize,
    SetRangeLock: _set_range_lock,
    CheckRangeLock: _check_range_lock,
    Stat: _stat,
    StatVolume: _stat_volume,
    CheckAccess: _check_access,
    Truncate: _truncate,
    Allocate: _allocate,
    MakeDirectory: _make_directory,
    Unlink: _unlink,
    Remove: _remove,
    Rename: _rename,
    Link: _link,
    SetTimes: _set_times,
    SetMode: _set_mode,
    GetXattr: _get_xattr,
    SetXattr: _set_xattr,
    ListDirectory: _list_directory,
    StatEntries: _stat_entries,
    WatchNames: _watch_names,
}
