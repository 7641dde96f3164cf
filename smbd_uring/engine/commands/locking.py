"""LOCK.

Byte-range locks are not there yet and are refused, so that no client believes it holds one.
"""

from __future__ import annotations

from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.request import Request, Response
from smbd_uring.wire.data import LockRequest
from smbd_uring.wire.ntstatus import NtStatus


async def lock(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.14."""
    body = LockRequest.decode(request.message)
    request.use_open(body.file_id)
    raise SmbError(NtStatus.NOT_SUPPORTED)
