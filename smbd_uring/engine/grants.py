"""What the engine lets a data plane do by itself, and how it takes that back.

Knows: sessions and opens, and the contract of `ports.plane`.  Must not know: what a data plane is made of.

An open is granted when nothing about its READs, WRITEs and FLUSHes needs a decision any more: a file with a handle,
rights checked, no byte-range lock in the way, nobody's cache to break.  Whoever changes what the rule goes by calls
`reconsider`; whoever changes the open itself revokes first, waits until what is under way is done, and grants anew.
Without a data plane, or with grants turned off, every function here does nothing and the engine answers itself.

A session is admitted to the data planes of all its channels, and an open is granted on all of them alike: any channel
may carry any request.  Taking back takes it from all at once, and waits for each that is still at work.
"""

from __future__ import annotations

from stat import S_ISGID, S_ISUID
from typing import TYPE_CHECKING

from smbd_uring.engine.byte_range_locks import table_of
from smbd_uring.engine.session_states import SessionState
from smbd_uring.engine.share_modes import READ_RIGHTS, WRITE_RIGHTS
from smbd_uring.ports import Drained, GrantOperation
from smbd_uring.wire.const import AccessMask, CreateOptions, FileAttributes

if TYPE_CHECKING:
    from smbd_uring.engine.connection import Connection
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.opens import File, Open
    from smbd_uring.engine.session import Session
    from smbd_uring.ports import PlaneConnection


NOTHING = GrantOperation(0)
DATA_RIGHTS = READ_RIGHTS | WRITE_RIGHTS
NO_CHANNEL_SEQUENCE = -1
"""For a data plane: the field means nothing before 3.0."""


def admit(engine: Engine, session: Session, connection: Connection) -> None:
    """Have a session served on a connection that became a channel of it, with what its opens are granted elsewhere."""
    plane = connection.plane
    if plane is None or not engine.config.grants:
        return
    plane.negotiated(
        connection.supports_multi_credit, engine.config.read_bytes_max, engine.config.write_bytes_max,
        connection.credits_max,
    )  # fmt: skip
    channel = session.channels[connection]
    signing = sealing = None
    if session.keys is not None:
        signing = (connection.signing_algorithm, channel.signing_key)
        if session.sealer is not None and connection.cipher is not None:
            prefix = session.next_nonce_prefix()
            if prefix is None:
                return
            sealing = (connection.cipher, session.keys.encryption_key, session.keys.decryption_key, prefix)
    plane.admit(session.session_id, session.signing_required, session.encrypt_data, signing, sealing)
    channel.is_admitted = True
    for opened in session.opens.values():
        if opened.is_granted:
            _grant_on(opened, session, connection)


def suspend(session: Session) -> None:
    """The session is ending or has expired: its requests need a decision."""
    for connection in session.channels:
        if connection.plane is not None:
            connection.plane.suspend(session.session_id)


def resume(session: Session) -> None:
    """The session was authenticated again."""
    for connection in session.channels:
        if connection.plane is not None:
            connection.plane.resume(session.session_id)


def dismiss(session: Session) -> None:
    """The session is gone, and everything that was opened in it."""
    for connection in session.channels:
        if connection.plane is not None:
            connection.plane.dismiss(session.session_id)


async def withdraw(session: Session, connection: Connection) -> None:
    """A connection is no longer a channel of the session, which lives on: nothing of it is served there any more."""
    plane = connection.plane
    if plane is None:
        return
    plane.suspend(session.session_id)
    for opened in list(session.opens.values()):
        while connection in opened.served_on:
            move_position(opened, position_of(opened))
            if not _take_back(opened, connection):
                await Drained(connection.connection_id, opened.file_id.volatile)
    plane.dismiss(session.session_id)


def operations_allowed(
    granted_access: int, *, is_set_id: bool, reads_locked: bool = False, writes_locked: bool = False,
    others_cache_reads: bool = False, others_cache_writes: bool = False, marks_change: bool = False,
    flush_tells: bool = False,
) -> GrantOperation:  # fmt: skip
    """The rule: what an open may do to its file's data with nothing left to decide.

    `is_set_id`: the file gives a program its owner's or group's power.  `reads_locked`, `writes_locked`: a byte-range
    lock may refuse one of its READs or WRITEs.  `others_cache_reads`, `others_cache_writes`: another client holds an
    oplock or lease that a WRITE, or any use of the data, has to break first.  `marks_change`: the first WRITE gives
    the file its ARCHIVE attribute.  `flush_tells`: after a FLUSH clients are told another write time.
    """
    operations = NOTHING
    if granted_access & READ_RIGHTS and not reads_locked and not others_cache_writes:
        operations |= GrantOperation.READ
    # A data plane writes as the server: the kernel would leave a program the power that its change has to end.
    may_write = granted_access & AccessMask.FILE_WRITE_DATA and not is_set_id and not marks_change
    if may_write and not writes_locked and not others_cache_reads and not others_cache_writes:
        operations |= GrantOperation.WRITE
    if granted_access & WRITE_RIGHTS and not others_cache_writes and not flush_tells:
        operations |= GrantOperation.FLUSH
    return operations


def operations_of(opened: Open) -> GrantOperation:
    """What `operations_allowed` says of an open as its file is now."""
    file, is_set_id = opened.file, bool(opened.facts.status.mode & (S_ISUID | S_ISGID))
    locks, caching = file.locks, file.caching
    marks_change, flush_tells = is_unmarked(opened), bool(opened.written_ns)
    if locks is None and caching is None:
        return operations_allowed(
            opened.granted_access, is_set_id=is_set_id, marks_change=marks_change, flush_tells=flush_tells
        )
    return operations_allowed(
        opened.granted_access,
        is_set_id=is_set_id,
        reads_locked=locks is not None and locks.may_refuse_reads(opened),
        writes_locked=locks is not None and locks.may_refuse_writes(opened),
        others_cache_reads=caching is not None and caching.others_read(opened),
        others_cache_writes=caching is not None and caching.others_write(opened),
        marks_change=marks_change,
        flush_tells=flush_tells,
    )


def is_unmarked(opened: Open) -> bool:
    """Whether the next WRITE is the first through this open and finds the file without its ARCHIVE attribute."""
    root = opened.tree.root
    return (
        not opened.facts.attributes & FileAttributes.ARCHIVE
        and root is not None
        and root.store_dos_attributes
        and not written_ns_of(opened)
    )


def grant(engine: Engine, opened: Open) -> None:
    """Let the data plane serve what this open may do, if there is anything; the open is ready for its client.

    Nothing happens when something is granted already, or is still being taken back: who takes it back grants anew.
    """
    session = opened.session
    if session is None or session.state is SessionState.CLOSED or opened.tree.closing or opened.closing:
        return
    opened.is_ready = True
    if session.connection.plane is None or not engine.config.grants or opened.is_directory or opened.handle is None:
        return
    _look_for_local_locks(engine, opened, session.connection.plane)
    if opened.served_on:
        return
    opened.granted_operations = operations_of(opened)
    if opened.granted_operations:
        for connection in session.channels:
            _grant_on(opened, session, connection)
        if not opened.served_on:
            opened.granted_operations = NOTHING


def _look_for_local_locks(engine: Engine, opened: Open, plane: PlaneConnection) -> None:
    """Once an open, as far as it is not known: see whether a local program has locked some of the file."""
    if opened.knows_local_locks or opened.file.locks is not None or not opened.granted_access & DATA_RIGHTS:
        return
    assert opened.handle is not None
    opened.knows_local_locks = True
    if plane.is_locked(opened.handle, opened.facts.status.device):
        table_of(opened.file, engine.scheduler).is_shared_with_local_programs = True
        engine.scheduler.start(reconsider(engine, opened.file))  # others were granted it before


def _grant_on(opened: Open, session: Session, connection: Connection) -> None:
    plane, handle, tree = connection.plane, opened.handle, opened.tree
    if plane is None or not session.channels[connection].is_admitted:
        return
    assert handle is not None
    write_through = bool(opened.mode & CreateOptions.FILE_WRITE_THROUGH)
    plane.grant_open(
        *opened.file_id, session.session_id, tree.tree_id, handle, int(opened.granted_operations), write_through,
        tree.encrypt_data, opened.facts.status.device,
        opened.channel_sequence if connection.is_smb3 else NO_CHANNEL_SEQUENCE,
    )  # fmt: skip
    plane.set_position(opened.file_id.volatile, opened.position)
    opened.served_on.append(connection)


def _take_back(opened: Open, connection: Connection) -> bool:
    """Have the plane of one connection begin no more.  False: operations are under way."""
    assert connection.plane is not None
    if not connection.plane.revoke(opened.file_id.volatile):
        return False
    opened.served_on.remove(connection)
    if not opened.served_on:
        opened.granted_operations = NOTHING
    return True


async def reconsider(engine: Engine, file: File) -> None:
    """Something changed about who may do what with a file: grant each of its opens what is right now.

    When this returns no operation is under way that would not be granted any more.  Whoever changes something changes
    it before the call, so that what the engine serves meanwhile goes by the new state.
    """
    for opened in list(file.opens):
        while opened.is_draining or (opened.is_granted and opened.granted_operations != operations_of(opened)):
            await revoke(opened)
        if opened.is_ready:
            grant(engine, opened)


async def stop_others(opened: Open) -> None:
    """Take back what the other opens of the file were granted; `reconsider` gives it again."""
    while others := [
        other for other in opened.file.opens if other is not opened and (other.is_granted or other.is_draining)
    ]:
        await revoke(others[0])


async def revoke(opened: Open) -> None:
    """Take back what was granted; when this returns nothing of the data plane uses the open's handle.

    Two requests may want it at the same time: both wait, and what one of them grants anew the other takes back again.
    """
    while opened.served_on:
        opened.position, opened.written_ns = position_of(opened), written_ns_of(opened)
        opened.granted_operations = NOTHING
        draining = [connection for connection in list(opened.served_on) if not _take_back(opened, connection)]
        if draining:
            await Drained(draining[0].connection_id, opened.file_id.volatile)


def position_of(opened: Open) -> int:
    """Where the last READ of an open ended, whoever served it; of several channels, one that served any."""
    if not opened.is_granted:
        return opened.position
    for connection in opened.served_on:
        assert connection.plane is not None
        position = connection.plane.position(opened.file_id.volatile)
        if position != opened.position:
            return position
    return opened.position


def written_ns_of(opened: Open) -> int:
    """When the first WRITE through an open ended, whoever served it, in ns since 1970; 0 before it."""
    if opened.written_ns:
        return opened.written_ns
    for connection in opened.served_on:
        assert connection.plane is not None
        written_ns = connection.plane.written_ns(opened.file_id.volatile)
        if written_ns:
            return written_ns
    return 0


def move_position(opened: Open, position: int) -> None:
    """The engine served a READ that ended there, or the client moved it there."""
    opened.position = position
    for connection in opened.served_on:
        assert connection.plane is not None
        connection.plane.set_position(opened.file_id.volatile, position)
