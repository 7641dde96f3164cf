"""How long a failed logon is held back, by address: longer with every failure, forgotten after a quiet while.

Knows: addresses, failures, times.  Must not know: accounts, sessions, how the waiting is done.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from smbd_uring import limits


@dataclass(slots=True)
class _Record:
    failures: int = 0
    last_failure: float = 0.0
    delayed: int = 0


class LogonDelays:
    """Failures of the addresses seen of late.  `now` is in seconds."""

    __slots__ = ("_records",)

    def __init__(self) -> None:
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def is_full(self, address: str) -> bool:
        """Whether as many answers to this address are held back as may be."""
        record = self._records.get(address)
        return record is not None and record.delayed >= limits.LOGONS_DELAYED_PER_ADDRESS_MAX

    def failed(self, address: str, now: float) -> float | None:
        """Count a failure.  Result: seconds to hold its answer back, or None when too many are held back already.

        A caller that got a number calls `answered` when the time is over.
        """
        record = self._records.setdefault(address, _Record())
        self._records.move_to_end(address)
        if now - record.last_failure > limits.LOGON_FAILURES_FORGOTTEN_S:
            record.failures = 0
        record.last_failure = now
        record.failures += 1
        self._forget_oldest()
        if self.is_full(address):
            return None
        record.delayed += 1
        doublings = min(record.failures - 1, 16)
        return min(limits.LOGON_DELAY_FIRST_S * 2.0**doublings, limits.LOGON_DELAY_MAX_S)

    def answered(self, address: str) -> None:
        """A held-back answer went out."""
        record = self._records.get(address)
        if record is not None and record.delayed > 0:
            record.delayed -= 1

    def succeeded(self, address: str) -> None:
        """A logon from the address was good: its earlier failures no longer count."""
        record = self._records.get(address)
        if record is not None:
            record.failures = 0

    def _forget_oldest(self) -> None:
        while len(self._records) > limits.LOGON_ADDRESSES_MAX:
            self._records.popitem(last=False)
