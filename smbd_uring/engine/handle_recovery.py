"""After a restart: the handles that the journal knows of are there again, before any client is.

Knows: [MS-SMB2] 3.3.5.9.12 (what a client will ask for), how an open is made of a record.  Must not know: the journal's
form.

Each file is found again by its name below its share's root, as the user who had it open, and must be the one that was
open: same inode, made at the same time.  What cannot be had again is said in the log and dropped; its client is told
that the handle is gone.  A handle that is restored waits for its client like one whose connection was lost.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from typing import TYPE_CHECKING

from smbd_uring.engine.access import WRITE_DATA
from smbd_uring.engine.byte_range_locks import ByteRange, Lock, LockAllowance
from smbd_uring.engine.durable_handles import Durability, Owner
from smbd_uring.engine.durable_states import DurableEvent
from smbd_uring.engine.durable_waiting import wait_for_client
from smbd_uring.engine.handle_journal import HandleJournal
from smbd_uring.engine.handle_records import BadRecord, CachingRecord, HandleRecord
from smbd_uring.engine.leases import PARENT_LEASE_KEY_SET, restore_lease, restore_oplock
from smbd_uring.engine.lock_taking import restore as restore_locks
from smbd_uring.engine.opens import Open
from smbd_uring.engine.session import Tree
from smbd_uring.engine.share_modes import READ_RIGHTS
from smbd_uring.engine.share_root import open_share_root
from smbd_uring.engine.teardown import let_go_of_root
from smbd_uring.ports import (
    AskShare,
    CloseHandle,
    CompanionUnavailable,
    Credentials,
    FileFacts,
    Found,
    Handle,
    Reopen,
    ShareFlags,
    ShareRoot,
    TreeFlags,
)
from smbd_uring.wire.const import CreateAction
from smbd_uring.wire.create_contexts import LeaseRequest
from smbd_uring.wire.pdu import FileId

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine

log = logging.getLogger("smbd.fs")

Trees = dict[tuple[str, bool], Tree]
NO_VOLATILE = 0
"""Nobody can use the handle by its former id."""


async def recover(engine: Engine, journal: HandleJournal) -> None:
    """Restore what an earlier run of the server left, and go on recording."""
    trees: Trees = {}
    kept: dict[int, bytes] = {}
    try:
        for persistent, payload in (await journal.open()).items():
            if await _recovered(engine, persistent, payload, trees):
                kept[persistent] = payload
        await journal.restored(kept)
    except OSError as error:
        log.error("there are no persistent handles: their journal cannot be used: %s", error)
    for tree in trees.values():
        await let_go_of_root(engine, tree)
    if kept:
        log.info("%d persistent handles wait for their clients", len(kept))


async def _recovered(engine: Engine, persistent: int, payload: bytes, trees: Trees) -> bool:
    name = ""
    try:
        record = HandleRecord.decode(payload)
        name = "\\".join((record.share, *record.components))
        tree = await _tree(engine, record, trees)
        await _restore(engine, persistent, record, tree)
    except (BadRecord, CompanionUnavailable, OSError) as error:
        log.warning("a persistent handle of %r is lost: %s", name, error)
        return False
    return True


async def _tree(engine: Engine, record: HandleRecord, trees: Trees) -> Tree:
    """Something that stands for the tree connect: closed, but for the root."""
    key = record.share, record.is_writable
    if key in trees:
        return trees[key]
    share = await AskShare(record.share)
    if share is None or share.path != record.share_path or not share.flags & ShareFlags.CONTINUOUS_AVAILABILITY:
        raise OSError(errno.ENOENT, "the share is not there any more, or not continuously available")
    root = await open_share_root(engine, share)
    flags = TreeFlags.WRITABLE if record.is_writable else TreeFlags.READ_ONLY
    tree = Tree(None, 0, share, flags, root, Credentials(record.uid, record.gid, record.groups), 0)
    tree.closing = tree.closed = True
    engine.tree_count += 1
    trees[key] = tree
    return tree


async def _restore(engine: Engine, persistent: int, record: HandleRecord, tree: Tree) -> None:
    assert tree.root is not None
    credentials = Credentials(record.uid, record.gid, record.groups)
    found = await _find(engine, record, tree.root, credentials)
    assert found.handle is not None and found.facts is not None
    handle = found.handle
    try:
        flags = _flags(record)
        if flags is not None:
            handle = await Reopen(found.handle, flags, credentials)
    except BaseException:
        await CloseHandle(found.handle)
        raise
    if handle != found.handle:
        await CloseHandle(found.handle)
    opened = _enter(engine, persistent, record, tree, found.components, found.facts, handle, credentials)
    if record.locks:
        allowance = LockAllowance()
        locks = [Lock(opened, ByteRange(*where), exclusive, allowance) for *where, exclusive in record.locks]
        await restore_locks(engine, opened, locks)


async def _find(engine: Engine, record: HandleRecord, root: ShareRoot, credentials: Credentials) -> Found:
    """The file by the name it had, or by the one that it was to get when the server died.  OSError when it has
    neither."""
    try:
        return await _find_by(engine, record, root, record.components, credentials)
    except OSError:
        if record.next_name is None:
            raise
    return await _find_by(engine, record, root, record.next_name, credentials)


async def _find_by(
    engine: Engine, record: HandleRecord, root: ShareRoot, components: tuple[str, ...], credentials: Credentials
) -> Found:
    found = await engine.filesystem.lookup(root, components, credentials)
    if found.handle is None or found.facts is None:
        raise FileNotFoundError(errno.ENOENT, "there is no such file any more")
    try:
        _check(record, found.facts)
    except BaseException:
        await CloseHandle(found.handle)
        raise
    return found


def _check(record: HandleRecord, facts: FileFacts) -> None:
    """A device's number may be another one after the machine was started again; an inode's may be another file's."""
    status = facts.status
    is_same = status.inode == record.inode and status.born_ns == record.born_ns
    if not is_same or stat.S_ISDIR(status.mode) != record.is_directory:
        raise OSError(errno.ESTALE, "the name is another file's now")


def _flags(record: HandleRecord) -> int | None:
    """How the file is opened again; None for a handle that neither reads nor writes."""
    reads = record.access & READ_RIGHTS
    writes = record.access & WRITE_DATA and not record.is_directory
    common = os.O_NONBLOCK | os.O_NOCTTY
    if reads:
        return common | (os.O_RDWR if writes else os.O_RDONLY)
    return common | os.O_WRONLY if writes else None


def _enter(
    engine: Engine, persistent: int, record: HandleRecord, tree: Tree, components: tuple[str, ...], facts: FileFacts,
    handle: Handle, credentials: Credentials,
) -> Open:  # fmt: skip
    """From now on it counts: nobody gets what it does not share."""
    file = engine.opens.file_for(facts.status.identity)
    opened = Open(
        None, tree, file, FileId(persistent, NO_VOLATILE), components, record.access, record.sharing,
        record.options, facts, record.is_directory,
    )  # fmt: skip
    opened.credentials = credentials
    opened.handle = handle
    opened.uses_data = _flags(record) is not None and not record.is_directory
    opened.mode = record.mode
    opened.delete_on_close = record.delete_on_close
    opened.lock_sequences.update(record.lock_sequences)
    engine.opens.restore(opened)
    if record.delete_pending:
        file.mark_for_deletion(opened)
    durability = Durability(bytes.fromhex(record.client_guid), Owner(record.owner, record.owner_uid))
    durability.create_guid = bytes.fromhex(record.create_guid)
    durability.create_action = CreateAction(record.create_action)
    durability.asked = record.asked
    durability.timeout_s = record.timeout_s
    if record.app_instance_id is not None:
        durability.app_instance_id = bytes.fromhex(record.app_instance_id)
        durability.app_instance_version = record.app_instance_version
    # Whether the client has used it nobody knows any more; a CREATE told again gets it in any case.
    durability.is_replay_eligible = True
    durability.advance(DurableEvent.RESTORE)
    opened.durability = durability
    engine.handles.enter(opened)
    if record.caching is not None:
        _restore_caching(engine, opened, durability.client_guid, record.caching)
    wait_for_client(engine, opened)
    return opened


def _restore_caching(engine: Engine, opened: Open, client_guid: bytes, record: CachingRecord) -> None:
    if record.lease_key is None:
        restore_oplock(engine, opened, record.held)
        return
    asked = LeaseRequest(bytes.fromhex(record.lease_key), record.held, version=record.version, epoch=record.epoch)
    if record.parent_key is not None:
        asked.lease_flags, asked.parent_lease_key = PARENT_LEASE_KEY_SET, bytes.fromhex(record.parent_key)
    restore_lease(engine, opened, client_guid, asked)
