"""IOCTL: the negotiation check, and a clean refusal of everything that is not there yet.

Knows: [MS-SMB2] 3.3.5.15.  Must not know: files.
"""

from __future__ import annotations

from smbd_uring.engine.commands.read_write import check_charge
from smbd_uring.engine.durable import make_resilient
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.opens import Open
from smbd_uring.engine.request import Request, Response
from smbd_uring.wire.const import Dialect, FsctlCode, IoctlFlags
from smbd_uring.wire.data import IoctlRequest, IoctlResponse
from smbd_uring.wire.errors import MalformedMessage, ProtocolViolation
from smbd_uring.wire.ioctl import (
    OBJECT_ID_BYTES,
    ValidateNegotiateInfoRequest,
    ValidateNegotiateInfoResponse,
    decode_resiliency_timeout,
    encode_object_id,
)
from smbd_uring.wire.network_interfaces import encode_interfaces
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FILE_ID_ANY


async def ioctl(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.15."""
    body = IoctlRequest.decode(request.message)
    check_charge(request, max(len(body.input), body.max_input_response + body.max_output_response))
    if body.flags != IoctlFlags.IS_FSCTL:
        raise SmbError(NtStatus.NOT_SUPPORTED)
    if max(len(body.input), body.max_output_response) > request.engine.config.transact_bytes_max:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    if body.ctl_code == FsctlCode.VALIDATE_NEGOTIATE_INFO:
        return _validate_negotiate_info(request, body)
    if body.ctl_code == FsctlCode.QUERY_NETWORK_INTERFACE_INFO:
        return await _network_interfaces(request, body)
    if body.ctl_code in (FsctlCode.DFS_GET_REFERRALS, FsctlCode.DFS_GET_REFERRALS_EX):
        raise SmbError(NtStatus.FS_DRIVER_REQUIRED)
    if body.file_id != FILE_ID_ANY or request.related:
        opened = request.use_open(body.file_id)
        if body.ctl_code == FsctlCode.LMR_REQUEST_RESILIENCY:
            return _request_resiliency(request, opened, body)
        if body.ctl_code == FsctlCode.CREATE_OR_GET_OBJECT_ID:
            return _object_id(opened, body)
    raise SmbError(NtStatus.NOT_SUPPORTED)


async def _network_interfaces(request: Request, body: IoctlRequest) -> Response:
    """[MS-SMB2] 3.3.5.15.11."""
    if not request.connection.is_smb3 or not request.engine.config.multichannel:
        raise SmbError(NtStatus.NOT_SUPPORTED)
    if body.file_id != FILE_ID_ANY:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    output = encode_interfaces(await request.engine.interfaces.offered(request.engine))
    if len(output) > body.max_output_response:
        raise SmbError(NtStatus.BUFFER_TOO_SMALL)
    return Response(IoctlResponse(ctl_code=body.ctl_code, file_id=FILE_ID_ANY, output=output).encode())


def _request_resiliency(request: Request, opened: Open, body: IoctlRequest) -> Response:
    """[MS-SMB2] 3.3.5.15.9."""
    if request.connection.dialect == Dialect.SMB_2_0_2:
        raise SmbError(NtStatus.INVALID_DEVICE_REQUEST)
    make_resilient(request, opened, decode_resiliency_timeout(body.input))
    return Response(IoctlResponse(ctl_code=body.ctl_code, file_id=opened.file_id, output=b"").encode())


def _object_id(opened: Open, body: IoctlRequest) -> Response:
    """[MS-FSCC] 2.3.2: every file has one, made of its place on the disk."""
    if body.max_output_response < OBJECT_ID_BYTES:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    status = opened.facts.status
    output = encode_object_id(status.inode, status.device)
    return Response(IoctlResponse(ctl_code=body.ctl_code, file_id=opened.file_id, output=output).encode())


def _validate_negotiate_info(request: Request, body: IoctlRequest) -> Response:
    """[MS-SMB2] 3.3.5.15.12: whoever changed the NEGOTIATE on its way is found out, and the connection ends."""
    connection = request.connection
    if connection.dialect == Dialect.SMB_3_1_1:
        raise ProtocolViolation("VALIDATE_NEGOTIATE_INFO on 3.1.1")
    try:
        asked = ValidateNegotiateInfoRequest.decode(body.input)
    except MalformedMessage as error:
        raise ProtocolViolation(f"a VALIDATE_NEGOTIATE_INFO that does not decode: {error}") from error
    same = (
        bytes(asked.guid) == connection.client_guid
        and asked.capabilities == connection.client_capabilities
        and asked.security_mode == connection.client_security_mode
        and tuple(asked.dialects) == connection.client_dialects
    )
    if not same:
        raise ProtocolViolation("the client's NEGOTIATE was changed on its way")
    answer = ValidateNegotiateInfoResponse(
        capabilities=connection.capabilities,
        guid=request.engine.config.server_guid,
        security_mode=connection.server_security_mode,
        dialect=int(connection.dialect or 0),
    ).encode()
    if body.max_output_response < len(answer):
        raise ProtocolViolation("VALIDATE_NEGOTIATE_INFO without room for the answer")
    return Response(IoctlResponse(ctl_code=body.ctl_code, file_id=FILE_ID_ANY, output=answer).encode())
