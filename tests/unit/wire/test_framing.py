"""A stream of bytes, however it is cut, gives the same frames; one that is no stream of frames ends the connection."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbd_uring.wire.errors import ProtocolViolation
from smbd_uring.wire.framing import FrameBuffer, frame_prefix

SIZE_MAX = 1000
FRAMES = st.lists(st.binary(min_size=4, max_size=40), max_size=8)
KEEP_ALIVE = b"\x85\0\0\0"


def stream_of(frames: list[bytes]) -> bytes:
    """The frames as they are sent."""
    return b"".join(frame_prefix(len(frame)) + frame for frame in frames)


def fed(buffer: FrameBuffer, *pieces: bytes) -> list[bytes]:
    """The frames that come out when the pieces go in one after the other."""
    return [bytes(frame) for piece in pieces for frame in buffer.feed(piece)]


def test_a_prefix_is_a_zero_and_a_big_endian_length() -> None:
    assert frame_prefix(0x00_0102) == b"\0\x00\x01\x02"
    assert frame_prefix(0xFF_FFFF) == b"\0\xff\xff\xff"


@given(FRAMES, st.data())
def test_frames_come_out_whole_however_the_stream_is_cut(frames: list[bytes], data: st.DataObject) -> None:
    stream = stream_of(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert fed(FrameBuffer(SIZE_MAX), *pieces) == frames


@given(FRAMES)
def test_frames_come_out_whole_byte_by_byte(frames: list[bytes]) -> None:
    stream = stream_of(frames)
    assert fed(FrameBuffer(SIZE_MAX), *(stream[i : i + 1] for i in range(len(stream)))) == frames


def test_a_frame_is_given_with_its_last_byte_and_not_before() -> None:
    buffer = FrameBuffer(SIZE_MAX)
    assert fed(buffer, frame_prefix(5), b"abcd") == []
    assert fed(buffer, b"e") == [b"abcde"]


def test_frames_do_not_share_memory_with_each_other_or_with_what_was_fed() -> None:
    received = bytearray(stream_of([b"first", b"second"]))
    first, second = FrameBuffer(SIZE_MAX).feed(received)
    received[:] = bytes(len(received))
    assert (bytes(first), bytes(second)) == (b"first", b"second")
    assert first.obj is not second.obj and not first.readonly


def test_keep_alives_say_nothing_wherever_they_come() -> None:
    stream = KEEP_ALIVE + stream_of([b"abcd"]) + KEEP_ALIVE * 3 + stream_of([b"efgh"])
    assert fed(FrameBuffer(SIZE_MAX), stream) == [b"abcd", b"efgh"]


@pytest.mark.parametrize("kind", [0x01, 0x81, 0x82, 0x83, 0x84, 0xFE, 0xFF])
def test_other_netbios_messages_end_the_connection(kind: int) -> None:
    with pytest.raises(ProtocolViolation, match="type"):
        FrameBuffer(SIZE_MAX).feed(bytes([kind, 0, 0, 4]) + b"abcd")


def test_a_keep_alive_with_a_body_ends_the_connection() -> None:
    with pytest.raises(ProtocolViolation):
        FrameBuffer(SIZE_MAX).feed(b"\x85\0\0\x04abcd")


@pytest.mark.parametrize("length", [0, 1, 3, SIZE_MAX + 1, 0xFF_FFFF])
def test_a_length_that_cannot_be_ends_the_connection_before_the_frame_is_there(length: int) -> None:
    with pytest.raises(ProtocolViolation, match=str(length)):
        FrameBuffer(SIZE_MAX).feed(struct.pack(">I", length))


@pytest.mark.parametrize("length", [4, SIZE_MAX])
def test_the_shortest_and_the_longest_frame_are_taken(length: int) -> None:
    assert fed(FrameBuffer(SIZE_MAX), stream_of([bytes(length)])) == [bytes(length)]


def test_the_bound_may_change_between_frames() -> None:
    buffer = FrameBuffer(10)
    assert fed(buffer, stream_of([bytes(10)])) == [bytes(10)]
    buffer.size_max = 20
    assert fed(buffer, stream_of([bytes(20)])) == [bytes(20)]
    buffer.size_max = 10
    with pytest.raises(ProtocolViolation):
        buffer.feed(frame_prefix(20))


@given(st.lists(st.binary(max_size=30), max_size=8))
def test_random_bytes_are_frames_or_end_the_connection(pieces: list[bytes]) -> None:
    buffer = FrameBuffer(SIZE_MAX)
    try:
        frames = fed(buffer, *pieces)
    except ProtocolViolation:
        return
    assert all(4 <= len(frame) <= SIZE_MAX for frame in frames)
