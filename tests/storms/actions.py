"""What a client does for each kind of operation, and what it notes down about it.

Knows: handles in slots, blocks, locks.  Must not know: how connections are made, which rules there are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from smbd_uring.wire.const import Command, CreateAction, FileInfoClass, LockFlags
from smbd_uring.wire.create import CreateResponse
from smbd_uring.wire.data import FlushRequest, LockElement, LockRequest, ReadResponse
from smbd_uring.wire.fscc import EndOfFileInformation, RenameInformation
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.session import LogoffRequest
from tests.storms.caching import Cache, ClientOpen, H, R, W
from tests.storms.client import StormClient
from tests.storms.history import BLOCK_BYTES, BLOCK_STRIDE, BLOCKS, EMPTY, BlockAccess, DataRequest, HeldLock, HeldOpen
from tests.storms.line import LineLost
from tests.storms.opening import (
    ALL_BLOCKS,
    SHARE,
    TRUNCATING,
    create_message,
    emptied,
    inode_of,
    open_file,
)
from tests.storms.operations import FOLDERS, READ, Kind, Operation
from tests.support.client import message
from tests.support.client_messages import Message, Reply
from tests.support.file_client import Messages

ANY = Messages.ANY
Action = Callable[[StormClient, Operation], Awaitable[None]]


async def perform(client: StormClient, operation: Operation) -> None:
    """Do one operation.  A connection that goes meanwhile ends it."""
    client.note(f"[{operation}]")
    try:
        await ACTIONS[operation.kind](client, operation)
    except LineLost:
        client.note(f"[{operation.number}] was not answered")


async def close(client: StormClient, operation: Operation) -> None:
    """Close, or keep the handle where that is allowed."""
    opened = client.slots.get(operation.slot)
    if opened is None:
        return
    cache = opened.cache
    if cache is not None and cache.state & H and operation.flag and not opened.deletes and not opened.locks:
        client.note(f"keeps its handle of {opened.name}")
        del client.slots[operation.slot]
        cache.kept.append(opened)
    else:
        await client.close(opened)


# --- data --------------------------------------------------------------------------------------------------------


async def read(client: StormClient, operation: Operation) -> None:
    """Read a block: from the cache where it is there and may be used."""
    opened, block = client.slots.get(operation.slot), operation.block
    if opened is None or opened.suspended_at is not None:
        return
    cache = opened.cache
    if cache is not None:
        value = cache.blocks.get(block)
        if value is not None and (cache.state & R or block in cache.delayed):
            access = BlockAccess(
                opened.inode, block, value, False, client.coherent_since(cache), client.now, client.who
            )
            client.note(f"reads {value!r} of block {block} from its cache")
            client.history.accesses.append(access)
            cache.saw(access)
            return
        await client.flush(cache)
        if opened.is_gone:
            return
    versions = None if cache is None else [*cache.versions]
    begin = client.now
    [reply] = await client.ask(Messages.read(opened.file_id, block * BLOCK_STRIDE, BLOCK_BYTES))
    value = _value_read(client, opened.inode, block, begin, reply, opened.held)
    if value is None or cache is None or versions is None or not cache.state & R or opened.is_gone:
        return
    if versions[block] == cache.versions[block] and not cache.writing[block]:
        cache.blocks[block] = value


def _value_read(
    client: StormClient, inode: int, block: int, begin: float, reply: Reply, held: HeldOpen | None
) -> bytes | None:
    """What a READ of a block said, noted down; None when it was refused."""
    if reply.status == NtStatus.SUCCESS:
        value = bytes(reply.expect(ReadResponse).data)
    elif reply.status == NtStatus.END_OF_FILE:
        value = EMPTY
    else:
        return None
    client.note(f"reads {value!r} of block {block}")
    start = block * BLOCK_STRIDE
    history, now = client.history, client.now
    history.accesses.append(BlockAccess(inode, block, value, False, begin, now, client.who))
    if reply.status == NtStatus.SUCCESS:
        history.data_requests.append(
            DataRequest(inode, start, start + BLOCK_BYTES, False, begin, now, client.who, held)
        )
    return value


async def write(client: StormClient, operation: Operation) -> None:
    """Write a block: into the cache where W is held, else at once."""
    opened, block, value = client.slots.get(operation.slot), operation.block, operation.value
    if opened is None or opened.suspended_at is not None:
        return
    access = BlockAccess(opened.inode, block, value, True, client.now, client.now, client.who)
    cache = opened.cache
    if cache is not None and _may_delay(client, opened, cache, block):
        client.note(f"writes {value!r} to block {block} of its cache")
        client.history.accesses.append(access)
        cache.delay(access, opened)
        return
    if cache is not None:
        await client.flush(cache)
        if opened.is_gone:
            return
    blocks = range(block, block + 1)
    access.begin = client.now
    versions = [] if cache is None else cache.begin_change(blocks)
    done = None
    try:
        [reply] = await client.ask(Messages.write(opened.file_id, block * BLOCK_STRIDE, value))
        done = value if reply.status == NtStatus.SUCCESS else None
    except LineLost:
        access.certain = False
        client.history.accesses.append(access)
        raise
    finally:
        if cache is not None:
            cache.end_change(blocks, versions, done)
    if done is not None:
        _written(client, access, opened.held)


def _written(client: StormClient, access: BlockAccess, held: HeldOpen | None) -> None:
    access.end = client.now
    start = access.block * BLOCK_STRIDE
    client.history.accesses.append(access)
    client.history.data_requests.append(
        DataRequest(access.inode, start, start + BLOCK_BYTES, True, access.begin, client.now, client.who, held)
    )


def _may_delay(client: StormClient, opened: ClientOpen, cache: Cache, block: int) -> bool:
    start = block * BLOCK_STRIDE
    locked = any(
        lock.start < start + BLOCK_BYTES and start < lock.stop
        for other in client.opens()
        for lock in other.locks
        if lock.inode == opened.inode
    )
    changing = cache.writing[block] and block not in cache.delayed and cache.flushing is None
    return bool(cache.state & W) and opened.access & 2 != 0 and not locked and not changing


async def flush(client: StormClient, operation: Operation) -> None:
    """Write what was delayed, then FLUSH."""
    opened = client.slots.get(operation.slot)
    if opened is None:
        return
    if opened.cache is not None:
        await client.flush(opened.cache)
    await client.ask(message(Command.FLUSH, FlushRequest(opened.file_id).encode(), {}))


async def truncate(client: StormClient, operation: Operation) -> None:
    """Cut a file off before a block."""
    opened = client.slots.get(operation.slot)
    if opened is None or opened.suspended_at is not None:
        return
    blocks, cache = range(operation.block, BLOCKS), opened.cache
    if cache is not None:
        await client.flush(cache)
    begin = client.now
    versions = [] if cache is None else cache.begin_change(blocks)
    information = EndOfFileInformation(operation.block * BLOCK_STRIDE)
    try:
        [reply] = await client.ask(Messages.set_info(opened.file_id, FileInfoClass.END_OF_FILE, information))
    except LineLost:
        emptied(client, opened.inode, blocks, begin, certain=False)
        raise
    finally:
        if cache is not None:
            cache.end_change(blocks, versions, None)
    if reply.status == NtStatus.SUCCESS:
        emptied(client, opened.inode, blocks, begin)


# --- locks -------------------------------------------------------------------------------------------------------


async def lock(client: StormClient, operation: Operation) -> None:
    """Lock one range, or two at once; every second time by waiting for them."""
    opened = client.slots.get(operation.slot)
    if opened is None or opened.suspended_at is not None:
        return
    if opened.cache is not None:
        await client.flush(opened.cache)
    flags = int(LockFlags.EXCLUSIVE_LOCK if operation.flag else LockFlags.SHARED_LOCK)
    ranges = [(operation.block, operation.block + operation.span)]
    waits = operation.number % 2 == 1
    if not waits:
        flags |= LockFlags.FAIL_IMMEDIATELY
        if operation.number % 3 == 0:
            ranges.append((ranges[0][1] + 1, ranges[0][1] + 2))
    elements = [LockElement(start * BLOCK_STRIDE, (stop - start) * BLOCK_STRIDE, flags) for start, stop in ranges]
    [reply] = await client.ask(message(Command.LOCK, LockRequest(opened.file_id, elements).encode(), {}))
    if reply.status != NtStatus.SUCCESS:
        return
    for element in elements:
        stop = element.offset + element.length
        held = HeldLock(
            opened.inode, client.who, client.now, start=element.offset, stop=stop, exclusive=operation.flag,
            opened=opened.held,
        )  # fmt: skip
        if opened.is_gone:  # the answer overtook the end, which was asked for already
            return
        opened.locks.append(held)
        client.history.locks.append(held)


async def unlock(client: StormClient, operation: Operation) -> None:
    """Unlock one of the ranges that an open has locked."""
    opened = client.slots.get(operation.slot)
    if opened is None or not opened.locks or opened.suspended_at is not None:
        return
    if opened.cache is not None:
        await client.flush(opened.cache)
        if not opened.locks:
            return
    held = opened.locks.pop(operation.block % len(opened.locks))
    held.end = client.now
    element = LockElement(held.start, held.stop - held.start, int(LockFlags.UNLOCK))
    [reply] = await client.ask(message(Command.LOCK, LockRequest(opened.file_id, [element]).encode(), {}))
    if reply.status == NtStatus.RANGE_NOT_LOCKED and not opened.is_gone:
        client.history.lost_locks.append(f"{client.who}: a lock that was granted is not there when it is unlocked")


# --- names -------------------------------------------------------------------------------------------------------


async def rename(client: StormClient, operation: Operation) -> None:
    """Give the file another name; every second time in the place of another."""
    opened = client.slots.get(operation.slot)
    if opened is None:
        return
    information = RenameInformation(operation.flag, operation.name)
    [reply] = await client.ask(Messages.set_info(opened.file_id, FileInfoClass.RENAME, information))
    if reply.status == NtStatus.SUCCESS:
        client.key_numbers[opened.name] += 1
        for other in client.opens():
            if other.inode == opened.inode:
                other.name = operation.name


async def dispose(client: StormClient, operation: Operation) -> None:
    """Mark for deletion, or take that back."""
    opened = client.slots.get(operation.slot)
    if opened is not None:
        await client.ask(Messages.set_info(opened.file_id, FileInfoClass.DISPOSITION, bytes([operation.flag])))


async def query(client: StormClient, operation: Operation) -> None:
    """Ask for all information."""
    opened = client.slots.get(operation.slot)
    if opened is not None:
        await client.ask(Messages.query_info(opened.file_id, FileInfoClass.ALL))


async def watch(client: StormClient, operation: Operation) -> None:
    """Open a folder and wait for changes, until there are some or it is cancelled."""
    name = operation.name if operation.name in FOLDERS else ""
    create = create_message(name, READ, 7, 1, 1, [])
    [reply] = await client.ask(create)
    if reply.status == NtStatus.SUCCESS:
        file_id = reply.expect(CreateResponse).file_id
        await client.ask(Messages.change_notify(file_id))
        await client.ask(Messages.close(file_id))


async def list_folder(client: StormClient, operation: Operation) -> None:
    """List a folder in one compound."""
    name = operation.name if operation.name in FOLDERS else ""
    create = create_message(name, READ, 7, 1, 1, [])
    await client.ask(create, Messages.query_directory(ANY).related(), Messages.close().related())


async def compound(client: StormClient, operation: Operation) -> None:
    """CREATE, a READ or WRITE, CLOSE in one frame."""
    create = create_message(
        operation.name, operation.access, operation.share, operation.disposition, 0, []
    )
    middle = _middle(operation)
    begin, truncates = client.now, operation.disposition in TRUNCATING
    try:
        created, done, _ = await client.ask(create, middle, Messages.close().related())
    except LineLost:
        if truncates:
            client.history.perhaps_emptied(begin)
        if operation.flag:
            client.history.perhaps_written.append((begin, operation.block, operation.value))
        raise
    if created.status != NtStatus.SUCCESS:
        return
    answer = created.expect(CreateResponse)
    inode = inode_of(answer)
    if answer.create_action in (CreateAction.OVERWRITTEN, CreateAction.SUPERSEDED):
        emptied(client, inode, ALL_BLOCKS, begin)
    if operation.flag and done.status == NtStatus.SUCCESS:
        access = BlockAccess(inode, operation.block, operation.value, True, begin, begin, client.who)
        _written(client, access, None)
    elif not operation.flag:
        _value_read(client, inode, operation.block, begin, done, None)


def _middle(operation: Operation) -> Message:
    offset = operation.block * BLOCK_STRIDE
    if operation.flag:
        return Messages.write(ANY, offset, operation.value).related()
    return Messages.read(ANY, offset, BLOCK_BYTES).related()


# --- endings -----------------------------------------------------------------------------------------------------


async def cancel(client: StormClient, operation: Operation) -> None:
    """CANCEL something that is under way."""
    line = client.line
    if line is not None and line.unanswered:
        line.cancel_request(line.unanswered[operation.block % len(line.unanswered)])


async def cut(client: StormClient, operation: Operation) -> None:
    """Pull the cable."""
    client.leave()


async def log_off(client: StormClient, operation: Operation) -> None:
    """LOGOFF with everything open, and log on again."""
    await end_session(client)
    line = client.line
    if line is not None and not line.is_lost:
        await line.authenticate()
        await line.connect_tree(SHARE)
        assert line.session is not None
        client.session_id = line.session.session_id


async def end_session(client: StormClient) -> None:
    """LOGOFF with everything open."""
    for cache in list(client.caches.values()):
        await client.flush(cache)
    for opened in client.opens():
        opened.end(client.now)
    client.slots.clear()
    client.drop_useless_caches()
    client.logons += 1
    await client.ask(message(Command.LOGOFF, LogoffRequest().encode(), {}))


ACTIONS: dict[Kind, Action] = {
    Kind.OPEN: open_file, Kind.CLOSE: close, Kind.READ: read, Kind.WRITE: write, Kind.FLUSH: flush,
    Kind.TRUNCATE: truncate, Kind.LOCK: lock, Kind.UNLOCK: unlock, Kind.RENAME: rename, Kind.DISPOSE: dispose,
    Kind.QUERY: query, Kind.COMPOUND: compound, Kind.WATCH: watch, Kind.LIST: list_folder, Kind.CANCEL: cancel,
    Kind.CUT: cut, Kind.LOGOFF: log_off,
}  # fmt: skip
