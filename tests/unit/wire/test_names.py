"""Text is UTF-16 or refused; times keep their ticks and stay in range."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.names import FILETIME_MAX, decode_utf16, encode_utf16, filetime_from_ns, ns_from_filetime
from tests.unit.wire.messages import TEXTS

NS_PER_SECOND = 1_000_000_000


@given(TEXTS)
def test_text_decodes_to_what_was_encoded(text: str) -> None:
    assert decode_utf16(memoryview(encode_utf16(text))) == text


def test_text_is_little_endian_and_emoji_take_two_units() -> None:
    assert encode_utf16("aä😀") == bytes.fromhex("6100 e400 3dd8 00de")
    assert decode_utf16(memoryview(bytes.fromhex("6100e4003dd800de"))) == "aä😀"
    assert decode_utf16(b"") == ""


@pytest.mark.parametrize(
    ("encoded", "why"),
    [
        ("61", "odd"), ("610062", "odd"), ("00d8", "UTF-16"), ("00dc", "UTF-16"), ("3dd86100", "UTF-16"),
        ("00de3dd8", "UTF-16"), ("0000", "NUL"), ("610000006200", "NUL"),
    ],
)  # fmt: skip
def test_what_no_file_can_be_called_is_refused(encoded: str, why: str) -> None:
    with pytest.raises(MalformedMessage, match=why):
        decode_utf16(memoryview(bytes.fromhex(encoded)))


@given(st.binary(max_size=40))
def test_random_bytes_are_text_or_refused(encoded: bytes) -> None:
    try:
        text = decode_utf16(memoryview(encoded))
    except MalformedMessage:
        return
    assert encode_utf16(text) == encoded


@pytest.mark.parametrize(
    ("filetime", "moment"),
    [
        (0, datetime(1601, 1, 1, tzinfo=UTC)),
        (116_444_736_000_000_000, datetime(1970, 1, 1, tzinfo=UTC)),
        (125_911_584_000_000_000, datetime(2000, 1, 1, tzinfo=UTC)),
        (133_485_408_000_000_000, datetime(2024, 1, 1, tzinfo=UTC)),
    ],
)
def test_well_known_moments(filetime: int, moment: datetime) -> None:
    ns = round(moment.timestamp()) * NS_PER_SECOND
    assert filetime_from_ns(ns) == filetime
    assert ns_from_filetime(filetime) == ns


@given(st.integers(0, FILETIME_MAX))
def test_a_filetime_survives(filetime: int) -> None:
    assert filetime_from_ns(ns_from_filetime(filetime)) == filetime


@given(st.integers(-11_644_473_600 * NS_PER_SECOND, 2**63))
def test_a_time_loses_less_than_a_tick(ns: int) -> None:
    assert 0 <= ns - ns_from_filetime(filetime_from_ns(ns)) < 100


@given(st.integers())
def test_times_out_of_range_are_kept_at_its_ends(ns: int) -> None:
    assert 0 <= filetime_from_ns(ns) <= FILETIME_MAX


def test_the_ends_of_the_range() -> None:
    assert filetime_from_ns(-(2**80)) == filetime_from_ns(-11_644_473_601 * NS_PER_SECOND) == 0
    assert filetime_from_ns(2**80) == FILETIME_MAX
    assert ns_from_filetime(2**64 - 1) == ns_from_filetime(FILETIME_MAX)
