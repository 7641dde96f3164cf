"""CREATE of a name that is there: open the file, and empty it where the disposition says so.

Knows: [MS-FSA] 2.1.5.1.2 (open of an existing file).  Must not know: files that are not there, answers.

The steps, and why in this order:

1. the kind of file and its attributes are checked, then which rights the client gets;
2. whoever is in the way is waited for, and the name is looked at again whenever any name went away meanwhile;
3. in one go, without waiting in between: check delete-pending and share modes, enter the open into the table;
4. open it for data with the client's identity, which is where the kernel has its say; undo step 3 when it refuses.
"""

from __future__ import annotations

import os
from stat import S_IFDIR, S_IFREG

from smbd_uring.engine import breaks, leases
from smbd_uring.engine.access import WRITE_DATA, grant, grant_unasked
from smbd_uring.engine.create_entry import abandon, enter
from smbd_uring.engine.create_plan import CreatePlan
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.facts import refresh
from smbd_uring.engine.guards import stand_aside
from smbd_uring.engine.name_claims import key_of
from smbd_uring.engine.opens import Open
from smbd_uring.engine.oplock_states import Operation
from smbd_uring.engine.request import Request
from smbd_uring.engine.share_modes import READ_RIGHTS
from smbd_uring.ports import CloseHandle, FileFacts, Found, Handle, Reopen, Truncate
from smbd_uring.wire.const import AccessMask, CreateDisposition, CreateOptions, FileAttributes
from smbd_uring.wire.fscc import CompletionFilter
from smbd_uring.wire.ntstatus import NtStatus

CREATE = int(CreateDisposition.CREATE)
OVERWRITES = (int(CreateDisposition.OVERWRITE), int(CreateDisposition.OVERWRITE_IF))
NON_DIRECTORY_FILE = int(CreateOptions.FILE_NON_DIRECTORY_FILE)
READONLY = int(FileAttributes.READONLY)
DELETE = int(AccessMask.DELETE)
EMPTIED = int(CompletionFilter.ATTRIBUTES | CompletionFilter.SIZE | CompletionFilter.LAST_WRITE)
READ_ONLY = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
WRITE_ONLY = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY
READ_WRITE = os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY
S_IFMT = 0o170000


async def open_existing(
    request: Request, plan: CreatePlan, found: Found, path_handle: Handle, generation: int
) -> Open | None:
    """Open the file that a lookup found.  None when its name went away meanwhile."""
    opened, engine, tree, facts = None, request.engine, request.tree_of(), found.facts
    is_taken = False
    try:
        assert facts is not None
        leases.check_key(request, plan, facts.status.identity)
        _check_kind(plan, facts)
        if plan.truncates and not tree.writable:
            raise SmbError(NtStatus.ACCESS_DENIED)
        granted = grant_unasked(tree, facts, plan.desired_access)
        if granted is None:
            granted = await grant(engine, tree, found.components, path_handle, facts, plan.desired_access)
        _check_rights(plan, facts, granted)
        if plan.delete_on_close and (not granted & DELETE or not found.components):
            raise SmbError(NtStatus.ACCESS_DENIED)
        if not await _make_way(request, found, generation):
            return None
        opened = enter(request, plan, found.components, facts, granted)
        flags = _flags_for_data(opened, plan)
        opened.uses_data = flags is not None and not opened.is_directory
        if opened.uses_data and opened.file.guard is not None:
            await stand_aside(engine, opened.file)
        if flags is None:
            opened.handle, is_taken = path_handle, True
        else:
            opened.handle = await Reopen(path_handle, flags, opened.credentials)
        if plan.delete_on_close:
            await _check_deletable(request, opened)
    except BaseException:
        if opened is not None:
            await abandon(request, opened)
        raise
    finally:
        if not is_taken:
            await CloseHandle(path_handle)
    return opened


async def _make_way(request: Request, found: Found, generation: int) -> bool:
    """Wait until no folder on the way is being moved, and look again when any name has changed since `generation`.

    True: the open may be entered, without waiting in between.  False: the name leads somewhere else by now.
    """
    opens, claims = request.engine.opens, request.engine.name_claims
    while True:
        if claims.moving and await claims.wait_for_moves(key_of(request.tree_of().share.path, found.components)):
            return False
        if opens.unlinked_generation == generation:
            return True
        generation = opens.unlinked_generation
        if not await _still_leads_there(request, found):
            return False


async def _still_leads_there(request: Request, found: Found) -> bool:
    tree = request.tree_of()
    assert tree.root is not None and found.facts is not None
    try:
        again = await request.engine.filesystem.lookup(tree.root, found.components, tree.credentials)
    except OSError:
        return False
    if again.handle is None or again.facts is None:
        return False
    await CloseHandle(again.handle)
    return again.facts.status.identity == found.facts.status.identity


def _check_kind(plan: CreatePlan, facts: FileFacts) -> None:
    """[MS-FSA] 2.1.5.1.2: what is there must be what was asked for."""
    is_directory = facts.status.mode & S_IFMT == S_IFDIR
    if plan.disposition == CREATE:
        if is_directory and plan.options & NON_DIRECTORY_FILE:
            raise SmbError(NtStatus.FILE_IS_A_DIRECTORY)
        if is_directory and plan.access_objection is not None:
            raise SmbError(plan.access_objection)
        raise SmbError(NtStatus.OBJECT_NAME_COLLISION)
    if plan.must_be_directory and not is_directory:
        raise SmbError(NtStatus.NOT_A_DIRECTORY)
    if plan.disposition in OVERWRITES:
        protected = facts.attributes & (FileAttributes.HIDDEN | FileAttributes.SYSTEM)
        if protected & ~plan.attributes:
            raise SmbError(NtStatus.ACCESS_DENIED)
    if plan.access_objection is not None:
        raise SmbError(plan.access_objection)


def _check_rights(plan: CreatePlan, facts: FileFacts, granted: int) -> None:
    """What is there must bear what was granted and is wanted of it."""
    if facts.attributes & READONLY and not plan.must_be_directory and (granted & WRITE_DATA or plan.truncates):
        raise SmbError(NtStatus.ACCESS_DENIED)
    if facts.status.mode & S_IFMT == S_IFDIR:
        if plan.options & NON_DIRECTORY_FILE:
            raise SmbError(NtStatus.FILE_IS_A_DIRECTORY)
        if plan.truncates:
            raise SmbError(NtStatus.INVALID_PARAMETER)


async def _check_deletable(request: Request, opened: Open) -> None:
    """Whether what is there may go with its handle; a folder that holds something simply stays when that is closed."""
    if opened.is_directory:
        assert opened.handle is not None
        if not await request.engine.filesystem.directory_is_empty(opened.handle, opened.credentials):
            opened.delete_on_close = False
    elif opened.facts.attributes & READONLY:
        raise SmbError(NtStatus.CANNOT_DELETE)


def _flags_for_data(opened: Open, plan: CreatePlan) -> int | None:
    """Flags of a handle that can do what was granted; None when no data is wanted and the O_PATH one will do."""
    reads = opened.granted_access & READ_RIGHTS
    writes = (opened.granted_access & WRITE_DATA or plan.truncates) and not opened.is_directory
    if not reads and not writes:
        return None
    if opened.facts.status.mode & S_IFMT not in (S_IFREG, S_IFDIR):
        raise SmbError(NtStatus.ACCESS_DENIED)
    if reads:
        return READ_WRITE if writes else READ_ONLY
    return WRITE_ONLY


async def overwrite(request: Request, plan: CreatePlan, opened: Open) -> None:
    """[MS-FSA] 2.1.5.1.2.1: empty the file and give it the attributes that were sent."""
    root, handle = opened.tree.root, opened.handle
    assert root is not None and handle is not None
    notifications, share_path = request.engine.notifications, opened.tree.share.path
    opened.is_overwrite_untold = True
    async with notifications.own_change(share_path, opened.components):
        await Truncate(handle, 0, opened.credentials)
        own = leases.own_lease(request, plan, opened.file)  # the open itself has it only once it is ready
        breaks.break_others(request.engine, opened.file, own, Operation.CHANGE_DATA)
        attributes = plan.attributes | FileAttributes.ARCHIVE
        if attributes != opened.facts.attributes and root.store_dos_attributes:
            await request.engine.filesystem.set_attributes(
                root, handle, opened.facts, attributes, None, opened.credentials
            )
    await notifications.described(share_path, opened.components, EMPTIED)
    await refresh(request.engine, opened)
