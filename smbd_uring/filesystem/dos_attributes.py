"""Codec of the extended attribute `user.DOSATTRIB`: DOS attributes and creation time as Samba keeps them on disk.

Knows: the layouts Samba has written over the years.  Must not know: which file a value belongs to.

The value is NDR, little endian, aligned from its start: a NUL-terminated ASCII string (empty, or the attributes as
"0x20"), padding to 2, the version as u16, the same version again as u16, padding to 4, and then

    version 3   u32 valid, u32 attributes, u32 ea_size, u64 size, u64 allocated, u64 create_time, u64 change_time
    version 4   u32 valid, u32 attributes, u64 itime, u64 create_time
    version 5   u32 valid, u32 attributes, u64 create_time

Times are NT times ([MS-DTYP] 2.3.3).  Before version 3 there was only the string.  Version 5 is what Samba 4.17
writes, so it is what is written here; all of them are read.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final, NamedTuple

DOS_ATTRIBUTES_XATTR: Final = b"user.DOSATTRIB"

# [MS-FSCC] 2.6, those that files under Unix have.
READONLY: Final = 0x0001
HIDDEN: Final = 0x0002
SYSTEM: Final = 0x0004
DIRECTORY: Final = 0x0010
ARCHIVE: Final = 0x0020

STORED: Final = READONLY | HIDDEN | SYSTEM | ARCHIVE
"""The attributes a client decides about; every other one follows from the file itself."""

_VALID_ATTRIBUTES: Final = 0x01
_VALID_CREATE_TIME: Final = 0x10

_VERSION_WRITTEN: Final = 5
_PREFIX: Final = struct.Struct("<BxHHxx")
_VERSION: Final = struct.Struct("<HH")
_BODIES: Final = {
    3: struct.Struct("<II20xQ8x"),
    4: struct.Struct("<II8xQ"),
    5: struct.Struct("<IIQ"),
}
"""By version: valid, attributes, create_time; the other fields are skipped."""

_TIME_BYTES: Final = 8

_HEX_CHARACTERS_MAX: Final = 10
"""Of the string: "0x" and 8 digits."""

_NT_EPOCH_OFFSET: Final = 116_444_736_000_000_000
"""From 1601-01-01 to 1970-01-01 in 100 ns."""

_NT_TIME_MAX: Final = 0x7FFF_FFFF_FFFF_FFFF


class StoredAttributes(NamedTuple):
    """What a value says: DOS attributes among `STORED`, and the creation time in nanoseconds since the Unix epoch.
    None where it says nothing."""

    attributes: int | None
    created_ns: int | None


NOTHING: Final = StoredAttributes(None, None)
"""What a value says that makes no sense."""

_VALUES_CACHED: Final = 8192
"""Most values are looked at again and again, in listings above all."""


@lru_cache(_VALUES_CACHED)
def decode(value: bytes) -> StoredAttributes:
    """Read a value of any version.  It says nothing when it is none of them: whoever can write the file can write
    anything there, so a value that makes no sense counts as absent."""
    terminator = value.find(0, 0, _HEX_CHARACTERS_MAX + 1)
    text = value[:terminator] if terminator >= 0 else value
    if terminator < 0 or terminator + 1 == len(value):
        attributes = _attributes_of_text(text)
        return NOTHING if attributes is None else StoredAttributes(attributes & STORED, None)
    return _decode_versions(value, _align(terminator + 1, 2))


def encode(attributes: int, created_ns: int) -> bytes:
    """Write a value, byte for byte what Samba 4.17 writes.

    `attributes`: DOS attributes; `STORED` ones and `DIRECTORY` are kept.  `created_ns`: nanoseconds since the Unix
    epoch; times NTFS cannot express are clipped to those it can.
    """
    body = _BODIES[_VERSION_WRITTEN]
    return _PREFIX.pack(0, _VERSION_WRITTEN, _VERSION_WRITTEN) + body.pack(
        _VALID_ATTRIBUTES | _VALID_CREATE_TIME, attributes & (STORED | DIRECTORY), _nt_time(created_ns)
    )


def encode_but_time(attributes: int) -> bytes:
    """A value as `encode` writes it, up to the creation time at its end."""
    return encode(attributes, 0)[: -_TIME_BYTES]


def _decode_versions(view: bytes, position: int) -> StoredAttributes:
    if not 0 <= _VERSION.size <= len(view) - position:
        return NOTHING
    version, discriminant = _VERSION.unpack_from(view, position)
    body = _BODIES.get(version)
    if body is None or discriminant != version:
        return NOTHING
    position = _align(position + _VERSION.size, 4)
    if not 0 <= body.size <= len(view) - position:
        return NOTHING
    valid, attributes, create_time = body.unpack_from(view, position)
    has_time = valid & _VALID_CREATE_TIME and 0 < create_time <= _NT_TIME_MAX
    return StoredAttributes(
        attributes & STORED if valid & _VALID_ATTRIBUTES else None,
        (create_time - _NT_EPOCH_OFFSET) * 100 if has_time else None,
    )


def _attributes_of_text(text: bytes) -> int | None:
    digits = text[2:]
    if not text.startswith(b"0x") or not 0 < len(digits) <= _HEX_CHARACTERS_MAX - 2 or not digits.isalnum():
        return None
    try:
        return int(digits, 16)
    except ValueError:
        return None


def _nt_time(time_ns: int) -> int:
    return min(max(time_ns // 100 + _NT_EPOCH_OFFSET, 1), _NT_TIME_MAX)


def _align(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment
