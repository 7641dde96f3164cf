"""Headers say what the specification says they say; a frame is cut into its messages or ends the connection."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smbprotocol.connection import SMB2TransformHeader
from smbprotocol.header import SMB2HeaderAsync, SMB2HeaderRequest, SMB2HeaderResponse

from smbd_uring.wire.const import Command, HeaderFlags
from smbd_uring.wire.errors import ProtocolViolation
from smbd_uring.wire.header import HEADER_SIZE, TRANSFORM_SIZE, Header, sealing_session_id, split_compound
from tests.unit.crypto import windows_handshake as windows
from tests.unit.wire.messages import GUIDS, U16, U32, U64

SIGNATURE = bytes(range(16))
SYNCHRONOUS = U32.map(lambda flags: flags & ~HeaderFlags.ASYNC_COMMAND)
ASYNCHRONOUS = U32.map(lambda flags: flags | HeaderFlags.ASYNC_COMMAND)
HEADERS = st.one_of(
    st.builds(
        Header, U16, U32, U16, U16, SYNCHRONOUS, U32, U64, tree_id=U32, session_id=U64, signature=GUIDS
    ),
    st.builds(
        Header, U16, U32, U16, U16, ASYNCHRONOUS, U32, U64, async_id=U64, session_id=U64, signature=GUIDS
    ),
)
MESSAGES_MAX = 5


def compound(*bodies: bytes) -> bytes:
    """A frame of one message for each body, NextCommand and padding as they should be."""
    frame = b""
    for index, body in enumerate(bodies):
        is_last = index == len(bodies) - 1
        length = HEADER_SIZE + len(body)
        padding = 0 if is_last else -length % 8
        frame += Header(next_command=0 if is_last else length + padding, message_id=index).encode()
        frame += body + bytes(padding)
    return frame


def with_next_command(frame: bytes, next_command: int) -> bytes:
    """The frame, its first NextCommand changed."""
    return frame[:20] + struct.pack("<I", next_command) + frame[24:]


def cut(frame: bytes, requests_max: int = MESSAGES_MAX) -> list[memoryview]:
    """The messages of a frame."""
    return split_compound(memoryview(frame), requests_max)


def test_windows_first_request_has_the_header_it_has() -> None:
    header = Header.decode(memoryview(windows.FIRST_REQUEST))
    assert header == Header(credit_charge=1, command=Command.SESSION_SETUP, credits=128, message_id=2)
    assert header.encode()[:32] == windows.FIRST_REQUEST[:32]


def test_windows_response_has_the_header_it_has() -> None:
    header = Header.decode(memoryview(windows.FIRST_RESPONSE))
    assert header == Header(
        credit_charge=1, status=0xC000_0016, command=Command.SESSION_SETUP, credits=1,
        flags=HeaderFlags.SERVER_TO_REDIR, message_id=2, session_id=0x1000_0000_0019,
    )  # fmt: skip


def test_another_client_writes_the_same_request_header() -> None:
    theirs = SMB2HeaderRequest()
    theirs["credit_charge"], theirs["channel_sequence"], theirs["command"] = 3, 7, Command.WRITE
    theirs["credit_request"], theirs["flags"], theirs["next_command"] = 64, 0x0C, 256
    theirs["message_id"], theirs["process_id"], theirs["tree_id"] = 2**40 + 1, 0, 0xCAFE
    theirs["session_id"], theirs["signature"] = 2**63 + 5, SIGNATURE
    packed = theirs.pack()
    header = Header(3, 7, Command.WRITE, 64, 0x0C, 256, 2**40 + 1, 0xCAFE, 0, 2**63 + 5, SIGNATURE)
    assert Header.decode(memoryview(packed)) == header
    assert header.encode() == packed
    assert header.channel_sequence == 7


def test_another_client_reads_the_same_response_headers() -> None:
    theirs = SMB2HeaderResponse()
    theirs.unpack(Header(status=0xC000_0022, command=Command.READ, credits=9, tree_id=5, session_id=6).encode())
    assert (theirs["status"].get_value(), theirs["tree_id"].get_value()) == (0xC000_0022, 5)
    assert (theirs["credit_response"].get_value(), theirs["session_id"].get_value()) == (9, 6)
    later = SMB2HeaderAsync()
    later.unpack(Header(flags=HeaderFlags.ASYNC_COMMAND, async_id=2**33, session_id=6).encode())
    assert (later["async_id"].get_value(), later["session_id"].get_value()) == (2**33, 6)


def test_the_process_id_of_old_clients_does_not_become_part_of_the_tree_id() -> None:
    encoded = bytearray(Header(tree_id=7).encode())
    encoded[32:36] = bytes.fromhex("fffe0000")
    assert Header.decode(memoryview(encoded)).tree_id == 7


def test_only_the_low_half_of_a_request_s_status_is_the_channel_sequence() -> None:
    assert Header(status=0x1234_ABCD).channel_sequence == 0xABCD


@given(HEADERS)
def test_a_header_decodes_to_what_was_encoded(header: Header) -> None:
    encoded = header.encode()
    assert len(encoded) == HEADER_SIZE
    assert Header.decode(memoryview(encoded + b"body")) == header


@given(st.binary(max_size=HEADER_SIZE + 8))
def test_what_is_no_header_ends_the_connection(frame: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        Header.decode(memoryview(frame))


@pytest.mark.parametrize(
    ("position", "value"), [(0, 0xFF), (0, 0xFD), (0, 0xFC), (1, 0x73), (4, 63), (4, 65), (5, 1)]
)
def test_another_protocol_or_size_ends_the_connection(position: int, value: int) -> None:
    encoded = bytearray(Header().encode())
    encoded[position] = value
    with pytest.raises(ProtocolViolation):
        Header.decode(memoryview(encoded))


def test_a_sealed_frame_names_its_session_where_another_client_writes_it() -> None:
    theirs = SMB2TransformHeader()
    theirs["signature"], theirs["nonce"], theirs["session_id"] = SIGNATURE, SIGNATURE[::-1], 2**50 + 1
    packed = theirs.pack()[:TRANSFORM_SIZE]
    assert sealing_session_id(memoryview(packed + b"sealed")) == 2**50 + 1


@pytest.mark.parametrize("length", [0, 4, TRANSFORM_SIZE - 1])
def test_a_transform_header_cut_short_ends_the_connection(length: int) -> None:
    with pytest.raises(ProtocolViolation):
        sealing_session_id(memoryview(bytes(length)))


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=MESSAGES_MAX))
def test_a_compound_is_cut_at_its_next_commands_and_padding_stays_with_its_message(bodies: list[bytes]) -> None:
    messages = cut(compound(*bodies))
    assert [Header.decode(part).message_id for part in messages] == list(range(len(bodies)))
    assert b"".join(messages) == compound(*bodies)
    for part, body in zip(messages, bodies, strict=True):
        assert bytes(part[HEADER_SIZE:]).startswith(body)
    assert all(len(part) % 8 == 0 for part in messages[:-1])


def test_messages_are_views_of_the_frame() -> None:
    frame = bytearray(compound(b"first", b"second"))
    assert all(part.obj is frame for part in split_compound(memoryview(frame), 2))


@pytest.mark.parametrize("next_command", [1, 8, 56, 63, 65, 71, 76, 0xFFFF_FFF8, 0xFFFF_FFFF])
def test_a_next_command_that_leads_nowhere_ends_the_connection(next_command: int) -> None:
    with pytest.raises(ProtocolViolation, match="NextCommand"):
        cut(with_next_command(compound(bytes(8), bytes(8)), next_command))


def test_a_next_command_that_leaves_no_room_for_a_header_ends_the_connection() -> None:
    frame = compound(bytes(8), bytes(8))
    for next_command in range(88, len(frame) + 9, 8):
        with pytest.raises(ProtocolViolation):
            cut(with_next_command(frame, next_command))


@pytest.mark.parametrize("length", [0, 4, 63])
def test_a_frame_without_a_whole_header_ends_the_connection(length: int) -> None:
    with pytest.raises(ProtocolViolation):
        cut(compound(b"")[:length])


def test_as_many_requests_as_allowed_are_taken_and_one_more_ends_the_connection() -> None:
    assert len(cut(compound(*[b"x"] * MESSAGES_MAX))) == MESSAGES_MAX
    with pytest.raises(ProtocolViolation, match=str(MESSAGES_MAX)):
        cut(compound(*[b"x"] * (MESSAGES_MAX + 1)))


@given(st.binary(max_size=300), st.lists(st.integers(0, 40).map(lambda n: n * 8), max_size=3))
def test_random_bytes_are_cut_without_loss_or_end_the_connection(frame: bytes, next_commands: list[int]) -> None:
    for next_command in next_commands:
        frame = with_next_command(frame, next_command) if len(frame) >= 24 else frame
    try:
        messages = cut(frame)
    except ProtocolViolation:
        return
    assert b"".join(messages) == frame and all(len(part) >= HEADER_SIZE for part in messages)
