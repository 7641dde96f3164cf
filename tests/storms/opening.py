"""How a client of a storm opens, and reclaims what it had open before its connection went.

Knows: CREATE and its contexts.  Must not know: what is done with a handle.
"""

from __future__ import annotations

import struct

from smbd_uring.wire import create_contexts
from smbd_uring.wire.const import CreateAction, CreateDisposition
from smbd_uring.wire.create import CreateRequest, CreateResponse
from smbd_uring.wire.create_contexts import LeaseRequest
from smbd_uring.wire.ntstatus import NtStatus
from tests.storms.caching import (
    BREAK_IN_PROGRESS,
    LEASE_LEVEL,
    OPLOCK_LEVELS,
    OPLOCK_STATES,
    STATES,
    Cache,
    ClientOpen,
    H,
    R,
)
from tests.storms.client import StormClient, bytes_of
from tests.storms.coroutines import start
from tests.storms.history import BLOCKS, EMPTY, BlockAccess, HeldOpen
from tests.storms.line import LineLost
from tests.storms.operations import DELETE_ON_CLOSE, SLOTS, Operation
from tests.support.client_messages import Message, Reply
from tests.support.file_client import Messages

ATTEMPTS_MAX = 50
SHARE = "data"
RECONNECT_DELAY_S = 0.5
"""By then the server has noticed that the connection is gone."""
ALL_BLOCKS = range(BLOCKS)
TRUNCATING = (CreateDisposition.OVERWRITE_IF, CreateDisposition.OVERWRITE, CreateDisposition.SUPERSEDE)
_DISK_ID = struct.Struct("<Q")
_DURABLE_V1 = bytes(16)
_DURABLE_V2 = struct.Struct("<IIQ16s")
_RECONNECT_V1 = struct.Struct("<QQ")
_RECONNECT_V2 = struct.Struct("<QQ16sI")
DURABLE_MS = 60_000
DURABLE_S_SURE = 10.0
"""No durable handle is given up before, unless somebody else wants the file."""


def create_message(
    name: str, access: int, share: int, disposition: int, options: int, contexts: list[tuple[bytes, bytes]],
    oplock_level: int = 0,
) -> Message:  # fmt: skip
    """CREATE; the answer shall tell the inode."""
    built = Messages.create(name, access)
    body = CreateRequest(
        requested_oplock_level=oplock_level, desired_access=access, share_access=share,
        create_disposition=disposition, create_options=options, name=name,
        contexts=[*contexts, (create_contexts.QUERY_ON_DISK_ID, b"")],
    )  # fmt: skip
    built.body = body.encode()
    return built


def inode_of(created: CreateResponse) -> int:
    """What the answer to QFid tells."""
    data = next(data for name, data in created.contexts if name == create_contexts.QUERY_ON_DISK_ID)
    inode: int = _DISK_ID.unpack_from(data)[0]
    return inode


def lease_key_of(client: StormClient, name: str) -> bytes:
    """One key for each name of a client, until another file has the name."""
    return client.guid[:7] + bytes((client.key_numbers[name],)) + name.encode()[:8].ljust(8, b"\0")


async def open_file(client: StormClient, operation: Operation) -> None:
    """Open into a slot; what was there is closed first.  A kept handle that will do is used again."""
    if (old := client.slots.get(operation.slot)) is not None:
        await client.close(old)
    kept = _kept_handle(client, operation)
    if kept is not None:
        client.note(f"uses a kept handle of {operation.name}")
        _put(client, operation.slot, kept)
        return
    contexts: list[tuple[bytes, bytes]] = []
    cache, level = None, OPLOCK_LEVELS.get(operation.caching, 0)
    version = 1 + operation.number % 2
    if operation.caching in STATES and operation.caching:
        level = LEASE_LEVEL
        key = lease_key_of(client, operation.name)
        cache = client.caches.setdefault(key, Cache(key, _name_of_cache(client, operation), version))
        version = cache.version
        contexts.append((create_contexts.LEASE, LeaseRequest(key, STATES[operation.caching], 0, version).encode()))
    guid = operation.value * 2
    if operation.durable == 1:
        contexts.append((create_contexts.DURABLE_REQUEST, _DURABLE_V1))
    elif operation.durable == 2:
        contexts.append((create_contexts.DURABLE_REQUEST_V2, _DURABLE_V2.pack(DURABLE_MS, 0, 0, guid)))
    sent = create_message(
        operation.name, operation.access, operation.share, operation.disposition, operation.options, contexts, level
    )
    logon = client.logons
    reply = await _send(client, operation, sent, cache)
    if reply.status == NtStatus.INVALID_PARAMETER and cache is not None:
        client.key_numbers[operation.name] += 1
    if reply.status == NtStatus.SUCCESS and client.logons == logon:
        _enter(client, operation, reply, cache, guid)


async def _send(client: StormClient, operation: Operation, sent: Message, cache: Cache | None) -> Reply:
    """Send the CREATE; what a truncating one does to files and caches is seen to here."""
    truncates = operation.disposition in TRUNCATING
    if cache is not None:
        cache.opening += 1
    begin, versions = client.now, None
    try:
        if cache is not None and truncates:
            await client.flush(cache)
            begin, versions = client.now, cache.begin_change(ALL_BLOCKS)
        [reply] = await client.ask(sent)
    except LineLost:
        if truncates:
            client.history.perhaps_emptied(begin)
        raise
    finally:
        if cache is not None:
            cache.opening -= 1
            if versions is not None:
                cache.end_change(ALL_BLOCKS, versions, None)
        client.drop_useless_caches()
    if reply.status == NtStatus.SUCCESS:
        created = reply.expect(CreateResponse)
        if created.create_action in (CreateAction.OVERWRITTEN, CreateAction.SUPERSEDED):
            emptied(client, inode_of(created), ALL_BLOCKS, begin)
    elif truncates and reply.status in (NtStatus.USER_SESSION_DELETED, NtStatus.CANCELLED):
        client.history.perhaps_emptied(begin)
    return reply


def emptied(client: StormClient, inode: int, blocks: range, begin: float, certain: bool = True) -> None:
    """Blocks of a file were cut off."""
    client.history.accesses += [
        BlockAccess(inode, block, EMPTY, True, begin, client.now, client.who, certain) for block in blocks
    ]


def _kept_handle(client: StormClient, operation: Operation) -> ClientOpen | None:
    if operation.disposition in TRUNCATING or operation.disposition == CreateDisposition.CREATE:
        return None
    for cache in client.caches.values():
        for opened in cache.kept:
            fits = opened.name == operation.name and not operation.access & ~opened.access
            if fits and opened.share == operation.share and opened.suspended_at is None and cache.state & H:
                cache.kept.remove(opened)
                return opened
    return None


def _enter(client: StormClient, operation: Operation, reply: Reply, cache: Cache | None, guid: bytes) -> None:
    created = reply.expect(CreateResponse)
    inode = inode_of(created)
    held = HeldOpen(inode, client.who, client.now, access=operation.access, share=operation.share)
    opened = ClientOpen(
        created.file_id, operation.name, inode, operation.access, operation.share, False, held,
        deletes=bool(operation.options & DELETE_ON_CLOSE), create_guid=guid,
    )  # fmt: skip
    client.history.opens.append(held)
    names = [name for name, _ in created.contexts]
    if create_contexts.DURABLE_REQUEST in names:
        opened.durable = 1
    elif create_contexts.DURABLE_REQUEST_V2 in names:
        opened.durable = 2
    if created.oplock_level != LEASE_LEVEL:
        cache = None
        if created.oplock_level:
            cache = Cache(
                bytes_of(created.file_id), _name_of_cache(client, operation),
                state=OPLOCK_STATES[created.oplock_level],
            )  # fmt: skip
    if cache is not None:
        if cache.opens and cache.opens[0].inode != inode:
            cache = _succeeded(client, cache)
        client.caches[cache.key] = cache
        opened.cache = cache
        held.lease = cache.name
        cache.opens.append(opened)
        _granted(client, cache, created, inode)
    _put(client, operation.slot, opened)


def _put(client: StormClient, slot: int, opened: ClientOpen) -> None:
    """Into a slot, or beside it where another open was faster."""
    while slot in client.slots:
        slot += SLOTS
    client.note(f"has {opened.name} (inode {opened.inode}) in slot {slot}" + _described(opened))
    client.slots[slot] = opened


def _succeeded(client: StormClient, cache: Cache) -> Cache:
    """The key of a lease was given to another file, since its own is being deleted.  Result: the other's cache."""
    cache.state = 0
    cache.forget()
    client.settle_state(cache, 0)
    client.background.append(start(client.flush_if_possible(cache)))
    return Cache(cache.key, f"{cache.name}, the second", cache.version)


def _name_of_cache(client: StormClient, operation: Operation) -> str:
    return f"{client.who}'s {operation.caching} of operation {operation.number}"


def _granted(client: StormClient, cache: Cache, created: CreateResponse, inode: int) -> None:
    """What the answer to a CREATE says about a lease, seen together with breaks that came meanwhile."""
    if created.oplock_level == LEASE_LEVEL:
        data = next(data for name, data in created.contexts if name == create_contexts.LEASE)
        lease = LeaseRequest.decode(data)
        state, cache.version = lease.lease_state, lease.version
        told = client.breaks_of_nothing.pop(cache.key, None)
        if lease.lease_flags & BREAK_IN_PROGRESS:
            state &= cache.last_break_to
            if told is not None and cache.unsettled_since is None:
                # It came when the last open was being closed, and is answered now.
                state &= told
                client.background.append(start(client.take_break(cache, told, True, client.now)))
        elif cache.unsettled_since is not None:
            cache.settled += 1
            cache.unsettled_since = None
        cache.state = state
    if not cache.state & R:
        cache.forget()
    client.settle_state(cache, inode)


def _described(opened: ClientOpen) -> str:
    means = f", {STATE_NAMES[opened.cache.state]}" if opened.cache is not None else ""
    return means + (f", durable v{opened.durable}" if opened.durable else "")


STATE_NAMES = {state: name for name, state in STATES.items()} | {0: "nothing"}


# --- the connection ----------------------------------------------------------------------------------------------


async def ensure_connected(client: StormClient) -> None:
    """Have a connection, and everything back that can be had back."""
    for attempt in range(ATTEMPTS_MAX):
        line = client.line
        if line is not None and not line.is_lost:
            return
        if client.session_id:
            await client.sleep(RECONNECT_DELAY_S)
        client.line = line = client.connect()
        previous = client.session_id if attempt % 2 else 0
        if not await line.enter(previous, SHARE):
            continue
        assert line.session is not None
        client.session_id = line.session.session_id
        client.note("is connected")
        try:
            await _reclaim_all(client)
        except LineLost:
            continue
    raise AssertionError(f"no connection after {ATTEMPTS_MAX} attempts")


async def _reclaim_all(client: StormClient) -> None:
    while client.suspended:
        opened = client.suspended[0]
        reply = await _reclaim(client, opened)
        client.suspended.remove(opened)
        suspended_at, opened.suspended_at = opened.suspended_at, None
        assert suspended_at is not None
        if reply.status != NtStatus.SUCCESS:
            client.note(f"could not reclaim {opened.name}: {reply.status!r}")
            if opened.was_undisturbed and _nobody_else_came(client, suspended_at):
                client.history.unexpected.append(
                    f"{client.who}: a durable handle of {opened.name} is gone after"
                    f" {client.now - suspended_at:.3f} s, and nobody else was there: {reply.status!r}"
                )
            opened.end(suspended_at)
            client.slots = {slot: other for slot, other in client.slots.items() if other is not opened}
            client.drop_useless_caches()
            continue
        created = reply.expect(CreateResponse)
        opened.file_id = created.file_id
        cache = opened.cache
        if cache is not None:
            if not cache.version:
                cache = _rekeyed(client, cache, created)
            _granted(client, cache, created, opened.inode)
        client.note(f"has reclaimed {opened.name}" + _described(opened))


def _nobody_else_came(client: StormClient, since: float) -> bool:
    """Whether no other connection had anything under way since a handle was suspended, nor this client before."""
    if client.now - since > DURABLE_S_SURE or client.line is None:
        return False
    own = client.line.socket.connection_id
    return not any(
        asked.connection != own and (asked.answers[-1][0] if asked.answers else asked.lost_at) >= since
        for asked in client.history.asked
    )


def _rekeyed(client: StormClient, cache: Cache, created: CreateResponse) -> Cache:
    """An oplock goes by its FileId, which is another now."""
    client.caches.pop(cache.key, None)
    cache.key = bytes_of(created.file_id)
    cache.state &= OPLOCK_STATES[created.oplock_level]
    client.caches[cache.key] = cache
    return cache


async def _reclaim(client: StormClient, opened: ClientOpen) -> Reply:
    contexts: list[tuple[bytes, bytes]] = []
    cache, level = opened.cache, OPLOCK_LEVELS["batch"]
    if cache is not None and cache.version:
        level = LEASE_LEVEL
        contexts.append((create_contexts.LEASE, LeaseRequest(cache.key, cache.state, 0, cache.version).encode()))
    if opened.durable == 1:
        contexts.append((create_contexts.DURABLE_RECONNECT, _RECONNECT_V1.pack(*opened.file_id)))
    else:
        data = _RECONNECT_V2.pack(*opened.file_id, opened.create_guid, 0)
        contexts.append((create_contexts.DURABLE_RECONNECT_V2, data))
    sent = create_message(
        opened.name, opened.access, opened.share, int(CreateDisposition.OPEN), 0, contexts, level
    )
    [reply] = await client.ask(sent)
    return reply
