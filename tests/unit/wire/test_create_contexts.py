"""The data of create contexts as others write it."""

from __future__ import annotations

import uuid
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smbprotocol.create_contexts import (
    CreateContextName,
    SMB2CreateAllocationSize,
    SMB2CreateQueryMaximalAccessRequest,
    SMB2CreateQueryMaximalAccessResponse,
    SMB2CreateQueryOnDiskIDResponse,
    SMB2CreateRequestLease,
    SMB2CreateRequestLeaseV2,
)

from smbd_uring.wire import create_contexts as contexts
from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.ntstatus import NtStatus
from tests.unit.wire.messages import GUIDS, U16, U32

KEY = bytes(range(16))
PARENT = bytes(range(16, 32))


def test_names_are_those_that_another_client_sends() -> None:
    ours_and_theirs = {
        contexts.EXTENDED_ATTRIBUTES: CreateContextName.SMB2_CREATE_EA_BUFFER,
        contexts.SECURITY_DESCRIPTOR: CreateContextName.SMB2_CREATE_SD_BUFFER,
        contexts.DURABLE_REQUEST: CreateContextName.SMB2_CREATE_DURABLE_HANDLE_REQUEST,
        contexts.DURABLE_RECONNECT: CreateContextName.SMB2_CREATE_DURABLE_HANDLE_RECONNECT,
        contexts.ALLOCATION_SIZE: CreateContextName.SMB2_CREATE_ALLOCATION_SIZE,
        contexts.QUERY_MAXIMAL_ACCESS: CreateContextName.SMB2_CREATE_QUERY_MAXIMAL_ACCESS_REQUEST,
        contexts.TIMEWARP_TOKEN: CreateContextName.SMB2_CREATE_TIMEWARP_TOKEN,
        contexts.QUERY_ON_DISK_ID: CreateContextName.SMB2_CREATE_QUERY_ON_DISK_ID,
        contexts.LEASE: CreateContextName.SMB2_CREATE_REQUEST_LEASE,
        contexts.DURABLE_REQUEST_V2: CreateContextName.SMB2_CREATE_DURABLE_HANDLE_REQUEST_V2,
        contexts.DURABLE_RECONNECT_V2: CreateContextName.SMB2_CREATE_DURABLE_HANDLE_RECONNECT_V2,
        contexts.APP_INSTANCE_ID: CreateContextName.SMB2_CREATE_APP_INSTANCE_ID,
        contexts.APP_INSTANCE_VERSION: CreateContextName.SMB2_CREATE_APP_INSTANCE_VERSION,
    }
    assert [ours for ours, theirs in ours_and_theirs.items() if ours != theirs] == []


def test_the_posix_context_is_the_identifier_that_linux_sends() -> None:
    assert uuid.UUID(bytes=contexts.POSIX) == uuid.UUID("93ad2550-9cb4-11e7-b423-83de968bcd7c")


def test_another_client_writes_the_same_allocation_size() -> None:
    theirs = SMB2CreateAllocationSize()
    theirs["allocation_size"] = 2**33
    assert contexts.decode_allocation_size(theirs.pack()) == 2**33


def test_a_maximal_access_query_has_a_time_or_nothing() -> None:
    theirs = SMB2CreateQueryMaximalAccessRequest()
    theirs["timestamp"] = datetime(2000, 1, 1)
    assert contexts.decode_maximal_access_timestamp(theirs.pack()) == 125_911_584_000_000_000
    assert contexts.decode_maximal_access_timestamp(b"") == 0


def test_another_client_reads_the_same_maximal_access() -> None:
    theirs = SMB2CreateQueryMaximalAccessResponse()
    theirs.unpack(contexts.encode_maximal_access(NtStatus.SUCCESS, 0x001F_01FF))
    assert theirs["query_status"].get_value() == 0
    assert theirs["maximal_access"].get_value() == 0x001F_01FF


@given(U32, U32)
def test_maximal_access_decodes_to_what_was_encoded(status: int, mask: int) -> None:
    assert contexts.decode_maximal_access(contexts.encode_maximal_access(status, mask)) == (status, mask)


def test_another_client_reads_the_same_disk_id() -> None:
    theirs = SMB2CreateQueryOnDiskIDResponse()
    encoded = contexts.encode_disk_id(2**63 + 1, 0xFEDC)
    theirs.unpack(encoded)
    assert len(encoded) == 32
    assert theirs["disk_file_id"].get_value() % 2**64 == 2**63 + 1
    assert theirs["volume_id"].get_value() == 0xFEDC


def test_another_client_writes_the_same_leases() -> None:
    first = SMB2CreateRequestLease()
    first["lease_key"], first["lease_state"] = KEY, 7
    assert contexts.LeaseRequest.decode(first.pack()) == contexts.LeaseRequest(KEY, 7)
    assert contexts.LeaseRequest(KEY, 7).encode() == first.pack()
    second = SMB2CreateRequestLeaseV2()
    second["lease_key"], second["lease_state"], second["lease_flags"] = KEY, 3, 4
    second["parent_lease_key"], second["epoch"] = PARENT, b"\x09\0"
    ours = contexts.LeaseRequest(KEY, 3, 4, 2, PARENT, 9)
    assert contexts.LeaseRequest.decode(second.pack()) == ours
    assert ours.encode() == second.pack()


@given(GUIDS, U32, U32, GUIDS, U16)
def test_a_lease_decodes_to_what_was_encoded(key: bytes, state: int, flags: int, parent: bytes, epoch: int) -> None:
    for lease in (
        contexts.LeaseRequest(key, state, flags),
        contexts.LeaseRequest(key, state, flags, 2, parent, epoch),
    ):
        assert contexts.LeaseRequest.decode(memoryview(lease.encode())) == lease


@pytest.mark.parametrize(
    ("decode", "sizes"),
    [
        (contexts.decode_allocation_size, {8}),
        (contexts.decode_maximal_access_timestamp, {0, 8}),
        (contexts.decode_maximal_access, {8}),
        (contexts.LeaseRequest.decode, {32, 52}),
    ],
)
@given(data=st.data())
def test_data_of_another_size_is_refused(decode, sizes: set[int], data: st.DataObject) -> None:  # type: ignore[no-untyped-def]
    size = data.draw(st.integers(0, 64))
    if size in sizes:
        decode(bytes(size))
    else:
        with pytest.raises(MalformedMessage):
            decode(bytes(size))
