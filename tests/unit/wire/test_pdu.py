"""The two readers of hostile offsets and lengths never look outside what they were given."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.pdu import BODY_OFFSET, Cursor, slice_of

MESSAGE = memoryview(bytes(range(100)))
BODY_BYTES = len(MESSAGE) - BODY_OFFSET
WORDS = struct.Struct("<HH")
HOSTILE = st.integers(-10, 2**64)


@given(st.integers(BODY_OFFSET, len(MESSAGE)), st.data())
def test_a_part_inside_the_message_is_given(offset: int, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, len(MESSAGE) - offset))
    assert slice_of(MESSAGE, offset, length) == MESSAGE[offset : offset + length]


@given(HOSTILE, HOSTILE)
def test_a_part_is_as_long_as_it_says_or_refused(offset: int, length: int) -> None:
    try:
        part = slice_of(MESSAGE, offset, length)
    except MalformedMessage:
        return
    assert len(part) == length


@given(HOSTILE)
def test_an_empty_part_may_point_anywhere(offset: int) -> None:
    assert slice_of(MESSAGE, offset, 0) == b""


@pytest.mark.parametrize(
    ("offset", "length"),
    [
        (0, 1), (BODY_OFFSET - 1, 1), (BODY_OFFSET, BODY_BYTES + 1), (len(MESSAGE), 1), (len(MESSAGE) + 1, 1),
        (BODY_OFFSET, 2**32 - 1), (2**32 - 1, 2), (2**64 - 1, 1), (BODY_OFFSET, -1),
    ],
)  # fmt: skip
def test_a_part_that_begins_in_the_header_or_leaves_the_message_is_refused(offset: int, length: int) -> None:
    with pytest.raises(MalformedMessage):
        slice_of(MESSAGE, offset, length)


def test_parts_may_be_kept_away_from_what_comes_before_them() -> None:
    assert slice_of(MESSAGE, 80, 4, earliest=80) == bytes([80, 81, 82, 83])
    with pytest.raises(MalformedMessage):
        slice_of(MESSAGE, 79, 4, earliest=80)


@given(st.binary(max_size=20), st.lists(st.integers(-1, 8), max_size=8))
def test_a_cursor_gives_every_byte_once_and_in_order(content: bytes, lengths: list[int]) -> None:
    cursor = Cursor(memoryview(content))
    taken = b""
    for length in lengths:
        before = cursor.remaining
        if 0 <= length <= before:
            taken += cursor.take(length)
            assert cursor.remaining == before - length
        else:
            with pytest.raises(MalformedMessage):
                cursor.take(length)
            assert cursor.remaining == before
    assert content.startswith(taken) and len(taken) + cursor.remaining == len(content)


def test_a_cursor_unpacks_fields_that_are_there() -> None:
    cursor = Cursor(memoryview(b"\x01\0\x02\0\x03"))
    assert cursor.unpack(WORDS) == (1, 2)
    with pytest.raises(MalformedMessage):
        cursor.unpack(WORDS)


@pytest.mark.parametrize(("position", "aligned"), [(0, 0), (1, 8), (7, 8), (8, 8), (9, 12), (12, 12)])
def test_a_cursor_aligns_but_not_beyond_the_end(position: int, aligned: int) -> None:
    cursor = Cursor(memoryview(bytes(12)))
    cursor.take(position)
    cursor.align(8)
    assert cursor.position == aligned
