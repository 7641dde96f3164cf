"""The simulated calls that are several steps in one: looking a file up, describing it, removing it.

Knows: the single calls they are made of; each may meet a fault that a test has ordered.  Must not know: what the
single calls do.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any, Protocol

from smbd_uring.loop import arguments
from smbd_uring.ports import (
    CheckAccess,
    CloseHandle,
    Created,
    CreateFile,
    Describe,
    DescribeAt,
    Effect,
    FileStatus,
    GetXattr,
    Handle,
    LookedUp,
    LookUp,
    OpenAt,
    Remove,
    SetXattr,
    Stat,
    Unlink,
    Visit,
)
from tests.sim import name_calls
from tests.sim.nodes import failure

_NO_VALUE = (errno.ENODATA, errno.EOPNOTSUPP, errno.EACCES, errno.EPERM)


class Kernel(Protocol):
    """What performs the single steps."""

    def perform(self, effect: Effect[Any]) -> Any: ...


def look_up(kernel: Kernel, effect: LookUp) -> LookedUp:
    opening = OpenAt(
        effect.directory, effect.path, effect.flags, 0, effect.resolve, effect.credentials
    )
    handle: Handle = kernel.perform(opening)
    try:
        return LookedUp(handle, *describe(kernel, Describe(handle, effect.xattr, effect.credentials)))
    except OSError:
        kernel.perform(CloseHandle(handle))
        raise


def visit(kernel: Kernel, effect: Visit) -> FileStatus:
    opening = OpenAt(effect.directory, effect.path, effect.flags, 0, effect.resolve, effect.credentials)
    handle: Handle = kernel.perform(opening)
    try:
        status: FileStatus = kernel.perform(Stat(handle))
        if effect.mode:
            kernel.perform(CheckAccess(handle, effect.mode, effect.credentials))
        return status
    finally:
        kernel.perform(CloseHandle(handle))


def create_file(kernel: Kernel, effect: CreateFile) -> Created:
    flags = effect.flags | os.O_CREAT | os.O_EXCL
    opening = OpenAt(effect.directory, effect.path, flags, effect.mode, effect.resolve, effect.credentials)
    handle: Handle = kernel.perform(opening)
    status = None
    try:
        status = kernel.perform(Stat(handle))
        if effect.xattr:
            value = effect.value + arguments.created_time(status)
            kernel.perform(SetXattr(handle, effect.xattr, value, effect.credentials))
            status = kernel.perform(Stat(handle))
    except OSError as error:
        assert error.errno is not None
        return Created(handle, status, error.errno)
    return Created(handle, status, 0)


def describe(kernel: Kernel, effect: Describe) -> tuple[FileStatus, bytes | None]:
    status: FileStatus = kernel.perform(Stat(effect.handle))
    if not effect.xattr:
        return (status, None)
    try:
        return (status, kernel.perform(GetXattr(effect.handle, effect.xattr, effect.credentials)))
    except OSError as error:
        if error.errno not in _NO_VALUE:
            raise
        return (status, None)


def describe_at(kernel: Kernel, effect: DescribeAt) -> tuple[FileStatus, bytes | None]:
    found = look_up(
        kernel,
        LookUp(effect.directory, effect.path, os.O_PATH, effect.resolve, effect.xattr, effect.credentials),
    )
    kernel.perform(CloseHandle(found.handle))
    return (found.status, found.value)


def remove(kernel: Kernel, effect: Remove) -> None:
    name_calls.component(effect.name)
    if not effect.path:
        _remove_from(kernel, effect.directory, effect)
        return
    flags = os.O_PATH | os.O_DIRECTORY
    parent: Handle = kernel.perform(
        OpenAt(effect.directory, effect.path, flags, 0, effect.resolve, effect.credentials)
    )
    try:
        _remove_from(kernel, parent, effect)
    finally:
        kernel.perform(CloseHandle(parent))


def _remove_from(kernel: Kernel, parent: Handle, effect: Remove) -> None:
    status: FileStatus = kernel.perform(Stat(parent, effect.name, effect.credentials))
    if status.mode & 0o170000 == 0o120000:
        raise failure(errno.ELOOP)
    if status.identity != effect.identity:
        raise failure(errno.ENOENT)
    kernel.perform(Unlink(parent, effect.name, effect.is_directory, effect.credentials))


ACTIONS: dict[type[Effect[Any]], Callable[[Any, Any], Any]] = {
    LookUp: look_up,
    Visit: visit,
    CreateFile: create_file,
    Describe: describe,
    DescribeAt: describe_at,
    Remove: remove,
}
