"""Listing directories: names, and the facts of many of them at once.

Knows: which entries a client may see and what a symlink stands for.  Must not know: search patterns, information
classes, where a listing stopped.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from typing import Final

from smbd_uring.filesystem.attributes import facts_of, read_facts
from smbd_uring.filesystem.dos_attributes import DOS_ATTRIBUTES_XATTR
from smbd_uring.filesystem.handles import Opened
from smbd_uring.filesystem.lookup import open_beneath
from smbd_uring.filesystem.names import client_name, is_vetoed
from smbd_uring.limits import DIRECTORY_BATCH_ENTRIES
from smbd_uring.ports import (
    Credentials,
    DirectoryEntry,
    FileFacts,
    Handle,
    ListDirectory,
    ListedEntry,
    Reopen,
    ShareRoot,
    StatEntries,
)

_S_IFMT: Final = 0o170000

_new_tuple = tuple.__new__
"""Makes a record without its constructor, which takes as long as all the rest."""

_LEADS_NOWHERE: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG}
)
"""A symlink that a client could not open either."""


async def describe(
    root: ShareRoot,
    directory: Handle,
    directory_components: tuple[str, ...],
    entries: Sequence[DirectoryEntry],
    credentials: Credentials,
) -> list[ListedEntry]:
    """`ports.Filesystem.describe`; in the order of `entries`.

    Names that are not UTF-8 or have a character SMB cannot carry are left out: no client could open them.
    """
    on_disk: list[bytes] = []
    visible: list[str] = []
    for entry in entries:
        name = client_name(entry.name)
        if name is not None and not (root.veto_list and is_vetoed(root.veto_list, name)):
            on_disk.append(entry.name)
            visible.append(name)
    listed: list[ListedEntry] = []
    for start in range(0, len(visible), DIRECTORY_BATCH_ENTRIES):
        end = start + DIRECTORY_BATCH_ENTRIES
        answers = await StatEntries(directory, on_disk[start:end], DOS_ATTRIBUTES_XATTR, credentials)
        for name, answer in zip(visible[start:end], answers, strict=True):
            if answer is None:
                continue
            status, value = answer
            if status.mode & _S_IFMT != stat.S_IFLNK:
                listed.append(_new_tuple(ListedEntry, (name, facts_of(root, status, name, value))))
                continue
            facts = await _facts_behind_symlink(root, (*directory_components, name), credentials)
            if facts is not None:
                listed.append(ListedEntry(name, facts))
    return listed


async def directory_is_empty(handle: Handle, credentials: Credentials) -> bool:
    """`ports.Filesystem.directory_is_empty`.  Vetoed and unspeakable names count: the kernel counts them too."""
    async with Opened(Reopen(handle, os.O_RDONLY | os.O_DIRECTORY, credentials)) as readable:
        return not await ListDirectory(readable)


async def _facts_behind_symlink(
    root: ShareRoot, components: tuple[str, ...], credentials: Credentials
) -> FileFacts | None:
    try:
        async with Opened(open_beneath(root, components, os.O_PATH, credentials)) as target:
            return await read_facts(root, target, components[-1], credentials)
    except OSError as failure:
        if failure.errno in _LEADS_NOWHERE:
            return None
        raise
