"""The message-id window of one connection: which ids a client may use, and how many more it is given.

Knows: [MS-SMB2] 3.3.1.1 and 3.3.5.2.3.  Must not know: connections, commands.

The window is [low, high).  `used` is a bitmap over it, bit 0 for `low`; ids below `low` are all used.  A request takes
`charge` ids in a row; a grant moves `high`.
"""

from __future__ import annotations

PAYLOAD_BYTES_PER_CREDIT = 65536
"""[MS-SMB2] 3.1.5.2: one credit covers 64 KiB of payload in either direction."""


class CreditWindow:
    """Message ids that a client may use.  A new window holds the id 0 alone, for NEGOTIATE."""

    __slots__ = ("_high", "_low", "_used")

    def __init__(self) -> None:
        self._low = 0
        self._high = 1
        self._used = 0

    @property
    def available(self) -> int:
        """How many ids the client may still use."""
        return self._high - self._low - self._used.bit_count()

    @property
    def span(self) -> int:
        """Distance from the lowest unused id to the end of the window."""
        return self._high - self._low

    def take(self, message_id: int, charge: int) -> bool:
        """Use `charge` ids from `message_id` on; False when one of them is outside the window or was used before."""
        index = message_id - self._low
        if index < 0 or charge < 1 or charge > self._high - message_id:
            return False
        if index == 0 and charge == 1 and not self._used:  # the usual case: one after the other
            self._low += 1
            return True
        mask = ((1 << charge) - 1) << index
        if self._used & mask:
            return False
        used = self._used | mask
        trailing_ones = (~used & (used + 1)).bit_length() - 1
        self._used = used >> trailing_ones
        self._low += trailing_ones
        return True

    def grant(self, requested: int, span_max: int) -> int:
        """Widen the window as the client asks, to at most `span_max` ids.  Result: the credits granted.

        A client without any usable id is always given one, or it could never speak again.
        """
        granted = requested or 1
        room = span_max - (self._high - self._low)
        if granted > room:
            granted = max(room, 0)
            if granted == 0 and self.available == 0:
                granted = 1
        self._high += granted
        return granted


def charge_needed(payload_bytes: int) -> int:
    """Credits that a payload of this many bytes costs, sent or expected ([MS-SMB2] 3.1.5.2)."""
    return max(1, (payload_bytes + PAYLOAD_BYTES_PER_CREDIT - 1) // PAYLOAD_BYTES_PER_CREDIT)
