"""FILE_NOTIFY_INFORMATION: what happened below a watched folder.

Knows: [MS-FSCC] 2.7.1, the completion filter of [MS-SMB2] 2.2.35.  Must not know: how changes are noticed.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum, IntFlag
from typing import NamedTuple

from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.names import decode_utf16, encode_utf16

_ENTRY = struct.Struct("<III")
ENTRY_ALIGNMENT = 4


class CompletionFilter(IntFlag):
    """Kinds of changes that complete a CHANGE_NOTIFY."""

    FILE_NAME = 0x001
    DIR_NAME = 0x002
    ATTRIBUTES = 0x004
    SIZE = 0x008
    LAST_WRITE = 0x010
    LAST_ACCESS = 0x020
    CREATION = 0x040
    EA = 0x080
    SECURITY = 0x100
    STREAM_NAME = 0x200
    STREAM_SIZE = 0x400
    STREAM_WRITE = 0x800


class NotifyAction(IntEnum):
    """FILE_ACTION_*: what happened to the name."""

    ADDED = 1
    REMOVED = 2
    MODIFIED = 3
    RENAMED_OLD_NAME = 4
    RENAMED_NEW_NAME = 5
    ADDED_STREAM = 6
    REMOVED_STREAM = 7
    MODIFIED_STREAM = 8


class NotifyInformation(NamedTuple):
    """One event; `file_name` is relative to the watched folder."""

    action: int
    file_name: str

    @property
    def size(self) -> int:
        """Bytes it takes with its padding."""
        return (_ENTRY.size + len(encode_utf16(self.file_name)) + ENTRY_ALIGNMENT - 1) & -ENTRY_ALIGNMENT


def encode_notify_information(events: Sequence[NotifyInformation]) -> bytes:
    """The buffer for these events, in their order."""
    parts: list[bytes] = []
    last = len(events) - 1
    for number, (action, file_name) in enumerate(events):
        name = encode_utf16(file_name)
        size = _ENTRY.size + len(name)
        padding = -size % ENTRY_ALIGNMENT if number != last else 0
        parts += (_ENTRY.pack(size + padding if number != last else 0, action, len(name)), name, bytes(padding))
    return b"".join(parts)


def decode_notify_information(buffer: bytes) -> list[NotifyInformation]:
    """The events in a buffer.  MalformedMessage when it does not decode."""
    events: list[NotifyInformation] = []
    position = 0
    while buffer:
        if len(buffer) - position < _ENTRY.size:
            raise MalformedMessage("a notification that is cut short")
        following, action, length = _ENTRY.unpack_from(buffer, position)
        begin = position + _ENTRY.size
        if length > len(buffer) - begin or following % ENTRY_ALIGNMENT:
            raise MalformedMessage("a notification that does not fit")
        events.append(NotifyInformation(action, decode_utf16(buffer[begin : begin + length])))
        if not following:
            break
        if following < _ENTRY.size + length:
            raise MalformedMessage("notifications that overlap")
        position += following
    return events
