"""The two halves of SET_INFO that give names: rename and hard link.

Knows: [MS-FSA] 2.1.5.15.11 (rename), 2.1.5.15.7 (link).  Must not know: how the kernel moves a name.
"""

from __future__ import annotations

from smbd_uring.engine import breaks, leases
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.handle_recording import foretell_name
from smbd_uring.engine.look_up import look_up
from smbd_uring.engine.names import components_of
from smbd_uring.engine.opens import Open, absolute
from smbd_uring.engine.oplock_states import Operation
from smbd_uring.engine.request import Request
from smbd_uring.ports import CloseHandle, PathMissing
from smbd_uring.wire.const import AccessMask, FileAttributes
from smbd_uring.wire.fscc import CompletionFilter, LinkInformation, RenameInformation
from smbd_uring.wire.ntstatus import NtStatus

RENAMED_FILE = int(CompletionFilter.ATTRIBUTES | CompletionFilter.CREATION)
"""[MS-FSA] 2.1.5.15.11: what else a rename changes of a file; told with the close of its handle."""


async def rename(request: Request, opened: Open, buffer: memoryview) -> None:
    """[MS-FSA] 2.1.5.15.11: the name that the handle was opened by becomes another one."""
    asked = RenameInformation.decode(buffer)
    if not opened.granted_access & AccessMask.DELETE:
        raise SmbError(NtStatus.ACCESS_DENIED)
    new = _target(asked.root_directory, asked.file_name)
    await _check_parent(request, opened, new)
    if not opened.components:
        raise SmbError(NtStatus.ACCESS_DENIED)
    await breaks.before(request, opened, Operation.RENAME)
    if opened.is_directory:
        await breaks.before_below(request, opened)
    engine, old, root = request.engine, opened.components, opened.tree.root
    assert root is not None
    if opened.is_directory and engine.opens.opens_below(opened.tree.share.path, old):
        raise SmbError(NtStatus.ACCESS_DENIED)
    replace = await _may_take(request, opened, new, asked.replace_if_exists)
    await foretell_name(engine, opened, new)
    try:
        final = await engine.filesystem.rename(
            root, old, new, opened.file.identity, replace, opened.credentials
        )
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


async def link(request: Request, opened: Open, buffer: memoryview) -> None:
    """[MS-FSA] 2.1.5.15.7: one more name for a file; directories have only one."""
    asked = LinkInformation.decode(buffer)
    if opened.is_directory:
        raise SmbError(NtStatus.FILE_IS_A_DIRECTORY)
    new = _target(asked.root_directory, asked.file_name)
    await breaks.before(request, opened, Operation.RENAME)
    root = opened.tree.root
    assert root is not None
    replace = await _may_take(request, opened, new, asked.replace_if_exists)
    try:
        await request.engine.filesystem.link(
            root, opened.components, new, opened.file.identity, replace, opened.credentials
        )
    except PathMissing as error:
        raise SmbError(NtStatus.OBJECT_PATH_NOT_FOUND) from error
    request.engine.opens.unlinked_generation += 1  # what had the name before has lost it
    breaks.entry_changed(request.engine, absolute(opened.tree.share.path, new), opened.parent_lease)
    await request.engine.notifications.added(opened.tree.share.path, new, False)


def _target(root_directory: int, name: str) -> tuple[str, ...]:
    if root_directory:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    new = components_of(name.removeprefix("\\"))
    if not new:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    return new


async def _check_parent(request: Request, opened: Open, new: tuple[str, ...]) -> None:
    """[MS-FSA] note 185: no name is moved into a folder that somebody, be it the same client, holds open to delete."""
    try:
        found = await look_up(request.engine, opened.tree, new[:-1])
    except SmbError as error:  # whatever is wrong with the folder, it is not the last component
        raise SmbError(NtStatus.OBJECT_PATH_NOT_FOUND) from error
    if found.handle is None or found.facts is None:
        raise SmbError(NtStatus.OBJECT_PATH_NOT_FOUND)
    await CloseHandle(found.handle)
    parent = request.engine.opens.file(found.facts.status.identity)
    if parent is not None and any(other.granted_access & AccessMask.DELETE for other in parent.opens):
        raise SmbError(NtStatus.SHARING_VIOLATION)


async def _may_take(request: Request, opened: Open, new: tuple[str, ...], replace: bool) -> bool:
    """Whether the new name may be taken; OBJECT_NAME_COLLISION or ACCESS_DENIED when what is there stands in the way.

    Result: whether something may be replaced.  The kernel has the last word: without `replace` it refuses atomically.
    """
    found = await look_up(request.engine, opened.tree, new)
    if found.handle is None or found.facts is None:
        return replace
    await CloseHandle(found.handle)
    identity = found.facts.status.identity
    if identity == opened.file.identity:
        return replace
    is_file = not found.facts.attributes & FileAttributes.DIRECTORY
    if not replace or (opened.is_directory and is_file):
        raise SmbError(NtStatus.OBJECT_NAME_COLLISION)
    await breaks.before_replacing(request, identity)
    in_use = request.engine.opens.file(identity) is not None
    if in_use or found.facts.attributes & (FileAttributes.DIRECTORY | FileAttributes.READONLY):
        raise SmbError(NtStatus.ACCESS_DENIED)
    return True
