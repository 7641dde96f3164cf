"""The body of every failure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbd_uring.wire.error_response import ErrorResponse, encode_error_response
from smbd_uring.wire.errors import MalformedMessage
from tests.unit.wire.messages import BUFFERS, message


def test_a_failure_without_data_has_one_byte_of_it() -> None:
    assert encode_error_response() == bytes.fromhex("0900 00 00 00000000 00")


def test_a_failure_with_data_says_how_much() -> None:
    assert encode_error_response(b"1234", 1) == bytes.fromhex("0900 01 00 04000000 31323334")


@given(BUFFERS, st.integers(0, 255))
def test_a_failure_decodes_to_what_was_encoded(data: bytes, count: int) -> None:
    decoded = ErrorResponse.decode(message(encode_error_response(data, count)))
    assert decoded == ErrorResponse(count, memoryview(data))


def test_more_data_than_there_is_is_refused() -> None:
    with pytest.raises(MalformedMessage):
        ErrorResponse.decode(message(encode_error_response(b"1234")[:-1]))
