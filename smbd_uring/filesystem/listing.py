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

from smbd_uring import _native
from smbd_uring.filesystem import dos_attributes
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
) -> Sequence[ListedEntry]:
    """`ports.Filesystem.describe`; in the order of `entries`.

    Names that are not UTF-8 or have a character SMB cannot carry are left out: no client could open them.
    """
    names = [entry.name for entry in entries]
    if root.veto_list:
        names = [name for name in names if not is_vetoed(root.veto_list, client_name(name) or "")]
    if len(names) <= DIRECTORY_BATCH_ENTRIES:
        return await _describe_batch(root, directory, directory_components, names, credentials)
    listed: list[ListedEntry] = []
    for start in range(0, len(names), DIRECTORY_BATCH_ENTRIES):
        batch = names[start : start + DIRECTORY_BATCH_ENTRIES]
        listed += await _describe_batch(root, directory, directory_components, batch, credentials)
    return listed


async def _describe_batch(
    root: ShareRoot, directory: Handle, directory_components: tuple[str, ...], names: list[bytes],
    credentials: Credentials,
) -> Sequence[ListedEntry]:  # fmt: skip
    answers = await StatEntries(directory, names, DOS_ATTRIBUTES_XATTR, credentials)
    if _native.list_entries is not None and _native.EntryTable is not None and isinstance(answers, _native.EntryTable):
        seen = _native.list_entries(
            answers, root.store_dos_attributes, root.hide_dot_files, dos_attributes.decode, ListedEntry, FileFacts
        )
        if seen is not None:
            return seen
    listed: list[ListedEntry] = []
    for on_disk, answer in zip(names, answers, strict=True):
        name = client_name(on_disk)
        if answer is None or name is None:
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
