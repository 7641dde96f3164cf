"""CANCEL: let a waiting request go.  It has no answer of its own, found or not."""

from __future__ import annotations

from smbd_uring.engine.dispatch import verify_cancel
from smbd_uring.engine.request import Request
from smbd_uring.wire.const import HeaderFlags


def cancel(request: Request) -> None:
    """[MS-SMB2] 3.3.5.16: by AsyncId when the flag says so, else by MessageId; unknown ones are ignored.

    A request of another session than the CANCEL's counts as unknown: it would be another one's protection that was
    checked.
    """
    if not verify_cancel(request):
        return
    connection = request.connection
    if request.header.flags & HeaderFlags.ASYNC_COMMAND:
        target = connection.async_requests.get(request.header.async_id)
    else:
        target = connection.requests.get(request.header.message_id)
    session = connection.sessions.get(request.header.session_id)
    if target is not None and target.session is session and target.cancel is not None:
        target.cancel()
