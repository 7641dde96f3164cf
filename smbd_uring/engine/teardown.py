"""Taking things apart in the right order: an open, a tree, a session.

Knows: [MS-SMB2] 3.3.4.17 (closing an open), 3.3.4.12 (closing a session); [MS-FSA] 2.1.5.5 (close, delete on close).
Must not know: which command or event asked for it.

Every function may be called for something that is being closed already: the second caller waits for the first.  No
descriptor is closed while a request may still use it: its number could be another file's by then.
"""

from __future__ import annotations

import errno
import logging
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING

from smbd_uring.engine import breaks, grants, guards, leases, write_times
from smbd_uring.engine.lock_taking import end_waiting, release
from smbd_uring.engine.opens import Deletion, Open
from smbd_uring.engine.oplock_states import Operation
from smbd_uring.engine.scheduler import Parking
from smbd_uring.engine.session import Session, Tree
from smbd_uring.engine.session_states import SessionEvent, SessionState
from smbd_uring.engine.share_modes import WRITE_RIGHTS
from smbd_uring.ports import AccountFlags, CloseHandle, Handle, Stat, TellLogout, TellTreeDisconnect
from smbd_uring.wire.ntstatus import NtStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from smbd_uring.engine.connection import Connection
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.request import Request

    Leave = Callable[[Engine, Open], Awaitable[bool]]
    """Lets an open wait for its client; False: it is to be closed."""

log = logging.getLogger("smbd.fs")

CLOSE_FAILED = "closing a file failed: %s"


async def close_open(engine: Engine, opened: Open, by: Request | None = None) -> None:
    """Close a handle: its waiting requests first, then its file where that was to be deleted, then the descriptor.

    `by` is the request that wants it closed, which uses the handle itself.  When somebody else is closing it already
    the request stops using it before it waits: whoever was first waits for that.
    """
    if opened.closing:
        if by is not None:
            by.stop_using_open()
        await _wait_until_closed(engine, opened)
        return
    opened.closing = True
    await grants.revoke(opened)
    own_use = 0 if by is None else 1
    if opened.watcher is not None:
        await engine.notifications.end(opened)
    end_waiting(opened)
    while opened.busy > own_use:
        parking = Parking(engine.scheduler)
        opened.idle.append(parking)
        await parking
    if opened.changes_at_close:
        share_path = opened.tree.share.path
        await engine.notifications.described(share_path, opened.components, opened.changes_at_close)
    await release(engine, opened)
    if opened.delete_on_close or opened.file.deletion is not None:
        await _delete_if_last(engine, opened)
    else:
        if not opened.is_directory:
            await write_times.closing(engine, opened)
        if breaks.is_watched(engine, opened):
            await _show_changes(engine, opened)
    tree = opened.tree
    engine.opens.remove(opened)
    engine.handles.remove(opened)
    leases.release(engine, opened)
    if opened.listing is not None:
        opened.listing.release()
    if opened.handle is not None:
        guards.forget(engine, opened)
        handle, opened.handle = opened.handle, None
        engine.closings.begin(opened.file.identity)
        await _close_handle(handle)
        engine.closings.end(opened.file.identity)
    if opened.file.caching is not None:
        engine.settle_guard(opened.file)
    await let_go_of_root(engine, tree)
    if engine.journal:
        await engine.journal.drop(opened.file_id.persistent)
    opened.closed = True
    for parking in opened.waiting_for_close:
        parking.wake()


async def _wait_until_closed(engine: Engine, opened: Open) -> None:
    if not opened.closed:
        parking = Parking(engine.scheduler)
        opened.waiting_for_close.append(parking)
        await parking


async def _close_handle(handle: Handle) -> None:
    try:
        await CloseHandle(handle)
    except OSError as error:
        log.warning(CLOSE_FAILED, error)


async def _delete_if_last(engine: Engine, opened: Open) -> None:
    """[MS-FSA] 2.1.5.5: delete-on-close of this handle marks the file; the last handle of the file removes the name."""
    file = opened.file
    if opened.delete_on_close:
        if file.caching is not None:
            breaks.break_others(engine, file, opened.holder, Operation.DELETE)  # CLOSE has waited, who else need not
        file.mark_for_deletion(opened)
    if file.deletion is None or len(file.opens) > 1:
        return
    try:
        await _delete(engine, opened, file.deletion)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:  # a folder that was filled stays, as on Windows
            return
        log.warning("deleting %s on close failed: %s", "\\".join(file.deletion.components), error)
    else:
        deletion = file.deletion
        await engine.notifications.removed(deletion.share_path, deletion.components, opened.is_directory)
    engine.opens.unlinked_generation += 1
    if engine.leases.has_directories:
        knows = opened.parent_lease if opened.parent_lease == file.deletion.parent_lease else None
        breaks.entry_changed(engine, file.deletion.absolute_path, knows)


async def _show_changes(engine: Engine, opened: Open) -> None:
    """[MS-SMB2] 3.3.1.4: what was written through a handle shows in its directory at the latest when it is closed."""
    if opened.is_directory or opened.handle is None or not opened.granted_access & WRITE_RIGHTS:
        return
    try:
        now, before = await Stat(opened.handle), opened.found.status
    except OSError as error:
        log.warning(CLOSE_FAILED, error)
        return
    if opened.has_written or (now.modified_ns, now.size) != (before.modified_ns, before.size):
        breaks.entry_of(engine, opened)


async def _delete(engine: Engine, opened: Open, deletion: Deletion) -> None:
    """Take away the marked name, `opened` being the file's last handle.  OSError as the kernel gives it."""
    tree, own_root = opened.tree, None
    if tree.root is not None and tree.share.path == deletion.share_path:
        handle = tree.root.handle
    else:
        handle = own_root = await engine.filesystem.open_root(deletion.share_path)
    root = replace(deletion.root, handle=handle)
    identity, is_directory = opened.file.identity, opened.is_directory
    try:
        await engine.filesystem.delete(root, deletion.components, identity, is_directory, deletion.credentials)
    finally:
        if own_root is not None:
            await _close_handle(own_root)


async def let_go_of_root(engine: Engine, tree: Tree) -> None:
    """Close a closed tree's root unless opens that wait for their clients still need it."""
    if not tree.closed or tree.opens or not tree.keeps_root:
        return
    tree.keeps_root = False
    engine.tree_count -= 1
    if tree.root is not None:
        await _close_handle(tree.root.handle)


async def close_tree(engine: Engine, tree: Tree, own_use: int = 0, leave: Leave | None = None) -> None:
    """Close everything opened through a tree connect, wait for requests that use it, and close the tree itself.

    `own_use` is how many of those requests belong to the caller; `leave` is given where handles may outlive the tree,
    which then keeps its root open for them.
    """
    if tree.closing:
        if not tree.closed:
            parking = Parking(engine.scheduler)
            tree.waiting_for_close.append(parking)
            await parking
        return
    tree.closing = True
    for parking in list(tree.parked):
        parking.wake(NtStatus.CANCELLED)
    for opened in sorted(tree.opens, key=attrgetter("file_id")):  # in a defined order: clients see who goes first
        if leave is None or not await leave(engine, opened):
            await close_open(engine, opened)
    while tree.busy > own_use:
        tree.idle = Parking(engine.scheduler)
        tree.quiet_at = own_use
        await tree.idle
    session = tree.session
    assert session is not None, "what has no session is closed already"
    session.trees.pop(tree.tree_id, None)
    await TellTreeDisconnect(session.session_id, tree.tree_id)
    tree.closed = True
    await let_go_of_root(engine, tree)
    for parking in tree.waiting_for_close:
        parking.wake()


async def lose_channel(
    engine: Engine, session: Session, connection: Connection, leave: Leave | None = None
) -> None:
    """[MS-SMB2] 3.3.7.1: a connection of a session is gone.  The session goes with its last one (`leave` as for
    `close_session`); until then nothing but the channel is lost."""
    if session.state is SessionState.CLOSED or len(session.channels) == 1:
        await close_session(engine, session, leave=leave)
        return
    del session.channels[connection]
    connection.sessions.pop(session.session_id, None)
    session.connection = next(iter(session.channels))
    await grants.withdraw(session, connection)


async def close_session(
    engine: Engine, session: Session, failed_logon: bool = False, leave: Leave | None = None
) -> None:
    """End a session with all it has, but for handles that `leave` lets wait for their client.  The connection goes on;
    the client may log on again."""
    if session.state is SessionState.CLOSED:
        if session.session_id in engine.sessions:
            parking = Parking(engine.scheduler)
            session.waiting_for_close.append(parking)
            await parking
        return
    session.advance(SessionEvent.FAILED if failed_logon else SessionEvent.CLOSE)
    for connection in session.channels:
        connection.logons.pop(session.session_id, None)
    grants.suspend(session)
    if session.expiry is not None:
        session.expiry.cancel()
    for tree in list(session.trees.values()):
        await close_tree(engine, tree, leave=leave)
    grants.dismiss(session)
    del engine.sessions[session.session_id]
    engine.sessions_of[session.network] -= 1
    if not engine.sessions_of[session.network]:
        del engine.sessions_of[session.network]
    for connection in session.channels:
        connection.sessions.pop(session.session_id, None)
    if session.account_flags or failed_logon:
        flags = session.account_flags | (AccountFlags.BAD_PASSWORD if failed_logon else AccountFlags(0))
        await TellLogout(session.account, flags)
    for parking in session.waiting_for_close:
        parking.wake()
