"""A CREATE that may be about a handle that is there already: taken up again, told again, or ended for a new one.

Knows: [MS-SMB2] 3.3.5.9 (replay), 3.3.5.9.7, .10, .12, .13: which of them comes first.  Must not know: how a file is
opened.

A client that lost a connection does not know what became of the CREATEs that it had sent.  One that has a CreateGuid it
may send again, with SMB2_FLAGS_REPLAY_OPERATION:

* the original is still under way: FILE_NOT_AVAILABLE, try again;
* it made an open: the same answer again, as long as the client cannot have used the open;
* it failed, or never came: it is done now.

Without the flag the same CreateGuid is a mistake of the client: DUPLICATE_OBJECTID.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from smbd_uring.engine.app_instances import supersede
from smbd_uring.engine.channel_sequence import REPLAY_OPERATION
from smbd_uring.engine.create_answer import answer_create
from smbd_uring.engine.durable import gives_persistent_handles, response_v2
from smbd_uring.engine.durable_handles import Durability, owner_of
from smbd_uring.engine.durable_reconnect import is_same_share, reconnect, resume
from smbd_uring.engine.durable_wishes import DurableWish
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.leases import Lease, level_of
from smbd_uring.engine.request import Request, Response
from smbd_uring.wire.const import OplockLevel
from smbd_uring.wire.create import CreateRequest
from smbd_uring.wire.durable_contexts import DurableRequestV2
from smbd_uring.wire.ntstatus import NtStatus

if TYPE_CHECKING:
    from smbd_uring.engine.opens import Open


OPLOCK_LEVELS = (OplockLevel.NONE, OplockLevel.II, OplockLevel.EXCLUSIVE, OplockLevel.BATCH)
"""From less to more, by their numbers as well."""


async def create_as_wished(
    request: Request, body: CreateRequest, wish: DurableWish, make: Callable[[], Awaitable[Response]]
) -> Response:
    """Answer a CREATE with what is there, or `make` a new open."""
    if wish.reconnect is not None or wish.reconnect_v2 is not None:
        return await reconnect(request, body, wish)
    key = None
    if wish.request_v2 is not None:
        again = await _told_again(request, body, wish, wish.request_v2)
        if again is not None:
            return again
        key = request.connection.client_guid, wish.request_v2.create_guid
        request.engine.handles.pending.add(key)
        request.may_be_told_again = True
    try:
        if wish.app_instance_id is not None:
            await supersede(request, body, wish)
        return await make()
    finally:
        if key is not None:
            request.engine.handles.pending.discard(key)


async def _told_again(
    request: Request, body: CreateRequest, wish: DurableWish, asked: DurableRequestV2
) -> Response | None:
    """The answer to a CREATE that has been answered before; None for one that has not."""
    handles = request.engine.handles
    key = request.connection.client_guid, asked.create_guid
    is_replay = request.header.flags & REPLAY_OPERATION != 0
    opened = handles.find_replayed(*key)
    if opened is None and is_replay and asked.is_persistent and gives_persistent_handles(request, request.tree_of()):
        opened = handles.find_persistent(asked.create_guid)
        if opened is not None and opened.session is not None:  # used, so its client had the answer
            raise SmbError(NtStatus.FILE_NOT_AVAILABLE)
    if opened is None:
        if key in handles.pending:
            raise SmbError(NtStatus.FILE_NOT_AVAILABLE if is_replay else NtStatus.DUPLICATE_OBJECTID)
        return None
    if not is_replay:
        raise SmbError(NtStatus.DUPLICATE_OBJECTID)
    durability = opened.durability
    assert durability is not None
    _check(request, body, asked, opened, durability)
    _check_lease(wish, opened)
    if opened.session is None:
        await resume(request, opened)
    level = level_of(opened)
    if level != OplockLevel.LEASE and body.requested_oplock_level in OPLOCK_LEVELS:
        level = min(level, body.requested_oplock_level)  # whoever asks for less now gets no more
    context = response_v2(durability)
    has_context = context is not None and (durability.is_persistent or level in (OplockLevel.BATCH, OplockLevel.LEASE))
    contexts = [context] if context is not None and has_context else []
    return answer_create(request, opened, durability.create_action, contexts, level)


def _check_lease(wish: DurableWish, opened: Open) -> None:
    """The key that the CREATE came with is the one that the open has."""
    lease = opened.holder
    had = lease.lease_id[1] if isinstance(lease, Lease) else None
    comes = None if wish.lease is None else wish.lease.lease_key
    if had != comes:
        raise SmbError(NtStatus.ACCESS_DENIED)


def _check(
    request: Request, body: CreateRequest, asked: DurableRequestV2, opened: Open, durability: Durability
) -> None:
    """[MS-SMB2] 3.3.5.9, in its order."""
    if durability.owner != owner_of(request.session_of()):
        raise SmbError(NtStatus.ACCESS_DENIED)
    if opened.session is not request.session_of() and not (durability.is_away and durability.is_persistent):
        raise SmbError(NtStatus.DUPLICATE_OBJECTID)  # a durable one is taken up again by DH2C
    if durability.is_persistent:
        if not asked.is_persistent:
            raise SmbError(NtStatus.INVALID_PARAMETER)
        if durability.asked != (body.create_options, body.desired_access, body.share_access):
            raise SmbError(NtStatus.CONTEXT_MISMATCH)
    if not is_same_share(opened.tree, request.tree_of()):
        raise SmbError(NtStatus.DUPLICATE_OBJECTID)
