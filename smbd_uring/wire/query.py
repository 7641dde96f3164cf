"""QUERY_DIRECTORY, QUERY_INFO, SET_INFO and CHANGE_NOTIFY: the envelopes.

Knows: [MS-SMB2] 2.2.33 to 2.2.40.  Must not know: what is in the buffers (`wire.fscc`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar, Self

from smbd_uring.ports import Buffer
from smbd_uring.wire.names import decode_utf16, encode_utf16
from smbd_uring.wire.pdu import BODY_OFFSET, FileId, slice_of, unpack_body

_QUERY_DIRECTORY = struct.Struct("<HBBIQQHHI")
_QUERY_INFO = struct.Struct("<HBBIHHIIIQQ")
_SET_INFO = struct.Struct("<HBBIHHIQQ")
_CHANGE_NOTIFY = struct.Struct("<HHIQQII")
_BUFFER_RESPONSE = struct.Struct("<HHI")
_BUFFER_OFFSET = BODY_OFFSET + _BUFFER_RESPONSE.size
_SET_INFO_RESPONSE = struct.Struct("<H")


@dataclass(slots=True)
class BufferResponse:
    """A body that is nothing but a buffer: the answers to the three queries."""

    buffer: Buffer
    STRUCTURE_SIZE: ClassVar[int] = 9

    @classmethod
    def decode(cls, message: memoryview) -> Self:
        """MalformedMessage when it does not decode."""
        offset, length = unpack_body(_BUFFER_RESPONSE, message, cls.STRUCTURE_SIZE)
        return cls(slice_of(message, offset, length))

    def encode(self) -> bytes:
        """The body; the offset is there even when the buffer is empty."""
        return _BUFFER_RESPONSE.pack(self.STRUCTURE_SIZE, _BUFFER_OFFSET, len(self.buffer)) + self.buffer


@dataclass(slots=True)
class QueryDirectoryRequest:
    """[MS-SMB2] 2.2.33."""

    file_information_class: int
    file_id: FileId
    output_buffer_length: int
    pattern: str = "*"
    flags: int = 0
    file_index: int = 0

    @classmethod
    def decode(cls, message: memoryview) -> QueryDirectoryRequest:
        """MalformedMessage when it does not decode."""
        info_class, flags, index, persistent, volatile, offset, length, size = unpack_body(
            _QUERY_DIRECTORY, message, 33
        )
        pattern = decode_utf16(slice_of(message, offset, length))
        return cls(info_class, FileId(persistent, volatile), size, pattern, flags, index)

    def encode(self) -> bytes:
        """The body."""
        pattern = encode_utf16(self.pattern)
        return _QUERY_DIRECTORY.pack(
            33, self.file_information_class, self.flags, self.file_index, *self.file_id,
            BODY_OFFSET + _QUERY_DIRECTORY.size, len(pattern), self.output_buffer_length,
        ) + (pattern or b"\0")  # fmt: skip


class QueryDirectoryResponse(BufferResponse):
    """[MS-SMB2] 2.2.34."""

    __slots__ = ()


@dataclass(slots=True)
class QueryInfoRequest:
    """[MS-SMB2] 2.2.37."""

    info_type: int
    file_info_class: int
    file_id: FileId
    output_buffer_length: int
    additional_information: int = 0
    flags: int = 0
    input: Buffer = b""

    @classmethod
    def decode(cls, message: memoryview) -> QueryInfoRequest:
        """MalformedMessage when it does not decode."""
        info_type, info_class, size, offset, _, length, additional, flags, persistent, volatile = unpack_body(
            _QUERY_INFO, message, 41
        )
        data = slice_of(message, offset, length)
        return cls(info_type, info_class, FileId(persistent, volatile), size, additional, flags, data)

    def encode(self) -> bytes:
        """The body."""
        offset = BODY_OFFSET + _QUERY_INFO.size if self.input else 0
        return _QUERY_INFO.pack(
            41, self.info_type, self.file_info_class, self.output_buffer_length, offset, 0, len(self.input),
            self.additional_information, self.flags, *self.file_id,
        ) + (bytes(self.input) or b"\0")  # fmt: skip


class QueryInfoResponse(BufferResponse):
    """[MS-SMB2] 2.2.38."""

    __slots__ = ()


@dataclass(slots=True)
class SetInfoRequest:
    """[MS-SMB2] 2.2.39."""

    info_type: int
    file_info_class: int
    file_id: FileId
    buffer: Buffer
    additional_information: int = 0

    @classmethod
    def decode(cls, message: memoryview) -> SetInfoRequest:
        """MalformedMessage when it does not decode."""
        info_type, info_class, length, offset, _, additional, persistent, volatile = unpack_body(_SET_INFO, message, 33)
        buffer = slice_of(message, offset, length)
        return cls(info_type, info_class, FileId(persistent, volatile), buffer, additional)

    def encode(self) -> bytes:
        """The body."""
        return _SET_INFO.pack(
            33, self.info_type, self.file_info_class, len(self.buffer), BODY_OFFSET + _SET_INFO.size, 0,
            self.additional_information, *self.file_id,
        ) + (bytes(self.buffer) or b"\0")  # fmt: skip


@dataclass(slots=True)
class SetInfoResponse:
    """[MS-SMB2] 2.2.40: two bytes."""

    @classmethod
    def decode(cls, message: memoryview) -> SetInfoResponse:
        """MalformedMessage when it does not decode."""
        unpack_body(_SET_INFO_RESPONSE, message, 2)
        return cls()

    def encode(self) -> bytes:
        """The body."""
        return _SET_INFO_RESPONSE.pack(2)


@dataclass(slots=True)
class ChangeNotifyRequest:
    """[MS-SMB2] 2.2.35."""

    flags: int
    output_buffer_length: int
    file_id: FileId
    completion_filter: int

    @classmethod
    def decode(cls, message: memoryview) -> ChangeNotifyRequest:
        """MalformedMessage when it does not decode."""
        flags, size, persistent, volatile, completion_filter, _ = unpack_body(_CHANGE_NOTIFY, message, 32)
        return cls(flags, size, FileId(persistent, volatile), completion_filter)

    def encode(self) -> bytes:
        """The body."""
        return _CHANGE_NOTIFY.pack(32, self.flags, self.output_buffer_length, *self.file_id, self.completion_filter, 0)


class ChangeNotifyResponse(BufferResponse):
    """[MS-SMB2] 2.2.36."""

    __slots__ = ()
