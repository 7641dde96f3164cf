"""CHANGE_NOTIFY: be told what changes in a folder, or in the tree below it.

Knows: [MS-SMB2] 3.3.5.19.  Must not know: how changes are noticed (`engine.notifications`).

The request pends until there is something to tell, by CANCEL, or until its handle is closed.  Clients such as Finder
and Explorer treat an error here as fatal: a folder that cannot be watched is one where nothing happens.
"""

from __future__ import annotations

from smbd_uring import limits
from smbd_uring.engine.commands.read_write import check_charge
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.opens import Open
from smbd_uring.engine.request import Request, Response
from smbd_uring.engine.scheduler import Parking
from smbd_uring.engine.watcher import Watcher
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
    watcher = await _watcher_of(request, opened, body)
    answer = watcher.answer_now(body.output_buffer_length)
    if answer is None:
        answer = await _wait(request, opened, watcher, body.output_buffer_length)
    if isinstance(answer, NtStatus):
        raise SmbError(answer)
    return Response(ChangeNotifyResponse(answer).encode())


async def _watcher_of(request: Request, opened: Open, body: ChangeNotifyRequest) -> Watcher:
    """The watch of the handle, which its first request begins."""
    notifications = request.engine.notifications
    if opened.watcher is None:
        tree = bool(body.flags & NotifyFlags.WATCH_TREE)
        await notifications.watch(opened, body.completion_filter, tree, body.output_buffer_length)
    await notifications.catch_up()
    if opened.closing:
        raise SmbError(NtStatus.NOTIFY_CLEANUP)
    if opened.watcher is None:
        raise SmbError(NtStatus.INSUFFICIENT_RESOURCES)
    return opened.watcher


async def _wait(request: Request, opened: Open, watcher: Watcher, length: int) -> bytes | NtStatus:
    """Pend until the answer is there: bytes or a status."""
    if len(request.connection.async_requests) >= limits.ASYNC_REQUESTS_MAX:
        raise SmbError(NtStatus.INSUFFICIENT_RESOURCES)
    parking = Parking(request.engine.scheduler)
    request.cancel = lambda: parking.wake(NtStatus.CANCELLED)
    request.stop_using_open()  # a watch does not keep its directory open
    watcher.wait(parking, length)
    request.chain.go_async(request)
    answer: bytes | NtStatus = await parking
    watcher.stop_waiting(parking)
    return answer
