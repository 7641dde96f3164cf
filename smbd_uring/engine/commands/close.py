"""CLOSE: the end of a handle, with the file's last attributes for a client that asks."""

from __future__ import annotations

import contextlib

from smbd_uring.engine import breaks, write_times
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.information import allocation_of, attributes_of, times_of
from smbd_uring.engine.opens import Open
from smbd_uring.engine.oplock_states import Operation
from smbd_uring.engine.request import Request, Response
from smbd_uring.engine.teardown import close_open
from smbd_uring.wire.const import CloseFlags
from smbd_uring.wire.create import CloseRequest, CloseResponse
from smbd_uring.wire.ntstatus import NtStatus

POSTQUERY_ATTRIB = int(CloseFlags.POSTQUERY_ATTRIB)
NO_ATTRIBUTES = CloseResponse().encode()


async def close(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.10."""
    body = CloseRequest.decode(request.message)
    opened = request.use_open(body.file_id)
    if opened.delete_on_close and opened.file.caching is not None:
        await _let_others_close(request, opened)
    answer = NO_ATTRIBUTES
    if body.flags & POSTQUERY_ATTRIB:
        answer = (await _attributes(request, opened)).encode()
    if opened.closing:  # by another request, while this one asked for the attributes
        raise SmbError(NtStatus.FILE_CLOSED)
    await close_open(request.engine, opened, by=request)
    request.chain.opened = opened
    return Response(answer)


async def _let_others_close(request: Request, opened: Open) -> None:
    """The file is about to be deleted: who only keeps it open for himself may close it, so that its name goes now.  The
    close comes to pass whatever ends the wait."""
    with contextlib.suppress(SmbError):
        await breaks.before(request, opened, Operation.DELETE)


async def _attributes(request: Request, opened: Open) -> CloseResponse:
    """The file's attributes; none when they cannot be had, which is no reason to keep the handle open."""
    root, handle = opened.tree.root, opened.handle
    assert root is not None and handle is not None
    try:
        if request.chain.known is opened:
            facts = opened.facts
        else:
            facts = await request.engine.filesystem.facts(root, handle, opened.name, opened.credentials)
    except OSError:
        return CloseResponse()
    facts = write_times.as_left(opened, facts)
    creation, access, write, change = times_of(facts)
    return CloseResponse(
        flags=CloseFlags.POSTQUERY_ATTRIB,
        creation_time=creation,
        last_access_time=access,
        last_write_time=write,
        change_time=change,
        allocation_size=0 if opened.is_directory else allocation_of(facts.status),
        end_of_file=0 if opened.is_directory else facts.status.size,
        file_attributes=attributes_of(facts),
    )
