"""NEGOTIATE as Windows and others write it, its contexts, and the SMB1 message that may come first."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smbprotocol.connection import (
    SMB2EncryptionCapabilities,
    SMB2NetnameNegotiateContextId,
    SMB2PreauthIntegrityCapabilities,
    SMB2SigningCapabilities,
)

from smbd_uring.wire.const import CipherId, Dialect, HashAlgorithm, NegotiateContextType, SigningAlgorithm
from smbd_uring.wire.errors import MalformedMessage, ProtocolViolation
from smbd_uring.wire.negotiate import (
    CONTEXTS_DECODED_MAX,
    CompressionCapabilities,
    EncryptionCapabilities,
    NegotiateRequest,
    NegotiateResponse,
    NetnameNegotiateContextId,
    PreauthIntegrityCapabilities,
    SigningCapabilities,
    smb1_negotiate_dialects,
)
from smbd_uring.wire.pdu import BODY_OFFSET
from tests.unit.crypto import windows_handshake as windows
from tests.unit.wire.messages import BUFFERS, TEXTS, U16, U32, message, some_examples

GUID = bytes(range(16))
DIALECTS = tuple(dialect for dialect in Dialect if dialect != Dialect.WILDCARD)
WORDS = st.lists(U16, max_size=6).map(tuple)
CONTEXTS = [
    (PreauthIntegrityCapabilities, st.builds(PreauthIntegrityCapabilities, WORDS, BUFFERS)),
    (EncryptionCapabilities, st.builds(EncryptionCapabilities, WORDS)),
    (SigningCapabilities, st.builds(SigningCapabilities, WORDS)),
    (CompressionCapabilities, st.builds(CompressionCapabilities, U32, WORDS)),
    (NetnameNegotiateContextId, st.builds(NetnameNegotiateContextId, TEXTS)),
]
all_contexts = pytest.mark.parametrize(("kind", "values"), CONTEXTS)

SMB1_NEGOTIATE = (
    b"\xffSMB\x72" + bytes(27) + b"\0" + struct.pack("<H", 34)
    + b"\x02NT LM 0.12\0" + b"\x02SMB 2.002\0" + b"\x02SMB 2.???\0"
)  # fmt: skip


def request(contexts: list[tuple[int, bytes]], dialects: tuple[int, ...] = DIALECTS) -> bytes:
    """The body of a NEGOTIATE request."""
    return NegotiateRequest(1, 0x7F, GUID, dialects, list(contexts)).encode()


def test_windows_request_says_what_it_says_and_is_written_the_same() -> None:
    decoded = NegotiateRequest.decode(memoryview(windows.NEGOTIATE_REQUEST))
    assert decoded.security_mode == 0 and decoded.capabilities == 0x3F
    assert decoded.client_guid == bytes.fromhex("ecd86f326276024f9f7752b89bb33f3a")
    assert decoded.dialects == DIALECTS
    (first_type, first), (second_type, second) = decoded.contexts
    assert first_type == NegotiateContextType.PREAUTH_INTEGRITY_CAPABILITIES
    integrity = PreauthIntegrityCapabilities.decode(first)
    assert integrity.hash_algorithms == (HashAlgorithm.SHA_512,)
    assert integrity.salt == windows.NEGOTIATE_REQUEST[0x7E:0x9E]
    assert second_type == NegotiateContextType.ENCRYPTION_CAPABILITIES
    assert EncryptionCapabilities.decode(second).ciphers == (CipherId.AES_128_GCM, CipherId.AES_128_CCM)
    assert decoded.encode() == windows.NEGOTIATE_REQUEST[BODY_OFFSET:]


def test_windows_response_says_what_it_says_and_is_written_the_same() -> None:
    decoded = NegotiateResponse.decode(memoryview(windows.NEGOTIATE_RESPONSE))
    assert decoded.dialect_revision == Dialect.SMB_3_1_1 and decoded.security_mode == 1
    assert decoded.max_transact_size == decoded.max_read_size == decoded.max_write_size == 8 << 20
    assert bytes(decoded.security_buffer[:4]) == bytes.fromhex("6082013c") and len(decoded.security_buffer) == 320
    assert [kind for kind, _ in decoded.contexts] == [1, 2]
    ours, theirs = decoded.encode(), windows.NEGOTIATE_RESPONSE[BODY_OFFSET:]
    assert ours == theirs


def test_contexts_are_looked_at_only_where_3_1_1_is_offered() -> None:
    body = bytearray(request([(1, b"abc")]))
    struct.pack_into("<I", body, 28, 0xFFFF_FFF8)
    with pytest.raises(MalformedMessage):
        NegotiateRequest.decode(message(bytes(body)))
    older = request([(1, b"abc")], (Dialect.SMB_2_1, Dialect.SMB_3_0))
    # There the eight bytes are ClientStartTime, which nobody reads.
    assert NegotiateRequest.decode(message(older)).contexts == []


def test_contexts_of_any_type_are_kept_in_their_order_with_duplicates() -> None:
    contexts = [(3, b"one"), (0xBEEF, b""), (3, b"three" * 3), (1, b"12345678")]
    decoded = NegotiateRequest.decode(message(request(contexts)))
    assert [(kind, bytes(content)) for kind, content in decoded.contexts] == contexts


def test_contexts_begin_at_multiples_of_eight_and_the_last_one_is_not_padded() -> None:
    body = request([(1, b"abc"), (2, b"defgh")])
    (offset,) = struct.unpack_from("<I", body, 28)
    assert offset % 8 == 0
    assert body[offset - BODY_OFFSET :] == bytes.fromhex(
        "0100 0300 00000000 616263 0000000000" "0200 0500 00000000 6465666768"
    )


def test_fewer_contexts_than_promised_are_refused() -> None:
    body = bytearray(request([(1, b"abc")]))
    struct.pack_into("<H", body, 32, 2)
    with pytest.raises(MalformedMessage):
        NegotiateRequest.decode(message(bytes(body)))


def test_more_contexts_than_there_can_be_are_refused() -> None:
    many = [(1, b"")] * CONTEXTS_DECODED_MAX
    assert len(NegotiateRequest.decode(message(request(many))).contexts) == CONTEXTS_DECODED_MAX
    with pytest.raises(MalformedMessage):
        NegotiateRequest.decode(message(request([*many, (1, b"")])))


def test_more_dialects_than_there_are_bytes_are_refused() -> None:
    body = bytearray(request([], (Dialect.SMB_2_1,)))
    struct.pack_into("<H", body, 2, 0xFFFF)
    with pytest.raises(MalformedMessage):
        NegotiateRequest.decode(message(bytes(body)))


def test_no_dialects_at_all_decode_so_that_the_server_can_say_what_it_thinks() -> None:
    assert NegotiateRequest.decode(message(request([], ()))).dialects == ()


def test_another_client_writes_the_same_contexts() -> None:
    integrity = SMB2PreauthIntegrityCapabilities()
    integrity["hash_algorithms"], integrity["salt"] = [1], b"salt" * 8
    assert PreauthIntegrityCapabilities((1,), b"salt" * 8).encode() == integrity.pack()
    encryption = SMB2EncryptionCapabilities()
    encryption["ciphers"] = [2, 1, 4]
    assert EncryptionCapabilities((2, 1, 4)).encode() == encryption.pack()
    signing = SMB2SigningCapabilities()
    signing["signing_algorithms"] = [2, 1]
    assert SigningCapabilities((SigningAlgorithm.AES_GMAC, SigningAlgorithm.AES_CMAC)).encode() == signing.pack()
    netname = SMB2NetnameNegotiateContextId()
    netname["net_name"] = "server.example"
    assert NetnameNegotiateContextId("server.example").encode() == netname.pack()


def test_compression_offered_as_windows_does() -> None:
    encoded = bytes.fromhex("0400 0000 01000000 0400 0200 0300 0100")
    assert CompressionCapabilities.decode(encoded) == CompressionCapabilities(1, (4, 2, 3, 1))
    assert CompressionCapabilities(1, (4, 2, 3, 1)).encode() == encoded


@all_contexts
@some_examples
@given(data=st.data())
def test_a_context_decodes_to_what_was_encoded(kind: type, values: st.SearchStrategy, data: st.DataObject) -> None:
    value = data.draw(values)
    assert kind.decode(memoryview(value.encode())) == value


@all_contexts
@some_examples
@given(content=st.binary(max_size=24))
def test_random_bytes_are_a_context_or_refused(kind: type, values: st.SearchStrategy, content: bytes) -> None:
    try:
        decoded = kind.decode(content)
    except MalformedMessage:
        return
    assert kind.decode(decoded.encode()) == decoded


@pytest.mark.parametrize("kind", [EncryptionCapabilities, SigningCapabilities, PreauthIntegrityCapabilities])
def test_a_count_beyond_the_context_is_refused(kind: type) -> None:
    with pytest.raises(MalformedMessage):
        kind.decode(bytes.fromhex("ffff 0000 0100"))


def test_a_multi_protocol_negotiate_offers_its_dialects() -> None:
    assert smb1_negotiate_dialects(memoryview(SMB1_NEGOTIATE)) == [b"NT LM 0.12", b"SMB 2.002", b"SMB 2.???"]


def test_an_smb1_negotiate_may_offer_nothing_and_may_be_followed_by_padding() -> None:
    assert smb1_negotiate_dialects(memoryview(SMB1_NEGOTIATE[:33] + b"\0\0")) == []
    assert len(smb1_negotiate_dialects(memoryview(SMB1_NEGOTIATE + bytes(7)))) == 3


@pytest.mark.parametrize(
    ("position", "value"),
    [(4, 0x73), (32, 1), (33, 35), (34, 1), (35, 3), (47, 0), (-1, 0x20)],
    ids=["session setup", "words", "too long", "much too long", "no dialect", "no dialect later", "no end"],
)
def test_other_smb1_messages_end_the_connection(position: int, value: int) -> None:
    broken = bytearray(SMB1_NEGOTIATE)
    broken[position] = value
    with pytest.raises(ProtocolViolation):
        smb1_negotiate_dialects(memoryview(broken))


@pytest.mark.parametrize("length", [4, 32, 34])
def test_an_smb1_message_cut_short_ends_the_connection(length: int) -> None:
    with pytest.raises(ProtocolViolation):
        smb1_negotiate_dialects(memoryview(SMB1_NEGOTIATE[:length]))


def test_an_endless_list_of_smb1_dialects_ends_the_connection() -> None:
    dialects = b"\x02\0" * 65
    frame = SMB1_NEGOTIATE[:33] + struct.pack("<H", len(dialects)) + dialects
    with pytest.raises(ProtocolViolation):
        smb1_negotiate_dialects(memoryview(frame))


@given(st.binary(max_size=60))
def test_random_smb1_bytes_are_a_list_or_end_the_connection(data: bytes) -> None:
    for frame in (data, SMB1_NEGOTIATE[:33] + data, SMB1_NEGOTIATE[:33] + struct.pack("<H", len(data)) + data):
        try:
            dialects = smb1_negotiate_dialects(memoryview(frame))
        except ProtocolViolation:
            continue
        assert all(b"\0" not in dialect for dialect in dialects)
