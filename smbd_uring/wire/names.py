"""Text and times as they are on the wire.

Knows: UTF-16LE, FILETIME ([MS-DTYP] 2.3.3).  Must not know: which field they come from.
"""

from __future__ import annotations

from codecs import utf_16_le_decode, utf_16_le_encode

from smbd_uring.wire.errors import MalformedMessage

EPOCH_DIFFERENCE_TICKS = 116_444_736_000_000_000
"""100 ns ticks from 1601-01-01 to 1970-01-01."""

FILETIME_MAX = (1 << 63) - 1
NANOSECONDS_PER_TICK = 100


def decode_utf16(view: memoryview | bytes) -> str:
    """Text of UTF-16LE bytes.  MalformedMessage for an odd length, a lone surrogate or a NUL character."""
    if len(view) % 2:
        raise MalformedMessage("UTF-16 text of odd length")
    try:
        text, _ = utf_16_le_decode(view, "strict", True)
    except UnicodeDecodeError as error:
        raise MalformedMessage("text that is not UTF-16") from error
    if "\0" in text:
        raise MalformedMessage("text with a NUL character")
    return text


def encode_utf16(text: str) -> bytes:
    """UTF-16LE bytes, without terminator."""
    return utf_16_le_encode(text)[0]


def filetime_from_ns(nanoseconds: int) -> int:
    """A FILETIME (100 ns since 1601) for a time in nanoseconds since 1970; kept within 0 and 2^63-1."""
    ticks = nanoseconds // NANOSECONDS_PER_TICK + EPOCH_DIFFERENCE_TICKS
    if 0 <= ticks <= FILETIME_MAX:
        return ticks
    return min(max(ticks, 0), FILETIME_MAX)


def ns_from_filetime(filetime: int) -> int:
    """Nanoseconds since 1970 (negative before) for a FILETIME."""
    return (min(filetime, FILETIME_MAX) - EPOCH_DIFFERENCE_TICKS) * NANOSECONDS_PER_TICK
