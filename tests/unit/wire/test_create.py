"""CREATE and CLOSE as others write them, and chains of create contexts that lead nowhere."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smbprotocol.create_contexts import SMB2CreateContextRequest
from smbprotocol.open import SMB2CloseRequest, SMB2CloseResponse, SMB2CreateRequest, SMB2CreateResponse

from smbd_uring.wire.create import (
    CONTEXTS_DECODED_MAX,
    CloseRequest,
    CloseResponse,
    CreateRequest,
    CreateResponse,
)
from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.names import encode_utf16
from smbd_uring.wire.pdu import BODY_OFFSET
from tests.unit.wire.messages import FILE_ID, FILE_ID_BYTES, foreign, message

FIXED_BYTES = 56
NAME_OFFSET = BODY_OFFSET + FIXED_BYTES
TICK_2000 = 125_911_584_000_000_000
TICKS_PER_SECOND = 10_000_000
LAST_OF_CHAIN = bytes.fromhex("00000000 1000 0400 0000 0000 00000000") + b"MxAc"


def context(following: int, name: bytes, content: bytes = b"", data_offset: int = 24) -> bytes:
    """One create context with a name of four bytes, as Windows lays it out."""
    head = struct.pack("<IHHHHI", following, 16, len(name), 0, data_offset if content else 0, len(content))
    return head + name + (bytes(4) + content if content else b"")


def request_with(contexts: bytes, length: int | None = None) -> memoryview:
    """A CREATE whose contexts are exactly these bytes, said to be `length` bytes."""
    body = bytearray(CreateRequest(name="abcd").encode())
    struct.pack_into("<II", body, 48, BODY_OFFSET + len(body), len(contexts) if length is None else length)
    return message(bytes(body) + contexts)


def names_of(request: CreateRequest) -> list[bytes]:
    """The names of its contexts."""
    return [name for name, _ in request.contexts]


def test_another_client_writes_a_request_that_says_the_same() -> None:
    theirs = foreign(
        SMB2CreateRequest(), requested_oplock_level=9, impersonation_level=2, desired_access=0x0012_0089,
        file_attributes=0x80, share_access=7, create_disposition=3, create_options=0x40,
        buffer_path=encode_utf16("folder\\Bücher"),
    )  # fmt: skip
    ours = CreateRequest(9, 2, 0x0012_0089, 0x80, 7, 3, 0x40, "folder\\Bücher")
    assert CreateRequest.decode(theirs) == ours
    assert ours.encode() == theirs[BODY_OFFSET : BODY_OFFSET + len(ours.encode())]


def test_contexts_that_another_client_chains_are_found() -> None:
    chain = []
    for name, content in ((b"DHnQ", bytes(16)), (b"MxAc", b""), (b"QFid", b"")):
        link = SMB2CreateContextRequest()
        link["buffer_name"], link["buffer_data"] = name, content
        chain.append(link)
    theirs = foreign(
        SMB2CreateRequest(), impersonation_level=2, create_disposition=1, buffer_path=encode_utf16("a"),
        buffer_contexts=SMB2CreateContextRequest.pack_multiple(chain),
    )  # fmt: skip
    decoded = CreateRequest.decode(theirs)
    assert decoded.contexts == [(b"DHnQ", bytes(16)), (b"MxAc", b""), (b"QFid", b"")]


def test_the_layout_of_a_request_with_contexts() -> None:
    body = CreateRequest(name="abc", contexts=[(b"AlSi", b"12345678"), (b"MxAc", b"")]).encode()
    assert struct.unpack_from("<HHII", body, 44) == (NAME_OFFSET, 6, NAME_OFFSET + 8, 52)
    assert body[FIXED_BYTES:] == encode_utf16("abc") + bytes(2) + bytes.fromhex(
        "20000000 1000 0400 0000 1800 08000000 416c5369 00000000 3132333435363738"
        "00000000 1000 0400 0000 0000 00000000 4d784163"
    )


def test_an_empty_name_is_the_share_s_root() -> None:
    assert CreateRequest.decode(message(CreateRequest(name="").encode())).name == ""


def test_another_client_reads_the_same_response() -> None:
    times = [TICK_2000 + seconds * TICKS_PER_SECOND for seconds in range(4)]
    ours = CreateResponse(8, 0, 2, *times, 8192, 5000, 0x20, FILE_ID, [(b"QFid", bytes(32))])
    theirs = SMB2CreateResponse()
    theirs.unpack(ours.encode())
    fields = ["creation_time", "last_access_time", "last_write_time", "change_time"]
    assert [theirs[field].get_value().second for field in fields] == [0, 1, 2, 3]
    assert theirs["allocation_size"].get_value() == 8192 and theirs["end_of_file"].get_value() == 5000
    assert theirs["file_id"].get_value() == FILE_ID_BYTES
    (link,) = theirs["buffer"].get_value()
    assert link["buffer_name"].get_value() == b"QFid"


def test_a_response_without_contexts_points_nowhere() -> None:
    body = CreateResponse(0, 0, 1, 0, 0, 0, 0, 0, 0, 0x10, FILE_ID).encode()
    assert len(body) == 88 and body[-8:] == bytes(8)


def test_contexts_are_found_however_far_apart_they_are() -> None:
    chain = context(40, b"DHnQ", bytes(16)) + context(48, b"AlSi", b"12345678") + bytes(16) + LAST_OF_CHAIN
    assert names_of(CreateRequest.decode(request_with(chain))) == [b"DHnQ", b"AlSi", b"MxAc"]


@pytest.mark.parametrize(
    "chain",
    [
        context(20, b"DHnQ") + LAST_OF_CHAIN,
        context(8, b"DHnQ", bytes(16)) + LAST_OF_CHAIN,
        context(48, b"DHnQ", bytes(16)),
        context(40, b"DHnQ", bytes(16)),
        context(0xFFFF_FFF8, b"DHnQ", bytes(16)),
        context(32, b"DHnQ", bytes(16)) + LAST_OF_CHAIN,
        context(0, b"DHnQ", bytes(16), data_offset=8),
        context(0, b"DHnQ", bytes(16), data_offset=32),
        context(0, b"DHnQ", bytes(16))[:-1],
        bytes(15),
        struct.pack("<IHHHHI", 0, 8, 4, 0, 0, 0) + b"MxAc",
        struct.pack("<IHHHHI", 0, 16, 3, 0, 0, 0) + b"MxA",
        struct.pack("<IHHHHI", 0, 16, 0, 0, 16, 4) + b"MxAc",
        struct.pack("<IHHHHI", 0, 16, 5, 0, 0, 0) + b"MxAc",
        struct.pack("<IHHHHI", 0, 0xFFFF, 4, 0, 0, 0) + b"MxAc",
        struct.pack("<IHHHHI", 0, 16, 4, 0, 24, 0xFFFF_FFFF) + b"MxAc",
    ],
    ids=[
        "next not aligned", "next inside the head", "next behind the end", "next at the end", "next far away",
        "data in the next one", "data in the head", "data behind the end", "data cut short", "head cut short",
        "name in the head", "name too short", "no name", "name behind the end", "name far away", "data without end",
    ],
)  # fmt: skip
def test_a_chain_that_leads_nowhere_is_refused(chain: bytes) -> None:
    with pytest.raises(MalformedMessage):
        CreateRequest.decode(request_with(chain))


def test_a_chain_longer_than_any_is_refused() -> None:
    link = context(24, b"MxAc") + bytes(4)
    decoded = CreateRequest.decode(request_with(link * (CONTEXTS_DECODED_MAX - 1) + LAST_OF_CHAIN))
    assert len(decoded.contexts) == CONTEXTS_DECODED_MAX
    with pytest.raises(MalformedMessage):
        CreateRequest.decode(request_with(link * CONTEXTS_DECODED_MAX + LAST_OF_CHAIN))


@given(st.binary(max_size=120), st.lists(st.integers(0, 14).map(lambda n: n * 8), max_size=4))
def test_random_chains_are_refused_or_lie_inside_their_bytes(chain: bytes, links: list[int]) -> None:
    broken = bytearray(chain)
    position = 0
    for link in links:
        if len(broken) - position >= 4:
            struct.pack_into("<I", broken, position, link)
            position += link
    try:
        decoded = CreateRequest.decode(request_with(bytes(broken)))
    except MalformedMessage:
        return
    assert all(len(name) + len(content) <= len(broken) for name, content in decoded.contexts)


def test_a_name_of_odd_length_is_refused() -> None:
    body = bytearray(CreateRequest(name="abcd").encode())
    struct.pack_into("<H", body, 46, 3)
    with pytest.raises(MalformedMessage):
        CreateRequest.decode(message(bytes(body)))


@pytest.mark.parametrize("offset", [BODY_OFFSET, NAME_OFFSET - 2, NAME_OFFSET + 2])
def test_a_name_that_begins_before_the_buffer_or_leaves_it_is_refused(offset: int) -> None:
    body = bytearray(CreateRequest(name="abcd").encode())
    struct.pack_into("<H", body, 44, offset)
    with pytest.raises(MalformedMessage):
        CreateRequest.decode(message(bytes(body)))


@pytest.mark.parametrize("offset", [BODY_OFFSET, NAME_OFFSET - 8])
def test_contexts_that_begin_before_the_buffer_are_refused(offset: int) -> None:
    body = bytearray(CreateRequest(name="abcd", contexts=[(b"MxAc", b"")]).encode())
    struct.pack_into("<I", body, 48, offset)
    with pytest.raises(MalformedMessage):
        CreateRequest.decode(message(bytes(body)))


def test_another_client_writes_the_same_close() -> None:
    theirs = foreign(SMB2CloseRequest(), flags=1, file_id=FILE_ID_BYTES)
    assert CloseRequest.decode(theirs) == CloseRequest(1, FILE_ID)
    assert CloseRequest(1, FILE_ID).encode() == theirs[BODY_OFFSET:]


def test_another_client_reads_the_same_close_response() -> None:
    theirs = SMB2CloseResponse()
    theirs.unpack(CloseResponse(1, TICK_2000, TICK_2000, TICK_2000, TICK_2000, 4096, 17, 0x21).encode())
    assert theirs["creation_time"].get_value().year == 2000
    assert theirs["allocation_size"].get_value() == 4096 and theirs["end_of_file"].get_value() == 17
    assert theirs["file_attributes"].get_value() == 0x21
    assert CloseResponse().encode() == b"\x3c" + bytes(59)
