"""READ, WRITE, FLUSH, LOCK, ECHO, CANCEL and IOCTL.

Knows: [MS-SMB2] 2.2.17 to 2.2.32.  Must not know: control codes' contents.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from smbd_uring.limits import LOCKS_PER_REQUEST_MAX
from smbd_uring.ports import Buffer
from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.pdu import BODY_OFFSET, EmptyBody, FileId, slice_of, unpack_body

_READ_REQUEST = struct.Struct("<HBBIQQQIIIHH")
_READ_RESPONSE = struct.Struct("<HBBIII")
_WRITE_REQUEST = struct.Struct("<HHIQQQIIHHI")
_WRITE_RESPONSE = struct.Struct("<HHIIHH")
_FLUSH_REQUEST = struct.Struct("<HHIQQ")
_LOCK_REQUEST = struct.Struct("<HHIQQ")
_LOCK_ELEMENT = struct.Struct("<QQII")
_IOCTL_REQUEST = struct.Struct("<HHIQQIIIIIIII")
_IOCTL_RESPONSE = struct.Struct("<HHIQQIIIIII")
READ_RESPONSE_DATA_OFFSET = BODY_OFFSET + _READ_RESPONSE.size
WRITE_DATA_OFFSET_MAX = 0x100
"""[MS-SMB2] 3.3.5.13."""



@dataclass(slots=True)
class ReadRequest:
    """[MS-SMB2] 2.2.19.  Offsets and lengths in bytes."""

    length: int
    offset: int
    file_id: FileId
    minimum_count: int = 0
    padding: int = 0
    flags: int = 0
    channel: int = 0
    remaining_bytes: int = 0

    @classmethod
    def decode(cls, message: memoryview) -> ReadRequest:
        """MalformedMessage when it does not decode."""
        padding, flags, length, offset, persistent, volatile, minimum, channel, remaining, _, _ = unpack_body(
            _READ_REQUEST, message, 49
        )
        return cls(length, offset, FileId(persistent, volatile), minimum, padding, flags, channel, remaining)

    def encode(self) -> bytes:
        """The body; its variable part is one zero byte."""
        return (
            _READ_REQUEST.pack(
                49, self.padding, self.flags, self.length, self.offset, *self.file_id, self.minimum_count,
                self.channel, self.remaining_bytes, 0, 0,
            )
            + b"\0"
        )


def encode_read_response_head(length: int) -> bytes:
    """The 16 fixed bytes of a READ response whose `length` bytes of data follow at once ([MS-SMB2] 2.2.20)."""
    return _READ_RESPONSE.pack(17, READ_RESPONSE_DATA_OFFSET, 0, length, 0, 0)


@dataclass(slots=True)
class ReadResponse:
    """[MS-SMB2] 2.2.20."""

    data: Buffer

    @classmethod
    def decode(cls, message: memoryview) -> ReadResponse:
        """MalformedMessage when it does not decode."""
        offset, _, length, _, _ = unpack_body(_READ_RESPONSE, message, 17)
        return cls(slice_of(message, offset, length))

    def encode(self) -> bytes:
        """The body, data included."""
        return encode_read_response_head(len(self.data)) + bytes(self.data)


@dataclass(slots=True)
class WriteRequest:
    """[MS-SMB2] 2.2.21."""

    offset: int
    file_id: FileId
    data: Buffer
    flags: int = 0
    channel: int = 0
    remaining_bytes: int = 0
    is_placed: bool = True
    """Whether DataOffset is behind the fixed part, as it has to be even where there is no data."""

    @classmethod
    def decode(cls, message: memoryview) -> WriteRequest:
        """MalformedMessage when it does not decode."""
        data_offset, length, offset, persistent, volatile, channel, remaining, _, _, flags = unpack_body(
            _WRITE_REQUEST, message, 49
        )
        if data_offset > WRITE_DATA_OFFSET_MAX:
            raise MalformedMessage(f"a WRITE with its data at {data_offset}")
        data = slice_of(message, data_offset, length, earliest=BODY_OFFSET + _WRITE_REQUEST.size)
        is_placed = data_offset >= BODY_OFFSET + _WRITE_REQUEST.size
        return cls(offset, FileId(persistent, volatile), data, flags, channel, remaining, is_placed)

    def encode_head(self) -> bytes:
        """The 48 fixed bytes; the data follows at once."""
        data_offset = BODY_OFFSET + _WRITE_REQUEST.size if self.is_placed else 0
        return _WRITE_REQUEST.pack(
            49, data_offset, len(self.data), self.offset, *self.file_id, self.channel, self.remaining_bytes, 0, 0,
            self.flags,
        )  # fmt: skip

    def encode(self) -> bytes:
        """The body, data included."""
        return self.encode_head() + (bytes(self.data) or b"\0")


@dataclass(slots=True)
class WriteResponse:
    """[MS-SMB2] 2.2.22."""

    count: int

    @classmethod
    def decode(cls, message: memoryview) -> WriteResponse:
        """MalformedMessage when it does not decode."""
        return cls(unpack_body(_WRITE_RESPONSE, message, 17)[1])

    def encode(self) -> bytes:
        """The body."""
        return _WRITE_RESPONSE.pack(17, 0, self.count, 0, 0, 0)


@dataclass(slots=True)
class FlushRequest:
    """[MS-SMB2] 2.2.17.  `full_sync` is what macOS puts into Reserved1 for F_FULLFSYNC (0xFFFF)."""

    file_id: FileId
    full_sync: int = 0

    @classmethod
    def decode(cls, message: memoryview) -> FlushRequest:
        """MalformedMessage when it does not decode."""
        full_sync, _, persistent, volatile = unpack_body(_FLUSH_REQUEST, message, 24)
        return cls(FileId(persistent, volatile), full_sync)

    def encode(self) -> bytes:
        """The body."""
        return _FLUSH_REQUEST.pack(24, self.full_sync, 0, *self.file_id)


class FlushResponse(EmptyBody):
    """[MS-SMB2] 2.2.18."""

    __slots__ = ()


class EchoRequest(EmptyBody):
    """[MS-SMB2] 2.2.28."""

    __slots__ = ()


class EchoResponse(EmptyBody):
    """[MS-SMB2] 2.2.29."""

    __slots__ = ()


class CancelRequest(EmptyBody):
    """[MS-SMB2] 2.2.30."""

    __slots__ = ()


class LockElement(NamedTuple):
    """[MS-SMB2] 2.2.26.1.  A range of bytes."""

    offset: int
    length: int
    flags: int


@dataclass(slots=True)
class LockRequest:
    """[MS-SMB2] 2.2.26."""

    file_id: FileId
    locks: Sequence[LockElement]
    lock_sequence: int = 0

    @classmethod
    def decode(cls, message: memoryview) -> LockRequest:
        """MalformedMessage when it does not decode."""
        count, sequence, persistent, volatile = unpack_body(_LOCK_REQUEST, message, 48)
        if count > LOCKS_PER_REQUEST_MAX:  # whether there is one at all is asked when it is known whose they are
            raise MalformedMessage(f"{count} lock elements")
        elements = slice_of(message, BODY_OFFSET + _LOCK_REQUEST.size, count * _LOCK_ELEMENT.size)
        locks = [LockElement(offset, length, flags) for offset, length, flags, _ in _LOCK_ELEMENT.iter_unpack(elements)]
        return cls(FileId(persistent, volatile), locks, sequence)

    def encode(self) -> bytes:
        """The body."""
        elements = b"".join(_LOCK_ELEMENT.pack(*lock, 0) for lock in self.locks)
        return _LOCK_REQUEST.pack(48, len(self.locks), self.lock_sequence, *self.file_id) + elements


class LockResponse(EmptyBody):
    """[MS-SMB2] 2.2.27."""

    __slots__ = ()


@dataclass(slots=True)
class IoctlRequest:
    """[MS-SMB2] 2.2.31."""

    ctl_code: int
    file_id: FileId
    input: Buffer = b""
    max_input_response: int = 0
    max_output_response: int = 0
    flags: int = 1

    @classmethod
    def decode(cls, message: memoryview) -> IoctlRequest:
        """MalformedMessage when it does not decode."""
        _, code, persistent, volatile, in_offset, in_count, max_in, out_offset, out_count, max_out, flags, _ = (
            unpack_body(_IOCTL_REQUEST, message, 57)
        )
        slice_of(message, out_offset, out_count)
        return cls(
            code, FileId(persistent, volatile), slice_of(message, in_offset, in_count), max_in, max_out, flags
        )

    def encode(self) -> bytes:
        """The body."""
        offset = BODY_OFFSET + _IOCTL_REQUEST.size
        return _IOCTL_REQUEST.pack(
            57, 0, self.ctl_code, *self.file_id, offset, len(self.input), self.max_input_response, 0, 0,
            self.max_output_response, self.flags, 0,
        ) + (bytes(self.input) or b"\0")  # fmt: skip


@dataclass(slots=True)
class IoctlResponse:
    """[MS-SMB2] 2.2.32.  The input is echoed by few control codes and stays empty otherwise."""

    ctl_code: int
    file_id: FileId
    output: Buffer = b""
    flags: int = 0

    @classmethod
    def decode(cls, message: memoryview) -> IoctlResponse:
        """MalformedMessage when it does not decode."""
        _, code, persistent, volatile, _, _, out_offset, out_count, flags, _ = unpack_body(_IOCTL_RESPONSE, message, 49)
        return cls(code, FileId(persistent, volatile), slice_of(message, out_offset, out_count), flags)

    def encode(self) -> bytes:
        """The body."""
        offset = BODY_OFFSET + _IOCTL_RESPONSE.size
        return _IOCTL_RESPONSE.pack(
            49, 0, self.ctl_code, *self.file_id, offset, 0, offset, len(self.output), self.flags, 0
        ) + bytes(self.output)
