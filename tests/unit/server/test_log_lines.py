"""What a line of the log looks like: as `logging` would write it, in whichever second."""

from __future__ import annotations

import logging

from smbd_uring.log_lines import LINE_FORMAT, LineFormatter


def test_lines_are_as_logging_writes_them() -> None:
    ours, theirs = LineFormatter(), logging.Formatter(LINE_FORMAT)
    for created in (0.0, 1700000000.0, 1700000000.25, 1700000000.75, 1700000001.0, 1700003600.5, 1700000000.125):
        record = logging.makeLogRecord({"name": "smbd.x", "levelname": "INFO", "msg": "%s on", "args": ("anna",)})
        record.created, record.msecs = created, created % 1 * 1000
        assert ours.format(record) == theirs.format(record)
    assert ours.format(record).endswith(",125 INFO smbd.x: anna on")
