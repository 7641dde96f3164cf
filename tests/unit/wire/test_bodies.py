"""Whatever a body carries survives the wire, and no bytes make a decoder do anything but refuse them."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbd_uring.wire.breaks import decode_break_acknowledgment
from smbd_uring.wire.error_response import ErrorResponse
from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.pdu import BODY_OFFSET, EmptyBody
from smbd_uring.wire.query import SetInfoResponse
from tests.unit.wire.messages import EMPTY_KINDS, KINDS, BodyDecoder, Kind, message, some_examples

DECODERS: list[Any] = [kind.decoder for kind in KINDS] + [ErrorResponse, SetInfoResponse, *EMPTY_KINDS]
all_kinds = pytest.mark.parametrize("kind", KINDS, ids=repr)
all_decoders = pytest.mark.parametrize("decoder", DECODERS)


def structure_size(body: bytes) -> int:
    """What a body says its size is."""
    return int(struct.unpack_from("<H", body)[0])


def decode_or_refuse(decoder: BodyDecoder, frame: memoryview) -> Any | None:
    """What is decoded, or None; any other exception than MalformedMessage fails the test."""
    try:
        return decoder.decode(frame)
    except MalformedMessage:
        return None


@all_kinds
@some_examples
@given(st.data())
def test_a_body_decodes_to_what_was_encoded(kind: Kind, data: st.DataObject) -> None:
    value = data.draw(kind.values)
    assert kind.decoder.decode(message(value.encode())) == value


@all_kinds
@some_examples
@given(st.data())
def test_the_structure_size_counts_the_fixed_part_and_one_byte_of_a_variable_one(
    kind: Kind, data: st.DataObject
) -> None:
    body = data.draw(kind.values).encode()
    assert structure_size(body) & ~1 <= len(body)


@all_kinds
@some_examples
@given(st.data())
def test_a_body_cut_short_is_refused_or_lost_only_what_came_after_it(kind: Kind, data: st.DataObject) -> None:
    value = data.draw(kind.values)
    body = value.encode()
    kept = data.draw(st.integers(0, len(body) - 1))
    decoded = decode_or_refuse(kind.decoder, message(body[:kept]))
    assert decoded is None or decoded == value
    assert kept >= structure_size(body) & ~1 or decoded is None


@all_kinds
@some_examples
@given(st.data())
def test_a_body_with_another_structure_size_is_refused(kind: Kind, data: st.DataObject) -> None:
    body = data.draw(kind.values).encode()
    other = data.draw(st.integers(0, 0xFFFF).filter(lambda size: size != structure_size(body)))
    with pytest.raises(MalformedMessage):
        kind.decoder.decode(message(struct.pack("<H", other) + body[2:]))


@all_kinds
@some_examples
@given(st.data())
def test_a_body_with_changed_bytes_is_refused_or_means_something(kind: Kind, data: st.DataObject) -> None:
    body = bytearray(data.draw(kind.values).encode())
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(2, len(body) - 1))] = data.draw(st.sampled_from([0, 1, 8, 64, 127, 128, 255]))
    decoded = decode_or_refuse(kind.decoder, message(bytes(body)))
    if decoded is not None:
        assert kind.decoder.decode(message(decoded.encode())) == decoded


@all_decoders
@some_examples
@given(st.binary(max_size=160))
def test_random_bytes_behind_any_structure_size_are_refused_or_mean_something(
    decoder: BodyDecoder, body: bytes
) -> None:
    for size in (2, 4, 9, 16, 17, 24, 25, 32, 33, 36, 41, 44, 48, 49, 57, 60, 65, 89):
        decode_or_refuse(decoder, message(struct.pack("<H", size) + body))


@all_decoders
@some_examples
@given(st.binary(max_size=BODY_OFFSET + 1))
def test_a_message_that_hardly_has_a_body_is_refused(decoder: BodyDecoder, frame: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decoder.decode(memoryview(frame))


@pytest.mark.parametrize("kind", EMPTY_KINDS)
def test_an_empty_body_is_four_bytes_of_which_two_are_reserved(kind: type[EmptyBody]) -> None:
    assert kind().encode() == bytes.fromhex("04000000")
    assert isinstance(kind.decode(message(bytes.fromhex("0400ffff"))), kind)
    for body in ("04", "040000", "05000000", "09000000"):
        with pytest.raises(MalformedMessage):
            kind.decode(message(bytes.fromhex(body)))


@given(st.binary(max_size=80))
def test_an_acknowledgment_of_unknown_size_is_refused(body: bytes) -> None:
    if body[:2] not in (b"\x18\0", b"\x24\0"):
        with pytest.raises(MalformedMessage):
            decode_break_acknowledgment(message(body))


@all_kinds
@some_examples
@given(st.data())
def test_variable_parts_stay_views_of_the_message(kind: Kind, data: st.DataObject) -> None:
    frame = message(data.draw(kind.values).encode())
    decoded = kind.decoder.decode(frame)
    for name in ("security_buffer", "data", "input", "output", "buffer"):
        part = getattr(decoded, name, None)
        assert part is None or (isinstance(part, memoryview) and part.obj is frame.obj)
