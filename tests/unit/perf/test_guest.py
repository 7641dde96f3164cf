"""fio's figures become a table; what fio prints besides, or instead, is not taken for figures."""

from __future__ import annotations

import json

import pytest

from smbd_uring.perf.guest.compare import table
from smbd_uring.perf.guest.fio import JOBS, FioError, figure

SMALL, LARGE, WRITE = JOBS[0], JOBS[2], JOBS[3]
PRINTED = json.dumps({
    "jobs": [{"read": {"iops": 6592.5, "bw_bytes": 254 << 20}, "write": {"iops": 1.0, "bw_bytes": 205 << 20}}],
})  # fmt: skip


def test_small_blocks_are_counted_in_operations_and_large_ones_in_mebibytes() -> None:
    assert figure(SMALL, PRINTED) == 6592.5
    assert figure(LARGE, PRINTED) == 254
    assert figure(WRITE, PRINTED) == 205


def test_warnings_before_the_figures_do_not_matter() -> None:
    assert figure(SMALL, f"fio: this platform does not support ...\n{PRINTED}") == 6592.5


@pytest.mark.parametrize("printed", ["", "fio: no such file", '{"jobs": []}', '{"jobs": [{"read": {}}]}'])
def test_anything_else_is_an_error(printed: str) -> None:
    with pytest.raises(FioError):
        figure(SMALL, printed)


def test_the_table_relates_us_to_each_of_the_others() -> None:
    found = {SMALL: {"smbd-uring": [120.0, 100.0, 110.0], "samba-default": [50.0] * 3, "ksmbd": [110.0] * 3}}
    row = [cell.strip() for cell in table(found).splitlines()[-1].split("|")[1:-1]]
    assert row == ["random read 4 KiB, depth 1, op/s", "110", "50.0", "110", "2.20", "1.00"]
