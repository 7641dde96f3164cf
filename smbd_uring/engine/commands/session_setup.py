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
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.request import Request, Response
from smbd_uring.engine.session import Session
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
    if session.setup_running:
        raise SmbError(NtStatus.REQUEST_NOT_ACCEPTED)
    session.setup_running = True
    try:
        return await _authenticate(request, session, body)
    finally:
        session.setup_running = False


async def logoff(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.6."""
    LogoffRequest.decode(request.message)
    session = request.session_of()
    await close_session(request.engine, session, leave=durable.leave)
    return Response(LogoffResponse().encode())


# --- which session -----------------------------------------------------------------------------------------------


def _session_for(request: Request, body: SessionSetupRequest) -> Session:
    """The session that the request begins, continues or authenticates again."""
    connection, engine = request.connection, request.engine
    if body.flags & SessionSetupFlags.BINDING:
        known = engine.sessions.get(request.header.session_id)
        if connection.is_smb3 and (known is None or known.state is SessionState.CLOSED):
            raise SmbError(NtStatus.USER_SESSION_DELETED)
        raise SmbError(NtStatus.REQUEST_NOT_ACCEPTED)
    if engine.config.encryption is Encryption.REQUIRED and connection.cipher is None:
        engine.complain(log, "%s: refused, it cannot encrypt and the server insists", connection.address)
        raise SmbError(NtStatus.ACCESS_DENIED)
    if request.header.session_id == 0:
        return _new_session(request)
    session = request.session
    if session is None:
        raise SmbError(NtStatus.USER_SESSION_DELETED)
    if session.is_usable and session.authentication is None:
        session.rounds = 0
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
    session = Session(connection, session_id, connection.preauth.copy() if connection.preauth else None)
    engine.sessions[session_id] = session
    engine.sessions_of[connection.network] += 1
    connection.sessions[session_id] = session
    request.session = session
    request.header.session_id = session_id
    return session


# --- the exchange ------------------------------------------------------------------------------------------------


async def _authenticate(request: Request, session: Session, body: SessionSetupRequest) -> Response:
    engine = request.engine
    session.rounds += 1
    if session.rounds > limits.SESSION_SETUP_ROUNDS_MAX or len(body.security_buffer) > limits.SECURITY_BLOB_BYTES_MAX:
        return await _fail(request, session, "too many rounds or too large a token", "")
    preauth = session.preauth if session.state is SessionState.IN_PROGRESS else None
    if preauth is not None:
        preauth.update(request.message)
    if session.authentication is None:
        session.authentication = Authentication(
            engine.config.netbios_name, engine.config.workgroup, engine.config.dns_name
        )
    try:
        now = filetime_from_ns(engine.wall_clock())
        token = memoryview(body.security_buffer)
        step = session.authentication.step(token, engine.entropy(SERVER_CHALLENGE_BYTES), now)
    except AuthenticationFailed as error:
        return await _fail(request, session, str(error), "", _status_of(error))
    if isinstance(step, Challenge):
        answer = SessionSetupResponse(session_flags=0, security_buffer=step.token)
        return Response(answer.encode(), status=NtStatus.MORE_PROCESSING_REQUIRED, preauth=preauth)
    try:
        login, success = await _check_account(request, session.authentication, step)
    except AuthenticationFailed as error:
        return await _fail(request, session, str(error), step.user, _status_of(error))
    except CompanionUnavailable as error:
        engine.complain(log, "%s: logon of %r not possible: %s", request.connection.address, step.user, error)
        await close_session(engine, session)
        raise SmbError(NtStatus.NO_LOGON_SERVERS) from error
    return await _succeed(request, session, body, login, success)


async def _check_account(
    request: Request, authentication: Authentication, step: NeedAccount
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
        if config.signing_required or config.encryption is Encryption.REQUIRED:
            raise AuthenticationFailed("anonymous or guest, and the server insists on signing or encrypting")
        return login, authentication.finish_anonymous() if step.anonymous else authentication.finish_guest()
    return login, authentication.finish(login.nt_hash)


def _status_of(error: AuthenticationFailed) -> NtStatus:
    return NtStatus.INVALID_PARAMETER if isinstance(error, MalformedToken) else NtStatus.LOGON_FAILURE


async def _fail(
    request: Request, session: Session, reason: str, user: str, status: NtStatus = NtStatus.LOGON_FAILURE
) -> Response:
    """The answer to a failed logon is held back the longer the more an address fails; the session is gone at once."""
    engine, connection = request.engine, request.connection
    engine.complain(log, "%s: logon of %r failed: %s", connection.address, user, reason)
    request.session = None
    session.account = session.account or user
    # counted at once: what waits here has been judged, and nothing else may be until it counts
    delay = engine.logon_delays.failed(connection.network, engine.scheduler.now)
    await close_session(engine, session, failed_logon=True)
    if delay is None:
        raise ProtocolViolation(TOO_MANY_FAILURES)
    await engine.scheduler.sleep(delay)
    engine.logon_delays.answered(connection.network)
    raise SmbError(status)


async def _succeed(
    request: Request, session: Session, body: SessionSetupRequest, login: LoginAnswer, success: Success
) -> Response:
    engine, connection = request.engine, request.connection
    session.authentication = None
    if session.state is SessionState.CLOSED or connection.is_closed:
        raise SmbError(NtStatus.USER_SESSION_DELETED)
    if session.is_usable and login.account != session.account:
        return await _fail(request, session, "authenticated again as somebody else", login.account)
    is_new = session.state is SessionState.IN_PROGRESS
    session.advance(SessionEvent.AUTHENTICATED)
    if not (success.anonymous or login.flags & AccountFlags.GUEST_ACCOUNT):  # who proved nothing is forgiven nothing
        engine.logon_delays.succeeded(connection.network)
    _arm_expiry(engine, session)
    if not is_new:
        grants.resume(session)
    if is_new:
        _become_valid(engine, session, body, login, success)
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


def _become_valid(
    engine: Engine, session: Session, body: SessionSetupRequest, login: LoginAnswer, success: Success
) -> None:
    connection = session.connection
    session.account = login.account
    session.account_flags = login.flags
    session.credentials = login.credentials
    session.is_anonymous = success.anonymous
    session.is_guest = bool(login.flags & AccountFlags.GUEST_ACCOUNT) and not success.anonymous
    if not (session.is_anonymous or session.is_guest):
        asked = connection.client_security_mode | body.security_mode
        session.signing_required = engine.config.signing_required or bool(asked & SecurityMode.SIGNING_REQUIRED)
        session.encrypt_data = engine.config.encryption is Encryption.REQUIRED
        _derive_keys(engine, session, success.session_key)
    config = engine.config
    payload_max = max(config.read_bytes_max, config.write_bytes_max, config.transact_bytes_max)
    connection.authentication_succeeded(payload_max + limits.FRAME_OVERHEAD_BYTES)
    grants.admit(engine, session)


def _derive_keys(engine: Engine, session: Session, session_key: bytes) -> None:
    connection = session.connection
    assert connection.dialect is not None
    preauth_hash = session.preauth.value if session.preauth is not None else b""
    keys = derive_session_keys(connection.dialect, session_key[:16], session_key, connection.cipher, preauth_hash)
    session.keys = keys
    session.signer = make_signer(connection.signing_algorithm, keys.signing_key)
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
