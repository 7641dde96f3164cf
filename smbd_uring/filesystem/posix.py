"""The file system a share offers when it is a directory of this machine: `ports.Filesystem`, put together.

Knows: which module does what.  Must not know: how.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from smbd_uring.filesystem import attributes as attributes_of_files
from smbd_uring.filesystem import creation, listing, lookup, naming
from smbd_uring.filesystem.name_index import NameIndex
from smbd_uring.ports import (
    Credentials,
    DirectoryEntry,
    FileFacts,
    Found,
    Handle,
    ListDirectory,
    ListedEntry,
    OpenAt,
    ShareRoot,
)


class PosixFilesystem:
    """`ports.Filesystem` over the kernel's own files.  Keeps nothing between calls but the names of directories, with
    every change of them; the methods' contracts are the protocol's."""

    def __init__(self) -> None:
        self._index = NameIndex()

    async def open_root(self, path: str) -> Handle:
        return await OpenAt(None, os.fsencode(path), os.O_PATH | os.O_DIRECTORY)

    async def lookup(self, root: ShareRoot, components: tuple[str, ...], credentials: Credentials) -> Found:
        return await lookup.lookup(root, self._index, components, credentials)

    async def facts(self, root: ShareRoot, handle: Handle, name: str, credentials: Credentials) -> FileFacts:
        return await attributes_of_files.read_facts(root, handle, name, credentials)

    async def create_file(
        self, root: ShareRoot, components: tuple[str, ...], flags: int, attributes: int, credentials: Credentials
    ) -> Handle:
        return await creation.create_file(root, self._index, components, flags, attributes, credentials)

    async def create_directory(
        self, root: ShareRoot, components: tuple[str, ...], attributes: int, credentials: Credentials
    ) -> Handle:
        return await creation.create_directory(root, self._index, components, attributes, credentials)

    async def list_names(self, handle: Handle) -> list[DirectoryEntry]:
        return await ListDirectory(handle)

    async def describe(
        self,
        root: ShareRoot,
        directory: Handle,
        directory_components: tuple[str, ...],
        entries: Sequence[DirectoryEntry],
        credentials: Credentials,
    ) -> list[ListedEntry]:
        return await listing.describe(root, directory, directory_components, entries, credentials)

    async def delete(
        self,
        root: ShareRoot,
        components: tuple[str, ...],
        identity: tuple[int, int],
        is_directory: bool,
        credentials: Credentials,
    ) -> None:
        await naming.delete(root, self._index, components, identity, is_directory, credentials)

    async def rename(
        self,
        root: ShareRoot,
        old: tuple[str, ...],
        new: tuple[str, ...],
        identity: tuple[int, int],
        replace: bool,
        credentials: Credentials,
    ) -> tuple[str, ...]:
        return await naming.rename(root, self._index, old, new, identity, replace, credentials)

    async def link(
        self,
        root: ShareRoot,
        old: tuple[str, ...],
        new: tuple[str, ...],
        identity: tuple[int, int],
        replace: bool,
        credentials: Credentials,
    ) -> None:
        await naming.link(root, self._index, old, new, identity, replace, credentials)

    async def set_attributes(
        self,
        root: ShareRoot,
        handle: Handle,
        facts: FileFacts,
        attributes: int | None,
        created_ns: int | None,
        credentials: Credentials,
    ) -> None:
        await attributes_of_files.write_attributes(root, handle, facts, attributes, created_ns, credentials)

    async def may_delete(
        self, root: ShareRoot, components: tuple[str, ...], facts: FileFacts, credentials: Credentials
    ) -> bool:
        return await naming.may_delete(root, self._index, components, facts, credentials)

    async def directory_is_empty(self, handle: Handle, credentials: Credentials) -> bool:
        return await listing.directory_is_empty(handle, credentials)
