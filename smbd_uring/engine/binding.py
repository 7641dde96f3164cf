"""Binding a session to one more connection: who may, and what it then has there.

Knows: [MS-SMB2] 3.3.5.5 and 3.3.5.5.3, what they say of SMB2_SESSION_FLAG_BINDING.  Must not know: how a user proves
who he is (`commands.session_setup`).

Whoever binds holds the session's key, or his requests would not verify, and proves to be the session's user once more.
That says more than a ClientGuid, which anybody may send; so another one is no reason to refuse, which the specification
allows and Windows does not do either.  A bind that fails leaves the session as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smbd_uring import limits
from smbd_uring.crypto.keys import derive_channel_signing_key
from smbd_uring.crypto.signing import make_signer
from smbd_uring.engine import grants
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.session import Channel, Session
from smbd_uring.engine.session_states import SessionState
from smbd_uring.wire.const import SigningAlgorithm
from smbd_uring.wire.ntstatus import NtStatus

if TYPE_CHECKING:
    from smbd_uring.config import EngineConfig
    from smbd_uring.engine.connection import Connection
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.request import Request


def session_to_bind(request: Request) -> Session:
    """The session that a SESSION_SETUP asks to bind to its connection.  SmbError when it may not be."""
    connection = request.connection
    session = request.engine.sessions.get(request.header.session_id)
    if session is None or session.state is SessionState.CLOSED:
        if not connection.is_smb3 or not request.engine.config.multichannel:
            raise SmbError(NtStatus.REQUEST_NOT_ACCEPTED)
        raise SmbError(NtStatus.USER_SESSION_DELETED)
    _check_algorithms(request.engine.config, connection, session)
    if not request.signed:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    if session.state is SessionState.IN_PROGRESS:
        raise SmbError(NtStatus.REQUEST_NOT_ACCEPTED)
    if session.state is SessionState.EXPIRED:
        raise SmbError(NtStatus.NETWORK_SESSION_EXPIRED)
    if session.is_guest or session.is_anonymous:
        raise SmbError(NtStatus.NOT_SUPPORTED)
    if connection in session.channels:
        raise SmbError(NtStatus.REQUEST_NOT_ACCEPTED)
    if request.session is not session:  # the dispatcher verified nothing
        request.signed = False
        raise SmbError(NtStatus.ACCESS_DENIED)
    _check_room(connection, session)
    return session


def _check_algorithms(config: EngineConfig, connection: Connection, session: Session) -> None:
    """The two connections must speak alike.  AES-GMAC, the specification does not say so, goes with itself alone: what
    Windows answers where one of the two has it is here."""
    ours, theirs = session.signing_algorithm, connection.signing_algorithm
    if ours != theirs and ours == SigningAlgorithm.AES_GMAC:
        raise SmbError(NtStatus.REQUEST_OUT_OF_SEQUENCE)
    if ours != theirs and theirs == SigningAlgorithm.AES_GMAC:
        raise SmbError(NtStatus.NOT_SUPPORTED)
    if not connection.is_smb3 or not config.multichannel:
        raise SmbError(NtStatus.REQUEST_NOT_ACCEPTED)
    if session.connection.dialect != connection.dialect or session.cipher != connection.cipher:
        raise SmbError(NtStatus.INVALID_PARAMETER)


def _check_room(connection: Connection, session: Session) -> None:
    if len(session.channels) >= limits.CHANNELS_PER_SESSION_MAX:
        raise SmbError(NtStatus.INSUFFICIENT_RESOURCES)
    if len(connection.sessions) >= limits.SESSIONS_PER_CONNECTION_MAX:
        raise SmbError(NtStatus.TOO_MANY_SESSIONS)


def bind(engine: Engine, connection: Connection, session: Session, session_key: bytes, preauth_hash: bytes) -> None:
    """Make the connection a channel of the session, its user having proved to be the same once more.

    `session_key` is what that logon gave, `preauth_hash` its hash (3.1.1).  SmbError when something came in between.
    """
    if session.state is not SessionState.VALID or connection.is_closed or connection in session.channels:
        raise SmbError(NtStatus.USER_SESSION_DELETED)
    _check_room(connection, session)
    assert connection.dialect is not None
    key = derive_channel_signing_key(connection.dialect, session_key, preauth_hash)
    session.channels[connection] = Channel(connection, make_signer(connection.signing_algorithm, key), key)
    connection.sessions[session.session_id] = session
    connection.authentication_succeeded(engine.config.frame_bytes_max)
    grants.admit(engine, session, connection)
