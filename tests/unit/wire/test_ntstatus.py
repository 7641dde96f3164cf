"""Statuses tell errors from what is none."""

from __future__ import annotations

import pytest
from smbprotocol.header import NtStatus as TheirNtStatus

from smbd_uring.wire.ntstatus import NtStatus, is_error


@pytest.mark.parametrize(
    "status",
    [
        NtStatus.SUCCESS, NtStatus.PENDING, NtStatus.NOTIFY_ENUM_DIR, NtStatus.BUFFER_OVERFLOW,
        NtStatus.NO_MORE_FILES, NtStatus.STOPPED_ON_SYMLINK,
    ],
)  # fmt: skip
def test_success_information_and_warnings_are_no_errors(status: int) -> None:
    assert not is_error(status)


@pytest.mark.parametrize(
    "status", [NtStatus.ACCESS_DENIED, NtStatus.MORE_PROCESSING_REQUIRED, NtStatus.SMB_BAD_CLUSTER_DIALECT]
)
def test_the_rest_are_errors(status: int) -> None:
    assert is_error(status)


def test_a_status_that_another_client_knows_has_the_same_number() -> None:
    theirs = {
        name.removeprefix("STATUS_"): value
        for name, value in vars(TheirNtStatus).items()
        if name.startswith("STATUS_") and isinstance(value, int)
    }
    common = {status.name for status in NtStatus} & theirs.keys()
    assert len(common) > 30
    assert [name for name in common if NtStatus[name] != theirs[name]] == []
