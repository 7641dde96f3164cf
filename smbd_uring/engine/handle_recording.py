"""Keeps what the journal says of a persistent handle in step with the handle.

Knows: opens, and what of them a record has.  Must not know: how records are written, how a handle is restored.

Whoever changes something that a record tells calls `remember` before the client hears of it: what the client was told
is then true after a crash as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smbd_uring.engine.handle_records import CachingRecord, HandleRecord, LockRecord
from smbd_uring.engine.leases import Lease

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.opens import File, Open


async def remember(engine: Engine, opened: Open) -> bool:
    """Record an open as it is now, if it is persistent.  Result: whether its record is on disk and true."""
    durability, journal = opened.durability, engine.journal
    if durability is None or journal is None or not durability.is_persistent or opened.closing:
        return False
    return await journal.put(opened.file_id.persistent, record_of(opened).encode())


async def remember_all(engine: Engine, file: File) -> None:
    """Record every persistent open of a file: something that they share has changed."""
    if not engine.journal:
        return
    for opened in list(file.opens):
        if opened.durability is not None:
            opened.durability.next_name = None
        await remember(engine, opened)


async def foretell_name(engine: Engine, opened: Open, name: tuple[str, ...]) -> None:
    """The file is about to be renamed from the name of `opened`: should the server die in the middle, the handles that
    know it by that name are found by either."""
    if not engine.journal:
        return
    for other in list(opened.file.opens):
        if other.durability is not None and other.components == opened.components:
            other.durability.next_name = name
            await remember(engine, other)


def record_of(opened: Open) -> HandleRecord:
    """What the journal says of a persistent open."""
    durability, share = opened.durability, opened.tree.share
    status, credentials = opened.facts.status, opened.credentials
    assert durability is not None and durability.owner is not None and durability.create_guid is not None
    app_instance_id = durability.app_instance_id
    return HandleRecord(
        share=share.name,
        share_path=share.path,
        is_writable=opened.tree.writable,
        components=opened.components,
        next_name=durability.next_name,
        inode=status.inode,
        born_ns=status.born_ns,
        is_directory=opened.is_directory,
        access=int(opened.granted_access),
        sharing=opened.share_access,
        options=opened.create_options,
        mode=opened.mode,
        asked=durability.asked,
        uid=credentials.uid,
        gid=credentials.gid,
        groups=credentials.groups,
        owner=durability.owner.account,
        owner_uid=durability.owner.uid,
        client_guid=durability.client_guid.hex(),
        create_guid=durability.create_guid.hex(),
        create_action=int(durability.create_action),
        timeout_s=durability.timeout_s,
        app_instance_id=None if app_instance_id is None else app_instance_id.hex(),
        app_instance_version=durability.app_instance_version,
        delete_on_close=opened.delete_on_close,
        delete_pending=opened.file.delete_pending,
        caching=_caching_of(opened),
        locks=_locks_of(opened),
        lock_sequences=tuple(opened.lock_sequences.items()),
    )


def _locks_of(opened: Open) -> tuple[LockRecord, ...]:
    locks = opened.file.locks
    if locks is None:
        return ()
    return tuple((*lock.range, lock.is_exclusive) for lock in locks.held_by(opened))


def _caching_of(opened: Open) -> CachingRecord | None:
    """What the open's client may believe to have after a crash: while a break is under way, what it leaves."""
    holder = opened.holder
    if holder is None:
        return None
    state = holder.state
    held = state.held if state.told is None else state.told & state.required
    if not isinstance(holder, Lease):
        return CachingRecord(held)
    parent_key = None if holder.parent_key is None else holder.parent_key.hex()
    return CachingRecord(held, holder.lease_id[1].hex(), holder.version, holder.epoch, parent_key)
