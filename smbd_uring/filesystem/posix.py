"""The file system a share offers when it is a directory of this machine: `ports.Filesystem`, put together.

Knows: which module does what.  Must not know: how.
"""

from __future__ import annotations

import os
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from smbd_uring.filesystem import attributes as attributes_of_files
from smbd_uring.filesystem import creation, listing, lookup, names, naming
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

_Result = TypeVar("_Result")
_Answer = Coroutine[Any, Any, _Result]
"""What an `async def` gives; those that only hand over are none, for one step less at each effect."""


class PosixFilesystem:
    """`ports.Filesystem` over the kernel's own files.  Keeps nothing between calls but the names of directories, with
    every change of them; the methods' contracts are the protocol's."""

    def __init__(self) -> None:
        self._index = NameIndex()

    async def open_root(self, path: str) -> Handle:
        return await OpenAt(None, os.fsencode(path), os.O_PATH | os.O_DIRECTORY)

    def lookup(self, root: ShareRoot, components: tuple[str, ...], credentials: Credentials) -> _Answer[Found]:
        return lookup.lookup(root, self._index, components, credentials)

    def glance(self, root: ShareRoot, components: tuple[str, ...], credentials: Credentials) -> _Answer[FileFacts]:
        return lookup.glance(root, components, credentials)

    def facts(self, root: ShareRoot, handle: Handle, name: str, credentials: Credentials) -> _Answer[FileFacts]:
        return attributes_of_files.read_facts(root, handle, name, credentials)

    def create_file(
        self, root: ShareRoot, components: tuple[str, ...], flags: int, attributes: int, credentials: Credentials
    ) -> _Answer[tuple[Handle, FileFacts]]:
        return creation.create_file(root, self._index, components, flags, attributes, credentials)

    def create_directory(
        self, root: ShareRoot, components: tuple[str, ...], attributes: int, credentials: Credentials
    ) -> _Answer[Handle]:
        return creation.create_directory(root, self._index, components, attributes, credentials)

    async def list_names(self, handle: Handle) -> list[DirectoryEntry]:
        return await ListDirectory(handle)

    def describe(
        self,
        root: ShareRoot,
        directory: Handle,
        directory_components: tuple[str, ...],
        entries: Sequence[DirectoryEntry],
        credentials: Credentials,
    ) -> _Answer[Sequence[ListedEntry]]:
        return listing.describe(root, directory, directory_components, entries, credentials)

    def delete(
        self,
        root: ShareRoot,
        components: tuple[str, ...],
        identity: tuple[int, int],
        is_directory: bool,
        credentials: Credentials,
    ) -> _Answer[None]:
        return naming.delete(root, self._index, components, identity, is_directory, credentials)

    def rename(
        self,
        root: ShareRoot,
        old: tuple[str, ...],
        new: tuple[str, ...],
        identity: tuple[int, int],
        replace: bool,
        credentials: Credentials,
    ) -> _Answer[tuple[str, ...]]:
        return naming.rename(root, self._index, old, new, identity, replace, credentials)

    def link(
        self,
        root: ShareRoot,
        old: tuple[str, ...],
        new: tuple[str, ...],
        identity: tuple[int, int],
        replace: bool,
        credentials: Credentials,
    ) -> _Answer[None]:
        return naming.link(root, self._index, old, new, identity, replace, credentials)

    def set_attributes(
        self,
        root: ShareRoot,
        handle: Handle,
        facts: FileFacts,
        attributes: int | None,
        created_ns: int | None,
        credentials: Credentials,
    ) -> _Answer[None]:
        return attributes_of_files.write_attributes(root, handle, facts, attributes, created_ns, credentials)

    def may_delete(
        self, root: ShareRoot, components: tuple[str, ...], facts: FileFacts, credentials: Credentials
    ) -> _Answer[bool]:
        return naming.may_delete(root, self._index, components, facts, credentials)

    def is_visible(self, root: ShareRoot, components: tuple[str, ...]) -> bool:
        return names.are_visible(root.veto_list, components)

    def open_folder(self, root: ShareRoot, folder: Handle, below: tuple[str, ...]) -> _Answer[Handle]:
        return lookup.open_folder(root, folder, below)

    def may_list(
        self, root: ShareRoot, folder: Handle, below: tuple[str, ...], credentials: Credentials
    ) -> _Answer[bool]:
        return lookup.may_list(root, folder, below, credentials)

    def directory_is_empty(self, handle: Handle, credentials: Credentials) -> _Answer[bool]:
        return listing.directory_is_empty(handle, credentials)
