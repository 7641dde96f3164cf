"""CHANGE_NOTIFY: be told what changes in a folder, or in the tree below it.

Knows: [MS-SMB2] 3.3.5.19.  Must not know: how changes are noticed (`engine.notifications`).

The request pends until there is something to tell, by CANCEL, or until its handle is closed.  Clients such as Finder
and Explorer treat an error here as fatal: a folder that cannot be watched is one where nothing happens.
"""

from __future__ import annotations

from smbd_uring import limits
from smbd_uring.engine.commands.read_write import check_charge
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.request import Request, Response
from smbd_uring.engine.scheduler import Parking
from smbd_uring.wire.const import AccessMask, NotifyFlags
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.query import ChangeNotifyRequest, ChangeNotifyResponse


async def change_notify(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.19."""
    body = ChangeNotifyRequest.decode(request.message)
    opened = request.use_open(body.file_id)
    if not opened.is_directory or body.output_buffer_length > request.engine.config.transact_bytes_max:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    check_charge(request, body.output_buffer_length)
    if not opened.granted_access & AccessMask.FILE_LIST_DIRECTORY:
        raise SmbError(NtStatus.ACCESS_DENIED)
    if opened.file.delete_pending:
        raise SmbError(NtStatus.DELETE_PENDING)
    if not request.is_last_of_chain:
        raise SmbError(NtStatus.INTERNAL_ERROR)
    parking = Parking(request.engine.scheduler)
    request.cancel = lambda: parking.wake(NtStatus.CANCELLED)
    watcher = opened.watcher or request.engine.notifications.watcher_for(
        opened, body.completion_filter, bool(body.flags & NotifyFlags.WATCH_TREE), body.output_buffer_length
    )
    watcher.wait(parking, body.output_buffer_length)
    try:
        await request.engine.notifications.catch_up(watcher)
        watcher.answer_waiting()
        if not parking.woken:
            _pend(request)
        answer: bytes | NtStatus = await parking
    finally:
        watcher.stop_waiting(parking)
    if isinstance(answer, NtStatus):
        raise SmbError(answer)
    return Response(ChangeNotifyResponse(answer).encode())


def _pend(request: Request) -> None:
    """There is nothing to tell yet: the answer comes later."""
    if len(request.connection.async_requests) >= limits.ASYNC_REQUESTS_MAX:
        raise SmbError(NtStatus.INSUFFICIENT_RESOURCES)
    request.stop_using_open()  # a watch does not keep its directory open
    request.chain.go_async(request)
