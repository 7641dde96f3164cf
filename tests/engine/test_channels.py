"""Given a session on several connections, each of them carries any of its requests, and it lives as long as one does.

[MS-SMB2] 3.3.5.5 (binding), 3.3.7.1 (loss of a connection).
"""

from __future__ import annotations

import pytest

from smbd_uring import limits
from smbd_uring.config import Encryption
from smbd_uring.wire.const import (
    Capabilities,
    CipherId,
    Dialect,
    SecurityMode,
    SessionSetupFlags,
    SigningAlgorithm,
)
from smbd_uring.wire.data import ReadResponse
from smbd_uring.wire.negotiate import NegotiateResponse
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.session import SessionSetupResponse
from tests.engine.conftest import MakeServer
from tests.engine.servers import TestedServer
from tests.support.client import CIPHERS, DIALECTS, negotiate_contexts
from tests.support.client_channel import ClientSession
from tests.support.file_client import FileClient, Messages
from tests.support.ntlm_client import NtlmInitiator

PASSWORD = "secret"
SMB3 = (Dialect.SMB_3_0, Dialect.SMB_3_0_2, Dialect.SMB_3_1_1)
REQUIRED = SecurityMode.SIGNING_ENABLED | SecurityMode.SIGNING_REQUIRED
DATA = bytes(range(256)) * 300
GMAC, CMAC, HMAC = SigningAlgorithm.AES_GMAC, SigningAlgorithm.AES_CMAC, SigningAlgorithm.HMAC_SHA256


def speaking(dialect: Dialect, algorithm: int = CMAC, ciphers: tuple[int, ...] = CIPHERS) -> dict[str, object]:
    """What a client negotiates to get exactly this."""
    spoken: dict[str, object] = {"dialects": [dialect]}
    if dialect == Dialect.SMB_3_1_1:
        spoken["contexts"] = negotiate_contexts(ciphers, [algorithm])
    return spoken


def connected(server: TestedServer, **negotiation: object) -> FileClient:
    """A client that has negotiated."""
    client = server.connect()
    assert client.negotiate(**negotiation).status == NtStatus.SUCCESS
    return client


def session_of(client: FileClient) -> ClientSession:
    """The session it is in."""
    assert client.session is not None
    return client.session


def second_channel(server: TestedServer, first: FileClient, **negotiation: object) -> FileClient:
    """One more connection for the session of `first`, with its tree."""
    second = connected(server, **negotiation)
    assert second.bind(session_of(first), "anna", PASSWORD).status == NtStatus.SUCCESS
    second.tree_id = first.tree_id
    return second


def channels(server: TestedServer) -> list[int]:
    """How many channels each session has."""
    return server.inspect(lambda engine: [len(session.channels) for session in engine.sessions.values()])


# --- what a channel may do ---


@pytest.mark.parametrize("required", [False, True], ids=["may sign", "signs"])
@pytest.mark.parametrize("dialect", SMB3)
def test_what_is_opened_on_one_channel_is_used_on_the_other(
    server: TestedServer, dialect: Dialect, required: bool
) -> None:
    mode = {"security_mode": REQUIRED} if required else {}
    first = server.client(**speaking(dialect), **mode)
    second = second_channel(server, first, **speaking(dialect), **mode)
    first.put("file", DATA)
    file_id = first.open("file")
    assert second.read(file_id, 0, 5000, sign=True).expect(ReadResponse).data == DATA[:5000]
    assert second.write(file_id, b"new").status == NtStatus.SUCCESS
    assert bytes(first.read(file_id, 0, 3).expect(ReadResponse).data) == b"new"
    mine = second.open("file")
    assert first.close(mine).status == NtStatus.SUCCESS
    assert second.close(file_id).status == NtStatus.SUCCESS
    assert channels(server) == [2]


@pytest.mark.parametrize(("ours", "theirs"), [(CMAC, HMAC), (HMAC, CMAC), (GMAC, GMAC)])
def test_each_channel_signs_as_its_own_connection_agreed(server: TestedServer, ours: int, theirs: int) -> None:
    first = server.client(**speaking(Dialect.SMB_3_1_1, ours), security_mode=REQUIRED)
    second = second_channel(server, first, **speaking(Dialect.SMB_3_1_1, theirs), security_mode=REQUIRED)
    assert (first.signing_algorithm, second.signing_algorithm) == (ours, theirs)
    for client in first, second, first:
        client.put("file", DATA)
        assert client.get("file") == DATA
    assert second.echo(wrong_signature=True).status == NtStatus.ACCESS_DENIED


def test_the_key_of_one_channel_signs_nothing_on_the_other(server: TestedServer) -> None:
    first = server.client(**speaking(Dialect.SMB_3_1_1), security_mode=REQUIRED)
    second = second_channel(server, first, **speaking(Dialect.SMB_3_1_1), security_mode=REQUIRED)
    own, second.session = session_of(second), session_of(first)
    (message_id,) = second.send(Messages.echo())
    second.session = own
    second.forget()
    second.expect_answer(message_id, signed=False, sealed=False)
    assert second.wait_for(message_id).status == NtStatus.ACCESS_DENIED


@pytest.mark.parametrize("cipher", CIPHERS)
def test_a_session_that_encrypts_does_so_on_every_channel(make_server: MakeServer, cipher: CipherId) -> None:
    server = make_server(encryption=Encryption.REQUIRED)
    first = server.client(**speaking(Dialect.SMB_3_1_1, ciphers=(cipher,)))
    second = second_channel(server, first, **speaking(Dialect.SMB_3_1_1, ciphers=(cipher,)))
    for client in first, second, first:
        client.put("file", DATA)
        assert client.get("file") == DATA


def test_no_two_sealers_of_a_session_begin_their_nonces_alike(server: TestedServer) -> None:
    first = server.client(**speaking(Dialect.SMB_3_1_1))
    second_channel(server, first, **speaking(Dialect.SMB_3_1_1))

    def prefixes_of(engine: object) -> list[bytes | None]:
        (session,) = engine.sessions.values()  # type: ignore[attr-defined]
        return [session.nonce_prefix, *(session.next_nonce_prefix() for _ in range(5))]

    prefixes = server.inspect(prefixes_of)
    assert len({prefix[:3] for prefix in prefixes if prefix is not None}) == 6, "as much as every cipher takes"


# --- who may bind ---


def test_a_server_may_be_told_to_have_no_channels(make_server: MakeServer) -> None:
    server = make_server(multichannel=False)
    first, other = server.client(), server.connect()
    agreed = other.negotiate().expect(NegotiateResponse)
    assert not agreed.capabilities & Capabilities.MULTI_CHANNEL
    assert other.bind(session_of(first), "anna", PASSWORD).status == NtStatus.REQUEST_NOT_ACCEPTED


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_server_says_that_it_can_where_it_can(server: TestedServer, dialect: Dialect) -> None:
    agreed = server.connect().negotiate([dialect]).expect(NegotiateResponse)
    assert bool(agreed.capabilities & Capabilities.MULTI_CHANNEL) == (dialect in SMB3)
    agreed = server.connect().negotiate([dialect], capabilities=Capabilities.LARGE_MTU).expect(NegotiateResponse)
    assert not agreed.capabilities & Capabilities.MULTI_CHANNEL, "nor does the client"


@pytest.mark.parametrize(
    ("ours", "theirs", "status"),
    [
        (speaking(Dialect.SMB_2_1), speaking(Dialect.SMB_2_1), NtStatus.REQUEST_NOT_ACCEPTED),
        (speaking(Dialect.SMB_3_0), speaking(Dialect.SMB_2_1), NtStatus.REQUEST_NOT_ACCEPTED),
        (speaking(Dialect.SMB_2_1), speaking(Dialect.SMB_3_0), NtStatus.INVALID_PARAMETER),
        (speaking(Dialect.SMB_3_0), speaking(Dialect.SMB_3_0_2), NtStatus.INVALID_PARAMETER),
        (speaking(Dialect.SMB_3_0_2), speaking(Dialect.SMB_3_1_1), NtStatus.INVALID_PARAMETER),
        (
            speaking(Dialect.SMB_3_1_1, ciphers=(CipherId.AES_128_GCM,)),
            speaking(Dialect.SMB_3_1_1, ciphers=(CipherId.AES_128_CCM,)),
            NtStatus.INVALID_PARAMETER,
        ),
        (
            speaking(Dialect.SMB_3_1_1, GMAC),
            speaking(Dialect.SMB_3_1_1, CMAC),
            NtStatus.REQUEST_OUT_OF_SEQUENCE,
        ),
        (speaking(Dialect.SMB_3_1_1, CMAC), speaking(Dialect.SMB_3_1_1, GMAC), NtStatus.NOT_SUPPORTED),
    ],
)  # fmt: skip
def test_channels_of_a_session_speak_alike(
    server: TestedServer, ours: dict[str, object], theirs: dict[str, object], status: NtStatus
) -> None:
    first, other = server.client(**ours), connected(server, **theirs)
    assert other.bind(session_of(first), "anna", PASSWORD).status == status
    assert first.echo().status == NtStatus.SUCCESS
    assert channels(server) == [1]


def test_who_does_not_hold_the_sessions_key_binds_nothing(server: TestedServer) -> None:
    first, thief = server.client(), connected(server)
    session_id = session_of(first).session_id
    opening, binding = NtlmInitiator("anna", PASSWORD).negotiate(), SessionSetupFlags.BINDING
    assert thief.session_setup(opening, 0x1234, setup_flags=binding).status == NtStatus.USER_SESSION_DELETED
    assert thief.session_setup(opening, session_id, setup_flags=binding).status == NtStatus.INVALID_PARAMETER
    assert thief.session_setup(opening, session_id).status == NtStatus.USER_SESSION_DELETED
    wrong = thief.bind(session_of(first), "anna", PASSWORD, wrong_signature=True)
    assert (wrong.status, wrong.signed) == (NtStatus.ACCESS_DENIED, False)
    assert thief.bind(session_of(first), "anna", PASSWORD).status == NtStatus.SUCCESS


def test_only_the_sessions_own_user_binds_and_failing_costs_it_nothing(server: TestedServer) -> None:
    first, second = server.client(), connected(server)
    first.put("file", DATA)
    session = session_of(first)
    for user, password, status in (
        ("bert", PASSWORD, NtStatus.ACCESS_DENIED),
        ("visitor", "x", NtStatus.ACCESS_DENIED),
        ("anna", "wrong", NtStatus.LOGON_FAILURE),
    ):
        reply = second.bind(session, user, password)
        assert (reply.status, reply.signed) == (status, True)
        assert second.tree_connect("data", session_id=session.session_id).status == NtStatus.USER_SESSION_DELETED
    assert first.get("file") == DATA
    assert second.bind(session, "anna", PASSWORD).status == NtStatus.SUCCESS


def test_a_connection_that_is_no_channel_is_told_so_as_clients_who_sign_believe_it(server: TestedServer) -> None:
    first, other = server.client(), connected(server)
    session_id = session_of(first).session_id
    other.sessions[session_id] = session_of(first)
    reply = other.read(Messages.ANY, 0, 1, session_id=session_id, sign=True)
    assert (reply.status, reply.signed) == (NtStatus.USER_SESSION_DELETED, True)


def test_guests_have_no_key_to_bind_with(server: TestedServer) -> None:
    guest, other, owner = server.client(user="", share=None), connected(server), server.client()
    pretended = ClientSession(session_of(guest).session_id, 0, signer=session_of(owner).signer)
    assert other.bind(pretended, "", "", wrong_signature=True).status == NtStatus.NOT_SUPPORTED


def test_a_connection_is_bound_once(server: TestedServer) -> None:
    first = server.client()
    second = second_channel(server, first)
    assert first.bind(session_of(first), "anna", PASSWORD).status == NtStatus.REQUEST_NOT_ACCEPTED
    reply = second.bind(session_of(first), "anna", PASSWORD, wrong_signature=True)
    assert reply.status == NtStatus.ACCESS_DENIED, "here it is the channel's key that signs"
    assert second.bind(session_of(second), "anna", PASSWORD).status == NtStatus.REQUEST_NOT_ACCEPTED
    assert channels(server) == [2]


def test_a_session_has_no_more_channels_than_windows_allows(server: TestedServer) -> None:
    first = server.client()
    for _ in range(limits.CHANNELS_PER_SESSION_MAX - 1):
        second_channel(server, first)
    last = connected(server)
    assert last.bind(session_of(first), "anna", PASSWORD).status == NtStatus.INSUFFICIENT_RESOURCES
    assert channels(server) == [limits.CHANNELS_PER_SESSION_MAX]


# --- the end of a channel, and of a session ---


def test_the_session_lives_on_its_other_channel(server: TestedServer) -> None:
    first = server.client()
    second = second_channel(server, first)
    first.put("file", DATA)
    file_id = first.open("file")
    first.transport.close()
    server.settle(lambda engine: len(engine.connections) == 1)
    assert channels(server) == [1]
    assert second.read(file_id, 0, 5000).expect(ReadResponse).data == DATA[:5000]
    assert second.write(file_id, b"new").status == NtStatus.SUCCESS
    assert second.get("file")[:3] == b"new"
    third = second_channel(server, first)
    second.transport.close()
    server.settle(lambda engine: len(engine.connections) == 1)
    assert bytes(third.read(file_id, 0, 3).expect(ReadResponse).data) == b"new"


def test_the_session_ends_with_its_last_channel(server: TestedServer) -> None:
    first = server.client()
    second = second_channel(server, first)
    first.put("file", DATA)
    first.open("file")
    for client in second, first:
        client.transport.close()
    server.settle(lambda engine: not engine.sessions)
    assert server.inspect(lambda engine: engine.opens.count) == 0


def test_a_channel_dies_in_the_middle_of_reads_and_the_other_goes_on(server: TestedServer) -> None:
    first = server.client()
    second = second_channel(server, first)
    first.put("file", DATA)
    file_id = first.open("file")
    for _ in range(8):
        first.send(Messages.read(file_id, 0, 60000))
    first.transport.close()
    for _ in range(8):
        assert second.read(file_id, 0, 60000).expect(ReadResponse).data == DATA[:60000]
    assert second.close(file_id).status == NtStatus.SUCCESS
    server.settle(lambda engine: len(engine.connections) == 1)
    assert server.inspect(lambda engine: engine.opens.count) == 0


def test_logoff_on_one_channel_is_the_end_on_all(server: TestedServer) -> None:
    first = server.client()
    second = second_channel(server, first)
    first.put("file", DATA)
    file_id = first.open("file")
    assert second.log_off(sign=True).status == NtStatus.SUCCESS
    assert first.read(file_id, 0, 1).status == NtStatus.USER_SESSION_DELETED
    assert second.echo().status == NtStatus.SUCCESS, "which asks for no session"
    assert server.inspect(lambda engine: (len(engine.sessions), engine.opens.count)) == (0, 0)
    assert second.log_on("anna", PASSWORD).status == NtStatus.SUCCESS


def test_failing_to_authenticate_again_on_one_channel_ends_the_session_on_all(server: TestedServer) -> None:
    first = server.client(security_mode=REQUIRED)
    second = second_channel(server, first, security_mode=REQUIRED)
    reply = second.log_on("anna", "wrong", again=True)
    assert (reply.status, reply.signed) == (NtStatus.LOGON_FAILURE, True)
    assert first.tree_connect("data", sign=False).status == NtStatus.USER_SESSION_DELETED


def test_two_channels_authenticate_again_at_the_same_time(server: TestedServer) -> None:
    first = server.client()
    second = second_channel(server, first)
    session_id = session_of(first).session_id
    first_ntlm, second_ntlm = NtlmInitiator("anna", PASSWORD), NtlmInitiator("anna", PASSWORD)
    first_asked = first.session_setup(first_ntlm.negotiate(), session_id)
    second_asked = second.session_setup(second_ntlm.negotiate(), session_id)
    for client, ntlm, asked in (first, first_ntlm, first_asked), (second, second_ntlm, second_asked):
        challenge = asked.expect(SessionSetupResponse, NtStatus.MORE_PROCESSING_REQUIRED).security_buffer
        assert client.session_setup(ntlm.authenticate(bytes(challenge)), session_id).status == NtStatus.SUCCESS
    for client in first, second:
        client.put("file", DATA)


def test_an_expired_session_is_not_bound_and_wakes_up_on_all_channels_at_once(make_server: MakeServer) -> None:
    server = make_server(session_lifetime_s=60.0)
    first = server.client()
    second = second_channel(server, first)
    first.put("file", DATA)
    file_id = first.open("file")
    server.advance(61.0)
    for client in first, second:
        assert client.read(file_id, 0, 1).status == NtStatus.NETWORK_SESSION_EXPIRED
    third = connected(server)
    assert third.bind(session_of(first), "anna", PASSWORD).status == NtStatus.NETWORK_SESSION_EXPIRED
    assert second.log_on("anna", PASSWORD, again=True).status == NtStatus.SUCCESS
    for client in first, second:
        assert client.read(file_id, 0, 5000).expect(ReadResponse).data == DATA[:5000]
