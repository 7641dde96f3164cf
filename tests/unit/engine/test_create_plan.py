"""What is wrong with a CREATE before anybody looks at the disk."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from smbd_uring import limits
from smbd_uring.engine.create_plan import CREATING, OPTIONS_REFUSED, TRUNCATING, plan_of
from smbd_uring.engine.errors import SmbError
from smbd_uring.wire import create_contexts
from smbd_uring.wire.const import AccessMask, CreateDisposition, CreateOptions, FileAttributes
from smbd_uring.wire.create import CreateRequest
from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.ntstatus import NtStatus

GOOD = CreateRequest(desired_access=AccessMask.GENERIC_READ, share_access=7, name=r"a\b")
DIRECTORY, NO_DIRECTORY = CreateOptions.FILE_DIRECTORY_FILE, CreateOptions.FILE_NON_DIRECTORY_FILE
DELETE_ON_CLOSE = CreateOptions.FILE_DELETE_ON_CLOSE


def status_for(**changes: object) -> NtStatus | None:
    """The status that the good request gets once `changes` are made to it, None when it stays good."""
    try:
        plan = plan_of(replace(GOOD, **changes))
    except SmbError as refused:
        return refused.status
    return plan.objection or plan.access_objection


def test_a_good_request_becomes_a_plan() -> None:
    plan = plan_of(replace(GOOD, create_disposition=CreateDisposition.OPEN_IF, file_attributes=0x2082))
    assert plan.components == ("a", "b")
    assert plan.desired_access == 0x0012_0089
    assert plan.attributes == FileAttributes.HIDDEN, "what Linux cannot keep is dropped"
    assert plan.creates and not plan.truncates and not plan.delete_on_close and not plan.must_be_directory
    assert not plan.wants_maximal_access and not plan.wants_disk_id and plan.allocation_size == 0


@pytest.mark.parametrize("disposition", CreateDisposition)
def test_a_disposition_says_whether_it_makes_and_whether_it_empties(disposition: CreateDisposition) -> None:
    plan = plan_of(replace(GOOD, create_disposition=disposition))
    assert plan.creates == (disposition in CREATING)
    assert plan.truncates == (disposition in TRUNCATING)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"impersonation_level": 4}, NtStatus.BAD_IMPERSONATION_LEVEL),
        ({"impersonation_level": 0xFFFF_FFFF}, NtStatus.BAD_IMPERSONATION_LEVEL),
        ({"create_disposition": 6}, NtStatus.INVALID_PARAMETER),
        ({"create_disposition": 0xFFFF_FFFF}, NtStatus.INVALID_PARAMETER),
        ({"create_options": 0x0100_0000}, NtStatus.INVALID_PARAMETER),
        ({"create_options": 0x0010_0000}, NtStatus.INVALID_PARAMETER),
        ({"create_options": DIRECTORY, "file_attributes": FileAttributes.TEMPORARY}, NtStatus.INVALID_PARAMETER),
        ({"create_options": DIRECTORY | NO_DIRECTORY}, NtStatus.INVALID_PARAMETER),
        ({"desired_access": 0}, NtStatus.ACCESS_DENIED),
        ({"desired_access": 0x0400_0000}, NtStatus.ACCESS_DENIED),
        ({"create_options": DELETE_ON_CLOSE}, NtStatus.INVALID_PARAMETER),
        (
            {"create_options": DELETE_ON_CLOSE, "desired_access": AccessMask.MAXIMUM_ALLOWED},
            NtStatus.INVALID_PARAMETER,
        ),
        ({"name": "a\\", "create_options": NO_DIRECTORY}, NtStatus.OBJECT_NAME_INVALID),
        ({"name": r"\a"}, NtStatus.INVALID_PARAMETER),
    ],
)
def test_a_wrong_number_is_refused_with_its_status(changes: dict[str, object], status: NtStatus) -> None:
    assert status_for(**changes) == status


@pytest.mark.parametrize(
    "changes",
    [
        {"share_access": 0xFFFF_FFFF}, {"file_attributes": 0x8}, {"file_attributes": 0xFFFF_FFFF},
        {"create_options": 0x80},
    ],
)  # fmt: skip
def test_bits_that_mean_nothing_are_passed_over(changes: dict[str, object]) -> None:
    assert status_for(**changes) is None
    assert plan_of(replace(GOOD, **changes)).share_access == 7


def test_the_access_of_a_file_comes_after_its_name_and_that_of_a_folder_before_its_disposition() -> None:
    plan = plan_of(replace(GOOD, desired_access=0, create_disposition=CreateDisposition.CREATE))
    assert (plan.objection, plan.access_objection) == (None, NtStatus.ACCESS_DENIED)
    bad = {"desired_access": 0, "create_options": DIRECTORY, "create_disposition": CreateDisposition.OVERWRITE}
    assert plan_of(replace(GOOD, **bad)).objection == NtStatus.ACCESS_DENIED


@pytest.mark.parametrize("option", [option for option in CreateOptions if option & OPTIONS_REFUSED])
def test_options_that_nobody_uses_over_smb_are_not_supported(option: int) -> None:
    assert status_for(create_options=option) == NtStatus.NOT_SUPPORTED


@pytest.mark.parametrize(("disposition", "option"), list(product(CreateDisposition, (0, DIRECTORY, NO_DIRECTORY))))
def test_a_directory_is_never_emptied(disposition: CreateDisposition, option: int) -> None:
    changes = {"create_disposition": disposition, "create_options": option}
    if option == DIRECTORY and disposition in TRUNCATING:
        assert status_for(**changes) == NtStatus.INVALID_PARAMETER
    else:
        assert plan_of(replace(GOOD, **changes)).must_be_directory == (option == DIRECTORY)


def test_a_separator_at_the_end_of_a_name_does_not_count() -> None:
    plan = plan_of(replace(GOOD, name="a\\"))
    assert plan.components == ("a",) and not plan.must_be_directory


@pytest.mark.parametrize("access", [AccessMask.DELETE, AccessMask.GENERIC_ALL])
def test_delete_on_close_needs_an_access_that_can_delete(access: int) -> None:
    assert plan_of(replace(GOOD, create_options=DELETE_ON_CLOSE, desired_access=access)).delete_on_close


def test_contexts_are_understood_and_unknown_ones_skipped() -> None:
    plan = plan_of(
        replace(
            GOOD,
            contexts=[
                (b"????", b"anything"),
                (create_contexts.ALLOCATION_SIZE, (5 << 20).to_bytes(8, "little")),
                (create_contexts.QUERY_MAXIMAL_ACCESS, (77).to_bytes(8, "little")),
                (create_contexts.QUERY_ON_DISK_ID, b""),
                (create_contexts.LEASE, bytes(32)),
                (create_contexts.DURABLE_REQUEST_V2, bytes(32)),
            ],
        )
    )
    assert plan.allocation_size == 5 << 20
    assert plan.wants_maximal_access and plan.maximal_access_timestamp == 77
    assert plan.wants_disk_id


@pytest.mark.parametrize(
    ("name", "status"),
    [
        (create_contexts.EXTENDED_ATTRIBUTES, NtStatus.EAS_NOT_SUPPORTED),
        (create_contexts.SECURITY_DESCRIPTOR, NtStatus.NOT_SUPPORTED),
    ],
)
def test_a_context_that_would_matter_and_cannot_be_honoured_is_refused(name: bytes, status: NtStatus) -> None:
    assert status_for(contexts=[(name, bytes(8))]) == status


@pytest.mark.parametrize("name", [create_contexts.ALLOCATION_SIZE, create_contexts.QUERY_MAXIMAL_ACCESS])
def test_a_context_of_the_wrong_size_is_malformed(name: bytes) -> None:
    with pytest.raises(MalformedMessage):
        plan_of(replace(GOOD, contexts=[(name, bytes(7))]))


def test_more_contexts_than_there_are_kinds_are_refused() -> None:
    contexts = [(b"????", b"")] * limits.CREATE_CONTEXTS_MAX
    plan_of(replace(GOOD, contexts=contexts))
    assert status_for(contexts=[*contexts, (b"????", b"")]) == NtStatus.INVALID_PARAMETER
