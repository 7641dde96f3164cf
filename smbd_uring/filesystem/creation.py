"""Creating files and directories with a share's modes.

Knows: `create mask` and its relatives, the order of steps that leaves nothing half made.  Must not know: dispositions,
who may create.

The process's umask is 0; a mode is what the share's configuration makes of it.
"""

from __future__ import annotations

import errno
import os
from typing import Final

from smbd_uring.filesystem.attributes import NOT_STORABLE, facts_of_new, write_initial_attributes
from smbd_uring.filesystem.dos_attributes import DOS_ATTRIBUTES_XATTR, encode_but_time
from smbd_uring.filesystem.handles import Opened, close
from smbd_uring.filesystem.lookup import (
    Components,
    encode_path,
    find_directory,
    find_parent,
    open_beneath,
    refuse_vetoed,
    resolve_flags,
    settled,
)
from smbd_uring.filesystem.name_index import NameIndex
from smbd_uring.filesystem.names import encode_component, error, is_vetoed
from smbd_uring.ports import (
    Created,
    CreateFile,
    Credentials,
    FileFacts,
    Handle,
    MakeDirectory,
    OpenAt,
    ShareRoot,
    Stat,
    Unlink,
)

_EXECUTE_OTHERS: Final = 0o011


def file_mode(root: ShareRoot) -> int:
    """Permission bits of a new file: all of `create mask`, but execution for the owner only, plus `force create mode`.

    With the masks' defaults that is 0744, as Samba has it: Windows knows no execute bit and whoever created a program
    expects to run it; that others may has to be forced.
    """
    return 0o777 & root.create_mask & ~_EXECUTE_OTHERS | root.force_create_mode


def directory_mode(root: ShareRoot) -> int:
    """Permission bits of a new directory: `directory mask` plus `force directory mode`."""
    return 0o777 & root.directory_mask | root.force_directory_mode


async def create_file(
    root: ShareRoot, index: NameIndex, components: Components, flags: int, attributes: int, credentials: Credentials
) -> tuple[Handle, FileFacts]:
    """`ports.Filesystem.create_file`.  The DOS attributes are stored as given."""
    _check_new_name(root, components)
    if root.veto_list:
        refuse_vetoed(root, components[:-1])
    try:
        created = await _make_file(root, components, flags, attributes, credentials)
    except OSError as failure:
        if failure.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
        # The directory is not there, or not in this case.
        parent = await find_parent(root, index, components[:-1], credentials)
        components = (*parent, components[-1])
        created = await _make_file(root, components, flags, attributes, credentials)
    handle, status, number = created
    if status is None or (number and number not in NOT_STORABLE):
        await _take_back(root, components, handle, False, credentials)
        raise error(number)
    stored = attributes if root.store_dos_attributes and not number else None
    return handle, facts_of_new(root, status, components[-1], stored)


async def create_directory(
    root: ShareRoot, index: NameIndex, components: Components, attributes: int, credentials: Credentials
) -> Handle:
    """`ports.Filesystem.create_directory`.  The DOS attributes are stored as given."""
    name = _check_new_name(root, components)
    parent, parent_handle = await find_directory(root, index, components[:-1], credentials)
    try:
        await MakeDirectory(parent_handle, name, directory_mode(root), credentials)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        try:
            handle = await OpenAt(parent_handle, name, flags, 0, resolve_flags(root), credentials)
        except OSError:
            await _remove(parent_handle, name, True, credentials)
            raise
    finally:
        await close(parent_handle)
    await _finish(root, (*parent, components[-1]), handle, attributes, True, credentials)
    return handle


def _check_new_name(root: ShareRoot, components: Components) -> bytes:
    if not components:
        raise error(errno.EEXIST)
    if is_vetoed(root.veto_list, components[-1]):
        raise error(errno.EACCES)
    return encode_component(components[-1])


async def _make_file(
    root: ShareRoot, components: Components, flags: int, attributes: int, credentials: Credentials
) -> Created:
    path, resolve, xattr, value = encode_path(components), resolve_flags(root), b"", b""
    if root.store_dos_attributes:
        xattr, value = DOS_ATTRIBUTES_XATTR, encode_but_time(attributes)
    flags |= os.O_NOFOLLOW
    return await settled(
        CreateFile(root.handle, path, flags, file_mode(root), resolve, xattr, value, credentials)
    )


async def _finish(
    root: ShareRoot,
    components: Components,
    handle: Handle,
    attributes: int,
    is_directory: bool,
    credentials: Credentials,
) -> None:
    """Store the DOS attributes; when that fails for good nothing is left behind."""
    try:
        await write_initial_attributes(root, handle, attributes, credentials)
    except BaseException:
        await _take_back(root, components, handle, is_directory, credentials)
        raise


async def _take_back(
    root: ShareRoot, components: Components, handle: Handle, is_directory: bool, credentials: Credentials
) -> None:
    """Close what was just made, and take its name away unless it is somebody else's by now."""
    try:
        created = (await Stat(handle)).identity
    finally:
        await close(handle)
    name = encode_component(components[-1])
    async with Opened(open_beneath(root, components[:-1], os.O_PATH | os.O_DIRECTORY, credentials)) as parent:
        if (await Stat(parent, name)).identity == created:
            await _remove(parent, name, is_directory, credentials)


async def _remove(parent: Handle, name: bytes, is_directory: bool, credentials: Credentials) -> None:
    try:
        await Unlink(parent, name, is_directory, credentials)
    except OSError as failure:
        # Somebody was faster, or put something into it: it is no longer ours.
        if failure.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR):
            raise
