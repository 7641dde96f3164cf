"""CREATE: open what is there, or make what is not.

Knows: [MS-SMB2] 3.3.5.9, [MS-FSA] 2.1.5.1.  Must not know: system calls, names on disk (the file-system port's).

The steps of opening a file that exists, and why in this order:

1. look it up (O_PATH: no permission needed, no side effect on devices or FIFOs);
2. ask which rights the client gets;
3. in one go, without waiting in between: check delete-pending and share modes, enter the open into the table;
4. open it for data with the client's identity, which is where the kernel has its say; undo step 3 when it refuses;
5. truncate, where the disposition says so.

Between 1 and 3 the name may have gone: `OpenTable.unlinked_generation` tells, and the file is looked at again.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from stat import S_IFDIR, S_IFREG

from smbd_uring import limits
from smbd_uring.engine import durable, grants
from smbd_uring.engine.access import FILE_ALL_ACCESS, WRITE_DATA, grant, grant_unasked, maximal_access
from smbd_uring.engine.create_answer import answer_create
from smbd_uring.engine.create_plan import MODE_OPTIONS, CreatePlan, plan_of
from smbd_uring.engine.durable_reconnect import reconnect
from smbd_uring.engine.durable_wishes import read_wish
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.facts import refresh
from smbd_uring.engine.look_up import why_not_found
from smbd_uring.engine.name_claims import key_of
from smbd_uring.engine.opens import Open
from smbd_uring.engine.request import Request, Response
from smbd_uring.engine.session_states import SessionState
from smbd_uring.engine.share_modes import READ_RIGHTS
from smbd_uring.engine.teardown import close_open
from smbd_uring.ports import Allocate, CloseHandle, FileFacts, Found, Handle, Reopen, Stat, Truncate
from smbd_uring.wire import create_contexts
from smbd_uring.wire.const import AccessMask, CreateAction, CreateDisposition, CreateOptions, FileAttributes
from smbd_uring.wire.create import Context, CreateRequest
from smbd_uring.wire.names import filetime_from_ns
from smbd_uring.wire.ntstatus import NtStatus

log = logging.getLogger("smbd.fs")

FALLOC_FL_KEEP_SIZE = 1
OPENED, CREATED = CreateAction.OPENED, CreateAction.CREATED
CREATE = int(CreateDisposition.CREATE)
NON_DIRECTORY_FILE = int(CreateOptions.FILE_NON_DIRECTORY_FILE)
READONLY = int(FileAttributes.READONLY)
DELETE = int(AccessMask.DELETE)
READ_ONLY = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
WRITE_ONLY = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY
READ_WRITE = os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY
S_IFMT = 0o170000


async def create(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.9."""
    body = CreateRequest.decode(request.message)
    engine, tree = request.engine, request.tree_of()
    root = tree.root
    if root is None:
        raise SmbError(NtStatus.OBJECT_NAME_NOT_FOUND)
    wish = read_wish(body.contexts, request.connection.is_smb3) if body.contexts else None
    if wish is not None and (wish.reconnect is not None or wish.reconnect_v2 is not None):
        return await reconnect(request, body, wish)
    plan = plan_of(body)
    _check_room(request)
    for _ in range(limits.CREATE_RETRIES_MAX):
        generation, claims_before = engine.opens.unlinked_generation, engine.name_claims.released
        try:
            found = await engine.filesystem.lookup(root, plan.components, tree.credentials)
        except OSError as error:
            raise await why_not_found(engine, tree, plan.components, error) from None
        action = plan.action
        if found.handle is None:
            opened, action = await _claim_and_create(request, plan, found, claims_before), CREATED
        else:
            opened = await _open_found(request, plan, found, found.handle, generation)
        if opened is not None:
            break
    else:
        raise SmbError(NtStatus.SHARING_VIOLATION)
    try:  # an open whose answer the client does not get is taken back
        if action is not OPENED:
            await _fill(request, plan, opened, action)
        contexts = await _contexts(request, plan, opened) if plan.wants_contexts else []
        if wish is not None:
            contexts += durable.promise(request, opened, wish, action)
        grants.grant(engine, opened)
        return answer_create(request, opened, action, contexts)
    except BaseException:
        await _abandon(request, opened)
        raise


def _check_room(request: Request) -> None:
    session = request.session_of()
    if len(session.opens) >= limits.OPENS_PER_SESSION_MAX:
        raise SmbError(NtStatus.TOO_MANY_OPENED_FILES)
    engine = request.engine
    if engine.opens.count + engine.tree_count >= engine.config.opens_max:
        raise SmbError(NtStatus.INSUFFICIENT_RESOURCES)


# --- a file that is not there ------------------------------------------------------------------------------------


async def _claim_and_create(request: Request, plan: CreatePlan, found: Found, claims_before: int) -> Open | None:
    """Make the file while nobody else makes one of that name.  None when somebody did since the lookup, before which
    `claims_before` claims were over."""
    if not plan.creates:
        raise SmbError(NtStatus.OBJECT_NAME_NOT_FOUND)
    claims, key = request.engine.name_claims, key_of(request.tree_of().share.path, found.components)
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
    if plan.delete_on_close and plan.attributes & FileAttributes.READONLY:
        raise SmbError(NtStatus.CANNOT_DELETE)
    facts = None
    try:
        if plan.must_be_directory:
            handle = await engine.filesystem.create_directory(
                root, found.components, plan.attributes & ~FileAttributes.ARCHIVE, tree.credentials
            )
        else:
            handle, facts = await engine.filesystem.create_file(
                root, found.components, os.O_RDWR, plan.attributes | FileAttributes.ARCHIVE, tree.credentials
            )
    except FileExistsError:
        return None
    granted = plan.desired_access & ~AccessMask.MAXIMUM_ALLOWED
    if plan.desired_access & AccessMask.MAXIMUM_ALLOWED:
        granted |= FILE_ALL_ACCESS
    try:
        if facts is None:
            facts = await engine.filesystem.facts(root, handle, found.components[-1], tree.credentials)
        opened = _enter(request, plan, found.components, facts, granted)
    except BaseException:
        await CloseHandle(handle)
        if facts is not None and plan.delete_on_close:
            await _delete_unopened(request, found.components, facts)
        raise
    opened.handle = handle
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
    engine.opens.unlinked_generation += 1


# --- a file that is there ----------------------------------------------------------------------------------------


async def _open_found(
    request: Request, plan: CreatePlan, found: Found, path_handle: Handle, generation: int
) -> Open | None:
    """Open the file that a lookup found.  None when its name went away meanwhile."""
    opened, engine, tree, facts = None, request.engine, request.tree_of(), found.facts
    try:
        assert facts is not None
        _check_kind(plan, facts)
        if plan.truncates and not tree.writable:
            raise SmbError(NtStatus.ACCESS_DENIED)
        granted = grant_unasked(tree, facts, plan.desired_access)
        if granted is None:
            granted = await grant(engine, tree, found.components, path_handle, facts, plan.desired_access)
        if facts.attributes & READONLY and facts.status.mode & S_IFMT != S_IFDIR:
            granted &= ~WRITE_DATA
        if plan.delete_on_close and (not granted & DELETE or not found.components):
            raise SmbError(NtStatus.ACCESS_DENIED)
        while engine.opens.unlinked_generation != generation:
            # a name that goes while this is looked at moves it once more
            generation = engine.opens.unlinked_generation
            if (await Stat(path_handle)).link_count == 0:
                return None
        opened = _enter(request, plan, found.components, facts, granted)
        flags = _flags_for_data(opened, plan)
        opened.handle = path_handle if flags is None else await Reopen(path_handle, flags, opened.credentials)
    except BaseException:
        if opened is not None:
            await _abandon(request, opened)
        raise
    finally:
        if opened is None or opened.handle != path_handle:
            await CloseHandle(path_handle)
    return opened


def _check_kind(plan: CreatePlan, facts: FileFacts) -> None:
    """[MS-FSA] 2.1.5.1.2: what is there must be what was asked for."""
    is_directory = facts.status.mode & S_IFMT == S_IFDIR
    if is_directory and plan.options & NON_DIRECTORY_FILE:
        raise SmbError(NtStatus.FILE_IS_A_DIRECTORY)
    if plan.disposition == CREATE:
        raise SmbError(NtStatus.OBJECT_NAME_COLLISION)
    if plan.must_be_directory and not is_directory:
        raise SmbError(NtStatus.NOT_A_DIRECTORY)
    if is_directory:
        if plan.truncates:
            raise SmbError(NtStatus.INVALID_PARAMETER)
        return
    if plan.truncates:
        protected = facts.attributes & (FileAttributes.HIDDEN | FileAttributes.SYSTEM)
        if facts.attributes & READONLY or protected & ~plan.attributes:
            raise SmbError(NtStatus.ACCESS_DENIED)
    if facts.attributes & READONLY:
        if plan.desired_access & WRITE_DATA:
            raise SmbError(NtStatus.ACCESS_DENIED)
        if plan.delete_on_close:
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


async def _overwrite(request: Request, plan: CreatePlan, opened: Open) -> None:
    """[MS-FSA] 2.1.5.1.2.1: empty the file and give it the attributes that were sent."""
    root, handle = opened.tree.root, opened.handle
    assert root is not None and handle is not None
    await Truncate(handle, 0, opened.credentials)
    attributes = plan.attributes | FileAttributes.ARCHIVE
    if attributes != opened.facts.attributes and root.store_dos_attributes:
        await request.engine.filesystem.set_attributes(
            root, handle, opened.facts, attributes, None, opened.credentials
        )
    await refresh(request.engine, opened)


# --- common to both ----------------------------------------------------------------------------------------------


async def _fill(request: Request, plan: CreatePlan, opened: Open, action: CreateAction) -> None:
    """What a file that is new or was emptied gets."""
    if action is not CREATED:
        await _overwrite(request, plan, opened)
    await _reserve(request, plan, opened)


def _enter(
    request: Request, plan: CreatePlan, components: tuple[str, ...], facts: FileFacts, granted: int
) -> Open:
    """Check what others do with the file and enter the open, without waiting in between."""
    session, tree, opens = request.session_of(), request.tree_of(), request.engine.opens
    if session.state is SessionState.CLOSED or tree.closing:
        raise SmbError(NtStatus.USER_SESSION_DELETED)
    _check_room(request)
    file = opens.file_for(facts.status.identity)
    if file.delete_pending:
        raise SmbError(NtStatus.DELETE_PENDING)
    if file.opens and file.refuses(granted | (WRITE_DATA if plan.truncates else 0), plan.share_access):
        raise SmbError(NtStatus.SHARING_VIOLATION)
    volatile = opens.fresh_volatile(session.opens)
    opened = Open(
        session, tree, file, opens.next_file_id(volatile), components, granted, plan.share_access, plan.options, facts,
        facts.status.mode & S_IFMT == S_IFDIR,
    )  # fmt: skip
    opened.mode = plan.options & MODE_OPTIONS
    opened.channel_sequence = request.header.channel_sequence
    opened.delete_on_close = plan.delete_on_close
    opens.add(opened, volatile)
    opened.busy += 1
    request.opened = opened
    return opened


async def _abandon(request: Request, opened: Open) -> None:
    """The open came to nothing: take it back, without deleting what it was to delete."""
    opened.delete_on_close = False
    await close_open(request.engine, opened, by=request)


async def _reserve(request: Request, plan: CreatePlan, opened: Open) -> None:
    """[MS-SMB2] 2.2.13.2.6: set space aside where the file system can; where it cannot, the size is a mere hint."""
    if not plan.allocation_size or opened.is_directory or opened.handle is None:
        return
    if plan.allocation_size >= 1 << 63:
        raise SmbError(NtStatus.DISK_FULL)
    try:
        await Allocate(opened.handle, FALLOC_FL_KEEP_SIZE, 0, plan.allocation_size, opened.credentials)
        await refresh(request.engine, opened)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
            raise


async def _contexts(request: Request, plan: CreatePlan, opened: Open) -> list[Context]:
    """[MS-SMB2] 2.2.14.2: the answers to what the client asked for in contexts."""
    contexts: list[Context] = []
    if plan.wants_maximal_access:
        contexts.append((create_contexts.QUERY_MAXIMAL_ACCESS, await _maximal_access(request, plan, opened)))
    if plan.wants_disk_id:
        status = opened.facts.status
        contexts.append((create_contexts.QUERY_ON_DISK_ID, create_contexts.encode_disk_id(status.inode, status.device)))
    return contexts


async def _maximal_access(request: Request, plan: CreatePlan, opened: Open) -> bytes:
    """[MS-SMB2] 3.3.5.9.5: not computed again for a client whose copy is still good."""
    unchanged = filetime_from_ns(opened.facts.status.modified_ns)
    if plan.maximal_access_timestamp and plan.maximal_access_timestamp == unchanged:
        return create_contexts.encode_maximal_access(NtStatus.NONE_MAPPED, 0)
    assert opened.handle is not None
    mask = await maximal_access(request.engine, opened.tree, opened.components, opened.handle, opened.facts)
    return create_contexts.encode_maximal_access(NtStatus.SUCCESS, mask)
