"""A whole logon, raw and in SPNEGO, by our own client, pyspnego's and impacket's; and every way it can fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import spnego
from hypothesis import given
from hypothesis import strategies as st
from impacket import ntlm as impacket_ntlm
from impacket import spnego as impacket_spnego

from smbd_uring.crypto.authentication import (
    Authentication,
    AuthenticationFailed,
    Challenge,
    NeedAccount,
    Success,
)
from tests.support import ntlm_client
from tests.support.ntlm_client import Misbehaviour, NtlmInitiator, nt_hash_of
from tests.support.spnego_client import KERBEROS, NTLMSSP, SpnegoInitiator, read_response

SERVER_CHALLENGE = bytes.fromhex("0123456789abcdef")
NOW = 0x01D0_AECB_ADF5_A1A1
USER, PASSWORD, DOMAIN = "alice", "secret", "WORKGROUP"
NT_HASH = nt_hash_of(PASSWORD)
NO_KEY = bytes(16)


@dataclass
class Dialogue:
    """What a client says, whoever it is: its first blob, its answer to a challenge, its end."""

    first: Callable[[], bytes]
    answer: Callable[[bytes], bytes]
    finish: Callable[[bytes], None]
    session_key: Callable[[], bytes]


def raw(ntlm: NtlmInitiator) -> Dialogue:
    """Our client without SPNEGO."""

    def finish(token: bytes) -> None:
        assert token == b""

    return Dialogue(ntlm.negotiate, ntlm.authenticate, finish, lambda: ntlm.session_key)


def wrapped(client: SpnegoInitiator) -> Dialogue:
    """Our client in SPNEGO."""
    return Dialogue(client.first, client.answer, client.finish, lambda: client.ntlm.session_key)


def begin() -> Authentication:
    return Authentication("SERVER", "WORKGROUP", "server.home", "home")


def claim(authentication: Authentication, client: Dialogue) -> NeedAccount:
    """Run the dialogue up to the question for the account."""
    step = authentication.step(memoryview(client.first()), SERVER_CHALLENGE, NOW)
    while isinstance(step, Challenge):
        step = authentication.step(memoryview(client.answer(step.token)), SERVER_CHALLENGE, NOW)
    return step


def log_on(client: Dialogue, nt_hash: bytes | None = NT_HASH) -> Success:
    """The whole logon of alice, and what both sides must agree on."""
    authentication = begin()
    assert claim(authentication, client) == NeedAccount(USER, DOMAIN, anonymous=False)
    success = authentication.finish(nt_hash)
    client.finish(success.token)
    assert success.session_key == client.session_key()
    assert (success.user, success.domain, success.anonymous) == (USER, DOMAIN, False)
    return success


# --- who knows the password --------------------------------------------------------------------------------


def test_a_raw_client_logs_on() -> None:
    log_on(raw(NtlmInitiator(USER, PASSWORD, DOMAIN)))


@pytest.mark.parametrize(
    "mechanisms",
    [
        pytest.param((NTLMSSP,), id="NTLM"),
        pytest.param((NTLMSSP, KERBEROS), id="NTLM first"),
        pytest.param((KERBEROS, NTLMSSP), id="Kerberos first"),
    ],
)
def test_a_client_in_spnego_logs_on(mechanisms: tuple[bytes, ...]) -> None:
    client = SpnegoInitiator(NtlmInitiator(USER, PASSWORD, DOMAIN), mechanisms)
    log_on(wrapped(client))
    assert client.is_complete


def test_a_client_that_first_only_lists_mechanisms_logs_on() -> None:
    ntlm = NtlmInitiator(USER, PASSWORD, DOMAIN)
    client = SpnegoInitiator(ntlm, (KERBEROS, NTLMSSP), foreign_token=None)
    log_on(wrapped(client))


def test_an_old_client_without_any_mic_logs_on() -> None:
    ntlm = NtlmInitiator(USER, PASSWORD, DOMAIN, misbehaviour=Misbehaviour.NO_MIC)
    log_on(wrapped(SpnegoInitiator(ntlm, sends_mic=False)))


# --- foreign clients ----------------------------------------------------------------------------------------


def pyspnego_client(protocol: str, password: str = PASSWORD) -> Dialogue:
    context = spnego.client(
        rf"{DOMAIN}\{USER}", password, hostname="server", service="cifs", protocol=protocol,
        options=spnego.NegotiateOptions.use_ntlm | spnego.NegotiateOptions.use_negotiate
        if protocol == "negotiate" else spnego.NegotiateOptions.use_ntlm,
    )  # fmt: skip

    def answer(token: bytes) -> bytes:
        blob = context.step(token)
        assert blob is not None
        return blob

    def finish(token: bytes) -> None:
        if token:
            context.step(token)
        assert context.complete

    return Dialogue(lambda: context.step() or b"", answer, finish, lambda: context.session_key)


@pytest.mark.parametrize("protocol", ["ntlm", "negotiate"])
def test_pyspnego_logs_on(protocol: str) -> None:
    success = log_on(pyspnego_client(protocol))
    assert bool(success.token) == (protocol == "negotiate")


@pytest.mark.parametrize("protocol", ["ntlm", "negotiate"])
def test_pyspnego_with_a_wrong_password_does_not(protocol: str) -> None:
    with pytest.raises(AuthenticationFailed, match="password"):
        log_on(pyspnego_client(protocol, "guess"))


def impacket_client(in_spnego: bool) -> Dialogue:
    negotiate = impacket_ntlm.getNTLMSSPType1("PC", DOMAIN, signingRequired=True, use_ntlmv2=True)
    key = b""

    def authenticate(challenge: bytes) -> bytes:
        nonlocal key
        message, key = impacket_ntlm.getNTLMSSPType3(negotiate, challenge, USER, PASSWORD, DOMAIN)
        return bytes(message.getData())

    def first() -> bytes:
        if not in_spnego:
            return bytes(negotiate.getData())
        blob = impacket_spnego.SPNEGO_NegTokenInit()
        blob["MechTypes"] = [impacket_spnego.TypesMech["NTLMSSP - Microsoft NTLM Security Support Provider"]]
        blob["MechToken"] = negotiate.getData()
        return bytes(blob.getData())

    def answer(token: bytes) -> bytes:
        if not in_spnego:
            return authenticate(token)
        blob = impacket_spnego.SPNEGO_NegTokenResp()
        blob["ResponseToken"] = authenticate(impacket_spnego.SPNEGO_NegTokenResp(token)["ResponseToken"])
        return bytes(blob.getData())

    def finish(token: bytes) -> None:
        assert (read_response(token).keys() == {0}) if in_spnego else (token == b"")

    return Dialogue(first, answer, finish, lambda: key)


@pytest.mark.parametrize("in_spnego", [False, True])
def test_impacket_logs_on(in_spnego: bool) -> None:
    log_on(impacket_client(in_spnego))


# --- who does not -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [raw, lambda ntlm: wrapped(SpnegoInitiator(ntlm))], ids=["raw", "SPNEGO"])
@pytest.mark.parametrize(
    "misbehaviour",
    [
        Misbehaviour.WRONG_MIC,
        Misbehaviour.ZERO_MIC,
        Misbehaviour.WRONG_PROOF,
        Misbehaviour.NTLM_V1_RESPONSE,
        Misbehaviour.LM_ONLY,
        Misbehaviour.NO_CHARACTER_SET,
        Misbehaviour.OTHER_TIMESTAMP,
        Misbehaviour.NO_SESSION_KEY,
    ],
)
def test_a_client_that_misbehaves_is_refused(
    wrap: Callable[[NtlmInitiator], Dialogue], misbehaviour: Misbehaviour
) -> None:
    with pytest.raises(AuthenticationFailed):
        log_on(wrap(NtlmInitiator(USER, PASSWORD, DOMAIN, misbehaviour=misbehaviour)))


def test_an_account_that_is_not_there_is_refused_like_a_wrong_password() -> None:
    with pytest.raises(AuthenticationFailed):
        log_on(raw(NtlmInitiator(USER, PASSWORD, DOMAIN)), nt_hash=None)


@pytest.mark.parametrize("nt_hash", [None, b"", bytes(15), bytes(17)])
def test_knowing_the_stand_in_hash_of_missing_accounts_helps_nobody(nt_hash: bytes | None) -> None:
    with pytest.raises(AuthenticationFailed, match="no such account"):
        log_on(raw(NtlmInitiator(USER, domain=DOMAIN, nt_hash=bytes(16))), nt_hash=nt_hash)


def test_a_wrong_mech_list_mic_is_refused() -> None:
    with pytest.raises(AuthenticationFailed, match="mechListMIC"):
        log_on(wrapped(SpnegoInitiator(NtlmInitiator(USER, PASSWORD, DOMAIN), wrong_mic=True)))


def test_a_client_that_protects_its_messages_must_protect_the_list() -> None:
    with pytest.raises(AuthenticationFailed, match="no mechListMIC"):
        log_on(wrapped(SpnegoInitiator(NtlmInitiator(USER, PASSWORD, DOMAIN), sends_mic=False)))


def test_a_client_whose_favourite_was_not_taken_must_protect_the_list() -> None:
    ntlm = NtlmInitiator(USER, PASSWORD, DOMAIN, misbehaviour=Misbehaviour.NO_MIC)
    with pytest.raises(AuthenticationFailed, match="no mechListMIC"):
        log_on(wrapped(SpnegoInitiator(ntlm, (KERBEROS, NTLMSSP), sends_mic=False)))


def test_a_list_shortened_on_its_way_is_noticed() -> None:
    client = SpnegoInitiator(NtlmInitiator(USER, PASSWORD, DOMAIN), (NTLMSSP, KERBEROS))
    without_kerberos = SpnegoInitiator(client.ntlm, (NTLMSSP,)).first
    with pytest.raises(AuthenticationFailed, match="mechListMIC"):
        client.first()
        log_on(Dialogue(without_kerberos, client.answer, client.finish, lambda: client.ntlm.session_key))


def test_without_signing_a_mech_list_mic_proves_nothing() -> None:
    ntlm = NtlmInitiator(USER, PASSWORD, DOMAIN, flags=ntlm_client.USUAL_FLAGS & ~ntlm_client.SIGN)
    with pytest.raises(AuthenticationFailed, match="mechListMIC"):
        log_on(wrapped(SpnegoInitiator(ntlm)))


# --- nobody and guests --------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [raw, lambda ntlm: wrapped(SpnegoInitiator(ntlm))], ids=["raw", "SPNEGO"])
def test_an_anonymous_client_is_let_in_as_nobody(wrap: Callable[[NtlmInitiator], Dialogue]) -> None:
    client = wrap(NtlmInitiator(""))
    authentication = begin()
    assert claim(authentication, client) == NeedAccount("", "", anonymous=True)
    success = authentication.finish_anonymous()
    client.finish(success.token)
    assert success.anonymous
    assert success.session_key == NO_KEY


def test_an_anonymous_client_proves_nothing() -> None:
    authentication = begin()
    claim(authentication, raw(NtlmInitiator("")))
    with pytest.raises(AuthenticationFailed):
        authentication.finish(NT_HASH)


def test_somebody_is_not_let_in_as_nobody() -> None:
    authentication = begin()
    claim(authentication, raw(NtlmInitiator(USER, PASSWORD, DOMAIN)))
    with pytest.raises(AuthenticationFailed, match="not anonymous"):
        authentication.finish_anonymous()


def test_a_guest_needs_no_password_and_gets_no_key() -> None:
    authentication = begin()
    client = wrapped(SpnegoInitiator(NtlmInitiator("whoever", "whatever")))
    claim(authentication, client)
    success = authentication.finish_guest()
    assert read_response(success.token).keys() == {0}
    assert (success.session_key, success.user, success.anonymous) == (NO_KEY, "whoever", False)


# --- order --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "finish", [lambda a: a.finish(NT_HASH), Authentication.finish_anonymous, Authentication.finish_guest]
)
def test_nobody_is_let_in_before_saying_who_it_is(finish: Callable[[Authentication], Success]) -> None:
    with pytest.raises(AuthenticationFailed):
        finish(begin())
    authentication = begin()
    authentication.step(memoryview(NtlmInitiator(USER).negotiate()), SERVER_CHALLENGE, NOW)
    with pytest.raises(AuthenticationFailed):
        finish(authentication)


def test_an_attempt_succeeds_once() -> None:
    authentication = begin()
    client = raw(NtlmInitiator(USER, PASSWORD, DOMAIN))
    claim(authentication, client)
    authentication.finish(NT_HASH)
    with pytest.raises(AuthenticationFailed):
        authentication.finish(NT_HASH)
    with pytest.raises(AuthenticationFailed):
        authentication.step(memoryview(client.first()), SERVER_CHALLENGE, NOW)


def test_an_attempt_fails_for_good() -> None:
    authentication = begin()
    claim(authentication, raw(NtlmInitiator(USER, "guess", DOMAIN)))
    with pytest.raises(AuthenticationFailed):
        authentication.finish(NT_HASH)
    with pytest.raises(AuthenticationFailed):
        authentication.finish_guest()


def test_a_later_token_must_bring_something() -> None:
    authentication = begin()
    client = SpnegoInitiator(NtlmInitiator(USER, PASSWORD), (KERBEROS, NTLMSSP))
    authentication.step(memoryview(client.first()), SERVER_CHALLENGE, NOW)
    with pytest.raises(AuthenticationFailed, match="nothing"):
        authentication.step(memoryview(bytes.fromhex("a1023000")), SERVER_CHALLENGE, NOW)


def test_nothing_secret_shows_when_printed() -> None:
    success = log_on(wrapped(SpnegoInitiator(NtlmInitiator(USER, PASSWORD, DOMAIN))))
    assert repr(success) == "Success(user='alice', domain='WORKGROUP', anonymous=False)"


# --- strangers ----------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=80) | st.binary(max_size=40).map(b"NTLMSSP\0\1\0\0\0".__add__), max_size=4))
def test_noise_is_challenged_or_refused(tokens: list[bytes]) -> None:
    authentication = begin()
    for token in tokens:
        try:
            step = authentication.step(memoryview(token), SERVER_CHALLENGE, NOW)
        except AuthenticationFailed:
            continue
        assert isinstance(step, Challenge)


@pytest.mark.parametrize("in_spnego", [False, True])
@given(data=st.data())
def test_mutated_tokens_never_raise_anything_else(in_spnego: bool, data: st.DataObject) -> None:
    ntlm = NtlmInitiator(USER, PASSWORD, DOMAIN)
    client = wrapped(SpnegoInitiator(ntlm)) if in_spnego else raw(ntlm)

    def mutate(token: bytes) -> memoryview:
        changed = bytearray(token)
        for position in data.draw(st.lists(st.integers(0, len(token) - 1), max_size=3)):
            changed[position] = data.draw(st.integers(0, 255))
        return memoryview(changed)

    authentication = begin()
    try:
        step = authentication.step(mutate(client.first()), SERVER_CHALLENGE, NOW)
        if isinstance(step, Challenge) and b"NTLMSSP\0" in step.token:
            step = authentication.step(mutate(client.answer(step.token)), SERVER_CHALLENGE, NOW)
        if isinstance(step, NeedAccount):
            success = authentication.finish(NT_HASH)
            assert success.session_key == ntlm.session_key
    except AuthenticationFailed:
        return
