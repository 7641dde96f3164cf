"""File information classes as they are queried, and the ones clients read back.

Knows: [MS-FSCC] 2.4, the layouts of what describes one file.  Must not know: where the values come from.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from smbd_uring.ports import Buffer
from smbd_uring.wire.classes import FileInfoClass
from smbd_uring.wire.names import decode_utf16, encode_utf16
from smbd_uring.wire.pdu import Cursor

_BASIC = struct.Struct("<QQQQI4x")
_STANDARD = struct.Struct("<QQIBB2x")
_INTERNAL = struct.Struct("<Q")
_LONG = struct.Struct("<I")
_QUAD = struct.Struct("<Q")
_ALL = struct.Struct("<QQQQI4xQQIBB2xQIIQIII")
_COMPRESSION = struct.Struct("<QHBBB3x")
_NETWORK_OPEN = struct.Struct("<QQQQQQI4x")
_ATTRIBUTE_TAG = struct.Struct("<II")
_ID = struct.Struct("<QQQ")
_STREAM = struct.Struct("<IIQQ")
UNNAMED_STREAM = "::$DATA"
STREAM_ALIGNMENT = 8


@dataclass(slots=True)
class FileInformation:
    """All that a query may ask of one file.  Times are FILETIMEs, sizes bytes; `name` begins with a backslash."""

    creation_time: int = 0
    last_access_time: int = 0
    last_write_time: int = 0
    change_time: int = 0
    file_attributes: int = 0
    allocation_size: int = 0
    end_of_file: int = 0
    number_of_links: int = 1
    delete_pending: bool = False
    directory: bool = False
    index_number: int = 0
    volume_serial_number: int = 0
    access_flags: int = 0
    mode: int = 0
    alignment_requirement: int = 0
    current_byte_offset: int = 0
    ea_size: int = 0
    reparse_tag: int = 0
    name: str = "\\"
    streams: Sequence[tuple[str, int, int]] = ()
    """Named streams as (":name:$DATA", size, allocation); the unnamed one comes from the file itself."""


def _basic(info: FileInformation) -> bytes:
    return _BASIC.pack(
        info.creation_time, info.last_access_time, info.last_write_time, info.change_time, info.file_attributes
    )


def _standard(info: FileInformation) -> bytes:
    return _STANDARD.pack(
        info.allocation_size, info.end_of_file, info.number_of_links, info.delete_pending, info.directory
    )


def _name(info: FileInformation) -> bytes:
    name = encode_utf16(info.name)
    return _LONG.pack(len(name)) + name


def _short_name(name: str) -> bytes:
    """2.4.5: the last component, which the caller knows to be its own 8.3 name."""
    encoded = encode_utf16(name)
    return _LONG.pack(len(encoded)) + encoded


def _normalized_name(info: FileInformation) -> bytes:
    name = encode_utf16(info.name[1:])
    return _LONG.pack(len(name)) + name


def _all(info: FileInformation) -> bytes:
    """2.4.2: BASIC, STANDARD, INTERNAL, EA, ACCESS, POSITION, MODE, ALIGNMENT and NAME, one after the other."""
    name = encode_utf16(info.name)
    return _ALL.pack(
        info.creation_time, info.last_access_time, info.last_write_time, info.change_time, info.file_attributes,
        info.allocation_size, info.end_of_file, info.number_of_links, info.delete_pending, info.directory,
        info.index_number, info.ea_size, info.access_flags, info.current_byte_offset, info.mode,
        info.alignment_requirement, len(name),
    ) + name  # fmt: skip


def _network_open(info: FileInformation) -> bytes:
    return _NETWORK_OPEN.pack(
        info.creation_time, info.last_access_time, info.last_write_time, info.change_time, info.allocation_size,
        info.end_of_file, info.file_attributes,
    )  # fmt: skip


def _stream(info: FileInformation) -> bytes:
    """2.4.49: a chain; a directory has no unnamed stream."""
    streams = list(info.streams)
    if not info.directory:
        streams.insert(0, (UNNAMED_STREAM, info.end_of_file, info.allocation_size))
    out = bytearray()
    for index, (stream_name, size, allocation) in enumerate(streams):
        name = encode_utf16(stream_name)
        length = _STREAM.size + len(name)
        padding = -length % STREAM_ALIGNMENT if index < len(streams) - 1 else 0
        out += _STREAM.pack(length + padding if index < len(streams) - 1 else 0, len(name), size, allocation)
        out += name + bytes(padding)
    return bytes(out)


_ENCODERS: dict[int, tuple[int, Callable[[FileInformation], bytes]]] = {
    FileInfoClass.BASIC: (_BASIC.size, _basic),
    FileInfoClass.STANDARD: (_STANDARD.size, _standard),
    FileInfoClass.INTERNAL: (8, lambda info: _INTERNAL.pack(info.index_number)),
    FileInfoClass.EA: (4, lambda info: _LONG.pack(info.ea_size)),
    FileInfoClass.ACCESS: (4, lambda info: _LONG.pack(info.access_flags)),
    FileInfoClass.NAME: (8, _name),
    FileInfoClass.POSITION: (8, lambda info: _QUAD.pack(info.current_byte_offset)),
    FileInfoClass.MODE: (4, lambda info: _LONG.pack(info.mode)),
    FileInfoClass.ALIGNMENT: (4, lambda info: _LONG.pack(info.alignment_requirement)),
    FileInfoClass.ALL: (104, _all),
    FileInfoClass.ALTERNATE_NAME: (8, lambda info: _short_name(info.name.rpartition("\\")[2])),
    FileInfoClass.STREAM: (32, _stream),
    FileInfoClass.COMPRESSION: (16, lambda info: _COMPRESSION.pack(info.end_of_file, 0, 0, 0, 0)),
    FileInfoClass.NETWORK_OPEN: (_NETWORK_OPEN.size, _network_open),
    FileInfoClass.ATTRIBUTE_TAG: (8, lambda info: _ATTRIBUTE_TAG.pack(info.file_attributes, info.reparse_tag)),
    FileInfoClass.NORMALIZED_NAME: (8, _normalized_name),
    FileInfoClass.ID: (24, lambda info: _ID.pack(info.volume_serial_number, info.index_number, 0)),
}


def encode_file_information(info_class: int, information: FileInformation) -> bytes:
    """The buffer of one class.  KeyError for a class that has no encoder."""
    return _ENCODERS[info_class][1](information)


def minimum_file_size(info_class: int) -> int:
    """Bytes below which a client's buffer is too small for the class ([MS-FSA] 2.1.5.12).  KeyError as above."""
    return _ENCODERS[info_class][0]


@dataclass(slots=True)
class BasicInformation:
    """2.4.7, in both directions."""

    creation_time: int = 0
    last_access_time: int = 0
    last_write_time: int = 0
    change_time: int = 0
    file_attributes: int = 0

    @classmethod
    def decode(cls, data: Buffer) -> BasicInformation:
        """MalformedMessage when it is too short."""
        return cls(*Cursor(memoryview(data)).unpack(_BASIC))

    def encode(self) -> bytes:
        """The buffer."""
        return _BASIC.pack(
            self.creation_time, self.last_access_time, self.last_write_time, self.change_time, self.file_attributes
        )


@dataclass(slots=True)
class StandardInformation:
    """2.4.47, for clients."""

    allocation_size: int
    end_of_file: int
    number_of_links: int
    delete_pending: int
    directory: int

    @classmethod
    def decode(cls, data: Buffer) -> StandardInformation:
        """MalformedMessage when it is too short."""
        return cls(*Cursor(memoryview(data)).unpack(_STANDARD))


@dataclass(slots=True)
class NetworkOpenInformation:
    """2.4.34, for clients."""

    creation_time: int
    last_access_time: int
    last_write_time: int
    change_time: int
    allocation_size: int
    end_of_file: int
    file_attributes: int

    @classmethod
    def decode(cls, data: Buffer) -> NetworkOpenInformation:
        """MalformedMessage when it is too short."""
        return cls(*Cursor(memoryview(data)).unpack(_NETWORK_OPEN))


@dataclass(slots=True)
class AllInformation:
    """2.4.2, for clients."""

    basic: BasicInformation
    standard: StandardInformation
    index_number: int
    name: str

    @classmethod
    def decode(cls, data: Buffer) -> AllInformation:
        """MalformedMessage when it does not decode."""
        cursor = Cursor(memoryview(data))
        basic = BasicInformation(*cursor.unpack(_BASIC))
        standard = StandardInformation(*cursor.unpack(_STANDARD))
        (index_number,) = cursor.unpack(_INTERNAL)
        cursor.take(24)
        (length,) = cursor.unpack(_LONG)
        return cls(basic, standard, index_number, decode_utf16(cursor.take(length)))
