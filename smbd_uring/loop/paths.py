"""What opening, describing and removing one file take, each as one function: native where it can be.

Knows: the calls that belong together, their Python twins.  Must not know: effects, identities.

Names hold no NUL byte and are single components, and an empty `xattr` asks for none; callers see to both.
"""

from __future__ import annotations

import errno
import os
import stat as modes
from typing import Any, Final

from smbd_uring import _native
from smbd_uring.loop import arguments, libc
from smbd_uring.ports import Created, FileStatus, Handle, LookedUp

Described = tuple[FileStatus, bytes | None]

WITHOUT_LIMIT: Final = (1 << 63) - 1
"""As `bytes_max`: whatever it costs."""

_NO_VALUE: Final = frozenset({errno.ENODATA, errno.EOPNOTSUPP, errno.EACCES, errno.EPERM, errno.ENOSYS})
"""Reading an xattr failed in a way that only means: there is none for this identity."""

_new_status = tuple.__new__
"""A FileStatus of fields that are known to be as many as it has."""


def look_up(
    directory: Handle, path: bytes, flags: int, resolve: int, xattr: bytes, cache: Any = None, identity: int = 0
) -> LookedUp:
    """A handle on `path` below `directory`, its status and one xattr.  Raises OSError.

    `cache` (`_native.ValueCache`, None for none) may know the value for the identity with the number `identity`.
    """
    if _native.paths is not None:
        descriptor, fields, value = _native.paths.look_up(
            directory, path, flags, resolve, xattr, cache, identity
        )
        return LookedUp(descriptor, _new_status(FileStatus, fields), value)
    handle = Handle(libc.openat2(directory, path, flags | os.O_CLOEXEC, 0, resolve))
    try:
        return LookedUp(handle, *describe(handle, xattr))
    except BaseException:
        os.close(handle)
        raise


def visit(directory: Handle, path: bytes, flags: int, resolve: int, mode: int) -> FileStatus:
    """Perform `ports.Visit` as whoever the thread is.  Raises OSError."""
    if _native.paths is not None:
        return _new_status(FileStatus, _native.paths.visit(directory, path, flags, resolve, mode))
    handle = Handle(libc.openat2(directory, path, flags | os.O_CLOEXEC, 0, resolve))
    try:
        status = libc.statx(handle, b"")
        if mode:
            libc.faccessat2(handle, mode)
        return status
    finally:
        os.close(handle)


def create_file(
    directory: Handle, path: bytes, flags: int, mode: int, resolve: int, xattr: bytes, value: bytes
) -> Created:
    """Perform `ports.CreateFile` as whoever the thread is.  Raises OSError when there is no new file."""
    if _native.paths is not None:
        handle, fields, error = _native.paths.create_file(directory, path, flags, mode, resolve, xattr, value)
        return Created(handle, None if fields is None else _new_status(FileStatus, fields), error)
    flags |= os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    handle = Handle(libc.openat2(directory, path, flags, mode, resolve))
    status = None
    try:
        status = libc.statx(handle, b"")
        if xattr:
            os.setxattr(handle, xattr, value + arguments.created_time(status))
            status = libc.statx(handle, b"")
    except OSError as error:
        return Created(handle, status, error.errno or errno.EIO)
    return Created(handle, status, 0)


def describe(handle: Handle, xattr: bytes, cache: Any = None, identity: int = 0) -> Described:
    """Status and one xattr of the file behind any handle; `cache` as in `look_up`.  Raises OSError."""
    if _native.paths is not None:
        fields, value = _native.paths.describe(handle, xattr, cache, identity)
        return (_new_status(FileStatus, fields), value)
    status = libc.statx(handle, b"")
    if not xattr:
        return (status, None)
    try:
        return (status, get_xattr(handle, xattr))
    except OSError as error:
        if error.errno not in _NO_VALUE:
            raise
        return (status, None)


def describe_at(
    directory: Handle, path: bytes, resolve: int, xattr: bytes, cache: Any = None, identity: int = 0
) -> Described:
    """Status and one xattr of `path` below `directory`; `cache` as in `look_up`.  Raises OSError."""
    if _native.paths is not None:
        fields, value = _native.paths.describe_at(directory, path, resolve, xattr, cache, identity)
        return (_new_status(FileStatus, fields), value)
    found = look_up(directory, path, os.O_PATH, resolve, xattr)
    os.close(found.handle)
    return (found.status, found.value)


def stat(directory: Handle, name: bytes, flags: int = 0) -> FileStatus:
    """Status of one name, or of the handle itself; `flags` are more AT_* flags of statx.  Raises OSError."""
    if _native.paths is not None:
        return _new_status(FileStatus, _native.paths.stat(directory, name, flags))
    return libc.statx(directory, name, flags)


def open_at(directory: int, path: bytes, flags: int, mode: int, resolve: int) -> Handle:
    """openat2.  Raises OSError."""
    native = _native.paths
    return Handle((libc.openat2 if native is None else native.open_at)(directory, path, flags, mode, resolve))


def reopen(handle: Handle, flags: int) -> Handle:
    """The file behind a handle, opened again.  Raises OSError."""
    if _native.paths is not None:
        return Handle(_native.paths.reopen(handle, flags))
    return Handle(libc.openat2(libc.AT_FDCWD, arguments.magic_path(handle), flags, 0, 0))


def check_access(handle: Handle, mode: int) -> None:
    """Perform `ports.CheckAccess` as whoever the thread is.  Raises OSError."""
    (libc.faccessat2 if _native.paths is None else _native.paths.check_access)(handle, mode)


def close_small(handle: Handle, bytes_max: int) -> bool:
    """Close a handle unless that may free more than `bytes_max` of a file that has no name left.

    Result: whether it was closed.  Raises OSError; closed it is all the same."""
    if _native.paths is not None:
        closed: bool = _native.paths.close_small(handle, bytes_max)
        return closed
    status = os.fstat(handle)
    if not status.st_nlink and status.st_blocks * 512 > bytes_max:
        return False
    os.close(handle)
    return True


def remove(
    directory: Handle,
    path: bytes,
    resolve: int,
    name: bytes,
    identity: tuple[int, int],
    is_directory: bool,
    bytes_max: int = WITHOUT_LIMIT,
) -> bool:
    """Perform `ports.Remove`.  Result: False, and nothing done, when that would free more than `bytes_max`."""
    if _native.paths is not None:
        removed: bool = _native.paths.remove(
            directory, path, resolve, name, *identity, is_directory, bytes_max
        )
        return removed
    if not path:
        return _remove_from(directory, name, identity, is_directory, bytes_max)
    parent = Handle(libc.openat2(directory, path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, 0, resolve))
    try:
        return _remove_from(parent, name, identity, is_directory, bytes_max)
    finally:
        os.close(parent)


def get_xattr(handle: Handle, name: bytes) -> bytes:
    """The value.  Raises OSError."""
    try:
        return os.getxattr(handle, name)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
    return os.getxattr(arguments.magic_path(handle), name)


def set_xattr(handle: Handle, name: bytes, value: bytes) -> None:
    """Set it.  Raises OSError."""
    try:
        os.setxattr(handle, name, value)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        # An O_PATH handle; the file behind it is reached by its magic link.
        os.setxattr(arguments.magic_path(handle), name, value)


def is_larger(status: FileStatus, bytes_max: int) -> bool:
    """Whether taking this name away frees more than `bytes_max`."""
    return status.link_count == 1 and not modes.S_ISDIR(status.mode) and status.allocated > bytes_max


def _remove_from(
    parent: Handle, name: bytes, identity: tuple[int, int], is_directory: bool, bytes_max: int
) -> bool:
    status = libc.statx(parent, name, libc.AT_NO_AUTOMOUNT | libc.AT_STATX_DONT_SYNC)
    if modes.S_ISLNK(status.mode):
        raise arguments.refused(errno.ELOOP, "a symlink")
    if status.identity != identity:
        raise arguments.refused(errno.ENOENT, "another file")
    if is_larger(status, bytes_max):
        return False
    (os.rmdir if is_directory else os.unlink)(name, dir_fd=parent)
    return True
