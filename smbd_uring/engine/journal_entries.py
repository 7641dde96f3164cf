"""The journal of persistent handles as bytes: entries with checksums, one after the other.

Knows: the journal's format.  Must not know: what an entry is about, files.

A file begins with MAGIC.  Each entry has a header (the payload's length, kind, persistent id, CRC-32 of all the rest)
and its payload.  A PUT replaces what was put for that id before, a DROP takes it away.  The last entry may be cut
short, when the server died while it wrote: nobody was told anything that depended on it.  Anything else that does not
add up is damage, and what follows it cannot be told from noise; reading ends there and says so.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from enum import IntEnum

from smbd_uring.limits import JOURNAL_ENTRY_BYTES_MAX

MAGIC = b"SMBD handles 1\r\n"
_HEADER = struct.Struct("<IIQI")
_CHECKED = struct.Struct("<IIQ")
assert _HEADER.size == _CHECKED.size + 4


class EntryKind(IntEnum):
    """What an entry does."""

    PUT = 0x5055
    DROP = 0x4450


def encode_entry(kind: EntryKind, persistent: int, payload: bytes = b"") -> bytes:
    """One entry's bytes."""
    checked = _CHECKED.pack(len(payload), kind, persistent)
    return _HEADER.pack(len(payload), kind, persistent, _checksum(checked, payload)) + payload


@dataclass(slots=True)
class JournalContents:
    """What a journal says: the payload of each handle that was put and not dropped."""

    records: dict[int, bytes] = field(default_factory=dict)
    bytes_read: int = 0
    """Up to here everything adds up."""
    is_torn: bool = False
    """Whether more bytes follow that are the beginning of an entry."""
    is_damaged: bool = False
    """Whether more bytes follow that are not what was written."""


def read_journal(data: bytes) -> JournalContents:
    """Read a whole journal; never raises, whatever `data` is."""
    contents = JournalContents()
    if data[: len(MAGIC)] != MAGIC:
        contents.is_torn = MAGIC.startswith(data)
        contents.is_damaged = not contents.is_torn
        return contents
    position = len(MAGIC)
    while position < len(data):
        contents.bytes_read = position
        if len(data) - position < _HEADER.size:
            contents.is_torn = True
            return contents
        length, kind, persistent, checksum = _HEADER.unpack_from(data, position)
        payload = data[position + _HEADER.size : position + _HEADER.size + length]
        if length > JOURNAL_ENTRY_BYTES_MAX or kind not in (EntryKind.PUT, EntryKind.DROP):
            contents.is_damaged = True
            return contents
        if len(payload) < length:
            contents.is_torn = True
            return contents
        if _checksum(data[position : position + _CHECKED.size], payload) != checksum:
            contents.is_damaged = True
            return contents
        if kind == EntryKind.PUT:
            contents.records[persistent] = payload
        else:
            contents.records.pop(persistent, None)
        position += _HEADER.size + length
    contents.bytes_read = position
    return contents


def _checksum(checked: bytes, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(checked))
