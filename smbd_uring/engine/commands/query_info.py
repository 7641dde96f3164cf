"""QUERY_INFO: what there is to know about a file or its volume.

Knows: [MS-SMB2] 3.3.5.20, [MS-FSA] 2.1.5.12 and 2.1.5.13.  Must not know: layouts (`wire.fscc`), system calls.
"""

from __future__ import annotations

import zlib

from smbd_uring.engine.commands.read_write import check_charge
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.facts import facts_for
from smbd_uring.engine.information import file_information
from smbd_uring.engine.names import is_short_name
from smbd_uring.engine.opens import Open
from smbd_uring.engine.request import Request, Response
from smbd_uring.ports import StatVolume
from smbd_uring.wire.const import AccessMask, FileInfoClass, FsInfoClass, InfoType
from smbd_uring.wire.fscc import (
    FileInformation,
    VolumeInformation,
    encode_file_information,
    encode_volume_information,
    minimum_file_size,
    minimum_volume_size,
)
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.query import QueryInfoRequest, QueryInfoResponse

FILE = int(InfoType.FILE)
FULL_EA, ALTERNATE_NAME = int(FileInfoClass.FULL_EA), int(FileInfoClass.ALTERNATE_NAME)
FILE_READ_ATTRIBUTES = int(AccessMask.FILE_READ_ATTRIBUTES)

NEEDS_READ_ATTRIBUTES = frozenset(
    {
        FileInfoClass.BASIC,
        FileInfoClass.ALL,
        FileInfoClass.NETWORK_OPEN,
        FileInfoClass.ATTRIBUTE_TAG,
    }
)
"""[MS-SMB2] 3.3.5.20.1: classes that need FILE_READ_ATTRIBUTES."""

FILE_CLASSES = frozenset(
    {
        FileInfoClass.BASIC,
        FileInfoClass.STANDARD,
        FileInfoClass.INTERNAL,
        FileInfoClass.EA,
        FileInfoClass.ACCESS,
        FileInfoClass.NAME,
        FileInfoClass.POSITION,
        FileInfoClass.MODE,
        FileInfoClass.ALIGNMENT,
        FileInfoClass.ALL,
        FileInfoClass.ALTERNATE_NAME,
        FileInfoClass.STREAM,
        FileInfoClass.COMPRESSION,
        FileInfoClass.NETWORK_OPEN,
        FileInfoClass.ATTRIBUTE_TAG,
        FileInfoClass.NORMALIZED_NAME,
        FileInfoClass.ID,
    }
)
VOLUME_CLASSES = frozenset(
    {
        FsInfoClass.VOLUME,
        FsInfoClass.SIZE,
        FsInfoClass.DEVICE,
        FsInfoClass.ATTRIBUTE,
        FsInfoClass.FULL_SIZE,
        FsInfoClass.SECTOR_SIZE,
        FsInfoClass.OBJECT_ID,
    }
)


async def query_info(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.20."""
    body = QueryInfoRequest.decode(request.message)
    check_charge(request, max(body.output_buffer_length, len(body.input)))
    if body.output_buffer_length > request.engine.config.transact_bytes_max:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    opened = request.use_open(body.file_id)
    if body.info_type == FILE:
        encoded, minimum = await _file(request, opened, body)
    elif body.info_type == InfoType.FILESYSTEM:
        encoded, minimum = await _volume(opened, body)
    elif body.info_type in (InfoType.SECURITY, InfoType.QUOTA):
        raise SmbError(NtStatus.NOT_SUPPORTED)
    else:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    if body.output_buffer_length < minimum:
        raise SmbError(NtStatus.INFO_LENGTH_MISMATCH)
    if len(encoded) > body.output_buffer_length:
        whole_entries_only = body.info_type == FILE and body.file_info_class == FileInfoClass.STREAM
        cut = b"" if whole_entries_only else encoded[: body.output_buffer_length]
        return Response(QueryInfoResponse(buffer=cut).encode(), status=NtStatus.BUFFER_OVERFLOW)
    return Response(QueryInfoResponse(buffer=encoded).encode())


async def _file(request: Request, opened: Open, body: QueryInfoRequest) -> tuple[bytes, int]:
    info_class = body.file_info_class
    if info_class == FULL_EA:
        if not opened.granted_access & AccessMask.FILE_READ_EA:
            raise SmbError(NtStatus.ACCESS_DENIED)
        raise SmbError(NtStatus.NO_EAS_ON_FILE)
    if info_class == ALTERNATE_NAME and not is_short_name(opened.name):
        raise SmbError(NtStatus.OBJECT_NAME_NOT_FOUND)  # no 8.3 names are made for others
    if info_class not in FILE_CLASSES:
        raise SmbError(NtStatus.INVALID_INFO_CLASS)
    if info_class in NEEDS_READ_ATTRIBUTES and not opened.granted_access & FILE_READ_ATTRIBUTES:
        raise SmbError(NtStatus.ACCESS_DENIED)
    facts = await facts_for(request, opened)
    information: FileInformation = file_information(opened, facts)
    return encode_file_information(info_class, information), minimum_file_size(info_class)


async def _volume(opened: Open, body: QueryInfoRequest) -> tuple[bytes, int]:
    info_class = body.file_info_class
    if info_class == FsInfoClass.CONTROL:
        raise SmbError(NtStatus.NOT_SUPPORTED)
    if info_class not in VOLUME_CLASSES:
        raise SmbError(NtStatus.INVALID_INFO_CLASS)
    share = opened.tree.share
    assert opened.tree.root is not None
    status = await StatVolume(opened.tree.root.handle)
    information = VolumeInformation(
        volume_creation_time=0,
        volume_serial_number=zlib.crc32(f"{share.name}\0{share.path}".encode()),
        volume_label=share.name,
        total_allocation_units=status.total_blocks,
        caller_available_allocation_units=status.available_blocks,
        actual_available_allocation_units=status.free_blocks,
        allocation_unit_bytes=status.block_size,
        read_only=not opened.tree.writable,
        maximum_component_name_length=status.name_length_max,
        object_id=status.file_system_id.to_bytes(8, "little", signed=False) + bytes(8),
    )
    return encode_volume_information(info_class, information), minimum_volume_size(info_class)
