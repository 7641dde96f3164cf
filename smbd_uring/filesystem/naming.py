"""Taking names away, changing them and adding more: delete, rename and link, each on the file that was meant.

Knows: a name may lead to another file than a moment ago, so each is compared with the identity of the file the
client opened.  Must not know: who may do it, delete-on-close, share modes.

A symlink stands for the file it leads to, as everywhere; but it is the symlink's name that goes, changes or is
replaced.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from smbd_uring.filesystem.handles import Opened, close
from smbd_uring.filesystem.lookup import (
    Components,
    encode_path,
    find_directory,
    find_name,
    find_opened_directory,
    open_beneath,
    resolve_flags,
)
from smbd_uring.filesystem.name_index import NameIndex
from smbd_uring.filesystem.names import OWN_PREFIX, encode_component, error, is_vetoed
from smbd_uring.limits import TEMPORARY_NAMES_MAX
from smbd_uring.ports import (
    CheckAccess,
    Credentials,
    FileFacts,
    FileStatus,
    Handle,
    Link,
    Remove,
    Rename,
    ShareRoot,
    Stat,
    Unlink,
    Visit,
)

RENAME_NOREPLACE: Final = 1


@dataclass(frozen=True, slots=True)
class _Place:
    """A name in an opened directory; `directory` is the directory's path as it is on disk."""

    directory: Components
    handle: Handle
    name: str

    @property
    def components(self) -> Components:
        return (*self.directory, self.name)

    @property
    def encoded(self) -> bytes:
        return encode_component(self.name)


@dataclass(frozen=True, slots=True)
class _Target:
    """What has the wanted name already: the name on disk, the status of the file it leads to."""

    name: str
    status: FileStatus

    @property
    def encoded(self) -> bytes:
        return encode_component(self.name)


async def delete(
    root: ShareRoot,
    index: NameIndex,
    components: Components,
    identity: tuple[int, int],
    is_directory: bool,
    credentials: Credentials,
) -> None:
    """`ports.Filesystem.delete`."""
    if not components:
        raise error(errno.EACCES)
    path, name = encode_path(components[:-1]), encode_component(components[-1])
    try:
        await Remove(root.handle, path, resolve_flags(root), name, identity, is_directory, credentials)
        return
    except OSError as failure:
        # A symlink's name goes by what it leads to, a path that is busy or differs in case is looked up with care.
        if failure.errno not in (errno.ELOOP, errno.ENOENT, errno.ENOTDIR, errno.EAGAIN):
            raise
    async with _place(root, index, components, credentials) as place:
        entry = await _require_identity(root, place, identity, credentials)
        removes_directory = is_directory and not stat.S_ISLNK(entry.mode)
        await Unlink(place.handle, place.encoded, removes_directory, credentials)


async def rename(
    root: ShareRoot,
    index: NameIndex,
    old: Components,
    new: Components,
    identity: tuple[int, int],
    replace: bool,
    credentials: Credentials,
) -> Components:
    """`ports.Filesystem.rename` ([MS-FSA] 2.1.5.15.11).

    A name taken by the file's own entry is no collision: that is how the case of letters is changed.  A directory is
    never replaced: EACCES.
    """
    _refuse_vetoed(root, new)
    async with _place(root, index, old, credentials) as source, _place(root, index, new, credentials) as wanted:
        await _require_identity(root, source, identity, credentials)
        target = await _target(root, index, wanted, credentials)
        if target is None or await _same_entry(source, wanted, target):
            if target is None or source.name != wanted.name:
                await _rename_to_free_name(source, wanted, credentials)
            return wanted.components
        _refuse_replacing(target, replace)
        if target.status.identity == identity:
            # Two links of one file: to the kernel a rename of one to the other is done before it begins.
            await Unlink(source.handle, source.encoded, False, credentials)
            await _change_case(wanted, target, credentials)
            return wanted.components
        await Rename(source.handle, source.encoded, wanted.handle, target.encoded, 0, credentials)
        await _change_case(wanted, target, credentials)
        return wanted.components


async def link(
    root: ShareRoot,
    index: NameIndex,
    old: Components,
    new: Components,
    identity: tuple[int, int],
    replace: bool,
    credentials: Credentials,
) -> None:
    """`ports.Filesystem.link` ([MS-FSA] 2.1.5.15.7).  A directory is never replaced: EACCES."""
    _refuse_vetoed(root, new)
    async with _place(root, index, old, credentials) as source, _place(root, index, new, credentials) as wanted:
        await _require_identity(root, source, identity, credentials)
        target = await _target(root, index, wanted, credentials)
        if target is None:
            await Link(source.handle, source.encoded, wanted.handle, wanted.encoded, credentials)
            return
        _refuse_replacing(target, replace)
        if target.status.identity != identity:
            temporary = await _link_temporary(source, wanted, identity, credentials)
            try:
                await Rename(wanted.handle, temporary, wanted.handle, target.encoded, 0, credentials)
            except OSError:
                with contextlib.suppress(OSError):
                    await Unlink(wanted.handle, temporary, False, credentials)
                raise
        await _change_case(wanted, target, credentials)


async def may_delete(
    root: ShareRoot, index: NameIndex, components: Components, facts: FileFacts, credentials: Credentials
) -> bool:
    """`ports.Filesystem.may_delete`.  The root itself never."""
    if not components:
        return False
    encode_component(components[-1])
    path, wanted = encode_path(components[:-1]) or b".", os.W_OK | os.X_OK
    try:
        # The usual case; all others are looked at with care.
        parent = await Visit(
            root.handle, path, os.O_PATH | os.O_DIRECTORY, resolve_flags(root), wanted, credentials
        )
        if not parent.mode & stat.S_ISVTX and not root.veto_list:
            return True
    except OSError:
        pass
    found = await find_opened_directory(root, index, components[:-1], credentials)
    try:
        await CheckAccess(found.handle, os.W_OK | os.X_OK, credentials)
        if not found.status.mode & stat.S_ISVTX:
            return True
        owner = facts.status.uid
        with contextlib.suppress(OSError):
            # The entry's own owner: a symlink's may be another than its target's.
            owner = (await Stat(found.handle, encode_component(components[-1]), credentials)).uid
        return credentials.uid in (0, owner, found.status.uid)
    except OSError as failure:
        if failure.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return False
        raise
    finally:
        await close(found.handle)


@contextlib.asynccontextmanager
async def _place(
    root: ShareRoot, index: NameIndex, components: Components, credentials: Credentials
) -> AsyncIterator[_Place]:
    """Open the parent of `components`.  The share's root has none: EACCES."""
    if not components:
        raise error(errno.EACCES)
    encode_component(components[-1])
    directory, handle = await find_directory(root, index, components[:-1], credentials)
    try:
        yield _Place(directory, handle, components[-1])
    finally:
        await close(handle)


async def _require_identity(
    root: ShareRoot, place: _Place, identity: tuple[int, int], credentials: Credentials
) -> FileStatus:
    """The status of the entry itself when it leads to the file `identity`, else ENOENT."""
    entry = await Stat(place.handle, place.encoded, credentials)
    if (await _status_behind(root, place, entry, credentials)).identity != identity:
        raise error(errno.ENOENT)
    return entry


async def _target(root: ShareRoot, index: NameIndex, wanted: _Place, credentials: Credentials) -> _Target | None:
    name = await find_name(root, index, wanted.directory, wanted.name, credentials)
    if name is None:
        return None
    found = _Place(wanted.directory, wanted.handle, name)
    try:
        entry = await Stat(found.handle, found.encoded, credentials)
    except FileNotFoundError:
        return None
    try:
        return _Target(name, await _status_behind(root, found, entry, credentials))
    except OSError:
        # A symlink that leads nowhere takes the name all the same.
        return _Target(name, entry)


async def _status_behind(
    root: ShareRoot, place: _Place, entry: FileStatus, credentials: Credentials
) -> FileStatus:
    if not stat.S_ISLNK(entry.mode):
        return entry
    async with Opened(open_beneath(root, place.components, os.O_PATH, credentials)) as handle:
        return await Stat(handle)


async def _same_entry(source: _Place, wanted: _Place, target: _Target) -> bool:
    """Whether what has the wanted name is the source itself.  By identity: a symlink gives a directory two paths."""
    if source.name != target.name:
        return False
    return (await Stat(source.handle)).identity == (await Stat(wanted.handle)).identity


def _refuse_vetoed(root: ShareRoot, components: Components) -> None:
    if components and is_vetoed(root.veto_list, components[-1]):
        raise error(errno.EACCES)


def _refuse_replacing(target: _Target, replace: bool) -> None:
    if not replace:
        raise error(errno.EEXIST)
    if stat.S_ISDIR(target.status.mode):
        raise error(errno.EACCES)


async def _rename_to_free_name(source: _Place, wanted: _Place, credentials: Credentials) -> None:
    """Rename and take nothing away: somebody may have taken the name since it was found free."""
    try:
        await Rename(
            source.handle, source.encoded, wanted.handle, wanted.encoded, RENAME_NOREPLACE, credentials
        )
    except OSError as failure:
        if failure.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
        # Few file systems cannot promise that; there the name is looked at once more.
        with contextlib.suppress(FileNotFoundError):
            await Stat(wanted.handle, wanted.encoded, credentials)
            raise error(errno.EEXIST) from None
        await Rename(source.handle, source.encoded, wanted.handle, wanted.encoded, 0, credentials)


async def _change_case(wanted: _Place, target: _Target, credentials: Credentials) -> None:
    """What replaced a name is called as the client wrote it."""
    if target.name != wanted.name:
        await Rename(
            wanted.handle, target.encoded, wanted.handle, wanted.encoded, RENAME_NOREPLACE, credentials
        )


async def _link_temporary(
    source: _Place, wanted: _Place, identity: tuple[int, int], credentials: Credentials
) -> bytes:
    """Link the file under a name nobody asked for, so that a rename can replace the wanted one in one step."""
    for attempt in range(TEMPORARY_NAMES_MAX):
        temporary = b"%slink-%x-%d" % (OWN_PREFIX.encode(), identity[1], attempt)
        try:
            await Link(source.handle, source.encoded, wanted.handle, temporary, credentials)
        except FileExistsError:
            continue
        return temporary
    raise error(errno.EEXIST)
