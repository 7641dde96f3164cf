"""The two halves of SET_INFO that give names: rename and hard link.

Knows: [MS-FSA] 2.1.5.15.11 (rename), 2.1.5.15.7 (link).  Must not know: how the kernel moves a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from smbd_uring.engine import breaks, leases
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.facts import mark_changed
from smbd_uring.engine.handle_recording import foretell_name
from smbd_uring.engine.look_up import look_up, require_directory
from smbd_uring.engine.name_claims import key_of
from smbd_uring.engine.names import LastComponentError, components_of
from smbd_uring.engine.opens import Identity, Open, absolute
from smbd_uring.engine.oplock_states import Operation
from smbd_uring.engine.request import Request
from smbd_uring.ports import CloseHandle, FileFacts, PathMissing
from smbd_uring.wire.const import AccessMask, FileAttributes
from smbd_uring.wire.fscc import CompletionFilter, LinkInformation, RenameInformation
from smbd_uring.wire.ntstatus import NtStatus

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine

RENAMING = AccessMask.DELETE | AccessMask.FILE_WRITE_ATTRIBUTES
RENAMED_FILE = int(CompletionFilter.ATTRIBUTES | CompletionFilter.CREATION)
"""[MS-FSA] 2.1.5.15.11: what else a rename changes of a file; told with the close of its handle."""


async def rename(request: Request, opened: Open, buffer: memoryview) -> None:
    """[MS-FSA] 2.1.5.15.11: the name that the handle was opened by becomes another one."""
    asked = RenameInformation.decode(buffer)
    new = await _target(request, opened, asked.file_name)
    await _check_parent(request, opened, new)
    if new == opened.components:
        return
    await breaks.before(request, opened, Operation.RENAME)
    if opened.is_directory:
        await breaks.before_below(request, opened)
    claims, share_path = request.engine.name_claims, opened.tree.share.path
    key, folder = key_of(share_path, new), key_of(share_path, opened.components)
    moves = opened.is_directory and claims.begin_move(folder)
    try:
        await claims.claim(key)
        try:
            if opened.is_directory and not moves:
                raise SmbError(NtStatus.ACCESS_DENIED)
            await _move(request, opened, new, asked.replace_if_exists)
        finally:
            claims.release(key)
    finally:
        if moves:
            claims.end_move(folder)


async def _move(request: Request, opened: Open, new: tuple[str, ...], replace: bool) -> None:
    """Give the file its name, while nobody else makes one of that name or opens anything in a folder that goes."""
    engine, old, root = request.engine, opened.components, opened.tree.root
    assert root is not None
    taken_by = await _holder_of(request, opened, new, replace)
    _check_rights(engine, opened, new)
    if taken_by is not None:
        _check_kinds(opened, taken_by, new)
    await foretell_name(engine, opened, new)
    try:
        final = await engine.filesystem.rename(root, old, new, opened.file.identity, replace, opened.credentials)
    except PathMissing as error:
        raise SmbError(NtStatus.OBJECT_PATH_NOT_FOUND) from error
    engine.opens.unlinked_generation += 1
    old_path = opened.absolute_path
    opened.file.renamed(opened.tree.share.path, old, final)
    leases.renamed(engine, opened.file)
    breaks.entry_changed(engine, old_path, opened.parent_lease)
    breaks.entry_of(engine, opened)
    await engine.notifications.renamed(opened.tree.share.path, old, final, opened.is_directory)
    if not opened.is_directory:
        opened.changes_at_close |= RENAMED_FILE
        await mark_changed(engine, opened)


def _check_rights(engine: Engine, opened: Open, new: tuple[str, ...]) -> None:
    """A file's name is changed by who may delete it or change its attributes, as by Samba; a folder's by who holds it,
    while nothing below it is open.  The kernel has its say about both."""
    if not opened.components:
        raise SmbError(NtStatus.ACCESS_DENIED)
    if opened.is_directory:
        share_path, old = opened.tree.share.path, opened.components
        below = new[: len(old)] == old or engine.name_claims.is_used_below(key_of(share_path, old))
        if below or engine.opens.opens_below(share_path, old):
            raise SmbError(NtStatus.ACCESS_DENIED)
    elif not opened.granted_access & RENAMING:
        raise SmbError(NtStatus.ACCESS_DENIED)


async def link(request: Request, opened: Open, buffer: memoryview) -> None:
    """[MS-FSA] 2.1.5.15.7: one more name for a file; directories have only one."""
    asked = LinkInformation.decode(buffer)
    if opened.is_directory:
        raise SmbError(NtStatus.FILE_IS_A_DIRECTORY)
    new = await _target(request, opened, asked.file_name)
    await breaks.before(request, opened, Operation.RENAME)
    root = opened.tree.root
    assert root is not None
    claims, key = request.engine.name_claims, key_of(opened.tree.share.path, new)
    try:
        await claims.claim(key)
        taken_by = await _holder_of(request, opened, new, asked.replace_if_exists)
        if taken_by is not None:
            _check_kinds(opened, taken_by, new)
        await request.engine.filesystem.link(
            root, opened.components, new, opened.file.identity, asked.replace_if_exists, opened.credentials
        )
    except PathMissing as error:
        raise SmbError(NtStatus.OBJECT_PATH_NOT_FOUND) from error
    finally:
        claims.release(key)
    request.engine.opens.unlinked_generation += 1  # what had the name before has lost it
    breaks.entry_changed(request.engine, absolute(opened.tree.share.path, new), opened.parent_lease)
    await request.engine.notifications.added(opened.tree.share.path, new, False)


async def _target(request: Request, opened: Open, name: str) -> tuple[str, ...]:
    """The name from the share's root; RootDirectory says nothing over the network ([MS-FSCC] 2.4.42.2)."""
    try:
        new = components_of(name.removeprefix("\\"))
    except LastComponentError as error:
        await require_directory(request.engine, opened.tree, error.parent)
        raise
    if not new:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    return new


async def _check_parent(request: Request, opened: Open, new: tuple[str, ...]) -> None:
    """[MS-FSA] note 185: no name is moved into a folder that the same client holds open to delete."""
    try:
        found = await look_up(request.engine, opened.tree, new[:-1])
    except SmbError as error:  # whatever is wrong with the folder, it is not the last component
        raise SmbError(NtStatus.OBJECT_PATH_NOT_FOUND) from error
    if found.handle is None or found.facts is None:
        raise SmbError(NtStatus.OBJECT_PATH_NOT_FOUND)
    await CloseHandle(found.handle)
    if not found.facts.attributes & FileAttributes.DIRECTORY:
        raise SmbError(NtStatus.OBJECT_PATH_NOT_FOUND)
    if any(
        other.granted_access & AccessMask.DELETE for other in _opens_of_client(request, found.facts.status.identity)
    ):
        raise SmbError(NtStatus.SHARING_VIOLATION)


def _opens_of_client(request: Request, identity: Identity) -> Iterator[Open]:
    """The opens of a file that belong to the client that asks; others, on Linux, do not mind losing a name."""
    file = request.engine.opens.file(identity)
    for opened in () if file is None else file.opens:
        session = opened.session
        if session is not None and session.connection.client_guid == request.connection.client_guid:
            yield opened


async def _holder_of(request: Request, opened: Open, new: tuple[str, ...], replace: bool) -> FileFacts | None:
    """What has the new name, if it is another file.  OBJECT_NAME_COLLISION unless it may be replaced, ACCESS_DENIED
    when the client holds it open itself.

    The kernel has the last word: without `replace` it refuses atomically.
    """
    found = await look_up(request.engine, opened.tree, new)
    if found.handle is None or found.facts is None:
        return None
    await CloseHandle(found.handle)
    identity = found.facts.status.identity
    if identity == opened.file.identity:
        return None
    if not replace:
        raise SmbError(NtStatus.OBJECT_NAME_COLLISION)
    await breaks.before_replacing(request, identity)
    if any(True for _ in _opens_of_client(request, identity)):
        raise SmbError(NtStatus.ACCESS_DENIED)
    return found.facts


def _check_kinds(opened: Open, holder: FileFacts, new: tuple[str, ...]) -> None:
    """A folder takes the place of nothing, and nothing that of a folder, least of all of the one that it is in."""
    holder_is_directory = bool(holder.attributes & FileAttributes.DIRECTORY)
    if opened.components[: len(new)] == new:
        raise SmbError(NtStatus.DIRECTORY_NOT_EMPTY)
    if holder_is_directory != opened.is_directory:
        raise SmbError(NtStatus.OBJECT_NAME_COLLISION)
    if holder_is_directory:
        raise SmbError(NtStatus.ACCESS_DENIED)
