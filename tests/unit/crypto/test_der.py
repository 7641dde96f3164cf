"""DER comes back as it was encoded; anything cut, endless, nested wrongly or of odd form is a DerError."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbd_uring.crypto.der import (
    OCTET_STRING,
    SEQUENCE,
    DerError,
    DerReader,
    context,
    encode,
    numbered_fields,
    only,
)


@pytest.mark.parametrize(
    ("length", "prefix"),
    [(0, "0400"), (127, "047f"), (128, "048180"), (255, "0481ff"), (256, "04820100"), (65536, "0483010000")],
)
def test_lengths_take_as_few_octets_as_they_need(length: int, prefix: str) -> None:
    encoded = encode(OCTET_STRING, bytes(length))
    assert encoded[: len(encoded) - length].hex() == prefix
    assert only(memoryview(encoded), OCTET_STRING) == bytes(length)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("", id="nothing"),
        pytest.param("04", id="no length"),
        pytest.param("0401", id="no contents"),
        pytest.param("0480", id="indefinite"),
        pytest.param("04800000", id="indefinite with an end"),
        pytest.param("048500000000aa", id="five octets of length"),
        pytest.param("0482ff", id="length cut short"),
        pytest.param("0484ffffffff00", id="four gigabytes"),
        pytest.param("1f810000", id="tag of several bytes"),
        pytest.param("0500", id="another tag"),
        pytest.param("040000", id="something behind"),
    ],
)
def test_what_is_not_one_octet_string_is_refused(data: str) -> None:
    with pytest.raises(DerError):
        only(memoryview(bytes.fromhex(data)), OCTET_STRING)


def test_a_length_in_more_octets_than_needed_is_understood() -> None:
    assert only(memoryview(b"\x04\x84\0\0\0\2ab"), OCTET_STRING) == b"ab"


def test_fields_come_by_number() -> None:
    encoded = encode(context(0), b"a") + encode(context(3), b"bc")
    assert numbered_fields(memoryview(encoded)) == {0: b"a", 3: b"bc"}


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param(encode(context(1)) + encode(context(0)), id="out of order"),
        pytest.param(encode(context(1)) + encode(context(1)), id="repeated"),
        pytest.param(encode(SEQUENCE), id="no field"),
        pytest.param(b"\x80\0", id="primitive"),
    ],
)
def test_what_are_no_fields_is_refused(encoded: bytes) -> None:
    with pytest.raises(DerError):
        numbered_fields(memoryview(encoded))


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_elements_come_back(contents: list[bytes]) -> None:
    reader = DerReader(memoryview(b"".join(encode(OCTET_STRING, content) for content in contents)))
    assert [bytes(reader.expect(OCTET_STRING)) for _ in contents] == contents
    reader.end()


@given(st.binary(max_size=60))
def test_noise_is_elements_or_an_error(data: bytes) -> None:
    reader = DerReader(memoryview(data))
    consumed = 0
    try:
        while not reader.at_end:
            _, contents = reader.next()
            consumed += 2 + len(contents)
            assert consumed <= len(data)
    except DerError:
        return
