"""Sending what no request asked for: on which connection, how it is protected, and again when it may have been lost.

Knows: [MS-SMB2] 3.3.4.1.6 (which connection), 3.3.4.6 and 3.3.4.7 (breaks), 3.3.1.16 (the connections of a client).
Must not know: what is sent.

A notice goes out on the first connection that stands.  It is remembered there until the client's kernel has
acknowledged it and, where the client has to answer, until it has; when the connection is lost before that it goes out
again on another.  A cable that was pulled does not end a connection for minutes: so a connection is given up when its
client does not acknowledge in time, soon where it is a channel beside others.  A client that gets a notice twice has
come down already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from smbd_uring.limits import CHANNEL_SILENCE_S, CONNECTION_SILENCE_S
from smbd_uring.ports import Buffer
from smbd_uring.wire.const import Command, HeaderFlags
from smbd_uring.wire.framing import PREFIX_SIZE, frame_prefix
from smbd_uring.wire.header import Header

if TYPE_CHECKING:
    from smbd_uring.engine.connection import Connection
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.session import Session

UNSOLICITED_MESSAGE_ID = 0xFFFF_FFFF_FFFF_FFFF

IsAnswered = Callable[[], bool]
"""Whether the client has answered a notice that asks for it."""


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


class Notice:
    """Something that was sent on a connection unasked, and ends with its byte number `end`."""

    __slots__ = ("end", "is_answered", "is_delivered", "sent_at", "tell_again")

    def __init__(
        self, end: int, sent_at: float, is_answered: IsAnswered | None, tell_again: Callable[[], bool]
    ) -> None:
        self.end = end
        self.sent_at = sent_at
        self.is_answered = is_answered
        """None: the client need not answer."""
        self.tell_again = tell_again
        self.is_delivered = False

    @property
    def is_over(self) -> bool:
        """Whether the client has it for certain, or it means nothing any more."""
        return self.is_delivered if self.is_answered is None else self.is_answered()


def is_reachable(session: Session | None) -> bool:
    """Whether there is a connection on which the client of a session can be told something."""
    return session is not None and session.is_usable and not all(channel.is_closed for channel in session.channels)


def send_to_client(
    engine: Engine, client_guid: bytes, body: bytes, seal: bool = False, is_answered: IsAnswered | None = None
) -> bool:
    """`send_unsolicited` to a client on the first of its connections that takes it ([MS-SMB2] 3.3.4.7)."""

    def tell() -> bool:
        sessions = engine.clients.sessions_of(client_guid)
        return any(_send(engine, session, body, seal, is_answered, tell) for session in sessions)

    return tell()


def send_unsolicited(
    engine: Engine, session: Session | None, body: bytes, seal: bool = False, is_answered: IsAnswered | None = None
) -> bool:
    """Send an OPLOCK_BREAK notification to the client of a session, never signed; sealed when the session seals
    everything, or `seal` says so and it can.

    False: there is no connection to send it on.
    """

    def tell() -> bool:
        return session is not None and _send(engine, session, body, seal, is_answered, tell)

    return tell()


def repeat_what_was_lost(connection: Connection) -> None:
    """A connection is lost: what may have been lost with it goes out again on another, if there is one."""
    notices, connection.notices = connection.notices, []
    for notice in notices:
        if not notice.is_over:
            notice.tell_again()


def _send(
    engine: Engine, session: Session, body: bytes, seal: bool, is_answered: IsAnswered | None,
    tell_again: Callable[[], bool],
) -> bool:  # fmt: skip
    connection = next((channel for channel in session.channels if not channel.is_closed), None)
    if connection is None or not session.is_usable:
        return False
    header = Header(
        command=Command.OPLOCK_BREAK, flags=HeaderFlags.SERVER_TO_REDIR, message_id=UNSOLICITED_MESSAGE_ID
    ).encode()
    segments: list[Buffer] = [header + body]
    if session.encrypt_data or (seal and session.sealer is not None):
        assert session.sealer is not None, "a session that encrypts has its keys"
        segments = list(session.sealer.seal(segments, session.session_id))
    total = sum(map(len, segments))
    connection.send((b"".join((frame_prefix(total), *segments)),), PREFIX_SIZE + total)
    end = sum(connection.sending_progress())
    connection.notices.append(Notice(end, engine.scheduler.now, is_answered, tell_again))
    _check_later(engine, connection)
    return True


def _check_later(engine: Engine, connection: Connection) -> None:
    if connection.delivery_check is None:
        when = engine.scheduler.now + CHANNEL_SILENCE_S
        connection.delivery_check = engine.scheduler.call_at(when, lambda: _check(engine, connection))


def _check(engine: Engine, connection: Connection) -> None:
    """See what the client has acknowledged, and give up a channel on which it does not."""
    connection.delivery_check = None
    if connection.is_closed:
        return
    acknowledged, now = engine.acknowledged(connection), engine.scheduler.now
    for notice in connection.notices:
        notice.is_delivered = notice.is_delivered or acknowledged >= notice.end
    connection.notices = [notice for notice in connection.notices if not notice.is_over]
    missed = [notice for notice in connection.notices if not notice.is_delivered]
    is_one_of_several = any(len(session.channels) > 1 for session in connection.sessions.values())
    patience_s = CHANNEL_SILENCE_S if is_one_of_several else CONNECTION_SILENCE_S
    if any(now - notice.sent_at >= patience_s for notice in missed):
        engine.give_up(connection, "its client does not acknowledge what it is told")
    elif connection.notices:
        _check_later(engine, connection)
