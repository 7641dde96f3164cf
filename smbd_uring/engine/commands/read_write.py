"""READ, WRITE and FLUSH: the data itself.

Knows: [MS-SMB2] 3.3.5.11, 3.3.5.12, 3.3.5.13.  Must not know: buffers' origin, how the kernel is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smbd_uring.engine import breaks, grants, write_times
from smbd_uring.engine.credits import PAYLOAD_BYTES_PER_CREDIT, charge_needed
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.facts import mark_changed
from smbd_uring.engine.lock_checks import begin_write, check_read, end_write
from smbd_uring.engine.opens import Open
from smbd_uring.engine.oplock_states import Operation
from smbd_uring.engine.request import Request, Response
from smbd_uring.engine.share_modes import READ_RIGHTS, WRITE_RIGHTS
from smbd_uring.ports import Buffer, Handle, ReadAt, Stat, Synchronize, WriteAt
from smbd_uring.wire.const import AccessMask, CreateOptions, WriteFlags
from smbd_uring.wire.data import (
    FlushRequest,
    FlushResponse,
    ReadRequest,
    WriteRequest,
    WriteResponse,
    encode_read_response_head,
)
from smbd_uring.wire.ntstatus import NtStatus

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine

OFFSET_MAX = (1 << 63) - 1
FILE_BYTES_MAX = 0xFFF_FFFF_0000
"""[MS-FSA] 2.1.5.4: no byte can be written from here on; NTFS ends at 16 TiB less 64 KiB, and clients test for it."""

RDMA_CHANNELS = (1, 2, 3)
"""[MS-SMB2] 2.2.19: memory of the client that only RDMA reaches; every other value means none."""


async def read(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.12."""
    body = ReadRequest.decode(request.message)
    check_charge(request, body.length)
    opened = request.use_open(body.file_id)
    if opened.is_directory:
        raise SmbError(NtStatus.INVALID_DEVICE_REQUEST)
    if body.length > request.engine.config.read_bytes_max or body.offset > OFFSET_MAX - body.length:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    if body.channel in RDMA_CHANNELS:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    if not opened.granted_access & READ_RIGHTS:
        raise SmbError(NtStatus.ACCESS_DENIED)
    if opened.file.caching is not None:
        await breaks.before(request, opened, Operation.READ)
    await check_read(request.engine, opened, body.offset, body.length)
    data = await ReadAt(_handle(opened), body.offset, body.length) if body.length else b""
    if data or not body.length:
        grants.move_position(opened, body.offset + len(data))
    if len(data) < body.minimum_count or (body.length and not data):
        raise SmbError(NtStatus.END_OF_FILE)
    request.engine.bytes_read += len(data)
    return Response(encode_read_response_head(len(data)), data)


async def write(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.13."""
    body = WriteRequest.decode(request.message)
    length = len(body.data)
    check_charge(request, length)
    opened = request.use_open(body.file_id)
    if length > request.engine.config.write_bytes_max or body.channel in RDMA_CHANNELS or not body.is_placed:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    if opened.is_directory or not opened.granted_access & WRITE_RIGHTS:
        raise SmbError(NtStatus.ACCESS_DENIED)
    handle = _handle(opened)
    offset = body.offset
    if offset > OFFSET_MAX - length or (length and offset > FILE_BYTES_MAX - length):
        raise SmbError(NtStatus.INVALID_PARAMETER)
    if not opened.granted_access & AccessMask.FILE_WRITE_DATA and offset < (await Stat(handle)).size:
        raise SmbError(NtStatus.ACCESS_DENIED)  # the right to append is no right to change what is there
    if opened.file.caching is not None:
        await breaks.before(request, opened, Operation.CHANGE_DATA)
    written = await _write(request, opened, offset, body.data) if length else 0
    opened.has_written = True
    if opened.file.caching is not None:
        breaks.after(request.engine, opened, Operation.CHANGE_DATA)
    write_through = body.flags & WriteFlags.WRITE_THROUGH or opened.mode & CreateOptions.FILE_WRITE_THROUGH
    if write_through and written:
        await Synchronize(handle, data_only=True)
    if written:
        await request.engine.notifications.written(opened.tree.share.path, opened.components)
    request.engine.bytes_written += written
    if written and not grants.written_ns_of(opened):
        await _first_write(request.engine, opened)
    return Response(WriteResponse(count=written).encode())


async def _write(request: Request, opened: Open, offset: int, data: Buffer) -> int:
    under_way = await begin_write(request.engine, opened, offset, len(data))
    try:
        return await WriteAt(_handle(opened), offset, data, opened.credentials)
    finally:
        end_write(under_way)


async def _first_write(engine: Engine, opened: Open) -> None:
    """What a file was given by its first WRITE through a handle: the attribute that says it is to be archived."""
    is_unmarked = grants.is_unmarked(opened)
    opened.written_ns = engine.wall_clock()
    if is_unmarked:
        await mark_changed(engine, opened)
    await grants.reconsider(engine, opened.file)


async def flush(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.11: answered when the data is on the disk."""
    body = FlushRequest.decode(request.message)
    opened = request.use_open(body.file_id)
    if not opened.granted_access & WRITE_RIGHTS:
        raise SmbError(NtStatus.ACCESS_DENIED)
    if opened.file.caching is not None:
        await breaks.before(request, opened, Operation.READ)
    await Synchronize(_handle(opened))
    write_times.tell(opened)
    return Response(FlushResponse().encode())


def check_charge(request: Request, payload_bytes: int) -> None:
    """[MS-SMB2] 3.3.5.2.5: the request must have paid for its payload, in whichever direction it goes."""
    if payload_bytes > PAYLOAD_BYTES_PER_CREDIT and charge_needed(payload_bytes) > request.charge:
        raise SmbError(NtStatus.INVALID_PARAMETER)


def _handle(opened: Open) -> Handle:
    assert opened.handle is not None
    return opened.handle
