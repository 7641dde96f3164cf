"""The simulated calls on a file's data, status, times, mode and xattrs.

Knows: what Linux refuses on which kind of handle.  Must not know: how a name was found.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import Any

from smbd_uring.ports import (
    Allocate,
    CheckAccess,
    Credentials,
    Effect,
    FileStatus,
    GetXattr,
    ReadAt,
    SetMode,
    SetTimes,
    SetXattr,
    Stat,
    StatEntries,
    StatVolume,
    Synchronize,
    Truncate,
    VolumeStatus,
    WriteAt,
)
from tests.sim.machine import SERVER, Machine
from tests.sim.name_calls import component
from tests.sim.nodes import PAGE_BYTES, Node, failure
from tests.sim.paths import NAME_BYTES_MAX, lookup

OFFSET_MAX = (1 << 63) - 1
XATTR_VALUE_BYTES_MAX = 64 << 10
XATTR_NAME_BYTES_MAX = 255
FALLOC_FL_KEEP_SIZE = 1
FALLOC_FL_PUNCH_HOLE = 2


def read_at(machine: Machine, effect: ReadAt) -> bytes:
    _check_range(effect.offset, effect.length)
    opened = machine.file(effect.handle)
    if not opened.reads:
        raise failure(errno.EBADF)
    if opened.node.is_directory:
        raise failure(errno.EISDIR)
    data = opened.node.read(effect.offset, effect.length)
    if data:
        opened.node.accessed_ns = machine.now_ns
    return data


def write_at(machine: Machine, effect: WriteAt) -> int:
    data = bytes(effect.data)
    _check_range(effect.offset, len(data))
    opened = machine.file(effect.handle)
    if not opened.writes:
        raise failure(errno.EBADF)
    if data:
        opened.node.touch(machine.now_ns)
        opened.node.write(effect.offset, data, machine.space)
        machine.changes.written(opened.node)
    return len(data)


def synchronize(machine: Machine, effect: Synchronize) -> None:
    if machine.file(effect.handle).is_path:
        raise failure(errno.EBADF)


def stat_file(machine: Machine, effect: Stat) -> FileStatus:
    if not effect.name:
        return machine.file(effect.directory).node.status(machine.device)
    return _entry(machine, effect.directory, effect.name, effect.credentials or SERVER).status(machine.device)


def stat_volume(machine: Machine, effect: StatVolume) -> VolumeStatus:
    machine.file(effect.handle)
    free = machine.space.pages_total - machine.space.pages_used
    return VolumeStatus(
        PAGE_BYTES, machine.space.pages_total, free, free, 1 << 20, 1 << 19, NAME_BYTES_MAX, 0xEF53, machine.device
    )


def check_access(machine: Machine, effect: CheckAccess) -> None:
    if effect.mode & ~(os.R_OK | os.W_OK | os.X_OK):
        raise failure(errno.EINVAL)
    machine.file(effect.handle).node.require(effect.credentials or SERVER, effect.mode)


def truncate(machine: Machine, effect: Truncate) -> None:
    _check_range(effect.size, 0)
    opened = machine.file(effect.handle)
    if opened.is_path:
        raise failure(errno.EBADF)
    if not opened.writes:
        raise failure(errno.EINVAL)
    opened.node.resize(effect.size, machine.space)
    opened.node.touch(machine.now_ns)
    machine.changes.written(opened.node)


def allocate(machine: Machine, effect: Allocate) -> None:
    _check_range(effect.offset, effect.length)
    opened = machine.file(effect.handle)
    if opened.is_path:
        raise failure(errno.EBADF)
    if effect.length == 0:
        raise failure(errno.EINVAL)
    if effect.mode not in (0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE):
        raise failure(errno.EOPNOTSUPP)
    if not opened.writes:
        raise failure(errno.EBADF)
    node, end = opened.node, effect.offset + effect.length
    if effect.mode & FALLOC_FL_PUNCH_HOLE:
        node.clear(effect.offset, end, machine.space)
    else:
        node.reserve(effect.offset, end, machine.space)
        if not effect.mode & FALLOC_FL_KEEP_SIZE:
            node.size = max(node.size, end)
    node.touch(machine.now_ns)
    machine.changes.written(node)


def set_times(machine: Machine, effect: SetTimes) -> None:
    node = machine.file(effect.handle).node
    if effect.accessed_ns is None and effect.modified_ns is None:
        return
    if not node.is_owned_by(effect.credentials or SERVER):
        raise failure(errno.EPERM)
    if effect.accessed_ns is not None:
        node.accessed_ns = effect.accessed_ns
    if effect.modified_ns is not None:
        node.modified_ns = effect.modified_ns
    node.changed_ns = machine.now_ns
    machine.changes.described(node)


def set_mode(machine: Machine, effect: SetMode) -> None:
    who, node = effect.credentials or SERVER, machine.file(effect.handle).node
    if node.is_symlink:
        raise failure(errno.EOPNOTSUPP)
    if not node.is_owned_by(who):
        raise failure(errno.EPERM)
    mode = effect.mode & 0o7777
    if who.uid != 0 and node.gid != who.gid and node.gid not in who.groups:
        mode &= ~stat.S_ISGID
    node.mode = stat.S_IFMT(node.mode) | mode
    node.changed_ns = machine.now_ns
    machine.changes.described(node)


def get_xattr(machine: Machine, effect: GetXattr) -> bytes:
    return _xattr(machine, machine.file(effect.handle).node, effect.name, effect.credentials or SERVER)


def set_xattr(machine: Machine, effect: SetXattr) -> None:
    who, node = effect.credentials or SERVER, machine.file(effect.handle).node
    _check_xattr_name(machine, effect.name)
    if len(effect.value) > XATTR_VALUE_BYTES_MAX:
        raise failure(errno.E2BIG)
    if not (node.is_file or node.is_directory):
        raise failure(errno.EPERM)
    if node.is_directory and node.mode & stat.S_ISVTX and not node.is_owned_by(who):
        raise failure(errno.EPERM)
    node.require(who, os.W_OK)
    node.xattrs[effect.name] = bytes(effect.value)
    node.changed_ns = machine.now_ns
    machine.changes.described(node)


def stat_entries(machine: Machine, effect: StatEntries) -> list[tuple[FileStatus, bytes | None] | None]:
    who = effect.credentials or SERVER
    answers: list[tuple[FileStatus, bytes | None] | None] = []
    for name in effect.names:
        try:
            node = _entry(machine, effect.directory, name, who)
        except (FileNotFoundError, PermissionError, NotADirectoryError):
            answers.append(None)
            continue
        try:
            value = _xattr(machine, node, effect.xattr, who)
        except OSError:
            value = None
        answers.append((node.status(machine.device), value))
    return answers


def _entry(machine: Machine, directory: Any, name: bytes, who: Credentials) -> Node:
    component(name)
    parent = machine.directory(directory)
    parent.require(who, os.X_OK)
    node = lookup(parent, name)
    if node is None:
        raise failure(errno.ENOENT)
    return node


def _xattr(machine: Machine, node: Node, name: bytes, who: Credentials) -> bytes:
    _check_xattr_name(machine, name)
    if not (node.is_file or node.is_directory):
        raise failure(errno.ENODATA)
    node.require(who, os.R_OK)
    value = node.xattrs.get(name)
    if value is None:
        raise failure(errno.ENODATA)
    return value


def _check_xattr_name(machine: Machine, name: bytes) -> None:
    if not name or b"\0" in name:
        raise failure(errno.EINVAL)
    if len(name) > XATTR_NAME_BYTES_MAX:
        raise failure(errno.ERANGE)
    if not machine.has_xattrs or not name.startswith(b"user."):
        raise failure(errno.EOPNOTSUPP)


def _check_range(offset: int, length: int) -> None:
    if not (0 <= offset <= OFFSET_MAX and 0 <= length <= OFFSET_MAX - offset):
        raise failure(errno.EINVAL)


ACTIONS: dict[type[Effect[Any]], Callable[[Machine, Any], Any]] = {
    ReadAt: read_at,
    WriteAt: write_at,
    Synchronize: synchronize,
    Stat: stat_file,
    StatVolume: stat_volume,
    CheckAccess: check_access,
    Truncate: truncate,
    Allocate: allocate,
    SetTimes: set_times,
    SetMode: set_mode,
    GetXattr: get_xattr,
    SetXattr: set_xattr,
    StatEntries: stat_entries,
}
