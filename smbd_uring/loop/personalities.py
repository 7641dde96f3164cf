"""Clients' identities registered with a ring, so that an operation can name one by number.

Knows: `identity`, the ring's table of personalities.  Must not know: which operations use them.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING

from smbd_uring.limits import PERSONALITIES_MAX
from smbd_uring.loop.identity import acting_as, may_switch
from smbd_uring.ports import Credentials

if TYPE_CHECKING:
    from smbd_uring._native._ring import Ring

OWN = 0
"""The personality of the process itself."""


class Personalities:
    """At most `capacity` identities; the one not used for longest goes first."""

    def __init__(self, ring: Ring, capacity: int = PERSONALITIES_MAX) -> None:
        self._ring = ring
        self._capacity = capacity
        self._numbers: OrderedDict[Credentials, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, credentials: Credentials | None) -> int:
        """The personality for an operation queued now; OWN where the process may not switch.

        Registers it when it is new, for which the calling thread becomes that user for a moment.
        Raises OSError and IdentityLost as `identity.ThreadIdentity.assume`.
        """
        if credentials is None or not may_switch():
            return OWN
        number = self._numbers.get(credentials)
        if number is not None:
            self._numbers.move_to_end(credentials)
            return number
        if len(self._numbers) >= self._capacity:
            # Operations in flight keep their identity; the ring submits those that are only queued first.
            self._ring.unregister_personality(self._numbers.popitem(last=False)[1])
        with acting_as(credentials):
            number = self._ring.register_personality()
        self._numbers[credentials] = number
        return number

    def close(self) -> None:
        """Unregister all."""
        while self._numbers:
            with suppress(OSError):
                self._ring.unregister_personality(self._numbers.popitem()[1])
