"""SESSION_SETUP and LOGOFF: from a stranger to a session with keys, and back.

Knows: [MS-SMB2] 3.3.5.5, 3.3.5.6.  Must not know: NTLM and SPNEGO (`crypto.authentication`), where accounts are.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from smbd_uring import limits
from smbd_uring.config import Encryption
from smbd_uring.crypto.authentication import (
    Authentication,
    AuthenticationFailed,
    Challenge,
    MalformedToken,
    NeedAccount,
    Success,
)
from smbd_uring.crypto.keys import derive_session_keys
from smbd_uring.crypto.sealing import make_opener, make_sealer
from smbd_uring.crypto.signing import make_signer
from smbd_uring.engine import durable, grants
from smbd_uring.engine.binding import bind, session_to_bind
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.logon import Logon
from smbd_uring.engine.request import Request, Response
from smbd_uring.engine.session import Channel, Session
from smbd_uring.engine.session_states import SessionEvent, SessionState
from smbd_uring.engine.teardown import close_session
from smbd_uring.ports import AccountFlags, AskLogin, CompanionUnavailable, LoginAnswer
from smbd_uring.wire.const import Dialect, SecurityMode, SessionFlags, SessionSetupFlags
from smbd_uring.wire.errors import ProtocolViolation
from smbd_uring.wire.names import filetime_from_ns
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.session import LogoffRequest, LogoffResponse, SessionSetupRequest, SessionSetupResponse

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine

log = logging.getLogger("smbd.auth")

SESSION_ID_BYTES = 4
"""Some clients keep only 32 bits of an id; a session is found through its connection, so that is enough."""
SERVER_CHALLENGE_BYTES = 8
NONCE_PREFIX_BYTES = 4
TOO_MANY_FAILURES = "too many failed logons at a time from this address"
REFUSING_FLAGS = AccountFlags.BAD_PASSWORD | AccountFlags.BAD_UID | AccountFlags.BAD_USER


async def session_setup(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.5."""
    body = SessionSetupRequest.decode(request.message)
    session = _session_for(request, body)
    logon = _logon_for(request, session, binds=bool(body.flags & SessionSetupFlags.BINDING))
    logon.is_running = True
    try:
        return await _authenticate(request, session, logon, body)
    finally:
        logon.is_running = False


async def logoff(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.6: on all channels at once."""
    LogoffRequest.decode(request.message)
    session = request.session_of()
    await close_session(request.engine, session, leave=durable.leave)
    return Response(LogoffResponse().encode())


# --- which session -----------------------------------------------------------------------------------------------


def _session_for(request: Request, body: SessionSetupRequest) -> Session:
    """The session that the request begins, continues, authenticates again or binds."""
    connection, engine = request.connection, request.engine
    if body.flags & SessionSetupFlags.BINDING:
        return session_to_bind(request)
    if engine.config.encryption is Encryption.REQUIRED and connection.cipher is None:
        engine.complain(log, "%s: refused, it cannot encrypt and the server insists", connection.address)
        raise SmbError(NtStatus.ACCESS_DENIED)
    if request.header.session_id == 0:
        return _new_session(request)
    session = connection.sessions.get(request.header.session_id)
    if session is None or session.state is SessionState.CLOSED:
        raise SmbError(NtStatus.USER_SESSION_DELETED)
    return session


def _new_session(request: Request) -> Session:
    connection, engine = request.connection, request.engine
    sessions_max = limits.SESSIONS_PER_CONNECTION_MAX
    if not connection.authenticated:
        sessions_max = limits.SESSIONS_UNAUTHENTICATED_MAX
    if len(connection.sessions) >= sessions_max or len(engine.sessions) >= limits.SESSIONS_MAX:
        raise SmbError(NtStatus.TOO_MANY_SESSIONS)
    if engine.sessions_of[connection.network] >= limits.SESSIONS_PER_ADDRESS_MAX:
        raise SmbError(NtStatus.TOO_MANY_SESSIONS)
    session_id = 0
    while session_id in (0, 0xFFFF_FFFF) or session_id in engine.sessions:
        session_id = int.from_bytes(engine.entropy(SESSION_ID_BYTES), "little")
    session = Session(connection, session_id)
    engine.sessions[session_id] = session
    engine.sessions_of[session.network] += 1
    connection.sessions[session_id] = session
    request.session = session
    request.header.session_id = session_id
    return session


def _logon_for(request: Request, session: Session, binds: bool) -> Logon:
    """The exchange that the request continues, or a new one.  SmbError when it is not its turn."""
    connection, config = request.connection, request.engine.config
    logon = connection.logons.get(session.session_id)
    if logon is None:
        if len(connection.logons) >= limits.LOGONS_PER_CONNECTION_MAX:
            sessions = request.engine.sessions
            connection.logons = {number: one for number, one in connection.logons.items() if number in sessions}
        if binds and len(connection.logons) >= limits.LOGONS_PER_CONNECTION_MAX:
            raise SmbError(NtStatus.INSUFFICIENT_RESOURCES)
        needs_keys = binds or session.state is SessionState.IN_PROGRESS
        preauth = connection.preauth.copy() if needs_keys and connection.preauth is not None else None
        authentication = Authentication(config.netbios_name, config.workgroup, config.dns_name)
        logon = connection.logons[session.session_id] = Logon(authentication, preauth, binds)
    if logon.is_running or logon.binds != binds:
        raise SmbError(NtStatus.REQUEST_NOT_ACCEPTED)
    return logon


# --- the exchange ------------------------------------------------------------------------------------------------


async def _authenticate(request: Request, session: Session, logon: Logon, body: SessionSetupRequest) -> Response:
    engine = request.engine
    logon.rounds += 1
    if logon.rounds > limits.SESSION_SETUP_ROUNDS_MAX or len(body.security_buffer) > limits.SECURITY_BLOB_BYTES_MAX:
        return await _fail(request, session, logon, "too many rounds or too large a token", "")
    if logon.preauth is not None:
        logon.preauth.update(request.message)
    try:
        now = filetime_from_ns(engine.wall_clock())
        token = memoryview(body.security_buffer)
        step = logon.authentication.step(token, engine.entropy(SERVER_CHALLENGE_BYTES), now)
    except AuthenticationFailed as error:
        return await _fail(request, session, logon, str(error), "", _status_of(error))
    if isinstance(step, Challenge):
        answer = SessionSetupResponse(session_flags=0, security_buffer=step.token)
        return Response(answer.encode(), status=NtStatus.MORE_PROCESSING_REQUIRED, preauth=logon.preauth)
    try:
        login, success = await _check_account(request, session, logon.authentication, step)
    except AuthenticationFailed as error:
        return await _fail(request, session, logon, str(error), step.user, _status_of(error))
    except CompanionUnavailable as error:
        engine.complain(log, "%s: logon of %r not possible: %s", request.connection.address, step.user, error)
        _forget(request, session)
        if not logon.binds:
            await close_session(engine, session)
        raise SmbError(NtStatus.NO_LOGON_SERVERS) from error
    _forget(request, session)
    if session.state is SessionState.CLOSED or request.connection.is_closed:
        raise SmbError(NtStatus.USER_SESSION_DELETED)
    if logon.binds:
        return await _bind(request, session, logon, login, success)
    return await _succeed(request, session, logon, body, login, success)


def _forget(request: Request, session: Session) -> None:
    """The exchange is over."""
    request.connection.logons.pop(session.session_id, None)


async def _check_account(
    request: Request, session: Session, authentication: Authentication, step: NeedAccount
) -> tuple[LoginAnswer, Success]:
    """Ask the companion who this is and check what the client proved.  AuthenticationFailed when it proved nothing."""
    login = await AskLogin("" if step.anonymous else step.user)
    if not step.anonymous and request.engine.logon_delays.is_full(request.connection.network):
        # before the proof is looked at: if only wrong ones ended here, that would tell which one is right
        raise ProtocolViolation(TOO_MANY_FAILURES)
    if login is None or login.flags & REFUSING_FLAGS or not login.flags & AccountFlags.OK:
        # the proof is checked against no password at all, so that unknown users take as long as wrong passwords
        authentication.finish(None)
        raise AuthenticationFailed("no such account")
    if step.anonymous or login.flags & AccountFlags.GUEST_ACCOUNT:
        config = request.engine.config
        insists = config.signing_required or config.encryption is Encryption.REQUIRED
        if insists and session.keys is None:  # a session that has keys goes on signing and sealing with them
            raise AuthenticationFailed("anonymous or guest, and the server insists on signing or encrypting")
        return login, authentication.finish_anonymous() if step.anonymous else authentication.finish_guest()
    return login, authentication.finish(login.nt_hash)


def _status_of(error: AuthenticationFailed) -> NtStatus:
    return NtStatus.INVALID_PARAMETER if isinstance(error, MalformedToken) else NtStatus.LOGON_FAILURE


async def _fail(
    request: Request, session: Session, logon: Logon, reason: str, user: str, status: NtStatus = NtStatus.LOGON_FAILURE
) -> Response:
    """The answer to a failed logon is held back the longer the more an address fails; the session is gone at once, but
    one that was to be bound, which others use."""
    engine, connection = request.engine, request.connection
    engine.complain(log, "%s: logon of %r failed: %s", connection.address, user, reason)
    _forget(request, session)
    # counted at once: what waits here has been judged, and nothing else may be until it counts
    delay = engine.logon_delays.failed(connection.network, engine.scheduler.now)
    if not logon.binds:
        if not session.is_usable:
            request.session = None
        session.account = session.account or user
        await close_session(engine, session, failed_logon=True)
    if delay is None:
        raise ProtocolViolation(TOO_MANY_FAILURES)
    await engine.scheduler.sleep(delay)
    engine.logon_delays.answered(connection.network)
    raise SmbError(status)


async def _bind(
    request: Request, session: Session, logon: Logon, login: LoginAnswer, success: Success
) -> Response:
    engine, connection = request.engine, request.connection
    if success.anonymous or login.flags & AccountFlags.GUEST_ACCOUNT or login.account != session.account:
        return await _fail(request, session, logon, "bound as somebody else", login.account, NtStatus.ACCESS_DENIED)
    preauth_hash = b"" if logon.preauth is None else logon.preauth.value
    bind(engine, connection, session, success.session_key, preauth_hash)
    engine.logon_delays.succeeded(connection.network)
    log.info("%s: %r has one more channel", connection.address, session.account)
    answer = SessionSetupResponse(session_flags=0, security_buffer=success.token)
    return Response(answer.encode(), must_sign=True)


async def _succeed(
    request: Request, session: Session, logon: Logon, body: SessionSetupRequest, login: LoginAnswer, success: Success
) -> Response:
    engine, connection = request.engine, request.connection
    if session.state is SessionState.EXPIRED and login.account != session.account:
        return await _fail(request, session, logon, "an expired session, taken up by somebody else", login.account)
    is_new = session.state is SessionState.IN_PROGRESS
    session.advance(SessionEvent.AUTHENTICATED)
    if not (success.anonymous or login.flags & AccountFlags.GUEST_ACCOUNT):  # who proved nothing is forgiven nothing
        engine.logon_delays.succeeded(connection.network)
    _arm_expiry(engine, session)
    _identify(session, login, success)
    if not is_new:
        grants.resume(session)
        log.info("%s: %r authenticated again", connection.address, session.account)
        return Response(SessionSetupResponse(0, success.token).encode(), must_sign=True)
    _become_valid(engine, session, logon, body, success)
    if body.previous_session_id not in (0, session.session_id):
        await _close_previous(engine, session, body.previous_session_id)
        if not session.is_usable:  # it ended while the old one did
            raise SmbError(NtStatus.USER_SESSION_DELETED)
    flags = 0
    if session.is_guest:
        flags |= SessionFlags.IS_GUEST
    if session.is_anonymous:
        flags |= SessionFlags.IS_NULL
    if session.encrypt_data:
        flags |= SessionFlags.ENCRYPT_DATA
    log.info("%s: %r logged on", connection.address, session.account)
    answer = SessionSetupResponse(session_flags=flags, security_buffer=success.token)
    return Response(answer.encode(), must_sign=True)


def _identify(session: Session, login: LoginAnswer, success: Success) -> None:
    """The session is this user's from now on.  Trees of another one's open nothing more, what is open stays."""
    session.account = login.account
    session.account_flags = login.flags
    session.credentials = login.credentials
    session.is_anonymous = success.anonymous
    session.is_guest = bool(login.flags & AccountFlags.GUEST_ACCOUNT) and not success.anonymous
    for tree in session.trees.values():
        tree.is_foreign = tree.account != session.account


def _become_valid(
    engine: Engine, session: Session, logon: Logon, body: SessionSetupRequest, success: Success
) -> None:
    connection = session.connection
    if not (session.is_anonymous or session.is_guest):
        asked = connection.client_security_mode | body.security_mode
        session.signing_required = engine.config.signing_required or bool(asked & SecurityMode.SIGNING_REQUIRED)
        session.encrypt_data = engine.config.encryption is Encryption.REQUIRED
        _derive_keys(engine, session, success.session_key, b"" if logon.preauth is None else logon.preauth.value)
    connection.authentication_succeeded(engine.config.frame_bytes_max)
    grants.admit(engine, session, connection)


def _derive_keys(engine: Engine, session: Session, session_key: bytes, preauth_hash: bytes) -> None:
    connection = session.connection
    assert connection.dialect is not None
    keys = derive_session_keys(connection.dialect, session_key[:16], session_key, connection.cipher, preauth_hash)
    session.keys = keys
    session.signer = make_signer(connection.signing_algorithm, keys.signing_key)
    session.channels[connection] = Channel(connection, session.signer, keys.signing_key)
    if connection.dialect >= Dialect.SMB_3_0 and connection.cipher is not None:
        session.nonce_prefix = engine.entropy(NONCE_PREFIX_BYTES)
        session.sealer = make_sealer(connection.cipher, keys.encryption_key, session.nonce_prefix)
        session.opener = make_opener(connection.cipher, keys.decryption_key)


def _arm_expiry(engine: Engine, session: Session) -> None:
    lifetime = engine.config.session_lifetime_s
    if lifetime is None:
        return
    if session.expiry is not None:
        session.expiry.cancel()

    def expire() -> None:
        if session.state is SessionState.VALID:
            session.advance(SessionEvent.EXPIRE)
            grants.suspend(session)

    session.expiry = engine.scheduler.call_at(engine.scheduler.now + lifetime, expire)


async def _close_previous(engine: Engine, session: Session, previous_session_id: int) -> None:
    """[MS-SMB2] 3.3.5.5.3: a client that came back replaces its old session; nobody else's can be ended this way."""
    previous = engine.sessions.get(previous_session_id)
    if previous is None or previous is session or previous.state is SessionState.IN_PROGRESS:
        return
    if previous.account != session.account or session.is_guest or session.is_anonymous:
        engine.complain(log, "%s: wanted to end a session of another account", session.connection.address)
        return
    await close_session(engine, previous, leave=durable.leave)
