"""From a frame's messages to handlers: who may call what, in which order the checks come, and how failures end.

Knows: the checks of [MS-SMB2] 3.3.5.2 that are common to all commands.  Must not know: any command's body.

This is the one place where the three kinds of error meet: `SmbError`, `OSError` and `MalformedMessage` become a status
for that request; `ProtocolViolation` ends the connection; anything else is our bug, logged with its traceback and
answered INTERNAL_ERROR.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smbd_uring.engine.chain import Chain
from smbd_uring.engine.errors import SmbError, status_of
from smbd_uring.engine.request import SUCCESS, Request, Response
from smbd_uring.engine.session_states import SessionState
from smbd_uring.ports import CompanionUnavailable
from smbd_uring.wire.const import Command, Dialect
from smbd_uring.wire.error_response import encode_error_response
from smbd_uring.wire.errors import MalformedMessage, ProtocolViolation
from smbd_uring.wire.ntstatus import NtStatus

if TYPE_CHECKING:
    from smbd_uring.engine.session import Session

log = logging.getLogger("smbd.engine")

CLOSED, IN_PROGRESS, VALID = SessionState.CLOSED, SessionState.IN_PROGRESS, SessionState.VALID
NEGOTIATE, SESSION_SETUP, TREE_CONNECT, CREATE = map(
    int, (Command.NEGOTIATE, Command.SESSION_SETUP, Command.TREE_CONNECT, Command.CREATE)
)
LEAVES_FACTS = (int(Command.QUERY_INFO), int(Command.CLOSE))
"""Commands that change nothing of what CREATE told of a file."""

UNSUCCESSFUL = int(NtStatus.UNSUCCESSFUL)

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Entry:
    """How a command is called: what must exist before its handler runs."""

    handler: Handler
    needs_session: bool = True
    needs_tree: bool = True
    allowed_when_expired: bool = False


async def run_chain(requests: list[Request], chain: Chain, table: dict[int, Entry]) -> None:
    """Answer the requests of one frame, one after the other, as long as there is a connection.  Never raises."""
    engine, connection = requests[0].engine, chain.connection
    answered = 0
    try:
        for request in requests:
            if connection.is_closed:  # its sessions are being ended: none may begin any more
                break
            chain.add(request, await _answer(request, chain, table))
            request.finish()
            answered += 1
        chain.flush()
    except ProtocolViolation as violation:
        engine.violated(connection, str(violation))
    finally:
        for request in requests[answered:]:
            request.finish()
        engine.chain_finished(chain)


async def _answer(request: Request, chain: Chain, table: dict[int, Entry]) -> Response:
    header = request.header
    command = header.command
    try:
        if request.related:
            _inherit(request, chain)
        else:
            chain.may_continue = False
            chain.create_failure = None
            chain.opened = None
        entry = table.get(command)
        if entry is None:
            raise SmbError(NtStatus.INVALID_PARAMETER)
        if request.connection.dialect is None and command != NEGOTIATE:
            raise ProtocolViolation(f"{request.command_name} before NEGOTIATE")
        session = request.connection.sessions.get(header.session_id)
        if session is not None and session.state is VALID:
            request.session = session
        else:
            _find_session(request, entry)
        if (
            request.signed
            or chain.sealed_by is not None
            or command <= TREE_CONNECT
            or (session is not None and (session.encrypt_data or session.signing_required))
        ):
            _check_protection(request)
        if entry.needs_tree:
            assert session is not None
            tree = session.trees.get(header.tree_id)
            if tree is None or tree.closing:
                raise SmbError(NtStatus.NETWORK_NAME_DELETED)
            if tree.encrypt_data and chain.sealed_by is None:
                raise SmbError(NtStatus.ACCESS_DENIED)
            tree.busy += 1  # until the request ends
            request.tree = tree
        chain.may_continue = True
        if chain.create_failure is not None:
            raise SmbError(chain.create_failure)
        response = await entry.handler(request)
    except SmbError as error:
        response = Response(encode_error_response(error.data), status=error.status)
    except MalformedMessage as error:
        log.debug("%s: malformed %s: %s", request.connection.address, request.command_name, error)
        response = Response(encode_error_response(), status=NtStatus.INVALID_PARAMETER)
    except OSError as error:
        response = Response(encode_error_response(), status=status_of(error, request.command_name))
    except CompanionUnavailable as error:
        request.engine.complain(
            log, "%s: %s: the companion did not answer: %s", request.connection.address, request.command_name, error
        )
        response = Response(encode_error_response(), status=NtStatus.IO_TIMEOUT)
    except ProtocolViolation:
        raise
    except Exception:
        log.exception("%s: %s failed by our own fault", request.connection.address, request.command_name)
        response = Response(encode_error_response(), status=NtStatus.INTERNAL_ERROR)
    if response.status is not SUCCESS and log.isEnabledFor(logging.DEBUG):
        log.debug("%s: %s answered %s", request.connection.address, request.command_name, response.status.name)
    chain.has_begun = True
    if command != CREATE and command not in LEAVES_FACTS:
        chain.known = None
    chain.session_id = header.session_id
    chain.tree_id = header.tree_id
    if command == CREATE:
        failed = response.status >= UNSUCCESSFUL
        chain.create_failure = response.status if failed else None
        if failed:
            chain.opened = None
    return response


def _inherit(request: Request, chain: Chain) -> None:
    """A related request lives in the session and tree of the one before ([MS-SMB2] 3.3.5.2.7.2)."""
    if not chain.has_begun and chain.sealed_by is not None:
        raise ProtocolViolation("a sealed compound that begins with a related request")
    if not chain.may_continue:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    request.header.session_id = chain.session_id
    request.header.tree_id = chain.tree_id


def _find_session(request: Request, entry: Entry) -> None:
    session = request.connection.sessions.get(request.header.session_id)
    state = CLOSED if session is None else session.state
    if state is not CLOSED:
        request.session = session
    if state is VALID or not entry.needs_session:
        return
    if state is CLOSED or state is IN_PROGRESS:
        raise SmbError(NtStatus.USER_SESSION_DELETED)
    if not entry.allowed_when_expired:
        _check_protection(request)
        request.chain.may_continue = True
        raise SmbError(NtStatus.NETWORK_SESSION_EXPIRED)


def _check_protection(request: Request) -> None:
    """Signature and encryption as the session demands ([MS-SMB2] 3.3.5.2.4, 3.3.5.2.9).

    Not called for what has nothing to be checked: neither signed nor sealed, in a session that demands neither, by a
    command that begins nothing.
    """
    session = request.session
    chain = request.chain
    if chain.sealed_by is not None:
        if request.header.session_id != chain.sealed_by.session_id:
            raise ProtocolViolation("a sealed frame with a request of another session")
        return
    command = request.header.command
    if command == SESSION_SETUP:
        _check_session_setup(request)
        return
    if session is None or not session.is_usable or command == NEGOTIATE:
        return
    if session.encrypt_data:
        raise ProtocolViolation(f"{request.command_name} in the clear on a session that encrypts")
    if request.signed:
        _verify(request, session)
    elif session.signing_required:
        request.engine.complain(
            log, "%s: unsigned %s on a session that signs", request.connection.address, request.command_name
        )
        raise SmbError(NtStatus.ACCESS_DENIED)
    elif (
        command == TREE_CONNECT
        and request.connection.dialect == Dialect.SMB_3_1_1
        and not (session.is_guest or session.is_anonymous)
    ):
        raise ProtocolViolation("TREE_CONNECT neither signed nor sealed on 3.1.1")


def _check_session_setup(request: Request) -> None:
    """One that authenticates a session again is protected like all else; one that names a session of another
    connection, as those that bind do, is signed with the session's own key: only then it is `request.session`."""
    session = request.session
    if session is not None:
        if session.is_usable and request.signed:
            _verify(request, session)
        elif session.is_usable and session.signing_required:
            raise SmbError(NtStatus.ACCESS_DENIED)
        return
    known = request.engine.sessions.get(request.header.session_id)
    if known is None or known.signer is None or not known.is_usable or not request.signed:
        return
    if known.signer.verify(request.message, request.header.message_id, from_server=False, is_cancel=False):
        request.session = known


def _verify(request: Request, session: Session) -> None:
    """[MS-SMB2] 3.3.5.2.4: a wrong signature is ACCESS_DENIED.  Guests have no key and nothing to verify."""
    signer = session.signer_on(request.connection)
    if signer is None:
        return
    header = request.header
    is_cancel = header.command == Command.CANCEL
    if not signer.verify(request.message, header.message_id, from_server=False, is_cancel=is_cancel):
        request.engine.complain(
            log, "%s: wrong signature on %s", request.connection.address, request.command_name
        )
        request.signed = False  # nor is the answer
        raise SmbError(NtStatus.ACCESS_DENIED)


def verify_cancel(request: Request) -> bool:
    """Whether a CANCEL is as well protected as its session demands; one that is not is ignored."""
    session = request.connection.sessions.get(request.header.session_id)
    if session is None or request.chain.sealed_by is session:
        return True
    if session.encrypt_data and session.is_usable:
        return False
    signer = session.signer_on(request.connection)
    if request.signed and signer is not None:
        return signer.verify(request.message, request.header.message_id, from_server=False, is_cancel=True)
    return not session.signing_required
