"""Validation of a negotiation as another client writes it."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smbprotocol.ioctl import SMB2ValidateNegotiateInfoRequest, SMB2ValidateNegotiateInfoResponse

from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.ioctl import ValidateNegotiateInfoRequest, ValidateNegotiateInfoResponse
from tests.unit.wire.messages import GUIDS, U16, U32

GUID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")


def test_another_client_writes_the_same_request() -> None:
    theirs = SMB2ValidateNegotiateInfoRequest()
    theirs["capabilities"], theirs["guid"], theirs["security_mode"] = 0x7F, GUID, 1
    theirs["dialects"] = [0x0202, 0x0210, 0x0300]
    ours = ValidateNegotiateInfoRequest(0x7F, GUID.bytes, 1, (0x0202, 0x0210, 0x0300))
    assert ValidateNegotiateInfoRequest.decode(theirs.pack()) == ours
    assert ours.encode() == theirs.pack()


def test_another_client_reads_the_same_response() -> None:
    theirs = SMB2ValidateNegotiateInfoResponse()
    theirs.unpack(ValidateNegotiateInfoResponse(0x44, GUID.bytes, 1, 0x0300).encode())
    assert (theirs["capabilities"].get_value(), theirs["guid"].get_value()) == (0x44, GUID)
    assert theirs["dialect"].get_value() == 0x0300


@given(U32, GUIDS, U16, st.lists(U16, max_size=8).map(tuple))
def test_a_request_decodes_to_what_was_encoded(
    capabilities: int, guid: bytes, mode: int, dialects: tuple[int, ...]
) -> None:
    request = ValidateNegotiateInfoRequest(capabilities, guid, mode, dialects)
    assert ValidateNegotiateInfoRequest.decode(memoryview(request.encode())) == request


@given(st.binary(max_size=40))
def test_random_bytes_are_a_request_or_refused(content: bytes) -> None:
    try:
        request = ValidateNegotiateInfoRequest.decode(content)
    except MalformedMessage:
        return
    assert content.startswith(request.encode())


@pytest.mark.parametrize("size", [0, 23, 25])
def test_a_response_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(MalformedMessage):
        ValidateNegotiateInfoResponse.decode(bytes(size))
