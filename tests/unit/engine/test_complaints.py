"""Nobody fills the disk with lines about themselves."""

from __future__ import annotations

import logging

import pytest

from smbd_uring import limits
from smbd_uring.engine.complaints import Complaints

log = logging.getLogger("smbd.test")


def test_a_flood_is_cut_and_what_was_left_out_is_told(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints()
    for number in range(limits.COMPLAINTS_PER_PERIOD_MAX + 7):
        complaints.warn(1000.0, log, "line %d", number)
    assert len(caplog.messages) == limits.COMPLAINTS_PER_PERIOD_MAX
    complaints.warn(1000.0 + limits.COMPLAINTS_PERIOD_S, log, "a new period")
    assert caplog.messages[-2:] == ["7 more complaints about clients were left out", "a new period"]


def test_who_complains_seldom_is_always_heard(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints()
    for number in range(3 * limits.COMPLAINTS_PER_PERIOD_MAX):
        complaints.warn(number * limits.COMPLAINTS_PERIOD_S / limits.COMPLAINTS_PER_PERIOD_MAX, log, "line")
    assert caplog.messages == ["line"] * (3 * limits.COMPLAINTS_PER_PERIOD_MAX)
