"""QUERY_DIRECTORY, QUERY_INFO, SET_INFO and CHANGE_NOTIFY as others write them."""

from __future__ import annotations

import struct

import pytest
from smbprotocol.change_notify import SMB2ChangeNotifyRequest
from smbprotocol.open import (
    SMB2QueryDirectoryRequest,
    SMB2QueryDirectoryResponse,
    SMB2QueryInfoRequest,
    SMB2SetInfoRequest,
    SMB2SetInfoResponse,
)

from smbd_uring.wire.const import FileInfoClass, InfoType, QueryDirectoryFlags
from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.names import encode_utf16
from smbd_uring.wire.pdu import BODY_OFFSET
from smbd_uring.wire.query import (
    ChangeNotifyRequest,
    QueryDirectoryRequest,
    QueryDirectoryResponse,
    QueryInfoRequest,
    SetInfoRequest,
    SetInfoResponse,
)
from tests.unit.wire.messages import FILE_ID, FILE_ID_BYTES, foreign, message


def test_another_client_writes_the_same_query_directory() -> None:
    theirs = foreign(
        SMB2QueryDirectoryRequest(), file_information_class=37, flags=QueryDirectoryFlags.RESTART_SCANS,
        file_index=3, file_id=FILE_ID_BYTES, output_buffer_length=65536, buffer=encode_utf16("*.ü"),
    )  # fmt: skip
    ours = QueryDirectoryRequest(
        FileInfoClass.ID_BOTH_DIRECTORY, FILE_ID, 65536, "*.ü", QueryDirectoryFlags.RESTART_SCANS, 3
    )
    assert QueryDirectoryRequest.decode(theirs) == ours
    assert ours.encode() == theirs[BODY_OFFSET:]


def test_another_client_reads_the_same_buffer() -> None:
    theirs = SMB2QueryDirectoryResponse()
    theirs.unpack(QueryDirectoryResponse(b"entries").encode())
    assert theirs["buffer"].get_value() == b"entries"
    assert QueryDirectoryResponse(b"").encode() == bytes.fromhex("0900 4800 00000000")


def test_a_pattern_that_is_no_text_is_refused() -> None:
    body = bytearray(QueryDirectoryRequest(1, FILE_ID, 100, "ab").encode())
    struct.pack_into("<H", body, 26, 3)
    with pytest.raises(MalformedMessage):
        QueryDirectoryRequest.decode(message(bytes(body)))


def test_another_client_writes_the_same_query_info() -> None:
    theirs = foreign(
        SMB2QueryInfoRequest(), info_type=InfoType.SECURITY, output_buffer_length=4096, additional_information=7,
        file_id=FILE_ID_BYTES, buffer=b"input",
    )  # fmt: skip
    ours = QueryInfoRequest(InfoType.SECURITY, 0, FILE_ID, 4096, 7, input=b"input")
    assert QueryInfoRequest.decode(theirs) == ours
    assert ours.encode() == theirs[BODY_OFFSET:]


def test_a_query_without_input_points_nowhere() -> None:
    theirs = foreign(
        SMB2QueryInfoRequest(), info_type=InfoType.FILE, file_info_class=18, output_buffer_length=4096,
        file_id=FILE_ID_BYTES,
    )  # fmt: skip
    ours = QueryInfoRequest(InfoType.FILE, FileInfoClass.ALL, FILE_ID, 4096)
    assert QueryInfoRequest.decode(theirs) == ours
    assert ours.encode() == bytes(theirs[BODY_OFFSET:]) + b"\0"


def test_another_client_writes_the_same_set_info() -> None:
    theirs = foreign(
        SMB2SetInfoRequest(), info_type=InfoType.FILE, file_info_class=20, file_id=FILE_ID_BYTES, buffer=b"12345678"
    )
    ours = SetInfoRequest(InfoType.FILE, FileInfoClass.END_OF_FILE, FILE_ID, b"12345678")
    assert SetInfoRequest.decode(theirs) == ours
    assert ours.encode() == theirs[BODY_OFFSET:]
    answer = SMB2SetInfoResponse()
    answer.unpack(SetInfoResponse().encode())
    assert SetInfoResponse.decode(message(answer.pack())) == SetInfoResponse()


@pytest.mark.parametrize(("length", "offset"), [(9, 96), (8, 97), (8, 0), (0xFFFF_FFFF, 96), (8, 0xFFFF)])
def test_a_set_info_whose_buffer_leaves_the_message_is_refused(length: int, offset: int) -> None:
    body = bytearray(SetInfoRequest(1, 20, FILE_ID, b"12345678").encode())
    struct.pack_into("<IH", body, 4, length, offset)
    with pytest.raises(MalformedMessage):
        SetInfoRequest.decode(message(bytes(body)))


def test_another_client_writes_the_same_change_notify() -> None:
    theirs = foreign(
        SMB2ChangeNotifyRequest(), flags=1, output_buffer_length=4096, file_id=FILE_ID_BYTES, completion_filter=0x17
    )
    ours = ChangeNotifyRequest(1, 4096, FILE_ID, 0x17)
    assert ChangeNotifyRequest.decode(theirs) == ours
    assert ours.encode() == theirs[BODY_OFFSET:]
