"""Generic rights spelt out, and bits that mean nothing refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbd_uring.engine.access import FILE_ALL_ACCESS, GENERIC_EXECUTE, GENERIC_READ, GENERIC_WRITE, VALID_BITS, expand
from smbd_uring.engine.errors import SmbError
from smbd_uring.wire.const import AccessMask
from smbd_uring.wire.ntstatus import NtStatus

GENERIC_BITS = 0xF000_0000


@pytest.mark.parametrize(
    ("generic", "meaning"),
    [
        (AccessMask.GENERIC_READ, 0x0012_0089),
        (AccessMask.GENERIC_WRITE, 0x0012_0116),
        (AccessMask.GENERIC_EXECUTE, 0x0012_00A0),
        (AccessMask.GENERIC_ALL, 0x001F_01FF),
    ],
)
def test_a_generic_right_means_what_the_specification_says(generic: int, meaning: int) -> None:
    """[MS-DTYP] 2.4.3 with the file rights of [MS-SMB2] 2.2.13.1.1, as Windows maps them."""
    assert expand(generic) == meaning


def test_the_names_in_the_engine_are_those_meanings() -> None:
    assert (GENERIC_READ, GENERIC_WRITE, GENERIC_EXECUTE, FILE_ALL_ACCESS) == (
        0x0012_0089, 0x0012_0116, 0x0012_00A0, 0x001F_01FF,
    )  # fmt: skip


def test_maximum_allowed_stays_for_the_kernel_to_answer() -> None:
    assert expand(AccessMask.MAXIMUM_ALLOWED) == AccessMask.MAXIMUM_ALLOWED
    assert expand(AccessMask.MAXIMUM_ALLOWED | AccessMask.GENERIC_READ) == AccessMask.MAXIMUM_ALLOWED | GENERIC_READ


def status_for(desired_access: int) -> NtStatus:
    with pytest.raises(SmbError) as refused:
        expand(desired_access)
    return refused.value.status


def test_asking_for_nothing_is_refused() -> None:
    assert status_for(0) == NtStatus.ACCESS_DENIED


def test_asking_for_no_right_but_to_wait_is_asking_for_something() -> None:
    assert expand(AccessMask.SYNCHRONIZE) == AccessMask.SYNCHRONIZE


def test_the_right_to_audit_needs_a_privilege_that_nobody_has_here() -> None:
    assert status_for(AccessMask.ACCESS_SYSTEM_SECURITY) == NtStatus.PRIVILEGE_NOT_HELD


@pytest.mark.parametrize("bit", [bit for bit in range(32) if not VALID_BITS >> bit & 1])
def test_a_bit_without_a_meaning_is_refused_whatever_else_is_asked(bit: int) -> None:
    assert status_for(1 << bit | AccessMask.FILE_READ_DATA) == NtStatus.ACCESS_DENIED


@given(st.integers(1, 0xFFFF_FFFF).map(lambda mask: mask & VALID_BITS & ~AccessMask.ACCESS_SYSTEM_SECURITY))
def test_expanding_keeps_what_is_specific_and_is_done_after_once(desired_access: int) -> None:
    if desired_access == 0:
        return
    expanded = expand(desired_access)
    assert expanded & GENERIC_BITS == 0
    assert desired_access & ~GENERIC_BITS & ~expanded == 0
    assert expand(expanded) == expanded
