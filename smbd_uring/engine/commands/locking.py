"""LOCK and OPLOCK_BREAK.

Byte-range locks are not there yet and are refused, so that no client believes it holds one.  No oplock or lease is
ever granted, so there is nothing to acknowledge.
"""

from __future__ import annotations

from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.request import Request, Response
from smbd_uring.wire.breaks import LeaseBreakAcknowledgment, decode_break_acknowledgment
from smbd_uring.wire.data import LockRequest
from smbd_uring.wire.ntstatus import NtStatus


async def lock(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.14."""
    body = LockRequest.decode(request.message)
    request.use_open(body.file_id)
    raise SmbError(NtStatus.NOT_SUPPORTED)


async def oplock_break(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.22: an acknowledgment of a break that was never sent."""
    body = decode_break_acknowledgment(request.message)
    if isinstance(body, LeaseBreakAcknowledgment):
        raise SmbError(NtStatus.OBJECT_NAME_NOT_FOUND)
    request.use_open(body.file_id)
    raise SmbError(NtStatus.INVALID_OPLOCK_PROTOCOL)
