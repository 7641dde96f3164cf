"""OPLOCK_BREAK: a client acknowledges that its oplock or lease is what the notification said, or less."""

from __future__ import annotations

from smbd_uring.engine.breaks import advance
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.leases import Oplock
from smbd_uring.engine.oplock_states import LEVEL_OF_BITS, Step, acknowledge_lease, acknowledge_oplock
from smbd_uring.engine.request import Request, Response
from smbd_uring.wire.breaks import LeaseBreakAcknowledgment, OplockBreak, decode_break_acknowledgment
from smbd_uring.wire.const import Dialect
from smbd_uring.wire.ntstatus import NtStatus


async def oplock_break(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.22."""
    body = decode_break_acknowledgment(request.message)
    if isinstance(body, LeaseBreakAcknowledgment):
        if request.connection.dialect == Dialect.SMB_2_0_2:
            raise SmbError(NtStatus.INVALID_PARAMETER)
        return _lease(request, body)
    return _oplock(request, body)


def _oplock(request: Request, body: OplockBreak) -> Response:
    """[MS-SMB2] 3.3.5.22.1."""
    opened = request.use_open(body.file_id)
    oplock = opened.holder
    if not isinstance(oplock, Oplock):
        raise SmbError(NtStatus.INVALID_OPLOCK_PROTOCOL)
    status, step = acknowledge_oplock(oplock.state, body.oplock_level)
    advance(request.engine, oplock, step, answering=True)
    if status != NtStatus.SUCCESS:
        raise SmbError(status)
    return Response(OplockBreak(LEVEL_OF_BITS[_answered(step)], body.file_id).encode())


def _lease(request: Request, body: LeaseBreakAcknowledgment) -> Response:
    """[MS-SMB2] 3.3.5.22.2."""
    lease = request.engine.leases.find((request.connection.client_guid, body.lease_key))
    if lease is None:
        raise SmbError(NtStatus.OBJECT_NAME_NOT_FOUND)
    status, step = acknowledge_lease(lease.state, body.lease_state)
    if status != NtStatus.SUCCESS:
        raise SmbError(status)
    advance(request.engine, lease, step, answering=True)
    return Response(LeaseBreakAcknowledgment(body.lease_key, _answered(step)).encode())


def _answered(step: Step) -> int:
    """What the client has left by its own acknowledgment; that more must go it is told after that."""
    return step.state.held if step.notice is None else step.notice.current
