"""CREATE of a name that is not there: make the file, and open it.

Knows: [MS-FSA] 2.1.5.1.1 (creation of a new file), that a name is made by one at a time.  Must not know: files that
exist, answers.
"""

from __future__ import annotations

import logging
import os
import stat

from smbd_uring.engine import leases
from smbd_uring.engine.access import FILE_ALL_ACCESS
from smbd_uring.engine.create_entry import enter
from smbd_uring.engine.create_plan import CreatePlan
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.name_claims import key_of
from smbd_uring.engine.opens import Open
from smbd_uring.engine.request import Request
from smbd_uring.ports import CloseHandle, FileFacts, Found
from smbd_uring.wire.const import AccessMask, FileAttributes
from smbd_uring.wire.ntstatus import NtStatus

log = logging.getLogger("smbd.fs")


async def claim_and_create(request: Request, plan: CreatePlan, found: Found, claims_before: int) -> Open | None:
    """Make the file while nobody else makes one of that name.  None when somebody did since the lookup, before which
    `claims_before` claims were over."""
    if not plan.creates:
        raise SmbError(NtStatus.OBJECT_NAME_NOT_FOUND)
    if plan.access_objection is not None:
        raise SmbError(plan.access_objection)
    claims, key = request.engine.name_claims, key_of(request.tree_of().share.path, found.components)
    if claims.moving and await claims.wait_for_moves(key):
        return None
    try:
        if not await claims.claim(key):
            return None
        if claims.released != claims_before and await _is_there(request, found.components):
            return None
        return await _create_new(request, plan, found)
    finally:
        claims.release(key)


async def _is_there(request: Request, components: tuple[str, ...]) -> bool:
    """Whether a name is there, in whatever case, or cannot be looked for."""
    engine, tree = request.engine, request.tree_of()
    assert tree.root is not None
    try:
        found = await engine.filesystem.lookup(tree.root, components, tree.credentials)
    except OSError:
        return True
    if found.handle is None:
        return False
    await CloseHandle(found.handle)
    return True


async def _create_new(request: Request, plan: CreatePlan, found: Found) -> Open | None:
    """Make the file and open it.  None when somebody else made it meanwhile."""
    tree, engine = request.tree_of(), request.engine
    root = tree.root
    assert root is not None
    if not tree.writable:
        raise SmbError(NtStatus.ACCESS_DENIED)
    leases.check_key(request, plan, None)
    if plan.delete_on_close and plan.attributes & FileAttributes.READONLY:
        raise SmbError(NtStatus.CANNOT_DELETE)
    facts = None
    try:
        async with engine.notifications.own_change(tree.share.path, found.components):
            if plan.must_be_directory:
                handle = await engine.filesystem.create_directory(
                    root, found.components, plan.attributes, tree.credentials
                )
            else:
                handle, facts = await engine.filesystem.create_file(
                    root, found.components, os.O_RDWR, plan.attributes | FileAttributes.ARCHIVE, tree.credentials
                )
    except FileExistsError:
        return None
    await engine.notifications.added(tree.share.path, found.components, plan.must_be_directory)
    granted = plan.desired_access & ~AccessMask.MAXIMUM_ALLOWED
    if plan.desired_access & AccessMask.MAXIMUM_ALLOWED:
        granted |= FILE_ALL_ACCESS
    try:
        if facts is None:
            facts = await engine.filesystem.facts(root, handle, found.components[-1], tree.credentials)
        opened = enter(request, plan, found.components, facts, granted)
    except BaseException:
        await CloseHandle(handle)
        if facts is not None and plan.delete_on_close:
            await _delete_unopened(request, found.components, facts)
        raise
    opened.handle = handle
    opened.uses_data = not opened.is_directory
    return opened


async def _delete_unopened(request: Request, components: tuple[str, ...], facts: FileFacts) -> None:
    """A file was made to be deleted with its handle, and the handle came to nothing: it goes, unless it is in use."""
    tree, engine = request.tree_of(), request.engine
    assert tree.root is not None
    identity = facts.status.identity
    if engine.opens.file(identity) is not None:
        return
    is_directory = stat.S_ISDIR(facts.status.mode)
    try:
        await engine.filesystem.delete(tree.root, components, identity, is_directory, tree.credentials)
    except OSError as error:
        log.warning("deleting %s, which nobody opened, failed: %s", "\\".join(components), error)
    else:
        await engine.notifications.removed(tree.share.path, components, is_directory)
    engine.opens.unlinked_generation += 1
