"""Given what a client offers, the server chooses, refuses, or ends the connection ([MS-SMB2] 3.3.5.3, 3.3.5.4)."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from smbd_uring import limits
from smbd_uring.config import Encryption
from smbd_uring.wire.const import (
    Capabilities,
    CipherId,
    Dialect,
    HashAlgorithm,
    NegotiateContextType,
    SecurityMode,
    SigningAlgorithm,
)
from smbd_uring.wire.data import IoctlResponse
from smbd_uring.wire.header import Header
from smbd_uring.wire.ioctl import ValidateNegotiateInfoRequest, ValidateNegotiateInfoResponse
from smbd_uring.wire.negotiate import (
    EncryptionCapabilities,
    NegotiateResponse,
    NetnameNegotiateContextId,
    PreauthIntegrityCapabilities,
    SigningCapabilities,
)
from smbd_uring.wire.ntstatus import NtStatus
from tests.engine.conftest import MakeServer
from tests.engine.servers import SERVER_GUID, TestedServer
from tests.support.client import (
    CIPHERS,
    CLIENT_CAPABILITIES,
    CLIENT_GUID,
    DIALECTS,
    SIGNING_ALGORITHMS,
    negotiate_contexts,
)
from tests.support.client_channel import ConnectionEnded
from tests.support.client_messages import Message

PREAUTH = NegotiateContextType.PREAUTH_INTEGRITY_CAPABILITIES
ENCRYPTION = NegotiateContextType.ENCRYPTION_CAPABILITIES
SIGNING = NegotiateContextType.SIGNING_CAPABILITIES
SMB2_ECHO = 13


# --- dialects ---


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_only_dialect_offered_is_taken(server: TestedServer, dialect: Dialect) -> None:
    answer = server.connect().negotiate([dialect]).expect(NegotiateResponse)
    assert answer.dialect_revision == dialect
    assert answer.server_guid == SERVER_GUID
    assert answer.security_mode == SecurityMode.SIGNING_ENABLED
    large = dialect != Dialect.SMB_2_0_2
    assert bool(answer.capabilities & Capabilities.LARGE_MTU) == large
    expected = limits.IO_BYTES_MAX if large else 65536
    assert (answer.max_read_size, answer.max_write_size, answer.max_transact_size) == (expected,) * 3
    assert bool(answer.contexts) == (dialect == Dialect.SMB_3_1_1)
    offers_encryption = dialect in (Dialect.SMB_3_0, Dialect.SMB_3_0_2)
    assert bool(answer.capabilities & Capabilities.ENCRYPTION) == offers_encryption


def test_of_many_dialects_the_greatest_that_both_know_is_taken(server: TestedServer) -> None:
    offered = [0x0310, 0x0302, 0x0202, 0x9999, 0x02FF]
    assert server.connect().negotiate(offered).expect(NegotiateResponse).dialect_revision == Dialect.SMB_3_0_2


@pytest.mark.parametrize("offered", [[0x0310], [0x0222, 0x0224], [0x02FF]])
def test_no_common_dialect_is_not_supported_and_the_client_may_try_again(
    server: TestedServer, offered: list[int]
) -> None:
    client = server.connect()
    assert client.negotiate(offered).status == NtStatus.NOT_SUPPORTED
    assert client.negotiate([Dialect.SMB_2_1]).status == NtStatus.SUCCESS


def test_no_dialect_at_all_and_too_many_are_invalid(server: TestedServer) -> None:
    client = server.connect()
    assert client.negotiate([]).status == NtStatus.INVALID_PARAMETER
    too_many = [Dialect.SMB_2_1] * (limits.NEGOTIATE_DIALECTS_MAX + 1)
    assert client.negotiate(too_many).status == NtStatus.INVALID_PARAMETER


def test_dialects_outside_the_configured_range_are_not_served(make_server: MakeServer) -> None:
    server = make_server(dialect_min=Dialect.SMB_2_1, dialect_max=Dialect.SMB_3_0)
    assert server.connect().negotiate([Dialect.SMB_2_0_2]).status == NtStatus.NOT_SUPPORTED
    assert server.connect().negotiate([Dialect.SMB_3_1_1]).status == NtStatus.NOT_SUPPORTED
    assert server.connect().negotiate().expect(NegotiateResponse).dialect_revision == Dialect.SMB_3_0


def test_a_server_that_insists_on_signing_says_so(make_server: MakeServer) -> None:
    answer = make_server(signing_required=True).connect().negotiate().expect(NegotiateResponse)
    assert answer.security_mode == SecurityMode.SIGNING_ENABLED | SecurityMode.SIGNING_REQUIRED


# --- contexts of 3.1.1 ---


def negotiated(server: TestedServer, contexts: Any) -> dict[int, bytes]:
    """The server's contexts for a client of 3.1.1 with `contexts`."""
    answer = server.connect().negotiate([Dialect.SMB_3_1_1], contexts=contexts).expect(NegotiateResponse)
    return {kind: bytes(data) for kind, data in answer.contexts}


def status_of(server: TestedServer, contexts: Any) -> int:
    return server.connect().negotiate([Dialect.SMB_3_1_1], contexts=contexts).status


@pytest.mark.parametrize("cipher", CIPHERS)
def test_the_clients_favourite_cipher_is_taken(server: TestedServer, cipher: CipherId) -> None:
    others = [other for other in CIPHERS if other != cipher]
    answer = negotiated(server, negotiate_contexts([0x7777, cipher, *others]))
    assert EncryptionCapabilities.decode(answer[ENCRYPTION]).ciphers == (cipher,)


@pytest.mark.parametrize("algorithm", SIGNING_ALGORITHMS)
def test_the_clients_favourite_signing_algorithm_is_taken(
    server: TestedServer, algorithm: SigningAlgorithm
) -> None:
    others = [other for other in SIGNING_ALGORITHMS if other != algorithm]
    answer = negotiated(server, negotiate_contexts(CIPHERS, [0x7777, algorithm, *others]))
    assert SigningCapabilities.decode(answer[SIGNING]).signing_algorithms == (algorithm,)


def test_no_common_cipher_is_said_with_a_zero(server: TestedServer) -> None:
    answer = negotiated(server, negotiate_contexts([0x7777]))
    assert EncryptionCapabilities.decode(answer[ENCRYPTION]).ciphers == (0,)


def test_what_was_not_offered_is_not_answered(server: TestedServer) -> None:
    assert set(negotiated(server, negotiate_contexts([], []))) == {PREAUTH}


def test_a_server_that_does_not_encrypt_offers_no_cipher(make_server: MakeServer) -> None:
    server = make_server(encryption=Encryption.OFF)
    assert ENCRYPTION not in negotiated(server, negotiate_contexts())
    answer = server.connect().negotiate([Dialect.SMB_3_0]).expect(NegotiateResponse)
    assert not answer.capabilities & Capabilities.ENCRYPTION


def test_every_negotiation_has_a_salt_of_its_own(server: TestedServer) -> None:
    answers = [negotiated(server, negotiate_contexts())[PREAUTH] for _ in range(2)]
    assert answers[0] != answers[1]
    for answer in answers:
        preauth = PreauthIntegrityCapabilities.decode(answer)
        assert preauth.hash_algorithms == (HashAlgorithm.SHA_512,)
        assert len(preauth.salt) == 32


def test_unknown_contexts_and_the_server_name_are_skipped(server: TestedServer) -> None:
    netname = NetnameNegotiateContextId("server").encode()
    extra = [(0x7777, b"whatever"), (NegotiateContextType.NETNAME_NEGOTIATE_CONTEXT_ID, netname), (0x7777, b"")]
    answer = negotiated(server, [*extra, *negotiate_contexts()])
    assert set(answer) == {PREAUTH, ENCRYPTION, SIGNING}


@pytest.mark.parametrize("kind", [PREAUTH, ENCRYPTION, SIGNING, NegotiateContextType.COMPRESSION_CAPABILITIES])
def test_a_context_given_twice_is_invalid(server: TestedServer, kind: int) -> None:
    compression = struct.pack("<HHIH", 1, 0, 0, 1)
    usual = [*negotiate_contexts(), (NegotiateContextType.COMPRESSION_CAPABILITIES, compression)]
    twice = next(context for context in usual if context[0] == kind)
    assert status_of(server, [*usual, twice]) == NtStatus.INVALID_PARAMETER


def test_preauthentication_integrity_is_not_optional(server: TestedServer) -> None:
    assert status_of(server, negotiate_contexts()[1:]) == NtStatus.INVALID_PARAMETER
    unknown = PreauthIntegrityCapabilities((0x7777,), b"").encode()
    status = status_of(server, [(PREAUTH, unknown)])
    assert status == NtStatus.SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP


@pytest.mark.parametrize(
    "broken",
    [
        (PREAUTH, b""), (PREAUTH, struct.pack("<HHH", 5, 0, 1)), (ENCRYPTION, struct.pack("<HH", 9, 2)),
        (SIGNING, b"\1"), (SIGNING, struct.pack("<H", 0)),
    ],
)  # fmt: skip
def test_a_broken_context_is_invalid(server: TestedServer, broken: tuple[int, bytes]) -> None:
    contexts = [broken if context[0] == broken[0] else context for context in negotiate_contexts()]
    assert status_of(server, contexts) == NtStatus.INVALID_PARAMETER


def test_too_many_contexts_are_invalid(server: TestedServer) -> None:
    many = [(0x7777, b"")] * limits.NEGOTIATE_CONTEXTS_MAX
    assert status_of(server, [*many, *negotiate_contexts()]) == NtStatus.INVALID_PARAMETER


# --- SMB1 first ---


def smb1_negotiate(*dialects: bytes) -> bytes:
    """An SMB1 NEGOTIATE with the given dialect strings."""
    data = b"".join(b"\x02" + dialect + b"\0" for dialect in dialects)
    return b"\xffSMB\x72" + bytes(27) + b"\0" + struct.pack("<H", len(data)) + data


def answer_to_smb1(server: TestedServer, *dialects: bytes) -> tuple[Any, NegotiateResponse]:
    """A client that sent an SMB1 NEGOTIATE, and the answer it got."""
    client = server.connect()
    client.send_raw(smb1_negotiate(*dialects))
    frame = client.receive_frame()
    header = Header.decode(frame)
    assert (header.status, header.message_id, header.credits) == (0, 0, 1)
    client.next_message_id = 1
    return client, NegotiateResponse.decode(frame)


def test_an_smb1_negotiate_that_offers_smb2_is_answered_and_followed_by_the_real_one(
    server: TestedServer,
) -> None:
    client, answer = answer_to_smb1(server, b"NT LM 0.12", b"SMB 2.002", b"SMB 2.???")
    assert answer.dialect_revision == Dialect.WILDCARD
    assert client.negotiate().expect(NegotiateResponse).dialect_revision == Dialect.SMB_3_1_1
    assert client.log_on("anna", "secret").status == NtStatus.SUCCESS


def test_an_smb1_negotiate_with_2_002_settles_that_dialect(server: TestedServer) -> None:
    client, answer = answer_to_smb1(server, b"SMB 2.002")
    assert answer.dialect_revision == client.dialect or answer.dialect_revision == Dialect.SMB_2_0_2
    client.dialect, client.negotiated = Dialect.SMB_2_0_2, answer
    assert client.log_on("anna", "secret").status == NtStatus.SUCCESS


@pytest.mark.parametrize(
    "frame",
    [
        smb1_negotiate(b"NT LM 0.12"),
        smb1_negotiate(),
        smb1_negotiate(b"SMB 2.???")[:-1],
        b"\xffSMB\x73" + bytes(60),
        b"\xffSMB",
    ],
)
def test_smb1_without_smb2_ends_the_connection(server: TestedServer, frame: bytes) -> None:
    client = server.connect()
    client.send_raw(frame)
    client.assert_ended()


def test_smb1_after_negotiation_ends_the_connection(server: TestedServer) -> None:
    client, _ = answer_to_smb1(server, b"SMB 2.???")
    client.send_raw(smb1_negotiate(b"SMB 2.???"))
    client.assert_ended()


# --- what ends the connection ---


def test_a_second_negotiate_ends_the_connection(server: TestedServer) -> None:
    client = server.client()
    client.send(Message(0, b"whatever"))
    client.assert_ended()


def test_anything_before_negotiate_ends_the_connection(server: TestedServer) -> None:
    client = server.connect()
    client.send(Message(SMB2_ECHO, struct.pack("<HH", 4, 0)))
    client.assert_ended()


@pytest.mark.parametrize("frame", [b"\xfeSM", b"\xfeSMB", b"\xfeSMB" + bytes(59), b"\xfdSMB" + bytes(48),
                                   b"\xfdSMB", b"\xfcSMB" + bytes(60), b"GET / HTTP/1.1\r\n\r\n"])  # fmt: skip
def test_what_is_no_smb2_message_ends_the_connection(server: TestedServer, frame: bytes) -> None:
    client = server.connect()
    client.send_raw(frame)
    client.assert_ended()


def test_a_stranger_may_send_no_large_frame(server: TestedServer) -> None:
    client = server.connect()
    client.negotiate()
    client.send_bytes(struct.pack(">I", limits.UNAUTHENTICATED_FRAME_BYTES_MAX + 1))
    client.assert_ended()


# --- was the NEGOTIATE changed on its way? ---


def validation(**changes: Any) -> bytes:
    """What a client of 3.0 says it has sent, or something else."""
    said = {
        "capabilities": int(CLIENT_CAPABILITIES), "guid": CLIENT_GUID,
        "security_mode": int(SecurityMode.SIGNING_ENABLED), "dialects": (Dialect.SMB_2_1, Dialect.SMB_3_0),
    }  # fmt: skip
    return ValidateNegotiateInfoRequest(**(said | changes)).encode()


def test_a_negotiation_that_nobody_changed_is_confirmed(server: TestedServer) -> None:
    client = server.client(dialects=[Dialect.SMB_2_1, Dialect.SMB_3_0])
    output = client.validate_negotiate_info(validation()).expect(IoctlResponse).output
    answer = ValidateNegotiateInfoResponse.decode(output)
    assert answer.guid == SERVER_GUID
    assert answer.dialect == Dialect.SMB_3_0
    assert answer.capabilities == client.negotiated.capabilities
    assert answer.security_mode == client.negotiated.security_mode


@pytest.mark.parametrize(
    "changes",
    [
        {"capabilities": 0}, {"guid": bytes(16)}, {"security_mode": int(SecurityMode.SIGNING_REQUIRED)},
        {"dialects": (Dialect.SMB_3_0, Dialect.SMB_2_1)}, {"dialects": (Dialect.SMB_2_1,)}, {"dialects": ()},
    ],
)  # fmt: skip
def test_a_negotiation_that_was_changed_ends_the_connection(
    server: TestedServer, changes: dict[str, Any]
) -> None:
    client = server.client(dialects=[Dialect.SMB_2_1, Dialect.SMB_3_0])
    with pytest.raises(ConnectionEnded):
        client.validate_negotiate_info(validation(**changes))


def test_on_3_1_1_nobody_asks_for_that(server: TestedServer) -> None:
    client = server.client(dialects=[Dialect.SMB_3_1_1])
    with pytest.raises(ConnectionEnded):
        client.validate_negotiate_info(validation(dialects=(Dialect.SMB_3_1_1,)))
