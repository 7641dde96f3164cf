"""Lines of the log, cheap enough for one at every logon.

Knows: `logging`.  Must not know: who logs what.
"""

from __future__ import annotations

import logging
import sys
import time

LINE_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class LineFormatter(logging.Formatter):
    """Formats the time of day once a second: it is the larger part of what a line costs."""

    def __init__(self) -> None:
        super().__init__(LINE_FORMAT)
        self._second = -1
        self._text = ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        """Local time to the millisecond, as `logging` writes it."""
        second = int(record.created)
        if second != self._second:
            self._text = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
            self._second = second
        return f"{self._text},{int(record.msecs):03}"


def log_to_stderr() -> None:
    """Have the program's lines from INFO on, and others' warnings, written to stderr."""
    # No line says where in the source or in which thread it was written.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(handlers=[handler])
    logging.getLogger("smbd").setLevel(logging.INFO)
