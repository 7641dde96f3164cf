"""A channel that counts as dead because a test says so.

Knows: the control code by which smbtorture asks for it.  Must not know: what comes of it (`channels`).

Nothing is done here unless the configuration has `channel_failures`, which no client can turn on.  The code comes
without a session, and harms nobody but the connection it comes on.
"""

from __future__ import annotations

from smbd_uring.engine.chain import Chain
from smbd_uring.engine.request import Request, Response
from smbd_uring.wire.classes import FsctlCode
from smbd_uring.wire.const import Command
from smbd_uring.wire.data import IoctlRequest, IoctlResponse
from smbd_uring.wire.errors import MalformedMessage

IOCTL = int(Command.IOCTL)


def fail_channel(request: Request) -> bool:
    """When a request asks for it, count what is sent from now on as never acknowledged, and answer.

    Result: whether it did.
    """
    if request.header.command != IOCTL:
        return False
    try:
        body = IoctlRequest.decode(request.message)
    except MalformedMessage:
        return False
    if body.ctl_code != FsctlCode.SMBTORTURE_FORCE_UNACKED_TIMEOUT:
        return False
    chain = Chain(request.connection, request.chain.sealed_by)
    chain.add(request, Response(IoctlResponse(ctl_code=body.ctl_code, file_id=body.file_id, output=b"").encode()))
    chain.flush()
    request.connection.is_failing = True
    return True
