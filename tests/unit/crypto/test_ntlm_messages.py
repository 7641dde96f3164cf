"""NTLM messages decode as specified; whatever a stranger sends, the decoders raise NtlmError or nothing."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from impacket.ntlm import NTLMAuthChallenge

from smbd_uring.crypto.ntlm_messages import (
    NAME_CHARACTERS_MAX,
    AvId,
    NegotiateFlags,
    NtlmError,
    decode_authenticate,
    decode_av_pairs,
    decode_negotiate,
    decode_ntlm_v2_response,
    encode_av_pairs,
    encode_challenge,
)
from tests.support.ntlm_client import NtlmInitiator
from tests.unit.crypto import specified_ntlm as specified

CLIENT = NtlmInitiator("alice", "secret", "HOME")
NEGOTIATE = CLIENT.negotiate()
CHALLENGE = encode_challenge(
    NegotiateFlags.UNICODE | NegotiateFlags.TARGET_INFO | NegotiateFlags.VERSION,
    bytes(8),
    "SERVER",
    encode_av_pairs([(AvId.NB_COMPUTER_NAME, "SERVER".encode("utf-16-le"))]),
)
AUTHENTICATE = CLIENT.authenticate(CHALLENGE)
FIELD_OFFSETS = {"lm": 12, "nt": 20, "domain": 28, "user": 36, "workstation": 44, "session_key": 52}

DECODERS: list[tuple[Callable[[memoryview], object], bytes]] = [
    (decode_negotiate, NEGOTIATE),
    (decode_authenticate, AUTHENTICATE),
    (decode_authenticate, specified.AUTHENTICATE),
    (decode_ntlm_v2_response, bytes(decode_authenticate(memoryview(AUTHENTICATE)).nt_response)),
    (decode_av_pairs, encode_av_pairs([(1, b"abc"), (2, b""), (7, bytes(8))])),
]


def test_the_specified_authenticate_message_decodes() -> None:
    message = decode_authenticate(memoryview(specified.AUTHENTICATE))
    assert (message.user_name, message.domain_name, message.workstation) == ("User", "Domain", "COMPUTER")
    assert message.flags == 0xE288_8235
    assert message.encrypted_random_session_key == specified.ENCRYPTED_SESSION_KEY
    response = decode_ntlm_v2_response(message.nt_response)
    assert response.proof == specified.PROOF
    assert response.timestamp == 0
    assert bytes(response.av_pairs[AvId.NB_DOMAIN_NAME]).decode("utf-16-le") == "Domain"


def test_the_specified_challenge_message_is_encoded() -> None:
    target_info = encode_av_pairs(
        [
            (AvId.NB_DOMAIN_NAME, "Domain".encode("utf-16-le")),
            (AvId.NB_COMPUTER_NAME, "Server".encode("utf-16-le")),
        ]
    )
    encoded = encode_challenge(0xE28A_8233, specified.SERVER_CHALLENGE, "Server", target_info)
    version = slice(48, 56)
    assert encoded[: version.start] == specified.CHALLENGE[: version.start]
    assert encoded[version.stop :] == specified.CHALLENGE[version.stop :]


def test_impacket_reads_the_challenge() -> None:
    theirs = NTLMAuthChallenge(CHALLENGE)
    assert theirs["domain_name"] == "SERVER".encode("utf-16-le")
    assert theirs["challenge"] == bytes(8)


def test_names_in_negotiate_are_read_where_they_are_supplied() -> None:
    flags = NegotiateFlags.OEM_DOMAIN_SUPPLIED | NegotiateFlags.OEM_WORKSTATION_SUPPLIED | NegotiateFlags.OEM
    fields = struct.pack("<HHIHHI", 4, 4, 40, 2, 2, 44) + bytes(8)
    view = memoryview(b"NTLMSSP\0" + struct.pack("<II", 1, flags) + fields + b"HOMEPC")
    message = decode_negotiate(view)
    assert (message.domain_name, message.workstation) == (b"HOME", b"PC")


def test_a_negotiate_of_sixteen_bytes_is_enough() -> None:
    assert decode_negotiate(memoryview(NEGOTIATE[:16])).flags == decode_negotiate(memoryview(NEGOTIATE)).flags


@pytest.mark.parametrize("field", FIELD_OFFSETS)
@pytest.mark.parametrize(
    ("length", "offset"),
    [
        (1, len(AUTHENTICATE)),
        (2, len(AUTHENTICATE) - 1),
        (0xFFFF, 88),
        (2, 0xFFFF_FFFF),
        (2, 0x8000_0000),
        (8, 0),
        (8, 63),
    ],
)
def test_a_field_that_leaves_its_message_is_refused(field: str, length: int, offset: int) -> None:
    message = bytearray(AUTHENTICATE)
    struct.pack_into("<HHI", message, FIELD_OFFSETS[field], length, length, offset)
    with pytest.raises(NtlmError, match="outside"):
        decode_authenticate(memoryview(message))


@pytest.mark.parametrize("field", FIELD_OFFSETS)
def test_an_empty_field_may_point_anywhere(field: str) -> None:
    message = bytearray(AUTHENTICATE)
    struct.pack_into("<HHI", message, FIELD_OFFSETS[field], 0, 0, 0xFFFF_FFFF)
    decode_authenticate(memoryview(message))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(b"a\0b", id="half a character"),
        pytest.param(b"\x00\xd8a\0", id="half a surrogate pair"),
        pytest.param("a\0b".encode("utf-16-le"), id="NUL inside"),
        pytest.param("x".encode("utf-16-le") * (NAME_CHARACTERS_MAX + 1), id="too long"),
    ],
)
def test_a_name_that_is_no_name_is_refused(name: bytes) -> None:
    message = bytearray(AUTHENTICATE)
    struct.pack_into("<HHI", message, FIELD_OFFSETS["user"], len(name), len(name), len(message))
    with pytest.raises(NtlmError, match="name"):
        decode_authenticate(memoryview(message + name))


def test_an_ntlm_v1_response_is_refused_by_its_name() -> None:
    with pytest.raises(NtlmError, match="NTLMv1"):
        decode_ntlm_v2_response(memoryview(bytes(24)))


@pytest.mark.parametrize(
    "pairs",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\1\0\2\0ab", id="no end"),
        pytest.param(b"\1\0\3\0ab", id="value cut short"),
        pytest.param(b"\1\0\2", id="header cut short"),
        pytest.param(b"\1\0\1\0a\1\0\1\0b\0\0\0\0", id="one twice"),
    ],
)
def test_av_pairs_that_break_off_or_repeat_are_refused(pairs: bytes) -> None:
    with pytest.raises(NtlmError):
        decode_av_pairs(memoryview(pairs))


@given(st.dictionaries(st.integers(1, 0xFFFF), st.binary(max_size=40)), st.binary(max_size=8))
def test_av_pairs_come_back(pairs: dict[int, bytes], padding: bytes) -> None:
    decoded = decode_av_pairs(memoryview(encode_av_pairs(pairs.items()) + padding))
    assert {identifier: bytes(value) for identifier, value in decoded.items()} == pairs


@pytest.mark.parametrize(("decode", "good"), DECODERS)
def test_a_message_cut_anywhere_decodes_or_is_refused(
    decode: Callable[[memoryview], object], good: bytes
) -> None:
    decode(memoryview(good))
    for length in range(len(good)):
        decodes_or_refuses(decode, good[:length])


@pytest.mark.parametrize(("decode", "good"), DECODERS)
@given(data=st.data())
def test_mutated_and_random_bytes_decode_or_are_refused(
    decode: Callable[[memoryview], object], good: bytes, data: st.DataObject
) -> None:
    mutated = bytearray(good)
    for position in data.draw(st.lists(st.integers(0, len(good) - 1), max_size=6)):
        mutated[position] = data.draw(st.sampled_from((0, 1, 0x7F, 0x80, 0xFF)) | st.integers(0, 255))
    decodes_or_refuses(decode, bytes(mutated))
    decodes_or_refuses(decode, good[:12] + data.draw(st.binary(max_size=120)))


def decodes_or_refuses(decode: Callable[[memoryview], object], message: bytes) -> None:
    """Any other exception than NtlmError fails the test."""
    try:
        decode(memoryview(message))
    except NtlmError:
        return
