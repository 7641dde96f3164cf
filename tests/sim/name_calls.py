"""The simulated calls that find, make, move and take away names.

Knows: the order in which Linux checks things, since that decides which errno a caller sees.  Must not know: file data.
"""

from __future__ import annotations

import errno
import os
import stat
import zlib
from collections.abc import Callable
from typing import Any

from smbd_uring.ports import (
    CloseHandle,
    Credentials,
    DirectoryEntry,
    Effect,
    Handle,
    Link,
    ListDirectory,
    MakeDirectory,
    OpenAt,
    Rename,
    Reopen,
    Unlink,
)
from tests.sim.machine import SERVER, Machine
from tests.sim.nodes import Node, failure
from tests.sim.paths import Resolved, Walk, lookup

RENAME_NOREPLACE = 1

_PATH_FLAGS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def component(name: bytes) -> bytes:
    """As every driver: a name that is not one component is refused before the kernel sees it."""
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
        raise failure(errno.EINVAL)
    return name


def attach_directory(directory: Node, name: bytes, node: Node) -> None:
    """Give a new directory its name."""
    node.parent = directory
    node.link_count = 2
    directory.entries[name] = node
    directory.link_count += 1


def open_at(machine: Machine, effect: OpenAt) -> Handle:
    who = effect.credentials or SERVER
    if b"\0" in effect.path or (effect.directory is None and not effect.path.startswith(b"/")):
        raise failure(errno.EINVAL)
    flags, resolve = effect.flags, effect.resolve
    _check_flags(flags)
    start = machine.root if effect.directory is None else machine.file(effect.directory).node
    creates = bool(flags & os.O_CREAT)
    follow = not flags & os.O_NOFOLLOW and not (creates and flags & os.O_EXCL)
    resolved = Walk(start, machine.root, who, resolve, creates).run(effect.path, follow)
    node = resolved.node
    if node is None:
        if not creates:
            raise failure(errno.ENOENT)
        node = _create(machine, resolved, effect.mode, who)
        return machine.new_handle(node, flags)
    if creates and flags & os.O_EXCL:
        raise failure(errno.EEXIST)
    if creates and node.is_directory:
        raise failure(errno.EISDIR)
    if resolved.must_be_directory and not node.is_directory:
        raise failure(errno.ENOTDIR)
    return _open_node(machine, node, flags, who)


def reopen(machine: Machine, effect: Reopen) -> Handle:
    _check_flags(effect.flags)
    return _open_node(machine, machine.file(effect.handle).node, effect.flags, effect.credentials or SERVER)


def close(machine: Machine, effect: CloseHandle) -> None:
    opened = machine.file(effect.handle)
    node = opened.node
    del machine.open_files[effect.handle]
    node.ranges = [held for held in node.ranges if held.owner is not opened]
    machine.kernel_leases.pop(effect.handle, None)
    node.open_count -= 1
    node.free(machine.space)
    machine.changes.gone(node)


def make_directory(machine: Machine, effect: MakeDirectory) -> None:
    who, name = effect.credentials or SERVER, component(effect.name)
    parent = _searchable(machine, effect.directory, who)
    if lookup(parent, name) is not None:
        raise failure(errno.EEXIST)
    _may_create(parent, who)
    node = machine.new_node(stat.S_IFDIR | effect.mode & 0o1777, who)
    if parent.mode & stat.S_ISGID:
        node.gid, node.mode = parent.gid, node.mode | stat.S_ISGID
    attach_directory(parent, name, node)
    parent.touch(machine.now_ns)
    machine.changes.added(parent, name)


def unlink(machine: Machine, effect: Unlink) -> None:
    who, name = effect.credentials or SERVER, component(effect.name)
    parent = _searchable(machine, effect.directory, who)
    node = _existing(parent, name)
    _may_delete(parent, node, effect.is_directory, who)
    if effect.is_directory and node.entries:
        raise failure(errno.ENOTEMPTY)
    _detach(machine, parent, name)
    parent.touch(machine.now_ns)
    machine.changes.removed(parent, name, node)


def rename(machine: Machine, effect: Rename) -> None:
    who = effect.credentials or SERVER
    old_name, new_name = component(effect.old_name), component(effect.new_name)
    if effect.flags & ~RENAME_NOREPLACE:
        raise failure(errno.EINVAL)
    old_parent = _searchable(machine, effect.old_directory, who)
    new_parent = _searchable(machine, effect.new_directory, who)
    node = _existing(old_parent, old_name)
    taken = lookup(new_parent, new_name)
    if taken is not None and effect.flags & RENAME_NOREPLACE:
        raise failure(errno.EEXIST)
    if node.is_directory and node.is_ancestor_of(new_parent):
        raise failure(errno.EINVAL)
    if taken is not None and taken.is_directory and taken.is_ancestor_of(old_parent):
        raise failure(errno.ENOTEMPTY)
    if taken is node:
        return
    _may_delete(old_parent, node, node.is_directory, who)
    if taken is None:
        _may_create(new_parent, who)
    else:
        _may_delete(new_parent, taken, node.is_directory, who)
    if node.is_directory and old_parent is not new_parent:
        node.require(who, os.W_OK)
    if taken is not None and taken.entries:
        raise failure(errno.ENOTEMPTY)
    if taken is not None:
        _detach(machine, new_parent, new_name)
    del old_parent.entries[old_name]
    new_parent.entries[new_name] = node
    if node.is_directory:
        node.parent = new_parent
        old_parent.link_count -= 1
        new_parent.link_count += 1
    node.changed_ns = machine.now_ns
    old_parent.touch(machine.now_ns)
    new_parent.touch(machine.now_ns)
    machine.changes.renamed(old_parent, old_name, new_parent, new_name)
    if taken is not None:
        machine.changes.gone(taken)


def link(machine: Machine, effect: Link) -> None:
    who = effect.credentials or SERVER
    old_name, new_name = component(effect.old_name), component(effect.new_name)
    node = _existing(_searchable(machine, effect.old_directory, who), old_name)
    parent = _searchable(machine, effect.new_directory, who)
    if lookup(parent, new_name) is not None:
        raise failure(errno.EEXIST)
    if not node.is_owned_by(who) and not _is_safe_to_link(node, who):
        raise failure(errno.EPERM)
    _may_create(parent, who)
    if node.is_directory:
        raise failure(errno.EPERM)
    parent.entries[new_name] = node
    node.link_count += 1
    node.changed_ns = machine.now_ns
    parent.touch(machine.now_ns)
    machine.changes.added(parent, new_name)


def list_directory(machine: Machine, effect: ListDirectory) -> list[DirectoryEntry]:
    opened = machine.file(effect.handle)
    if not opened.node.is_directory:
        raise failure(errno.ENOTDIR)
    if not opened.reads:
        raise failure(errno.EBADF)
    # Like ext4's hashed directories: an order that says nothing.
    entries = sorted(opened.node.entries.items(), key=lambda entry: (zlib.crc32(entry[0]), entry[0]))
    return [DirectoryEntry(name, node.inode, stat.S_IFMT(node.mode) >> 12) for name, node in entries]


def _check_flags(flags: int) -> None:
    """openat2, unlike open, refuses flags that have no meaning together."""
    if (flags & os.O_PATH and flags & ~_PATH_FLAGS) or (flags & os.O_CREAT and flags & os.O_DIRECTORY):
        raise failure(errno.EINVAL)


def _create(machine: Machine, resolved: Resolved, mode: int, who: Credentials) -> Node:
    parent = resolved.directory
    _may_create(parent, who)
    node = machine.new_node(stat.S_IFREG | mode & 0o7777, who)
    if parent.mode & stat.S_ISGID:
        node.gid = parent.gid
    parent.entries[resolved.name] = node
    parent.touch(machine.now_ns)
    machine.changes.added(parent, resolved.name)
    return node


def _open_node(machine: Machine, node: Node, flags: int, who: Credentials) -> Handle:
    if flags & os.O_DIRECTORY and not node.is_directory:
        raise failure(errno.ENOTDIR)
    if flags & os.O_PATH:
        return machine.new_handle(node, flags)
    if node.is_symlink:
        raise failure(errno.ELOOP)
    kind = flags & os.O_ACCMODE
    access = {os.O_RDONLY: os.R_OK, os.O_WRONLY: os.W_OK, os.O_RDWR: os.R_OK | os.W_OK}.get(kind, 0)
    if flags & os.O_TRUNC:
        access |= os.W_OK
    if node.is_directory and access & os.W_OK:
        raise failure(errno.EISDIR)
    node.require(who, access)
    if flags & os.O_TRUNC:
        node.resize(0, machine.space)
        node.touch(machine.now_ns)
        machine.changes.written(node)
    return machine.new_handle(node, flags)


def _searchable(machine: Machine, directory: Handle, who: Credentials) -> Node:
    parent = machine.directory(directory)
    parent.require(who, os.X_OK)
    return parent


def _existing(parent: Node, name: bytes) -> Node:
    node = lookup(parent, name)
    if node is None:
        raise failure(errno.ENOENT)
    return node


def _may_create(parent: Node, who: Credentials) -> None:
    if parent.link_count == 0:
        raise failure(errno.ENOENT)
    parent.require(who, os.W_OK | os.X_OK)


def _may_delete(parent: Node, node: Node, is_directory: bool, who: Credentials) -> None:
    parent.require(who, os.W_OK | os.X_OK)
    if parent.mode & stat.S_ISVTX and not node.is_owned_by(who) and not parent.is_owned_by(who):
        raise failure(errno.EPERM)
    if is_directory and not node.is_directory:
        raise failure(errno.ENOTDIR)
    if not is_directory and node.is_directory:
        raise failure(errno.EISDIR)


def _is_safe_to_link(node: Node, who: Credentials) -> bool:
    """fs.protected_hardlinks, on wherever a distribution is: somebody else's file only when it could be copied."""
    special = node.mode & stat.S_ISUID or node.mode & (stat.S_ISGID | stat.S_IXGRP) == stat.S_ISGID | stat.S_IXGRP
    return node.is_file and not special and node.allows(who, os.R_OK | os.W_OK)


def _detach(machine: Machine, parent: Node, name: bytes) -> None:
    node = parent.entries.pop(name)
    node.changed_ns = machine.now_ns
    if node.is_directory:
        node.link_count = 0
        parent.link_count -= 1
    else:
        node.link_count -= 1
        node.free(machine.space)


ACTIONS: dict[type[Effect[Any]], Callable[[Machine, Any], Any]] = {
    OpenAt: open_at,
    Reopen: reopen,
    CloseHandle: close,
    MakeDirectory: make_directory,
    Unlink: unlink,
    Rename: rename,
    Link: link,
    ListDirectory: list_directory,
}
