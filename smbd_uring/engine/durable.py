"""Handles that survive: promised at CREATE, let go of with their session, kept for a while, given up.

Knows: [MS-SMB2] 3.3.5.9.6, 3.3.5.9.10, 3.3.5.15.9, 3.3.6.2, 3.3.6.4, 3.3.7.1; the table of `durable_states`.  Must not
know: how a handle is taken up again (`durable_reconnect`), what a cache is made of.

A handle whose client is away keeps everything but its session: its descriptor, its share mode, its locks, its caching.
It keeps its tree connect's root as well, although the tree is closed.  The identity it was opened with stays its own.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from smbd_uring import limits
from smbd_uring.engine import grants
from smbd_uring.engine.durable_handles import Durability, owner_of
from smbd_uring.engine.durable_states import DurableEvent, DurableState, next_state
from smbd_uring.engine.durable_waiting import wait_for_client
from smbd_uring.engine.durable_wishes import DurableWish
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.handle_recording import remember
from smbd_uring.engine.lock_taking import end_waiting
from smbd_uring.engine.scheduler import Parking
from smbd_uring.engine.share_modes import DATA_RIGHTS
from smbd_uring.engine.teardown import close_open
from smbd_uring.ports import ShareFlags
from smbd_uring.wire import create_contexts as names
from smbd_uring.wire import durable_contexts as codecs
from smbd_uring.wire.const import Capabilities, CreateAction, CreateOptions
from smbd_uring.wire.create import Context, CreateRequest
from smbd_uring.wire.ntstatus import NtStatus

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.opens import Open
    from smbd_uring.engine.request import Request
    from smbd_uring.engine.session import Tree

log = logging.getLogger("smbd.engine")

MILLISECONDS = 1000


# --- promises ----------------------------------------------------------------------------------------------------


async def promise(
    request: Request, body: CreateRequest, opened: Open, wish: DurableWish, action: CreateAction
) -> list[Context]:
    """Give a new open what its CREATE wished for, as far as it may have it.  Result: the contexts that say so."""
    session = request.session_of()
    durability = Durability(request.connection.client_guid, owner_of(session))
    durability.create_action = action
    durability.asked = (body.create_options, body.desired_access, body.share_access)
    durability.app_instance_id = wish.app_instance_id
    durability.app_instance_version = wish.app_instance_version
    contexts: list[Context] = []
    if wish.wants_durable:
        if _may_last(request, opened, durability):
            durability.advance(DurableEvent.PROMISE_DURABLE)
            durability.timeout_s = limits.DURABLE_TIMEOUT_S
            contexts.append((names.DURABLE_REQUEST, codecs.DURABLE_RESPONSE))
    elif wish.request_v2 is not None:
        asked = wish.request_v2
        durability.create_guid = asked.create_guid
        durability.is_replay_eligible = not opened.is_directory and bool(opened.granted_access & DATA_RIGHTS)
        durability.timeout_s = _timeout_s(asked.timeout_ms)
        if asked.is_persistent and await _record(request, opened, durability):
            durability.is_replay_eligible = True
        elif _may_last(request, opened, durability):
            durability.advance(DurableEvent.PROMISE_DURABLE)
        context = response_v2(durability)
        if context is not None:
            contexts.append(context)
    if opened.durability is None and (
        durability.state is not DurableState.PLAIN or durability.create_guid is not None or wish.app_instance_id
    ):
        opened.durability = durability
        request.engine.handles.enter(opened)
    return contexts


async def _record(request: Request, opened: Open, durability: Durability) -> bool:
    """[MS-SMB2] 3.3.5.9.10: make a handle persistent where its share is continuously available.  Result: whether it
    is, which then is on disk."""
    engine = request.engine
    if durability.owner is None or not gives_persistent_handles(request, opened.tree):
        return False
    if not opened.components or len(engine.journal or ()) >= limits.PERSISTENT_HANDLES_MAX:
        return False
    durability.advance(DurableEvent.PROMISE_PERSISTENT)
    opened.durability = durability
    engine.handles.enter(opened)
    opened.mode |= CreateOptions.FILE_WRITE_THROUGH  # 3.3.5.9: what was answered has to survive, too
    if await remember(engine, opened):
        return True
    engine.handles.remove(opened)
    opened.durability = None
    durability.state = DurableState.PLAIN
    return False


def gives_persistent_handles(request: Request, tree: Tree) -> bool:
    """Whether handles on a share survive the server, for this client."""
    return bool(
        tree.share.flags & ShareFlags.CONTINUOUS_AVAILABILITY
        and request.connection.capabilities & Capabilities.PERSISTENT_HANDLES
        and not tree.is_pipe
    )


def _may_last(request: Request, opened: Open, durability: Durability) -> bool:
    """[MS-SMB2] 3.3.5.9.6: only with a batch oplock or HANDLE caching, only files, only somebody known."""
    return (
        request.engine.config.durable_handles
        and durability.owner is not None
        and not opened.is_directory
        and holds_handle_caching(opened)
    )


def holds_handle_caching(opened: Open) -> bool:
    """Whether the open has a batch oplock, or a lease with HANDLE caching that nobody is breaking."""
    return opened.holds_handle_caching


def _timeout_s(asked_ms: int) -> float:
    if not asked_ms:
        return limits.DURABLE_V2_TIMEOUT_S
    return min(asked_ms / MILLISECONDS, limits.DURABLE_TIMEOUT_MAX_S)


def response_v2(durability: Durability) -> Context | None:
    """2.2.14.2.12, None for a handle that was promised nothing."""
    if durability.state not in (DurableState.DURABLE, DurableState.PERSISTENT):
        return None
    flags = codecs.FLAG_PERSISTENT if durability.is_persistent else 0
    response = codecs.DurableResponseV2(round(durability.timeout_s * MILLISECONDS), flags)
    return names.DURABLE_REQUEST_V2, response.encode()


def make_resilient(request: Request, opened: Open, timeout_ms: int) -> None:
    """[MS-SMB2] 3.3.5.15.9.  SmbError when it may not be."""
    owner = owner_of(request.session_of())
    if owner is None or not request.engine.config.durable_handles:
        raise SmbError(NtStatus.NOT_SUPPORTED)
    if timeout_ms > limits.RESILIENCY_TIMEOUT_MAX_S * MILLISECONDS:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    durability = opened.durability
    if durability is None:
        durability = opened.durability = Durability(request.connection.client_guid, owner)
        request.engine.handles.enter(opened)
    durability.owner = owner
    durability.advance(DurableEvent.PROMISE_RESILIENT)
    durability.timeout_s = timeout_ms / MILLISECONDS if timeout_ms else limits.RESILIENCY_TIMEOUT_S


# --- the client goes ---------------------------------------------------------------------------------------------


async def leave(engine: Engine, opened: Open) -> bool:
    """[MS-SMB2] 3.3.7.1: the open's session ends, and not by its client's wish.  Result: whether the open stays; if not
    it is to be closed."""
    durability = opened.durability
    if durability is None or durability.state is DurableState.PLAIN or opened.closing:
        return False
    if engine.shutting_down and not durability.is_persistent:
        return False
    await _quieten(engine, opened)
    session = opened.session
    if opened.closing or session is None:
        return False
    event = DurableEvent.LOST_HOLDING if holds_handle_caching(opened) else DurableEvent.LOST_BARE
    if next_state(durability.state, event) is DurableState.CLOSED:
        return False
    durability.advance(event)
    session.opens.pop(opened.file_id.volatile, None)
    opened.session = None
    wait_for_client(engine, opened)
    log.debug("%s: the handle waits for its client (%s)", "\\".join(opened.components), durability.state.name)
    durability.settled()
    return True


async def _quieten(engine: Engine, opened: Open) -> None:
    """No request of the session that ends uses the open any more."""
    opened.is_ready = False  # nobody grants it anew while this waits
    await grants.revoke(opened)
    if opened.watcher is not None:
        opened.watcher.clean_up()
    end_waiting(opened)
    while opened.busy and not opened.closing:
        parking = Parking(engine.scheduler)
        opened.idle.append(parking)
        await parking
    if opened.listing is not None:
        opened.listing.release()
        opened.listing = None


async def give_way(engine: Engine, opened: Open) -> bool:
    """[MS-SMB2] 3.3.4.6, 3.3.4.7: what an open holds has to be broken and its client is away.

    Result: whether the open is closed; if not, it has lost its caching and stays.
    """
    durability = opened.durability
    if durability is None or not durability.is_away:
        await close_open(engine, opened)
        return True
    durability.advance(DurableEvent.CONFLICT)
    if durability.state is not DurableState.CLOSED:
        return False
    await close_open(engine, opened)
    return True


async def close_away(engine: Engine) -> None:
    """The server ends: nobody comes back for what does not survive it."""
    for opened in list(engine.handles):
        durability = opened.durability
        if durability is not None and durability.is_away and not durability.is_persistent:
            await close_open(engine, opened)
