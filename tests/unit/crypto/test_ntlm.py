"""Given an account's NT hash, the acceptor lets in who knows the password, over an exchange nobody changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from impacket import ntlm as impacket_ntlm

from smbd_uring.crypto.ntlm import AuthenticateRequest, NtlmAcceptor
from smbd_uring.crypto.ntlm_keys import (
    NtlmSession,
    message_integrity_code,
    proof_v2,
    rc4,
    response_key_v2,
    session_base_key_v2,
)
from smbd_uring.crypto.ntlm_messages import NtlmError, decode_authenticate, decode_ntlm_v2_response
from tests.support import ntlm_client
from tests.support.ntlm_client import Misbehaviour, NtlmInitiator, nt_hash_of, read_target_info
from tests.unit.crypto import specified_ntlm as specified
from tests.unit.crypto import windows_handshake as windows

SERVER_CHALLENGE = bytes.fromhex("0123456789abcdef")
NOW = 0x01D0_AECB_ADF5_A1A1
NT_HASH = nt_hash_of("secret")


def acceptor() -> NtlmAcceptor:
    return NtlmAcceptor("SERVER", "WORKGROUP", "server.home", "home")


def exchange(client: NtlmInitiator) -> AuthenticateRequest:
    """Everything up to the client's claim."""
    server = acceptor()
    challenge = server.challenge(client.negotiate(), SERVER_CHALLENGE, NOW)
    return server.authenticate(memoryview(client.authenticate(challenge)))


# --- the specification's example and Windows' own exchange --------------------------------------------------


def test_the_specified_values_are_computed() -> None:
    response = decode_ntlm_v2_response(decode_authenticate(memoryview(specified.AUTHENTICATE)).nt_response)
    key = response_key_v2(specified.NT_HASH, specified.USER, specified.DOMAIN)
    assert key == specified.RESPONSE_KEY
    assert proof_v2(key, specified.SERVER_CHALLENGE, response.client_challenge) == specified.PROOF
    assert session_base_key_v2(key, specified.PROOF) == specified.SESSION_BASE_KEY
    assert rc4(specified.SESSION_BASE_KEY, specified.RANDOM_SESSION_KEY) == specified.ENCRYPTED_SESSION_KEY


def test_the_specified_client_is_let_in() -> None:
    server = NtlmAcceptor(specified.SERVER, specified.DOMAIN)
    negotiate = NtlmInitiator("unused", flags=0xE288_8237).negotiate()
    server.challenge(negotiate, specified.SERVER_CHALLENGE, NOW)
    request = server.authenticate(memoryview(specified.AUTHENTICATE))
    assert (request.user, request.domain, request.workstation) == ("User", "Domain", "COMPUTER")
    assert not request.carries_mic
    assert request.verify(specified.NT_HASH).session_key == specified.RANDOM_SESSION_KEY
    with pytest.raises(NtlmError, match="password"):
        request.verify(NT_HASH)


WINDOWS_KEY = bytes.fromhex("270E1BA896585EEB7AF3472D3B4C75A7")
WINDOWS_MECH_TYPES = bytes.fromhex("300c060a2b06010401823702020a")


def windows_messages() -> tuple[bytes, bytes, bytes]:
    """NEGOTIATE, CHALLENGE and AUTHENTICATE as Windows sent them."""
    magic = b"NTLMSSP\0"
    first, second, third = windows.FIRST_REQUEST, windows.FIRST_RESPONSE, windows.LAST_REQUEST
    authenticate = third[third.index(magic) : third.index(magic) + 0x1A6]
    return first[first.index(magic) :], second[second.index(magic) :], authenticate


def test_windows_mic_over_its_three_messages_is_computed() -> None:
    negotiate, challenge, authenticate = windows_messages()
    without_mic = authenticate[:72] + bytes(16) + authenticate[88:]
    mic = message_integrity_code(WINDOWS_KEY, negotiate, challenge, without_mic)
    assert mic == authenticate[72:88] == bytes.fromhex("ECAC77A5F385A8BF9C38C706EEEDDCD3")


def test_windows_mech_list_mics_are_computed() -> None:
    session = NtlmSession(0xE288_8215, WINDOWS_KEY)
    assert session.verify_mechlist(WINDOWS_MECH_TYPES, bytes.fromhex("0100000063775A9A5FD97F0600000000"))
    assert session.sign_mechlist(WINDOWS_MECH_TYPES).hex().upper() == "010000003B453CDC3524164200000000"
    assert not session.verify_mechlist(
        WINDOWS_MECH_TYPES, bytes.fromhex("010000003B453CDC3524164200000000")
    ), "the server's own MIC sent back to it"


def test_the_challenge_has_windows_flags_and_pairs() -> None:
    _, challenge, _ = windows_messages()
    negotiate, _, _ = windows_messages()
    ours = NtlmAcceptor("SUT311", "SUT311", "SUT311", "SUT311").challenge(negotiate, challenge[24:32], NOW)
    assert ours[:48] == challenge[:48]
    assert ours[56:] == challenge[56:]


# --- who is let in ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("domain", ["", "WORKGROUP", "SERVER", "workgroup", "Somewhere else", "."])
@pytest.mark.parametrize("user", ["alice", "ALICE", "Ålice Müller", "алиса", "爱丽丝", "😀"])
def test_the_right_password_lets_in_whatever_the_domain(user: str, domain: str) -> None:
    client = NtlmInitiator(user, "secret", domain)
    request = exchange(client)
    assert (request.user, request.domain, request.workstation) == (user, domain, "CLIENT")
    assert request.carries_mic
    assert request.target_name == "cifs/server"
    assert request.verify(NT_HASH).session_key == client.session_key


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(ntlm_client.USUAL_FLAGS & ~ntlm_client.KEY_EXCH, id="no key exchange"),
        pytest.param(ntlm_client.USUAL_FLAGS & ~ntlm_client.SIGN, id="neither sign nor seal"),
        pytest.param(ntlm_client.USUAL_FLAGS & ~ntlm_client.SIGN | ntlm_client.SEAL, id="seal alone"),
        pytest.param(ntlm_client.USUAL_FLAGS & ~ntlm_client.KEY_128, id="56 bits"),
        pytest.param(ntlm_client.UNICODE | ntlm_client.NTLM, id="as little as possible"),
    ],
)
def test_clients_that_ask_for_less_agree_on_the_key(flags: int) -> None:
    client = NtlmInitiator("alice", "secret", flags=flags)
    assert exchange(client).verify(NT_HASH).session_key == client.session_key


@pytest.mark.parametrize("allowed", [Misbehaviour.NO_MIC, Misbehaviour.DOMAIN_NOT_IN_KEY])
def test_what_old_clients_do_is_allowed(allowed: Misbehaviour) -> None:
    client = NtlmInitiator("alice", "secret", "HOME", misbehaviour=allowed)
    assert exchange(client).verify(NT_HASH).session_key == client.session_key


# --- who is not ---------------------------------------------------------------------------------------------


def test_a_wrong_password_is_refused() -> None:
    with pytest.raises(NtlmError, match="password"):
        exchange(NtlmInitiator("alice", "guess")).verify(NT_HASH)


@pytest.mark.parametrize(
    ("misbehaviour", "reason"),
    [
        (Misbehaviour.WRONG_MIC, "MIC"),
        (Misbehaviour.ZERO_MIC, "MIC"),
        (Misbehaviour.WRONG_PROOF, "password"),
        (Misbehaviour.NTLM_V1_RESPONSE, "NTLMv1"),
        (Misbehaviour.LM_ONLY, "no NT response"),
        (Misbehaviour.NO_CHARACTER_SET, "character set"),
        (Misbehaviour.OTHER_TIMESTAMP, "another challenge"),
        (Misbehaviour.NO_SESSION_KEY, "session key"),
    ],
)
def test_a_client_that_misbehaves_is_refused(misbehaviour: Misbehaviour, reason: str) -> None:
    with pytest.raises(NtlmError, match=reason):
        exchange(NtlmInitiator("alice", "secret", misbehaviour=misbehaviour)).verify(NT_HASH)


def test_the_answer_to_another_servers_challenge_is_refused() -> None:
    client = NtlmInitiator("alice", "secret")
    elsewhere = acceptor().challenge(client.negotiate(), bytes(8), NOW)
    here = acceptor()
    here.challenge(client.negotiate(), SERVER_CHALLENGE, NOW)
    request = here.authenticate(memoryview(client.authenticate(elsewhere)))
    with pytest.raises(NtlmError, match="password"):
        request.verify(NT_HASH)


@given(position=st.integers(0), mask=st.integers(1, 255))
def test_a_negotiate_message_changed_on_its_way_is_noticed(position: int, mask: int) -> None:
    client = NtlmInitiator("alice", "secret")
    changed = bytearray(client.negotiate())
    changed[position % len(changed)] ^= mask
    server = acceptor()
    with pytest.raises(NtlmError):
        challenge = server.challenge(bytes(changed), SERVER_CHALLENGE, NOW)
        server.authenticate(memoryview(client.authenticate(challenge))).verify(NT_HASH)


@given(position=st.integers(0), mask=st.integers(1, 255))
def test_an_authenticate_message_changed_on_its_way_is_noticed(position: int, mask: int) -> None:
    client = NtlmInitiator("alice", "secret")
    server = acceptor()
    changed = bytearray(client.authenticate(server.challenge(client.negotiate(), SERVER_CHALLENGE, NOW)))
    changed[position % len(changed)] ^= mask
    with pytest.raises(NtlmError):
        server.authenticate(memoryview(changed)).verify(NT_HASH)


# --- nobody -------------------------------------------------------------------------------------------------


def test_an_anonymous_client_is_recognised_and_proves_nothing() -> None:
    client = NtlmInitiator("")
    request = exchange(client)
    assert request.anonymous
    with pytest.raises(NtlmError, match="anonymous"):
        request.verify(NT_HASH)
    assert request.accept_anonymous().session_key == client.session_key


def test_somebody_cannot_be_accepted_as_nobody() -> None:
    with pytest.raises(NtlmError, match="not anonymous"):
        exchange(NtlmInitiator("alice", "secret")).accept_anonymous()


def test_a_response_without_a_user_is_neither() -> None:
    client = NtlmInitiator("alice", "secret")
    server = acceptor()
    message = bytearray(client.authenticate(server.challenge(client.negotiate(), SERVER_CHALLENGE, NOW)))
    message[36:38] = b"\0\0"
    with pytest.raises(NtlmError, match="without a user"):
        server.authenticate(memoryview(message))


# --- details ------------------------------------------------------------------------------------------------


def test_the_challenge_tells_names_and_time() -> None:
    challenge = acceptor().challenge(NtlmInitiator("x").negotiate(), SERVER_CHALLENGE, NOW)
    *names, time = read_target_info(challenge)
    assert [(key, value.decode("utf-16-le")) for key, value in names] == [
        (2, "WORKGROUP"), (1, "SERVER"), (4, "home"), (3, "server.home"),
    ]  # fmt: skip
    assert time == (7, NOW.to_bytes(8, "little"))


def test_names_that_are_not_known_are_not_told() -> None:
    server = NtlmAcceptor("SERVER", "WORKGROUP")
    challenge = server.challenge(NtlmInitiator("x").negotiate(), SERVER_CHALLENGE, NOW)
    assert [key for key, _ in read_target_info(challenge)] == [2, 1, 7]


@pytest.mark.parametrize(
    ("user", "upper"),
    [("alice", "ALICE"), ("straße", "STRAßE"), ("\u0131\u017f", "\u0131\u017f"), ("ÿé", "ŸÉ"), ("𐐨", "𐐨")],
)
def test_a_user_is_put_in_capitals_one_character_for_one(user: str, upper: str) -> None:
    assert response_key_v2(NT_HASH, user, "d") == response_key_v2(NT_HASH, upper, "d")


@given(st.text(st.characters(codec="ascii", min_codepoint=32), min_size=1, max_size=20), st.text(max_size=9))
def test_impacket_computes_the_same_response_key(user: str, domain: str) -> None:
    assert response_key_v2(NT_HASH, user, domain) == impacket_ntlm.NTOWFv2(user, "", domain, NT_HASH)


def test_without_extended_session_security_nothing_verifies() -> None:
    session = NtlmSession(ntlm_client.USUAL_FLAGS & ~ntlm_client.EXTENDED_SESSIONSECURITY, WINDOWS_KEY)
    assert not session.has_integrity
    assert not session.verify_mechlist(b"", bytes(16))
