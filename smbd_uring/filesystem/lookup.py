"""Finding files below a share's root, exactly or without case, and never outside it.

Knows: path resolution by openat2 ([openat2(2)]), names as `names` compares them.  Must not know: who asks, and why.

Every path is resolved from the root, by the kernel, in one step: a symlink inside the share may lead anywhere inside
the share and nowhere else, and nothing between two steps can be swapped for a way out.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Final, TypeVar

from smbd_uring.filesystem.attributes import facts_of
from smbd_uring.filesystem.dos_attributes import DOS_ATTRIBUTES_XATTR
from smbd_uring.filesystem.handles import close
from smbd_uring.filesystem.name_index import NameIndex
from smbd_uring.filesystem.names import client_name, encode_component, fold, is_vetoed
from smbd_uring.limits import RESOLVE_RETRIES_MAX
from smbd_uring.ports import (
    Credentials,
    DescribeAt,
    Effect,
    FileFacts,
    Found,
    Handle,
    LookedUp,
    LookUp,
    OpenAt,
    PathMissing,
    ShareRoot,
    Visit,
)

Answer = TypeVar("Answer")

RESOLVE_NO_XDEV: Final = 0x01
RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_BENEATH: Final = 0x08

Components = tuple[str, ...]


def resolve_flags(root: ShareRoot) -> int:
    """openat2's `resolve` for paths below this root."""
    resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS
    if not root.follow_symlinks:
        resolve |= RESOLVE_NO_SYMLINKS
    if not root.cross_mounts:
        resolve |= RESOLVE_NO_XDEV
    return resolve


async def find_parent(
    root: ShareRoot, index: NameIndex, components: Components, credentials: Credentials
) -> Components:
    """The path of the directory at `components` as it is on disk.  Raises as `find_directory`."""
    on_disk, handle = await find_directory(root, index, components, credentials)
    await close(handle)
    return on_disk


def encode_path(components: Sequence[str]) -> bytes:
    """The path below a root as the kernel has it; empty for the root itself.  Raises OSError as `encode_component`."""
    if len(components) == 1:
        return encode_component(components[0])
    return b"/".join([encode_component(component) for component in components])


async def open_beneath(
    root: ShareRoot, components: Sequence[str], flags: int, credentials: Credentials
) -> Handle:
    """Open an existing path exactly as named.  Raises OSError as openat2 does, EXDEV when it leads out."""
    path = encode_path(components) or b"."
    return await settled(OpenAt(root.handle, path, flags, 0, resolve_flags(root), credentials))


async def look_beneath(
    root: ShareRoot, components: Sequence[str], flags: int, xattr: bytes, credentials: Credentials
) -> LookedUp:
    """A handle on an existing path exactly as named, its status and one xattr.  Raises as `open_beneath`."""
    path = encode_path(components) or b"."
    return await settled(LookUp(root.handle, path, flags, resolve_flags(root), xattr, credentials))


async def settled(effect: Effect[Answer]) -> Answer:
    """Resolve a path until the kernel can say where it leads.  While somebody renames a directory it is on its way
    up from through "..", it cannot say whether the way stayed inside."""
    retries = RESOLVE_RETRIES_MAX
    while True:
        try:
            return await effect
        except OSError as failure:
            if failure.errno != errno.EAGAIN or retries == 0:
                raise
        retries -= 1


async def lookup(root: ShareRoot, index: NameIndex, components: Components, credentials: Credentials) -> Found:
    """`ports.Filesystem.lookup`."""
    if root.veto_list:
        if components and is_vetoed(root.veto_list, components[-1]):
            encode_component(components[-1])
            parent = await find_parent(root, index, components[:-1], credentials)
            return Found((*parent, components[-1]), None, None)
        refuse_vetoed(root, components)
    xattr = DOS_ATTRIBUTES_XATTR if root.store_dos_attributes else b""
    path, on_disk = encode_path(components) or b".", components
    found: LookedUp | None
    try:
        # The usual case, before anything else is thought of.
        found = await LookUp(root.handle, path, os.O_PATH, resolve_flags(root), xattr, credentials)
    except OSError as failure:
        if failure.errno == errno.EAGAIN:
            on_disk, found = await _find(root, index, components, credentials, os.O_PATH, xattr)
        else:
            on_disk, found = await _find_otherwise(root, index, components, credentials, os.O_PATH, xattr, failure)
        if found is None:
            return Found(on_disk, None, None)
    facts = facts_of(root, found.status, on_disk[-1] if on_disk else "", found.value)
    return Found(on_disk, found.handle, facts)


async def glance(root: ShareRoot, components: Components, credentials: Credentials) -> FileFacts:
    """`ports.Filesystem.glance`."""
    if root.veto_list:
        refuse_vetoed(root, components)
    xattr = DOS_ATTRIBUTES_XATTR if root.store_dos_attributes else b""
    path = encode_path(components) or b"."
    status, value = await DescribeAt(root.handle, path, resolve_flags(root), xattr, credentials)
    return facts_of(root, status, components[-1] if components else "", value)


async def find_directory(
    root: ShareRoot, index: NameIndex, components: Components, credentials: Credentials
) -> tuple[Components, Handle]:
    """The directory at `components`: its path as it is on disk and an O_PATH handle, which the caller closes.
    Raises PathMissing when it does not exist or is something else."""
    on_disk, found = await _find_directory(root, index, components, credentials)
    return on_disk, found.handle


async def find_opened_directory(
    root: ShareRoot, index: NameIndex, components: Components, credentials: Credentials
) -> LookedUp:
    """As `find_directory`: the handle, and the directory's status."""
    return (await _find_directory(root, index, components, credentials))[1]


async def _find_directory(
    root: ShareRoot, index: NameIndex, components: Components, credentials: Credentials
) -> tuple[Components, LookedUp]:
    refuse_vetoed(root, components)
    on_disk, found = await _find(root, index, components, credentials, os.O_PATH | os.O_DIRECTORY, b"")
    if found is None:
        raise _missing(errno.ENOENT)
    return on_disk, found


async def find_name(
    root: ShareRoot, index: NameIndex, directory: Components, name: str, credentials: Credentials
) -> str | None:
    """The name in a directory (its path as on disk) that equals `name`, the exact one first; None when there is none
    or the directory may not be read.  Dangling symlinks count: the name is taken."""
    folded, path, flags = fold(name), encode_path(directory) or b".", os.O_RDONLY | os.O_DIRECTORY
    try:
        status = await settled(Visit(root.handle, path, flags, resolve_flags(root), 0, credentials))
        matching = await index.known(status.identity, folded)
        if matching is None:
            opened = await look_beneath(root, directory, flags, b"", credentials)
            try:
                matching = await index.matching(opened.handle, opened.status.identity, folded)
            finally:
                await close(opened.handle)
    except OSError as failure:
        if failure.errno == errno.EACCES:
            return None
        raise
    if not matching:
        return None
    if encode_component(name) in matching:
        return name
    # The smallest, so that two that differ in case only are not taken in turns.
    for candidate in sorted(matching):
        visible = client_name(candidate)
        if visible is not None and not is_vetoed(root.veto_list, visible):
            return visible
    return None


async def _find(
    root: ShareRoot, index: NameIndex, components: Components, credentials: Credentials, flags: int, xattr: bytes
) -> tuple[Components, LookedUp | None]:
    """The path as it is on disk as far as it exists, and what is there, or None when only the last component does not
    exist."""
    try:
        return components, await look_beneath(root, components, flags, xattr, credentials)
    except OSError as failure:
        return await _find_otherwise(root, index, components, credentials, flags, xattr, failure)


async def _find_otherwise(
    root: ShareRoot, index: NameIndex, components: Components, credentials: Credentials, flags: int, xattr: bytes,
    failure: OSError,
) -> tuple[Components, LookedUp | None]:  # fmt: skip
    """As `_find`, when looking for exactly these names ended in `failure`."""
    if failure.errno != errno.ENOENT or not components:
        raise _as_missing(failure) from None
    length, name = await _first_inexact(root, index, components, credentials)
    on_disk = components[:length]
    while name is not None:
        on_disk = (*on_disk, name)
        rest = components[len(on_disk):]
        try:
            return on_disk + rest, await look_beneath(root, on_disk + rest, flags, xattr, credentials)
        except OSError as failure:
            if failure.errno != errno.ENOENT:
                raise _as_missing(failure) from None
        if not rest:
            # The name is there and leads nowhere: a dangling symlink, or gone since.
            return on_disk, None
        try:
            name = await find_name(root, index, on_disk, rest[0], credentials)
        except OSError as failure:
            raise _as_missing(failure) from None
    if len(components) - len(on_disk) > 1:
        raise _missing(errno.ENOENT)
    return on_disk + components[len(on_disk):], None


async def _first_inexact(
    root: ShareRoot, index: NameIndex, components: Components, credentials: Credentials
) -> tuple[int, str | None]:
    """How many components exist exactly as asked, and the name on disk of the one after them, if any.

    From the end, since the usual path that does not exist is a new file in a directory that does.
    """
    length = len(components) - 1
    while True:
        try:
            return length, await find_name(root, index, components[:length], components[length], credentials)
        except OSError as failure:
            if failure.errno != errno.ENOENT or length == 0:
                raise _as_missing(failure) from None
        length -= 1


async def open_folder(root: ShareRoot, folder: Handle, below: Components) -> Handle:
    """`ports.Filesystem.open_folder`."""
    resolve = resolve_flags(root) | RESOLVE_NO_SYMLINKS
    return await settled(OpenAt(folder, encode_path(below) or b".", os.O_RDONLY | os.O_DIRECTORY, 0, resolve))


async def may_list(root: ShareRoot, folder: Handle, below: Components, credentials: Credentials) -> bool:
    """`ports.Filesystem.may_list`."""
    path, resolve = encode_path(below) or b".", resolve_flags(root) | RESOLVE_NO_SYMLINKS
    try:
        await settled(Visit(folder, path, os.O_RDONLY | os.O_DIRECTORY, resolve, 0, credentials))
    except PermissionError:
        return False
    return True


def refuse_vetoed(root: ShareRoot, components: Components) -> None:
    """PathMissing when a name in the path is one that the share hides."""
    if any(is_vetoed(root.veto_list, component) for component in components):
        raise _missing(errno.ENOENT)


def _as_missing(failure: OSError) -> OSError:
    """Something that is no directory in the middle of a path, or a parent gone, is a missing path."""
    return _missing(failure.errno) if failure.errno in (errno.ENOENT, errno.ENOTDIR) else failure


def _missing(number: int) -> PathMissing:
    return PathMissing(number, os.strerror(number))
