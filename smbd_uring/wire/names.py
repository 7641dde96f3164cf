"""Text and times as the wire has them: UTF-16LE strings, FILETIMEs.

Knows: [MS-DTYP] 2.3.3 (FILETIME) and the encoding of names.  Must not know: which names are allowed.
"""

from __future__ import annotations

from smbd_uring.ports import Buffer
from smbd_uring.wire.errors import MalformedMessage

FILETIME_MAX = 2**63 - 1
"""Times on the wire are signed 64-bit and not negative ([MS-FSCC] 2.1.1)."""

_TICKS_1601_TO_1970 = 116_444_736_000_000_000
_NS_PER_TICK = 100


def decode_utf16(view: Buffer) -> str:
    """UTF-16LE bytes to text.

    Raises MalformedMessage for an odd number of bytes and for a surrogate without its partner: such a name has no
    UTF-8 form, so no file of ours can carry it.
    """
    try:
        return str(view, "utf-16-le")
    except UnicodeDecodeError as error:
        raise MalformedMessage(f"text is not UTF-16: {error.reason}") from None


def encode_utf16(text: str) -> bytes:
    """Text to UTF-16LE bytes, without a terminator.  `text` has no lone surrogates."""
    return text.encode("utf-16-le")


def filetime_from_ns(ns: int) -> int:
    """Nanoseconds since the Unix epoch to 100 ns ticks since 1601, clamped to 0..FILETIME_MAX."""
    return min(max(ns // _NS_PER_TICK + _TICKS_1601_TO_1970, 0), FILETIME_MAX)


def ns_from_filetime(filetime: int) -> int:
    """100 ns ticks since 1601, clamped to 0..FILETIME_MAX, to nanoseconds since the Unix epoch (negative before 1970)."""
    return (min(max(filetime, 0), FILETIME_MAX) - _TICKS_1601_TO_1970) * _NS_PER_TICK
