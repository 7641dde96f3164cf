"""CHANGE_NOTIFY: accepted and kept waiting; it ends by CANCEL, by the close of its directory, or with the connection.

Clients such as Finder and Explorer treat any error here as fatal, so the request pends as it does on a directory where
nothing happens.
"""

from __future__ import annotations

from smbd_uring import limits
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.request import Request, Response
from smbd_uring.engine.scheduler import Parking
from smbd_uring.wire.const import AccessMask
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.query import ChangeNotifyRequest


async def change_notify(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.19."""
    body = ChangeNotifyRequest.decode(request.message)
    opened = request.use_open(body.file_id)
    if not opened.is_directory or body.output_buffer_length > request.engine.config.transact_bytes_max:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    if not opened.granted_access & AccessMask.FILE_LIST_DIRECTORY:
        raise SmbError(NtStatus.ACCESS_DENIED)
    if not request.is_last_of_chain:
        raise SmbError(NtStatus.INTERNAL_ERROR)
    if len(request.connection.async_requests) >= limits.ASYNC_REQUESTS_MAX:
        raise SmbError(NtStatus.INSUFFICIENT_RESOURCES)

    parking = Parking(request.engine.scheduler)
    request.cancel = lambda: parking.wake(NtStatus.CANCELLED)
    request.cleanup = lambda: parking.wake(NtStatus.NOTIFY_CLEANUP)
    request.stop_using_open()  # a watch does not keep its directory open
    opened.notifies.add(request)
    request.chain.go_async(request)
    status = await parking
    opened.notifies.discard(request)
    raise SmbError(status)
