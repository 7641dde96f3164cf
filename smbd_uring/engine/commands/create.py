"""CREATE: open what is there, or make what is not.

Knows: the order of the steps of [MS-SMB2] 3.3.5.9 and [MS-FSA] 2.1.5.1.  Must not know: what any step does.

1. read what is asked and refuse what makes no sense (`create_plan`);
2. a client that comes back for a handle it had gets that one (`create_again`), and the rest does not concern it;
3. look the name up: what is there is opened (`create_existing`), what is not is made (`create_new`), and when somebody
   was faster, or had something cached to give up first (`breaks`), it is looked up again; either way the open is
   entered into the tables (`create_entry`);
4. empty a file that is to lose its contents, set space aside;
5. give the client what it may cache (`leases`), make the open last where that is wished (`durable`), answer what was
   asked for in contexts (`create_answer`), and let the data plane serve the open.

From step 3 on a failure takes the open back: a client that gets no FileId has no way to close it.
"""

from __future__ import annotations

from smbd_uring import limits
from smbd_uring.engine import breaks, durable, grants, guards, leases
from smbd_uring.engine.create_again import create_as_wished
from smbd_uring.engine.create_answer import answer_contexts, answer_create
from smbd_uring.engine.create_entry import abandon, check_room
from smbd_uring.engine.create_existing import open_existing, overwrite
from smbd_uring.engine.create_new import claim_and_create
from smbd_uring.engine.create_plan import CreatePlan, plan_of
from smbd_uring.engine.durable_wishes import DurableWish, read_wish
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.facts import require_space
from smbd_uring.engine.handle_recording import remember_all
from smbd_uring.engine.look_up import require_directory, why_not_found
from smbd_uring.engine.names import LastComponentError
from smbd_uring.engine.opens import Open
from smbd_uring.engine.request import Request, Response
from smbd_uring.ports import CloseHandle
from smbd_uring.wire.const import CreateAction
from smbd_uring.wire.create import CreateRequest
from smbd_uring.wire.ntstatus import NtStatus

UNSEEN_MAX = 3
"""A name that so often could neither be found nor made is taken by something that cannot be seen: a symlink to
nowhere."""

OPENED, CREATED = CreateAction.OPENED, CreateAction.CREATED


async def create(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.9."""
    body = CreateRequest.decode(request.message)
    tree = request.tree_of()
    if tree.root is None:
        raise SmbError(NtStatus.OBJECT_NAME_NOT_FOUND)
    if tree.is_foreign:
        raise SmbError(NtStatus.ACCESS_DENIED)
    wish = read_wish(body.contexts, request.connection.is_smb3) if body.contexts else None
    if wish is None:
        return await _create(request, body, None)
    return await create_as_wished(request, body, wish, lambda: _create(request, body, wish))


async def _create(request: Request, body: CreateRequest, wish: DurableWish | None) -> Response:
    """Make an open that was not there before."""
    try:
        plan = plan_of(body)
    except LastComponentError as error:
        await require_directory(request.engine, request.tree_of(), error.parent)
        raise
    check_room(request)
    opened, action = await _open_or_make(request, plan)
    try:
        if action is not OPENED:
            await _fill(request, plan, opened, action)
        contexts = await answer_contexts(request, plan, opened) if plan.wants_contexts else []
        if plan.oplock_level:
            await grants.stop_others(opened)
            used_locally = await guards.are_in_the_way(request.engine, opened, leases.wants_writes(plan))
            leases.acquire(request, plan, opened, used_locally)
        if action is not OPENED:
            breaks.entry_of(request.engine, opened)
        if wish is not None:
            contexts += await durable.promise(request, body, opened, wish, action)
        if request.engine.journal:
            await remember_all(request.engine, opened.file)
        grants.grant(request.engine, opened)
        if plan.oplock_level and len(opened.file.opens) > 1:
            request.engine.scheduler.start(grants.reconsider(request.engine, opened.file))
        return answer_create(request, opened, action, contexts)
    except BaseException:
        await abandon(request, opened)
        raise


async def _open_or_make(request: Request, plan: CreatePlan) -> tuple[Open, CreateAction]:
    """The file of that name, opened, and what became of it."""
    engine, tree = request.engine, request.tree_of()
    root = tree.root
    assert root is not None
    retries = 0
    while retries < limits.CREATE_RETRIES_MAX:
        generation, claims_before = engine.opens.unlinked_generation, engine.name_claims.released
        try:
            found = await engine.filesystem.lookup(root, plan.components, tree.credentials)
        except OSError as error:
            raise await why_not_found(engine, tree, plan.components, error) from None
        if plan.objection is not None:
            if found.handle is not None:
                await CloseHandle(found.handle)
            raise SmbError(plan.objection)
        try:
            if found.handle is None:
                opened, action = await claim_and_create(request, plan, found, claims_before), CREATED
            else:
                opened, action = await open_existing(request, plan, found, found.handle, generation), plan.action
        except breaks.MustWait as others:
            if others.holders:
                await breaks.wait(request, others.holders)
            continue
        if opened is not None:
            return opened, action
        retries += 1
        if found.handle is None and retries >= UNSEEN_MAX:
            raise SmbError(NtStatus.OBJECT_NAME_COLLISION)
    raise SmbError(NtStatus.SHARING_VIOLATION)


async def _fill(request: Request, plan: CreatePlan, opened: Open, action: CreateAction) -> None:
    """What a file that is new or was emptied gets."""
    if action is not CREATED:
        await overwrite(request, plan, opened)
    await _reserve(request, plan, opened)


async def _reserve(request: Request, plan: CreatePlan, opened: Open) -> None:
    """[MS-SMB2] 2.2.13.2.6: a hint.  The space must be there; it is not taken, or a file would keep it for ever."""
    root, handle = opened.tree.root, opened.handle
    assert root is not None
    if plan.allocation_size > opened.facts.status.size and not opened.is_directory and handle is not None:
        await require_space(opened, plan.allocation_size)
        opened.reserved = plan.allocation_size
        if opened.is_overwrite_untold:  # whoever asks for space is told how things are
            opened.facts = await request.engine.filesystem.facts(
                root, handle, opened.name, opened.credentials
            )
