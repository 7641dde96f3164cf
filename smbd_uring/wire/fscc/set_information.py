"""File information classes as they are set.

Knows: [MS-FSCC] 2.4, the layouts that SET_INFO carries.  Must not know: what setting them does.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Self

from smbd_uring.ports import Buffer
from smbd_uring.wire.names import decode_utf16, encode_utf16
from smbd_uring.wire.pdu import Cursor

_RENAME = struct.Struct("<B7xQI")
_RENAME_EX = struct.Struct("<I4xQI")
_BYTE = struct.Struct("<B")
_LONG = struct.Struct("<I")
_QUAD = struct.Struct("<Q")
RENAME_SIZE_MIN = 24
"""The structure is padded to its alignment; a shorter name is followed by zeros."""


@dataclass(slots=True)
class RenameInformation:
    """2.4.42.2, the form that SMB2 uses."""

    replace_if_exists: bool
    file_name: str
    root_directory: int = 0

    @classmethod
    def decode(cls, data: Buffer) -> Self:
        """MalformedMessage when it does not decode."""
        cursor = Cursor(memoryview(data))
        replace, root, length = cursor.unpack(_RENAME)
        return cls(bool(replace), decode_utf16(cursor.take(length)), root)

    def encode(self) -> bytes:
        """The buffer."""
        name = encode_utf16(self.file_name)
        encoded = _RENAME.pack(self.replace_if_exists, self.root_directory, len(name)) + name
        return encoded.ljust(RENAME_SIZE_MIN, b"\0")


class LinkInformation(RenameInformation):
    """2.4.28.2: laid out as a rename."""

    __slots__ = ()


@dataclass(slots=True)
class RenameInformationEx:
    """2.4.43."""

    flags: int
    file_name: str
    root_directory: int = 0

    @classmethod
    def decode(cls, data: Buffer) -> RenameInformationEx:
        """MalformedMessage when it does not decode."""
        cursor = Cursor(memoryview(data))
        flags, root, length = cursor.unpack(_RENAME_EX)
        return cls(flags, decode_utf16(cursor.take(length)), root)

    def encode(self) -> bytes:
        """The buffer."""
        name = encode_utf16(self.file_name)
        encoded = _RENAME_EX.pack(self.flags, self.root_directory, len(name)) + name
        return encoded.ljust(RENAME_SIZE_MIN, b"\0")


@dataclass(slots=True)
class DispositionInformation:
    """2.4.11."""

    delete_pending: bool

    @classmethod
    def decode(cls, data: Buffer) -> DispositionInformation:
        """MalformedMessage when it is too short."""
        return cls(bool(Cursor(memoryview(data)).unpack(_BYTE)[0]))

    def encode(self) -> bytes:
        """The buffer."""
        return _BYTE.pack(self.delete_pending)


@dataclass(slots=True)
class DispositionInformationEx:
    """2.4.12."""

    flags: int

    @classmethod
    def decode(cls, data: Buffer) -> DispositionInformationEx:
        """MalformedMessage when it is too short."""
        return cls(Cursor(memoryview(data)).unpack(_LONG)[0])

    def encode(self) -> bytes:
        """The buffer."""
        return _LONG.pack(self.flags)


@dataclass(slots=True)
class PositionInformation:
    """2.4.40."""

    current_byte_offset: int

    @classmethod
    def decode(cls, data: Buffer) -> PositionInformation:
        """MalformedMessage when it is too short."""
        return cls(Cursor(memoryview(data)).unpack(_QUAD)[0])

    def encode(self) -> bytes:
        """The buffer."""
        return _QUAD.pack(self.current_byte_offset)


@dataclass(slots=True)
class ModeInformation:
    """2.4.31."""

    mode: int

    @classmethod
    def decode(cls, data: Buffer) -> ModeInformation:
        """MalformedMessage when it is too short."""
        return cls(Cursor(memoryview(data)).unpack(_LONG)[0])

    def encode(self) -> bytes:
        """The buffer."""
        return _LONG.pack(self.mode)


@dataclass(slots=True)
class AllocationInformation:
    """2.4.4, in bytes."""

    allocation_size: int

    @classmethod
    def decode(cls, data: Buffer) -> AllocationInformation:
        """MalformedMessage when it is too short."""
        return cls(Cursor(memoryview(data)).unpack(_QUAD)[0])

    def encode(self) -> bytes:
        """The buffer."""
        return _QUAD.pack(self.allocation_size)


@dataclass(slots=True)
class EndOfFileInformation:
    """2.4.14, in bytes."""

    end_of_file: int

    @classmethod
    def decode(cls, data: Buffer) -> EndOfFileInformation:
        """MalformedMessage when it is too short."""
        return cls(Cursor(memoryview(data)).unpack(_QUAD)[0])

    def encode(self) -> bytes:
        """The buffer."""
        return _QUAD.pack(self.end_of_file)
