"""A client takes a handle up again that waited for it.

Knows: [MS-SMB2] 3.3.5.9.7, 3.3.5.9.12.  Must not know: how handles come to wait (`durable`).

Nothing is opened here: whether the user may have the file was decided when it was opened, and the handle kept its
identity.  What is checked is that it is the same user who comes, and with what only the client that opened it knows.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from smbd_uring import limits
from smbd_uring.engine import grants
from smbd_uring.engine.create_answer import answer_create
from smbd_uring.engine.durable import holds_handle_caching
from smbd_uring.engine.durable_handles import Durability, owner_of
from smbd_uring.engine.durable_states import DurableEvent, DurableState
from smbd_uring.engine.durable_wishes import DurableWish
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.facts import refresh
from smbd_uring.engine.handle_recording import remember
from smbd_uring.engine.leases import Lease
from smbd_uring.engine.request import Request, Response
from smbd_uring.engine.scheduler import Parking
from smbd_uring.engine.session_states import SessionState
from smbd_uring.engine.teardown import let_go_of_root
from smbd_uring.wire.const import CreateAction
from smbd_uring.wire.create import CreateRequest
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId

if TYPE_CHECKING:
    from smbd_uring.engine.opens import Open
    from smbd_uring.engine.session import Tree

log = logging.getLogger("smbd.engine")

NO_GUID = bytes(16)
"""The CreateGuid of a handle that was asked for by DHnQ, and of a client that has none."""


async def reconnect(request: Request, body: CreateRequest, wish: DurableWish) -> Response:
    """Give a handle back to its client.  SmbError when it is not there, not for this client, or in use."""
    opened = await _find(request, wish)
    _check(request, body, wish, opened)
    await resume(request, opened)
    return answer_create(request, opened, CreateAction.OPENED, ())


async def resume(request: Request, opened: Open) -> None:
    """Everything of the handle is the request's session's from now on, and up to date."""
    engine = request.engine
    await _take_over(request, opened)
    await _quiet(request, opened)
    await remember(engine, opened)
    try:
        await refresh(engine, opened)
    finally:
        grants.grant(engine, opened)


async def _find(request: Request, wish: DurableWish) -> Open:
    """The handle that the client names; one that is just being let go of is waited for."""
    handles = request.engine.handles
    if wish.reconnect_v2 is not None:
        persistent, guid = wish.reconnect_v2.file_id.persistent, wish.reconnect_v2.create_guid
        opened = handles.find(persistent)
        if opened is None and wish.reconnect_v2.is_persistent:
            opened = handles.find_persistent(guid)
    else:
        assert wish.reconnect is not None
        opened = handles.find(wish.reconnect.persistent)
    if opened is None:
        raise SmbError(NtStatus.OBJECT_NAME_NOT_FOUND)
    durability = _of(opened)
    session = opened.session
    if session is not None and (session.state is SessionState.CLOSED or opened.tree.closing):
        parking = Parking(request.engine.scheduler)
        durability.departures.append(parking)
        await parking
        if opened.closing:
            raise SmbError(NtStatus.OBJECT_NAME_NOT_FOUND)
    return opened


def _check(request: Request, body: CreateRequest, wish: DurableWish, opened: Open) -> None:
    """[MS-SMB2] 3.3.5.9.7, 3.3.5.9.12, in their order."""
    durability = _of(opened)
    refused = SmbError(NtStatus.OBJECT_NAME_NOT_FOUND)
    if not durability.is_away or not is_same_share(opened.tree, request.tree_of()):
        raise refused
    is_persistent = durability.is_persistent
    if wish.reconnect_v2 is not None:
        if is_persistent and not wish.reconnect_v2.is_persistent:
            raise refused
        if wish.reconnect_v2.create_guid != (durability.create_guid or NO_GUID):
            raise refused
    if durability.state is DurableState.DURABLE_AWAY and not holds_handle_caching(opened):
        raise refused
    lease = opened.holder
    if not isinstance(lease, Lease):
        lease = None
    if (lease is None) != (wish.lease is None):
        raise refused
    if lease is not None and wish.lease is not None:
        if lease.lease_id != (request.connection.client_guid, wish.lease.lease_key):
            raise refused
        if lease.version != wish.lease.version:
            raise refused
        if not opened.file.delete_pending and "\\".join(opened.components).casefold() != body.name.casefold():
            raise SmbError(NtStatus.INVALID_PARAMETER)
    if wish.reconnect_v2 is not None and wish.reconnect_v2.is_persistent and not is_persistent:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    owner = owner_of(request.session_of())
    if owner is None or owner != durability.owner:
        raise SmbError(NtStatus.ACCESS_DENIED)
    if opened.tree.writable and not request.tree_of().writable:
        raise SmbError(NtStatus.ACCESS_DENIED)
    if len(request.session_of().opens) >= limits.OPENS_PER_SESSION_MAX:
        raise SmbError(NtStatus.TOO_MANY_OPENED_FILES)


def is_same_share(one: Tree, other: Tree) -> bool:
    """Whether two tree connects are to the same share, configured as it was."""
    return one.share.name == other.share.name and one.share.path == other.share.path


async def _take_over(request: Request, opened: Open) -> None:
    """The request's session has the open from now on."""
    engine, session, tree = request.engine, request.session_of(), request.tree_of()
    if session.state is SessionState.CLOSED or tree.closing:
        raise SmbError(NtStatus.USER_SESSION_DELETED)
    durability, former_tree = _of(opened), opened.tree
    durability.advance(DurableEvent.RECONNECT)
    engine.handles.came_back(opened)
    engine.handles.leave(opened)
    durability.client_guid = request.connection.client_guid
    former_tree.opens.discard(opened)
    opened.file_id = FileId(opened.file_id.persistent, engine.opens.fresh_volatile(session.opens))
    opened.session, opened.tree = session, tree
    engine.handles.enter(opened)
    log.debug("%s: the client took its handle up again (%s)", "\\".join(opened.components), durability.state.name)
    session.opens[opened.file_id.volatile] = opened
    tree.opens.add(opened)
    opened.channel_sequence = request.header.channel_sequence
    opened.busy += 1
    request.opened = opened
    await let_go_of_root(engine, former_tree)


async def _quiet(request: Request, opened: Open) -> None:
    """Wait until nothing that the client has given up is under way any more: it may send it again."""
    while opened.busy > 1:
        parking = Parking(request.engine.scheduler)
        opened.idle.append(parking)
        await parking


def _of(opened: Open) -> Durability:
    assert opened.durability is not None
    return opened.durability
