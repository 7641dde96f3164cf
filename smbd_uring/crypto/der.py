"""The little of DER ([X690] 8, 10) that SPNEGO tokens are made of.

Knows: tags and lengths.  Must not know: what they mean.

The reader never recurses: who wants to look inside an element makes a reader on its contents, so a token
nests no deeper than the code that reads it.
"""

from __future__ import annotations

from typing import Final

from smbd_uring.ports import Buffer

OBJECT_IDENTIFIER: Final = 0x06
OCTET_STRING: Final = 0x04
ENUMERATED: Final = 0x0A
GENERAL_STRING: Final = 0x1B
SEQUENCE: Final = 0x30
APPLICATION_0: Final = 0x60

_LONG_FORM: Final = 0x80
_LENGTH_OCTETS_MAX: Final = 4
_TAG_NUMBER_MASK: Final = 0x1F


class DerError(Exception):
    """Bytes that are not the DER that was expected."""


def context(number: int) -> int:
    """The tag of a constructed element [number] of its context."""
    return 0xA0 | number


def encode(tag: int, *contents: Buffer) -> bytes:
    """One element whose contents are `contents` one after the other."""
    body = b"".join(contents)
    length = len(body)
    if length < _LONG_FORM:
        return bytes((tag, length)) + body
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG_FORM | len(octets))) + octets + body


class DerReader:
    """Reads elements one after the other from a view; definite lengths and one-byte tags only."""

    __slots__ = ("_position", "_view")

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._position = 0

    @property
    def at_end(self) -> bool:
        """Whether nothing is left."""
        return self._position == len(self._view)

    def next(self) -> tuple[int, memoryview]:
        """The next element's tag and contents.  DerError when it is cut short or of a form not understood."""
        view, position, end = self._view, self._position, len(self._view)
        if end - position < 2:
            raise DerError("an element cut short")
        tag, length = view[position], view[position + 1]
        if tag & _TAG_NUMBER_MASK == _TAG_NUMBER_MASK:
            raise DerError("a tag of several bytes")
        position += 2
        if length & _LONG_FORM:
            octets = length & ~_LONG_FORM
            if not 1 <= octets <= _LENGTH_OCTETS_MAX or octets > end - position:
                raise DerError("a length that is indefinite, too long or cut short")
            length = int.from_bytes(view[position : position + octets], "big")
            position += octets
        if length > end - position:
            raise DerError("an element longer than what holds it")
        self._position = position + length
        return tag, view[position : self._position]

    def expect(self, tag: int) -> memoryview:
        """The next element's contents.  DerError when it has another tag."""
        found, contents = self.next()
        if found != tag:
            raise DerError(f"tag {found:#x} where {tag:#x} belongs")
        return contents

    def end(self) -> None:
        """DerError when anything is left."""
        if not self.at_end:
            raise DerError("bytes behind the last element")


def only(view: memoryview, tag: int) -> memoryview:
    """The contents of the one element with `tag` that `view` consists of.  DerError when it is anything else.
    """
    reader = DerReader(view)
    contents = reader.expect(tag)
    reader.end()
    return contents


def numbered_fields(view: memoryview) -> dict[int, memoryview]:
    """The elements [0], [1] ... of a SEQUENCE's contents, by number, in rising order.

    DerError when one is repeated, out of order, or no constructed element of its context.
    """
    fields: dict[int, memoryview] = {}
    reader = DerReader(view)
    last = -1
    while not reader.at_end:
        tag, contents = reader.next()
        number = tag - context(0)
        if not last < number <= _TAG_NUMBER_MASK:
            raise DerError(f"field {tag:#x} does not belong here")
        fields[number] = contents
        last = number
    return fields
