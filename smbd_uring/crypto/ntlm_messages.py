"""NTLM's three messages and the AV pairs in them: bytes to values and back.

Knows: [MS-NLMP] 2.2.  Must not know: keys, challenges' freshness, who logs on.

Offsets and lengths in these messages are the peer's word: each is checked against the message before it is
used.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

SIGNATURE: Final = b"NTLMSSP\0"
CHALLENGE_BYTES: Final = 8
MIC_OFFSET: Final = 72
MIC_BYTES: Final = 16

NAME_CHARACTERS_MAX: Final = 256
"""Longest user, domain or workstation name; Windows' own bound of a user name (UNLEN), and above a DNS
name's."""

NTLM_V1_RESPONSE_BYTES: Final = 24

_PREFIX: Final = struct.Struct("<8sI")
_FIELD: Final = struct.Struct("<HHI")
_CHALLENGE: Final = struct.Struct("<8sI8sI8s8x8s8s")
_CHALLENGE_PAYLOAD: Final = _CHALLENGE.size
_AUTHENTICATE_FIELDS: Final = (12, 20, 28, 36, 44, 52)
"""Offsets of LmChallengeResponse, NtChallengeResponse, DomainName, UserName, Workstation,
EncryptedRandomSessionKey."""
_AUTHENTICATE_FLAGS_OFFSET: Final = 60
_AUTHENTICATE_FIXED: Final = 64
"""Up to NegotiateFlags; Version and MIC are not there in messages of old clients."""
_NEGOTIATE_FLAGS_OFFSET: Final = 12
_NEGOTIATE_FIXED: Final = 16
_NEGOTIATE_DOMAIN_OFFSET: Final = 16
_NEGOTIATE_WORKSTATION_OFFSET: Final = 24
_NEGOTIATE_WITH_NAMES: Final = 32
_CLIENT_CHALLENGE: Final = struct.Struct("<BB6xQ8s4x")
_PROOF_BYTES: Final = 16
_AV_HEADER: Final = struct.Struct("<HH")

VERSION: Final = struct.pack("<BBHxxxB", 10, 0, 0, 15)
"""[MS-NLMP] 2.2.2.10, for debugging only: 10.0, revision 15 of NTLMSSP."""


class NtlmError(Exception):
    """A message that is malformed, too weak, out of turn, or proves nothing; str() says what."""


class MalformedNtlm(NtlmError):  # noqa: N818 - names the condition
    """A message that does not decode."""


class MessageType(IntEnum):
    """[MS-NLMP] 2.2.1"""

    NEGOTIATE = 1
    CHALLENGE = 2
    AUTHENTICATE = 3


class NegotiateFlags(IntEnum):
    """[MS-NLMP] 2.2.2.5, those that are used here."""

    UNICODE = 0x0000_0001
    OEM = 0x0000_0002
    REQUEST_TARGET = 0x0000_0004
    SIGN = 0x0000_0010
    SEAL = 0x0000_0020
    NTLM = 0x0000_0200
    OEM_DOMAIN_SUPPLIED = 0x0000_1000
    OEM_WORKSTATION_SUPPLIED = 0x0000_2000
    ALWAYS_SIGN = 0x0000_8000
    TARGET_TYPE_SERVER = 0x0002_0000
    EXTENDED_SESSIONSECURITY = 0x0008_0000
    TARGET_INFO = 0x0080_0000
    VERSION = 0x0200_0000
    KEY_128 = 0x2000_0000
    KEY_EXCH = 0x4000_0000
    KEY_56 = 0x8000_0000


class AvId(IntEnum):
    """[MS-NLMP] 2.2.2.1"""

    EOL = 0
    NB_COMPUTER_NAME = 1
    NB_DOMAIN_NAME = 2
    DNS_COMPUTER_NAME = 3
    DNS_DOMAIN_NAME = 4
    DNS_TREE_NAME = 5
    FLAGS = 6
    TIMESTAMP = 7
    SINGLE_HOST = 8
    TARGET_NAME = 9
    CHANNEL_BINDINGS = 10


AV_FLAG_MIC_PRESENT: Final = 0x0000_0002
"""MsvAvFlags: the client's AUTHENTICATE_MESSAGE carries a MIC."""


# --- NEGOTIATE_MESSAGE (2.2.1.1) ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NegotiateMessage:
    """What the client can do.  The names are in some OEM character set; nothing depends on them."""

    flags: int
    domain_name: bytes
    workstation: bytes


def decode_negotiate(view: memoryview) -> NegotiateMessage:
    """[MS-NLMP] 2.2.1.1.  NtlmError when it is not that."""
    _check_prefix(view, MessageType.NEGOTIATE, _NEGOTIATE_FIXED)
    flags = int.from_bytes(view[_NEGOTIATE_FLAGS_OFFSET:_NEGOTIATE_FIXED], "little")
    domain_name = workstation = b""
    if len(view) >= _NEGOTIATE_WITH_NAMES:
        if flags & NegotiateFlags.OEM_DOMAIN_SUPPLIED:
            domain_name = bytes(_payload(view, _NEGOTIATE_DOMAIN_OFFSET, _NEGOTIATE_WITH_NAMES))
        if flags & NegotiateFlags.OEM_WORKSTATION_SUPPLIED:
            workstation = bytes(_payload(view, _NEGOTIATE_WORKSTATION_OFFSET, _NEGOTIATE_WITH_NAMES))
    return NegotiateMessage(flags, domain_name, workstation)


# --- CHALLENGE_MESSAGE (2.2.1.2) ----------------------------------------------------------------------------


def encode_challenge(flags: int, server_challenge: bytes, target_name: str, target_info: bytes) -> bytes:
    """[MS-NLMP] 2.2.1.2: `server_challenge` has 8 bytes, `target_info` is an encoded AV pair list."""
    assert len(server_challenge) == CHALLENGE_BYTES
    name = target_name.encode("utf-16-le" if flags & NegotiateFlags.UNICODE else "ascii", "replace")
    fixed = _CHALLENGE.pack(
        SIGNATURE,
        MessageType.CHALLENGE,
        _FIELD.pack(len(name), len(name), _CHALLENGE_PAYLOAD),
        flags,
        server_challenge,
        _FIELD.pack(len(target_info), len(target_info), _CHALLENGE_PAYLOAD + len(name)),
        VERSION if flags & NegotiateFlags.VERSION else bytes(len(VERSION)),
    )
    return fixed + name + target_info


# --- AUTHENTICATE_MESSAGE (2.2.1.3) -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AuthenticateMessage:
    """Who the client says it is and what it offers as proof; bytes fields are views into the message."""

    flags: int
    lm_response: memoryview = field(repr=False)
    nt_response: memoryview = field(repr=False)
    domain_name: str
    user_name: str
    workstation: str
    encrypted_random_session_key: memoryview = field(repr=False)


def decode_authenticate(view: memoryview) -> AuthenticateMessage:
    """[MS-NLMP] 2.2.1.3.  NtlmError when it is not that, or a name is not text or absurdly long."""
    _check_prefix(view, MessageType.AUTHENTICATE, _AUTHENTICATE_FIXED)
    flags = int.from_bytes(view[_AUTHENTICATE_FLAGS_OFFSET:_AUTHENTICATE_FIXED], "little")
    lm_response, nt_response, domain_name, user_name, workstation, session_key = (
        _payload(view, offset, _AUTHENTICATE_FIXED) for offset in _AUTHENTICATE_FIELDS
    )
    return AuthenticateMessage(
        flags=flags,
        lm_response=lm_response,
        nt_response=nt_response,
        domain_name=_text(domain_name, flags),
        user_name=_text(user_name, flags),
        workstation=_text(workstation, flags),
        encrypted_random_session_key=session_key,
    )


@dataclass(frozen=True, slots=True)
class NtlmV2Response:
    """NTLMv2_RESPONSE (2.2.2.8) and the NTLMv2_CLIENT_CHALLENGE in it (2.2.2.7); views into the message."""

    proof: memoryview = field(repr=False)
    """NTProofStr, 16 bytes."""
    client_challenge: memoryview = field(repr=False)
    """Everything behind the proof ("temp" of 3.3.2): what the proof is computed over."""
    timestamp: int
    """FILETIME."""
    av_pairs: dict[int, memoryview] = field(repr=False)


def decode_ntlm_v2_response(view: memoryview) -> NtlmV2Response:
    """NtlmError when it is no NTLMv2 response; 24 bytes are an NTLMv1 one, which is not taken."""
    if len(view) == NTLM_V1_RESPONSE_BYTES:
        raise NtlmError("an NTLMv1 response")
    if len(view) < _PROOF_BYTES + _CLIENT_CHALLENGE.size:
        raise MalformedNtlm("an NTLMv2 response cut short")
    client_challenge = view[_PROOF_BYTES:]
    version, version_max, timestamp, _ = _CLIENT_CHALLENGE.unpack_from(client_challenge)
    if version != 1 or version_max != 1:
        raise NtlmError("a response of a version that there is not")
    av_pairs = decode_av_pairs(client_challenge[_CLIENT_CHALLENGE.size :])
    return NtlmV2Response(view[:_PROOF_BYTES], client_challenge, timestamp, av_pairs)


# --- AV pairs (2.2.2.1) -------------------------------------------------------------------------------------


def encode_av_pairs(pairs: Iterable[tuple[int, bytes]]) -> bytes:
    """The list with its MsvAvEOL, which is not among `pairs`."""
    encoded = bytearray()
    for identifier, value in pairs:
        encoded += _AV_HEADER.pack(identifier, len(value)) + value
    return bytes(encoded + _AV_HEADER.pack(AvId.EOL, 0))


def decode_av_pairs(view: memoryview) -> dict[int, memoryview]:
    """Values by AvId, up to MsvAvEOL; what follows it is padding.  NtlmError when the list breaks off or
    repeats."""
    pairs: dict[int, memoryview] = {}
    position, end = 0, len(view)
    while True:
        if end - position < _AV_HEADER.size:
            raise MalformedNtlm("AV pairs without an end")
        identifier, length = _AV_HEADER.unpack_from(view, position)
        position += _AV_HEADER.size
        if identifier == AvId.EOL:
            return pairs
        if length > end - position:
            raise MalformedNtlm("an AV pair cut short")
        if identifier in pairs:
            raise MalformedNtlm("an AV pair given twice")
        pairs[identifier] = view[position : position + length]
        position += length


# --- parts --------------------------------------------------------------------------------------------------


def _check_prefix(view: memoryview, message_type: MessageType, size_min: int) -> None:
    if len(view) < size_min:
        raise MalformedNtlm(f"{message_type.name} cut short")
    if _PREFIX.unpack_from(view) != (SIGNATURE, message_type):
        raise MalformedNtlm(f"not {message_type.name}")


def _payload(view: memoryview, field_offset: int, payload_offset: int) -> memoryview:
    """The bytes that a field (length, maximal length, offset) points to; an empty one may point anywhere."""
    length, _, offset = _FIELD.unpack_from(view, field_offset)
    if length == 0:
        return view[:0]
    if not payload_offset <= offset <= len(view) or length > len(view) - offset:
        raise MalformedNtlm("a field outside its message")
    return view[offset : offset + length]


def _text(view: memoryview, flags: int) -> str:
    try:
        text = bytes(view).decode("utf-16-le" if flags & NegotiateFlags.UNICODE else "ascii")
    except UnicodeDecodeError:
        raise MalformedNtlm("a name that is not text") from None
    if len(text) > NAME_CHARACTERS_MAX or "\0" in text:
        raise NtlmError("a name that is none")
    return text
