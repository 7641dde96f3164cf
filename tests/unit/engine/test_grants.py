"""What a data plane may do with an open by itself: the rule, over everything that it depends on."""

from __future__ import annotations

from itertools import product

import pytest

from smbd_uring.engine.grants import operations_allowed
from smbd_uring.ports import GrantOperation
from smbd_uring.wire.const import AccessMask

READ, WRITE, FLUSH = GrantOperation.READ, GrantOperation.WRITE, GrantOperation.FLUSH
NOTHING = GrantOperation(0)
RIGHTS = (
    AccessMask.FILE_READ_DATA, AccessMask.FILE_EXECUTE, AccessMask.FILE_WRITE_DATA, AccessMask.FILE_APPEND_DATA,
    AccessMask.FILE_READ_ATTRIBUTES,
)  # fmt: skip
CIRCUMSTANCES = ("is_set_id", "reads_locked", "writes_locked", "others_cache_reads", "others_cache_writes")


def masks() -> list[int]:
    """Every sum of rights."""
    return [sum(right for right, taken in zip(RIGHTS, choice, strict=True) if taken)
            for choice in product((False, True), repeat=len(RIGHTS))]  # fmt: skip


def test_a_file_that_nobody_contends_for_is_served_by_its_rights() -> None:
    everything = AccessMask.FILE_READ_DATA | AccessMask.FILE_WRITE_DATA
    assert operations_allowed(everything, is_set_id=False) == READ | WRITE | FLUSH
    assert operations_allowed(AccessMask.FILE_READ_DATA, is_set_id=False) == READ
    assert operations_allowed(AccessMask.FILE_EXECUTE, is_set_id=False) == READ
    assert operations_allowed(AccessMask.FILE_APPEND_DATA, is_set_id=False) == FLUSH
    assert operations_allowed(AccessMask.FILE_READ_ATTRIBUTES, is_set_id=False) == NOTHING


@pytest.mark.parametrize("circumstance", CIRCUMSTANCES)
def test_what_each_circumstance_takes_away(circumstance: str) -> None:
    taken = {
        "is_set_id": WRITE,
        "reads_locked": READ,
        "writes_locked": WRITE,
        "others_cache_reads": WRITE,
        "others_cache_writes": READ | WRITE | FLUSH,
    }[circumstance]
    for mask in masks():
        free = operations_allowed(mask, is_set_id=False)
        circumstances = {"is_set_id": False, circumstance: True}
        assert operations_allowed(mask, **circumstances) == free & ~taken, hex(mask)


def test_circumstances_take_away_together_what_each_takes_away() -> None:
    for mask, values in product(masks(), product((False, True), repeat=len(CIRCUMSTANCES))):
        expected = operations_allowed(mask, is_set_id=False)
        for name, value in zip(CIRCUMSTANCES, values, strict=True):
            expected &= operations_allowed(mask, **{"is_set_id": False, name: value})
        assert operations_allowed(mask, **dict(zip(CIRCUMSTANCES, values, strict=True))) == expected
