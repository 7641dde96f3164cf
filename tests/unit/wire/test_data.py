"""READ, WRITE, FLUSH, LOCK and IOCTL as others write them; lengths that promise more than there is."""

from __future__ import annotations

import struct

import pytest
from smbprotocol.ioctl import SMB2IOCTLRequest, SMB2IOCTLResponse
from smbprotocol.open import (
    SMB2FlushRequest,
    SMB2LockElement,
    SMB2LockRequest,
    SMB2ReadRequest,
    SMB2ReadResponse,
    SMB2WriteRequest,
    SMB2WriteResponse,
)

from smbd_uring.limits import LOCKS_PER_REQUEST_MAX
from smbd_uring.wire.const import FsctlCode
from smbd_uring.wire.data import (
    FlushRequest,
    IoctlRequest,
    IoctlResponse,
    LockElement,
    LockRequest,
    ReadRequest,
    ReadResponse,
    WriteRequest,
    WriteResponse,
    encode_read_response_head,
)
from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.pdu import BODY_OFFSET
from tests.unit.wire.messages import FILE_ID, FILE_ID_BYTES, foreign, message

OFFSET = 2**40 + 3
DATA_OFFSET_FIELD = 2
LENGTH_FIELD = 4


def changed(body: bytes, position: int, layout: str, value: int) -> memoryview:
    """The message with one field changed."""
    broken = bytearray(body)
    struct.pack_into(layout, broken, position, value)
    return message(bytes(broken))


def test_another_client_writes_the_same_read() -> None:
    theirs = foreign(
        SMB2ReadRequest(), padding=0x50, flags=1, length=65536, offset=OFFSET, file_id=FILE_ID_BYTES,
        minimum_count=1, remaining_bytes=7,
    )  # fmt: skip
    ours = ReadRequest(65536, OFFSET, FILE_ID, minimum_count=1, padding=0x50, flags=1, remaining_bytes=7)
    assert ReadRequest.decode(theirs) == ours
    assert ours.encode() == theirs[BODY_OFFSET:]


def test_a_read_s_channel_information_is_not_looked_at_without_a_channel() -> None:
    body = ReadRequest(1, 2, FILE_ID).encode()
    assert ReadRequest.decode(changed(body, 44, "<I", 0xFFFF_FFFF)) == ReadRequest(1, 2, FILE_ID)


def test_another_client_reads_the_same_read_response() -> None:
    theirs = SMB2ReadResponse()
    theirs.unpack(encode_read_response_head(5) + b"hello")
    assert theirs["buffer"].get_value() == b"hello"
    assert encode_read_response_head(5) == bytes.fromhex("1100 50 00 05000000 00000000 00000000")
    assert ReadResponse(b"hello").encode() == encode_read_response_head(5) + b"hello"


def test_a_read_of_nothing_has_no_data() -> None:
    assert ReadResponse.decode(message(encode_read_response_head(0))).data == b""


def test_another_client_writes_the_same_write() -> None:
    theirs = foreign(
        SMB2WriteRequest(), offset=OFFSET, file_id=FILE_ID_BYTES, flags=1, remaining_bytes=9, buffer=b"payload"
    )
    ours = WriteRequest(OFFSET, FILE_ID, b"payload", flags=1, remaining_bytes=9)
    assert WriteRequest.decode(theirs) == ours
    assert ours.encode() == theirs[BODY_OFFSET:]
    assert ours.encode() == ours.encode_head() + b"payload"


def test_a_write_s_data_may_come_later_than_it_must() -> None:
    body = bytearray(WriteRequest(0, FILE_ID, b"0123456789").encode())
    struct.pack_into("<HI", body, DATA_OFFSET_FIELD, 112 + 4, 6)
    assert bytes(WriteRequest.decode(message(bytes(body))).data) == b"456789"


@pytest.mark.parametrize("offset", [0, 63, 64, 111, 123, 0xFFFF])
def test_a_write_s_data_that_is_elsewhere_is_refused(offset: int) -> None:
    body = WriteRequest(0, FILE_ID, b"0123456789").encode()
    with pytest.raises(MalformedMessage):
        WriteRequest.decode(changed(body, DATA_OFFSET_FIELD, "<H", offset))


def test_a_write_s_data_may_begin_at_256_and_no_later_even_when_it_is_all_there_or_empty() -> None:
    for data_offset, length, is_taken in ((0x100, 4, True), (0x101, 4, False), (0x100, 0, True), (0x101, 0, False)):
        body = bytearray(WriteRequest(0, FILE_ID, bytes(300)).encode())
        struct.pack_into("<HI", body, DATA_OFFSET_FIELD, data_offset, length)
        if is_taken:
            assert len(WriteRequest.decode(message(bytes(body))).data) == length
        else:
            with pytest.raises(MalformedMessage):
                WriteRequest.decode(message(bytes(body)))


@pytest.mark.parametrize("length", [11, 12, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_a_write_that_promises_more_data_than_there_is_is_refused(length: int) -> None:
    body = WriteRequest(0, FILE_ID, b"0123456789").encode()
    with pytest.raises(MalformedMessage):
        WriteRequest.decode(changed(body, LENGTH_FIELD, "<I", length))


def test_another_client_reads_the_same_write_response() -> None:
    theirs = SMB2WriteResponse()
    theirs.unpack(WriteResponse(65536).encode())
    assert theirs["count"].get_value() == 65536
    assert len(WriteResponse(1).encode()) == 16


def test_another_client_writes_the_same_flush_and_macos_asks_for_more() -> None:
    theirs = foreign(SMB2FlushRequest(), file_id=FILE_ID_BYTES)
    assert FlushRequest.decode(theirs) == FlushRequest(FILE_ID)
    assert FlushRequest(FILE_ID).encode() == theirs[BODY_OFFSET:]
    macos = foreign(SMB2FlushRequest(), reserved1=0xFFFF, file_id=FILE_ID_BYTES)
    assert FlushRequest.decode(macos).full_sync == 0xFFFF


def test_another_client_writes_the_same_locks() -> None:
    elements = []
    for offset, length, flags in ((0, 10, 2), (2**62, 1, 0x11)):
        element = SMB2LockElement()
        element["offset"], element["length"], element["flags"] = offset, length, flags
        elements.append(element)
    theirs = foreign(SMB2LockRequest(), lock_sequence=0x31, file_id=FILE_ID_BYTES, locks=elements)
    ours = LockRequest(FILE_ID, [LockElement(0, 10, 2), LockElement(2**62, 1, 0x11)], 0x31)
    assert LockRequest.decode(theirs) == ours
    assert ours.encode() == theirs[BODY_OFFSET:]


@pytest.mark.parametrize("count", [2, LOCKS_PER_REQUEST_MAX + 1, 0xFFFF])
def test_a_count_of_locks_that_are_not_there_is_refused(count: int) -> None:
    body = LockRequest(FILE_ID, [LockElement(0, 10, 2)]).encode()
    with pytest.raises(MalformedMessage):
        LockRequest.decode(changed(body, 2, "<H", count))


def test_as_many_locks_as_allowed_are_taken_and_one_more_is_refused() -> None:
    lock = LockElement(1, 2, 4)
    locks = [lock] * LOCKS_PER_REQUEST_MAX
    assert len(LockRequest.decode(message(LockRequest(FILE_ID, locks).encode())).locks) == len(locks)
    with pytest.raises(MalformedMessage):
        LockRequest.decode(message(LockRequest(FILE_ID, [lock] * (LOCKS_PER_REQUEST_MAX + 1)).encode()))


def test_another_client_writes_the_same_ioctl() -> None:
    theirs = foreign(
        SMB2IOCTLRequest(), ctl_code=FsctlCode.PIPE_TRANSCEIVE, file_id=FILE_ID_BYTES, max_output_response=4280,
        flags=1, buffer=b"a call",
    )  # fmt: skip
    ours = IoctlRequest(FsctlCode.PIPE_TRANSCEIVE, FILE_ID, b"a call", max_output_response=4280)
    assert IoctlRequest.decode(theirs) == ours


def test_another_client_reads_the_same_ioctl_response() -> None:
    theirs = SMB2IOCTLResponse()
    theirs.unpack(IoctlResponse(FsctlCode.PIPE_TRANSCEIVE, FILE_ID, b"an answer").encode())
    assert theirs["buffer"].get_value() == b"an answer"
    assert theirs["file_id"].get_value() == FILE_ID_BYTES
    assert theirs["output_count"].get_value() == 9 and theirs["input_count"].get_value() == 0


@pytest.mark.parametrize(("position", "name"), [(24, "input offset"), (28, "input count"), (40, "output count")])
def test_an_ioctl_whose_buffers_leave_the_message_is_refused(position: int, name: str) -> None:
    body = IoctlRequest(FsctlCode.PIPE_TRANSCEIVE, FILE_ID, b"input").encode()
    with pytest.raises(MalformedMessage):
        IoctlRequest.decode(changed(body, position, "<I", 0xFFFF_FFFF))
