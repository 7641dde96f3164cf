"""Every access beside every other, under every pair of share modes, against the rule written out by hand."""

from __future__ import annotations

from itertools import product

import pytest

from smbd_uring.engine.share_modes import allows, conflicts
from smbd_uring.wire.const import AccessMask, ShareAccess

SHARES = range(8)
SHARED_BY = {
    AccessMask.FILE_READ_DATA: ShareAccess.READ,
    AccessMask.FILE_EXECUTE: ShareAccess.READ,
    AccessMask.FILE_WRITE_DATA: ShareAccess.WRITE,
    AccessMask.FILE_APPEND_DATA: ShareAccess.WRITE,
    AccessMask.DELETE: ShareAccess.DELETE,
}
"""[MS-FSA] 2.1.5.1.2: which share mode each right needs from the others."""

OF_NO_CONCERN = (
    AccessMask.FILE_READ_ATTRIBUTES, AccessMask.FILE_WRITE_ATTRIBUTES, AccessMask.FILE_READ_EA,
    AccessMask.FILE_WRITE_EA, AccessMask.READ_CONTROL, AccessMask.WRITE_DAC, AccessMask.WRITE_OWNER,
    AccessMask.SYNCHRONIZE,
)  # fmt: skip
ACCESSES = (*SHARED_BY, AccessMask.FILE_READ_DATA | AccessMask.FILE_WRITE_DATA,
            AccessMask.FILE_READ_DATA | AccessMask.DELETE, AccessMask.FILE_ALL_ACCESS)  # fmt: skip


def needed(access: int) -> int:
    """The share modes that `access` needs from everybody else."""
    return sum({mode for right, mode in SHARED_BY.items() if access & right})


@pytest.mark.parametrize("access", ACCESSES)
def test_a_sharer_allows_what_its_mode_names(access: int) -> None:
    for share in SHARES:
        assert allows(share, access) == (needed(access) & ~share == 0)


@pytest.mark.parametrize(("own", "other"), list(product(ACCESSES, repeat=2)))
def test_two_opens_stand_together_when_each_shares_what_the_other_does(own: int, other: int) -> None:
    for own_share, other_share in product(SHARES, repeat=2):
        stands = needed(own) & ~other_share == 0 and needed(other) & ~own_share == 0
        assert conflicts(own, own_share, [(other, other_share)]) == (not stands)


@pytest.mark.parametrize("access", OF_NO_CONCERN)
def test_attributes_alone_neither_suffer_nor_cause_a_violation(access: int) -> None:
    for share in SHARES:
        assert not conflicts(access, 0, [(AccessMask.FILE_ALL_ACCESS, share)])
        assert not conflicts(AccessMask.FILE_ALL_ACCESS, share, [(access, 0)])


def test_one_violation_among_many_that_agree_is_enough() -> None:
    agreeing = [(AccessMask.FILE_READ_DATA, 7)] * 3
    assert not conflicts(AccessMask.FILE_WRITE_DATA, 7, agreeing)
    assert conflicts(AccessMask.FILE_WRITE_DATA, 7, [*agreeing, (AccessMask.FILE_READ_DATA, 1)])
