"""From a received frame to requests that run: what kind of frame it is, opening it, cutting it, taking its message ids.

Knows: [MS-SMB2] 3.3.5.2 up to the point where commands differ.  Must not know: what a command does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from smbd_uring import limits
from smbd_uring.crypto.sealing import SealingError
from smbd_uring.engine.chain import Chain
from smbd_uring.engine.channel_failures import fail_channel
from smbd_uring.engine.commands.cancel import cancel
from smbd_uring.engine.commands.negotiate import answer_smb1_negotiate
from smbd_uring.engine.connection import Connection
from smbd_uring.engine.credits import PAYLOAD_BYTES_PER_CREDIT
from smbd_uring.engine.glance import glance
from smbd_uring.engine.request import Request
from smbd_uring.wire.const import Command, HeaderFlags
from smbd_uring.wire.errors import ProtocolViolation
from smbd_uring.wire.header import (
    PROTOCOL_SMB1,
    PROTOCOL_SMB2,
    PROTOCOL_TRANSFORM,
    Header,
    sealing_session_id,
    split_compound,
)
from smbd_uring.wire.negotiate import smb1_negotiate_dialects

CANCEL = int(Command.CANCEL)
SERVER_TO_REDIR = int(HeaderFlags.SERVER_TO_REDIR)

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.session import Session


class Frame(NamedTuple):
    """A frame as it was received, and what a data plane that had it before has done with it."""

    data: memoryview
    opened_for: int = 0
    """The session whose key the data plane opened it with; 0 when it is as the client sent it."""
    ids_taken: bool = False
    frozen: int = 0
    """The open that the data plane leaves alone until this frame is answered."""


def receive_frame(engine: Engine, connection: Connection, frame: Frame) -> None:
    """Start whatever a frame asks for.  Raises ProtocolViolation where the connection must end."""
    data, sealed_by = frame.data, None
    if frame.opened_for:
        sealed_by = _session_with_keys(connection, frame.opened_for)
    if data[:4] != PROTOCOL_SMB2:
        if sealed_by is None:
            if data[:4] == PROTOCOL_SMB1:
                _receive_smb1(engine, connection, data)
                return
            if data[:4] == PROTOCOL_TRANSFORM:
                sealed_by, data = _open_sealed(connection, data)
        if data[:4] != PROTOCOL_SMB2:
            raise ProtocolViolation(f"a frame that begins with {bytes(data[:4])!r}")
    if frame.frozen or not engine.config.glances or not glance(engine, connection, data, sealed_by, frame.ids_taken):
        _start_requests(engine, connection, data, sealed_by, frame)


def _receive_smb1(engine: Engine, connection: Connection, frame: memoryview) -> None:
    """[MS-SMB2] 3.3.5.3: the only SMB1 message there is for us is the first NEGOTIATE."""
    if connection.dialect is not None or connection.multi_protocol:
        raise ProtocolViolation("an SMB1 message after NEGOTIATE")
    dialects = smb1_negotiate_dialects(frame)
    answer_smb1_negotiate(engine, connection, dialects)


def _open_sealed(connection: Connection, frame: memoryview) -> tuple[Session, memoryview]:
    """[MS-SMB2] 3.3.5.2.1.1: anything wrong with a sealed frame ends the connection."""
    session = _session_with_keys(connection, sealing_session_id(frame))
    assert session.opener is not None
    try:
        return session, session.opener.open(frame)
    except SealingError as error:
        raise ProtocolViolation(f"a sealed frame that does not open: {error}") from error


def _session_with_keys(connection: Connection, session_id: int) -> Session:
    session = connection.sessions.get(session_id)
    if session is None or session.opener is None or not session.is_usable:
        raise ProtocolViolation("a sealed frame for a session without keys")
    return session


def _start_requests(
    engine: Engine, connection: Connection, data: memoryview, sealed_by: Session | None, frame: Frame
) -> None:
    chain = Chain(connection, sealed_by, frame.frozen)
    messages = split_compound(data, limits.COMPOUND_REQUESTS_MAX)
    requests: list[Request] = []
    charge = 0
    for message in messages:
        request = Request(engine, connection, chain, Header.decode(message), message)
        charge += request.charge
        requests.append(request)
    cost = max(len(data), charge * PAYLOAD_BYTES_PER_CREDIT)
    if cost > limits.OUTSTANDING_BYTES_MAX:
        raise ProtocolViolation(f"a frame whose requests may take {cost} bytes")
    chain.cost = cost
    cancels = False
    for request in requests:
        header = request.header
        if header.flags & SERVER_TO_REDIR:
            raise ProtocolViolation("a response where a request belongs")
        if header.command == CANCEL:
            cancels = True
            cancel(request)
        elif not frame.ids_taken and not connection.credits.take(header.message_id, request.charge):
            # [MS-SMB2] 3.3.5.2.3: an id outside the window, or used before, ends the connection
            raise ProtocolViolation(f"message id {header.message_id} (charge {request.charge}) is not in the window")
    if cancels:
        requests = [request for request in requests if request.header.command != CANCEL]
    if engine.config.channel_failures:
        requests = [request for request in requests if not fail_channel(request)]
    if requests:
        for request in requests:
            connection.requests[request.header.message_id] = request
        engine.start_chain(requests, chain)
