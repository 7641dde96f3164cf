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
    from smbd_uring.engine.connection import Connection
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.session import Session

UNSOLICITED_MESSAGE_ID = 0xFFFF_FFFF_FFFF_FFFF


class Clients:
    """The connections of each client, by the GUID it negotiated with, in the order in which they came."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        self._of: dict[bytes, dict[int, Connection]] = {}

    def came(self, connection: Connection) -> None:
        """The client has said who it is."""
        self._of.setdefault(connection.client_guid, {})[connection.connection_id] = connection

    def went(self, connection: Connection) -> None:
        """The connection has ended; harmless for one that never said who it is."""
        connections = self._of.get(connection.client_guid)
        if connections is None:
            return
        connections.pop(connection.connection_id, None)
        if not connections:
            del self._of[connection.client_guid]

    def sessions_of(self, client_guid: bytes) -> list[Session]:
        """A session on each connection of a client, first those of the oldest connection."""
        return [
            session
            for connection in self._of.get(client_guid, {}).values()
            for session in connection.sessions.values()
            if session.is_usable
        ]


def is_reachable(session: Session | None) -> bool:
    """Whether there is a connection on which the client of a session can be told something."""
    return session is not None and not session.connection.is_closed and session.is_usable


def send_to_client(engine: Engine, client_guid: bytes, body: bytes, seal: bool = False) -> bool:
    """`send_unsolicited` to a client on the first of its connections that takes it ([MS-SMB2] 3.3.4.7)."""
    return any(send_unsolicited(engine, session, body, seal) for session in engine.clients.sessions_of(client_guid))


def send_unsolicited(engine: Engine, session: Session | None, body: bytes, seal: bool = False) -> bool:
    """Send an OPLOCK_BREAK notification to the client of a session, never signed; sealed when the session seals
    everything, or `seal` says so and it can.

    False: there is no connection to send it on.
    """
    if session is None or not is_reachable(session):
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
