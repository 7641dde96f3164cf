"""Sending what no request asked for: on which connection, and how it is protected.

Knows: [MS-SMB2] 3.3.4.1.6 (which connection), 3.3.4.6 and 3.3.4.7 (breaks).  Must not know: what is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smbd_uring.ports import Buffer
from smbd_uring.wire.const import Command, HeaderFlags
from smbd_uring.wire.framing import PREFIX_SIZE, frame_prefix
from smbd_uring.wire.header import Header

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.session import Session

UNSOLICITED_MESSAGE_ID = 0xFFFF_FFFF_FFFF_FFFF


def send_unsolicited(engine: Engine, session: Session | None, body: bytes, seal: bool = False) -> bool:
    """Send an OPLOCK_BREAK notification to the client of a session, never signed; sealed when the session seals
    everything, or `seal` says so and it can.

    False: there is no connection to send it on.
    """
    if session is None or session.connection.is_closed or not session.is_usable:
        return False
    header = Header(
        command=Command.OPLOCK_BREAK, flags=HeaderFlags.SERVER_TO_REDIR, message_id=UNSOLICITED_MESSAGE_ID
    ).encode()
    segments: list[Buffer] = [header + body]
    if session.encrypt_data or (seal and session.sealer is not None):
        assert session.sealer is not None, "a session that encrypts has its keys"
        segments = list(session.sealer.seal(segments, session.session_id))
    total = sum(map(len, segments))
    session.connection.send((b"".join((frame_prefix(total), *segments)),), PREFIX_SIZE + total)
    return True
