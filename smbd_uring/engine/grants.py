"""What the engine lets a data plane do by itself, and how it takes that back.

Knows: sessions and opens, and the contract of `ports.plane`.  Must not know: what a data plane is made of.

An open is granted when nothing about its READs, WRITEs and FLUSHes needs a decision any more: a file with a handle,
rights checked, nobody to be asked.  Whoever changes one of these revokes first, and waits until what is under way is
done.  Without a data plane, or with grants turned off, every function here does nothing and the engine answers itself.
"""

from __future__ import annotations

from stat import S_ISGID, S_ISUID
from typing import TYPE_CHECKING

from smbd_uring.engine.share_modes import READ_RIGHTS, WRITE_RIGHTS
from smbd_uring.ports import Drained, GrantOperation
from smbd_uring.wire.const import AccessMask, CreateOptions

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.opens import Open
    from smbd_uring.engine.session import Session


NO_CHANNEL_SEQUENCE = -1
"""For a data plane: the field means nothing before 3.0."""


def admit(engine: Engine, session: Session) -> None:
    """Have a session that became valid served."""
    connection = session.connection
    plane = connection.plane
    if plane is None or not engine.config.grants:
        return
    plane.negotiated(
        connection.supports_multi_credit, engine.config.read_bytes_max, engine.config.write_bytes_max,
        connection.credits_max,
    )  # fmt: skip
    signing = sealing = None
    if session.keys is not None:
        signing = (connection.signing_algorithm, session.keys.signing_key)
        if session.sealer is not None and connection.cipher is not None:
            # Two sealers of one key must never use the same nonce: their prefixes differ in one bit.
            prefix = bytes((session.nonce_prefix[0] ^ 1,)) + session.nonce_prefix[1:]
            sealing = (connection.cipher, session.keys.encryption_key, session.keys.decryption_key, prefix)
    plane.admit(session.session_id, session.signing_required, session.encrypt_data, signing, sealing)


def suspend(session: Session) -> None:
    """The session is ending or has expired: its requests need a decision."""
    if session.connection.plane is not None:
        session.connection.plane.suspend(session.session_id)


def resume(session: Session) -> None:
    """The session was authenticated again."""
    if session.connection.plane is not None:
        session.connection.plane.resume(session.session_id)


def dismiss(session: Session) -> None:
    """The session is gone, and everything that was opened in it."""
    if session.connection.plane is not None:
        session.connection.plane.dismiss(session.session_id)


def grant(engine: Engine, opened: Open) -> None:
    """Let the data plane serve what this open may do, if there is anything."""
    session = opened.session
    if session is None:
        return
    plane = session.connection.plane
    if plane is None or not engine.config.grants or opened.is_directory or opened.handle is None:
        return
    operations = GrantOperation(0)
    if opened.granted_access & READ_RIGHTS:
        operations |= GrantOperation.READ
    # A data plane writes as the server: the kernel would leave a program the power that its change has to end.
    if opened.granted_access & AccessMask.FILE_WRITE_DATA and not opened.facts.status.mode & (S_ISUID | S_ISGID):
        operations |= GrantOperation.WRITE
    if opened.granted_access & WRITE_RIGHTS:
        operations |= GrantOperation.FLUSH
    if not operations or opened.closing:
        return
    tree = opened.tree
    write_through = bool(opened.mode & CreateOptions.FILE_WRITE_THROUGH)
    plane.grant_open(
        *opened.file_id, session.session_id, tree.tree_id, opened.handle, int(operations), write_through,
        tree.encrypt_data, opened.facts.status.device,
        opened.channel_sequence if session.connection.is_smb3 else NO_CHANNEL_SEQUENCE,
    )  # fmt: skip
    plane.set_position(opened.file_id.volatile, opened.position)
    opened.is_granted = True


async def revoke(opened: Open) -> None:
    """Take back what was granted; when this returns nothing of the data plane uses the open's handle.

    Two requests may want it at the same time: both wait, and what one of them grants anew the other takes back again.
    """
    while opened.is_granted or opened.is_draining:
        assert opened.session is not None
        connection = opened.session.connection
        assert connection.plane is not None
        opened.position = position_of(opened)
        opened.is_granted = False
        opened.is_draining = not connection.plane.revoke(opened.file_id.volatile)
        if opened.is_draining:
            await Drained(connection.connection_id, opened.file_id.volatile)


def position_of(opened: Open) -> int:
    """Where the last READ or WRITE of an open ended, whoever served it."""
    if not opened.is_granted:
        return opened.position
    assert opened.session is not None
    plane = opened.session.connection.plane
    assert plane is not None
    return plane.position(opened.file_id.volatile)


def move_position(opened: Open, position: int) -> None:
    """The engine served a READ or WRITE that ended there."""
    opened.position = position
    if opened.is_granted:
        assert opened.session is not None
        plane = opened.session.connection.plane
        assert plane is not None
        plane.set_position(opened.file_id.volatile, position)
