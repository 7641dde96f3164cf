"""Log lines that a client can provoke at will: so many in a while, the rest only counted.

Knows: times and counts.  Must not know: what is complained about.
"""

from __future__ import annotations

import logging

from smbd_uring import limits


class Complaints:
    """Writes the first COMPLAINTS_PER_PERIOD_MAX lines of each COMPLAINTS_PERIOD_S, and says how many it left out."""

    __slots__ = ("_begun", "_left_out", "_written")

    def __init__(self) -> None:
        self._begun = 0.0
        self._written = 0
        self._left_out = 0

    def warn(self, now: float, log: logging.Logger, text: str, *arguments: object) -> None:
        """`log.warning(text, *arguments)`, unless there were too many of late.  `now` in seconds."""
        if now - self._begun >= limits.COMPLAINTS_PERIOD_S:
            if self._left_out:
                log.warning("%d more complaints about clients were left out", self._left_out)
            self._begun, self._written, self._left_out = now, 0, 0
        if self._written < limits.COMPLAINTS_PER_PERIOD_MAX:
            self._written += 1
            log.warning(text, *arguments)
        else:
            self._left_out += 1
