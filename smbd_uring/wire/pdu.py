"""What all message bodies share: fixed parts compiled once, variable parts checked once.

Knows: fixed parts, and the variable parts that offset/length pairs point at.  Must not know: any particular message.

Each body is a dataclass with its fields in the specification's words.  `decode(message)` takes a view that begins at
the SMB2 header, checks every length up front and keeps views of variable parts; `encode()` gives the body's bytes,
with offsets for a body that follows the header.  Both directions are there, so clients and tests speak through the same
code as the server.
"""

from __future__ import annotations

import struct
from typing import Any, ClassVar, NamedTuple, Self

from smbd_uring.wire.errors import MalformedMessage

BODY_OFFSET = 64
"""Where a body begins: offsets inside bodies count from the SMB2 header's first byte ([MS-SMB2] 2.2.1)."""


class FileId(NamedTuple):
    """[MS-SMB2] 2.2.14.1."""

    persistent: int
    volatile: int


_FILE_ID = struct.Struct("<QQ")
FILE_ID_ANY = FileId(0xFFFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF)
"""In a related request: the file of the request before ([MS-SMB2] 3.3.5.2.7.2)."""


def slice_of(message: memoryview, offset: int, length: int, earliest: int = BODY_OFFSET) -> memoryview:
    """The part of a message that an offset/length pair points at; empty for length 0, wherever it points.

    MalformedMessage when it does not lie between `earliest` and the message's end.
    """
    if length == 0:
        return message[:0]
    if not earliest <= offset <= len(message) or not 0 <= length <= len(message) - offset:
        raise MalformedMessage(f"{length} bytes at {offset} of a message of {len(message)}")
    return message[offset : offset + length]


class Cursor:
    """Reads a bounded view from front to back."""

    __slots__ = ("_view", "position")

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self.position = 0

    @property
    def remaining(self) -> int:
        """Bytes not yet read."""
        return len(self._view) - self.position

    def take(self, length: int) -> memoryview:
        """The next `length` bytes.  MalformedMessage when there are fewer."""
        if not 0 <= length <= self.remaining:
            raise MalformedMessage(f"{self.remaining} bytes where {length} are needed")
        start = self.position
        self.position += length
        return self._view[start : self.position]

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        """The next fields."""
        return layout.unpack(self.take(layout.size))

    def align(self, alignment: int) -> None:
        """Go on to the next multiple, or to the end when that comes first."""
        self.position = min(self.position + -self.position % alignment, len(self._view))


def unpack_body(layout: struct.Struct, message: memoryview, structure_size: int) -> tuple[Any, ...]:
    """The fixed fields of a body after its StructureSize, which must be the specification's.

    `layout` begins with the StructureSize ("<H..."); MalformedMessage when the message is too short or another.
    """
    if layout.size > len(message) - BODY_OFFSET:
        raise MalformedMessage(f"a body of {len(message) - BODY_OFFSET} bytes where {layout.size} are needed")
    values = layout.unpack_from(message, BODY_OFFSET)
    check_structure_size(values[0], structure_size)
    return values[1:]


def check_structure_size(found: int, expected: int) -> None:
    """[MS-SMB2]: a body with another StructureSize is not this message."""
    if found != expected:
        raise MalformedMessage(f"StructureSize {found} where {expected} is due")


class EmptyBody:
    """A body of StructureSize 4 and two reserved bytes: LOGOFF, ECHO, CANCEL, TREE_DISCONNECT, FLUSH's answer."""

    __slots__ = ()
    _LAYOUT: ClassVar[struct.Struct] = struct.Struct("<HH")

    @classmethod
    def decode(cls, message: memoryview) -> Self:
        """`message` begins at the SMB2 header."""
        if len(message) - BODY_OFFSET < cls._LAYOUT.size:
            raise MalformedMessage("a body cut short")
        check_structure_size(cls._LAYOUT.unpack_from(message, BODY_OFFSET)[0], 4)
        return cls()

    def encode(self) -> bytes:
        """The body."""
        return self._LAYOUT.pack(4, 0)
