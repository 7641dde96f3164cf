"""Framing of messages: the bytes that ksmbd-tools sends, and nothing but declared refusals for anything else."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyroute2.netlink import genlmsg

from smbd_uring.netlink import genl
from smbd_uring.netlink.genl import MalformedNetlink, decode, encode

PORT = 0x01020304
MESSAGE = b"".join(
    (struct.pack("=IHHII", 28, 0x10, 0, 0, PORT), struct.pack("=BBH", 2, 1, 0), struct.pack("=HH4s", 8, 2, b"abcd"))
)
"""nlmsghdr, genlmsghdr, one attribute; command 2 with four bytes."""


def message(
    *, payload: bytes = b"abcd", length: int | None = None, command: int = 2, version: int = 1, kind: int = 0x10,
    attribute_length: int | None = None, attribute_type: int | None = None, rest: bytes = b"",
) -> bytes:  # fmt: skip
    """A message with anything wrong in it that a test wants."""
    attribute_length = 4 + len(payload) if attribute_length is None else attribute_length
    attribute_type = command if attribute_type is None else attribute_type
    attribute = struct.pack("=HH", attribute_length, attribute_type) + payload
    body = struct.pack("=BBH", command, version, 0) + attribute + rest
    return struct.pack("=IHHII", 16 + len(body) if length is None else length, kind, 0, 0, 0) + body


def test_a_message_is_framed_as_generic_netlink() -> None:
    assert encode(2, b"abcd", PORT)[:8] == MESSAGE[:8]
    assert encode(2, b"abcd", PORT)[12:] == MESSAGE[12:]
    assert decode(MESSAGE) == [(2, b"abcd")]


class ForeignMessage(genlmsg):
    """The same message as a library for netlink wants it declared."""

    prefix = "SMBD_EVENT_"
    nla_map = tuple((f"SMBD_EVENT_{number}", "cdata") for number in range(genl.COMMAND_MAX + 1))


@given(st.integers(0, genl.COMMAND_MAX), st.binary(max_size=50), st.integers(0, 0xFFFF_FFFF))
def test_a_library_makes_and_reads_the_same_messages(command: int, payload: bytes, port: int) -> None:
    theirs = ForeignMessage()
    theirs["cmd"], theirs["version"] = command, genl.GENL_VERSION
    theirs["header"]["type"], theirs["header"]["pid"] = genl.MESSAGE_TYPE, port
    theirs["attrs"] = [(f"SMBD_EVENT_{command}", payload)]
    theirs.encode()
    ours = encode(command, payload, port)
    assert ours == bytes(theirs.data)
    read = ForeignMessage(ours)
    read.decode()
    assert (read["cmd"], read.get_attr(f"SMBD_EVENT_{command}")) == (command, payload)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 743, 16000])
def test_any_payload_comes_back_as_it_was(size: int) -> None:
    payload = bytes(index & 0xFF for index in range(size))
    assert decode(encode(17, payload)) == [(17, payload)]


def test_a_message_ends_where_its_header_says_and_the_next_begins() -> None:
    assert decode(MESSAGE + encode(17, b"behind it") + encode(0, b"")) == [(2, b"abcd"), (17, b"behind it"), (0, b"")]
    unpadded = message(payload=b"abc")
    assert decode(unpadded + b"\0" + MESSAGE) == [(2, b"abc"), (2, b"abcd")]
    assert decode(unpadded + b"\0") == [(2, b"abc")]


def test_what_is_behind_a_message_must_be_one() -> None:
    for behind in (b"behind it", MESSAGE[:-1], bytes(24)):
        with pytest.raises(MalformedNetlink):
            decode(MESSAGE + behind)


@pytest.mark.parametrize("flag", [0x8000, 0x4000], ids=["nested", "network order"])
def test_flags_of_the_attributes_type_do_not_count(flag: int) -> None:
    assert decode(message(attribute_type=2 | flag)) == [(2, b"abcd")]


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 0x10, 0xFFFF])
def test_the_type_of_the_header_does_not_matter_on_usersock(kind: int) -> None:
    assert decode(message(kind=kind)) == [(2, b"abcd")]


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        MESSAGE[:15],
        MESSAGE[:23],
        MESSAGE[:27],
        message(length=0),
        message(length=15),
        message(length=23),
        message(length=29),
        message(length=0xFFFF_FFFF),
        message(attribute_length=0),
        message(attribute_length=3),
        message(attribute_length=4),
        message(attribute_length=9),
        message(attribute_length=0xFFFF),
        message(attribute_type=3),
        message(command=18),
        message(command=255),
        message(version=0),
        message(version=2),
        message(rest=struct.pack("=HH4s", 8, 3, b"more")),
        message(rest=bytes(4)),
    ],
    ids=lambda datagram: datagram.hex(),
)
def test_a_message_with_a_wrong_length_number_or_attribute_is_refused(datagram: bytes) -> None:
    with pytest.raises(MalformedNetlink):
        decode(datagram)


def test_a_payload_that_an_attribute_cannot_hold_is_refused() -> None:
    """The length of an attribute has sixteen bits, its header included."""
    assert decode(encode(2, bytes(0xFFFF - 4))) == [(2, bytes(0xFFFF - 4))]
    with pytest.raises(MalformedNetlink, match="65532 bytes"):
        encode(2, bytes(0xFFFF - 3))


@given(st.binary(max_size=100))
@example(MESSAGE)
def test_any_bytes_are_decoded_or_refused(datagram: bytes) -> None:
    try:
        ((command, payload), *_) = decode(datagram)
    except MalformedNetlink:
        return
    assert 0 <= command <= genl.COMMAND_MAX
    assert payload in datagram


@given(st.integers(0, len(MESSAGE) - 1), st.integers(0, 255), st.integers(0, len(MESSAGE) - 1), st.integers(0, 255))
def test_a_mutated_message_is_decoded_or_refused(first: int, one: int, second: int, other: int) -> None:
    datagram = bytearray(MESSAGE)
    datagram[first], datagram[second] = one, other
    try:
        ((command, payload),) = decode(bytes(datagram))
    except MalformedNetlink:
        return
    assert 0 <= command <= genl.COMMAND_MAX
    assert len(payload) <= 4


@given(st.integers(0, genl.COMMAND_MAX), st.binary(max_size=300), st.integers(0, 0xFFFF_FFFF))
def test_what_is_encoded_is_decoded(command: int, payload: bytes, port: int) -> None:
    assert decode(encode(command, payload, port)) == [(command, payload)]
