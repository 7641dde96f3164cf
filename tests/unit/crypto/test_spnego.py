"""SPNEGO as RFC 4178 has it: who offers what, which mechanism is picked, and when the list must be proved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spnego._spnego import NegTokenInit, NegTokenResp, unpack_token

from smbd_uring.crypto.der import (
    APPLICATION_0,
    ENUMERATED,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    context,
    encode,
)
from smbd_uring.crypto.spnego import (
    MECHANISMS_MAX,
    NTLMSSP_OID,
    SPNEGO_OID,
    NegState,
    SpnegoAcceptor,
    SpnegoError,
    initial_token,
    is_raw_ntlmssp,
)
from tests.support.ntlm_client import NtlmInitiator
from tests.support.spnego_client import KERBEROS, NTLMSSP, SpnegoInitiator
from tests.unit.crypto import windows_handshake as windows

NTLM_DOTTED = "1.3.6.1.4.1.311.2.2.10"
KERBEROS_DOTTED = "1.2.840.113554.1.2.2"


def first_token(*mechanisms: bytes) -> memoryview:
    return memoryview(SpnegoInitiator(NtlmInitiator("alice"), mechanisms).first())


def response(*fields: bytes) -> memoryview:
    return memoryview(encode(context(1), encode(SEQUENCE, *fields)))


def negotiating() -> SpnegoAcceptor:
    """An acceptor that has picked NTLM and sent its challenge."""
    acceptor = SpnegoAcceptor()
    acceptor.step(first_token(NTLMSSP))
    acceptor.challenge(b"challenge")
    return acceptor


# --- what the server says -----------------------------------------------------------------------------------


def test_the_initial_token_offers_ntlm_and_hints_nothing() -> None:
    assert initial_token().hex() == (
        "604806062b0601050502a03e303ca00e300c060a2b06010401823702020a"
        "a32a3028a0261b246e6f745f646566696e65645f696e5f5246433431373840706c656173655f69676e6f7265"
    )


def test_pyspnego_reads_the_initial_token() -> None:
    theirs = unpack_token(initial_token((KERBEROS, NTLMSSP_OID)))
    assert isinstance(theirs, NegTokenInit)
    assert theirs.mech_types == [KERBEROS_DOTTED, NTLM_DOTTED]
    assert theirs.hint_name == b"not_defined_in_RFC4178@please_ignore"


def test_windows_words_its_answers_the_same() -> None:
    token = memoryview(windows.FIRST_REQUEST)[88:]
    acceptor = SpnegoAcceptor()
    step = acceptor.step(token)
    assert step.mechanism_token is not None
    assert bytes(step.mechanism_token[:8]) == b"NTLMSSP\0"
    theirs = windows.FIRST_RESPONSE[72:]
    assert acceptor.challenge(theirs[theirs.index(b"NTLMSSP\0") :]) == theirs
    step = acceptor.step(memoryview(windows.LAST_REQUEST)[88:])
    assert step.mech_list_mic is not None
    assert step.mech_list_mic.hex().upper() == "0100000063775A9A5FD97F0600000000"
    final = windows.LAST_RESPONSE[72:]
    assert acceptor.accept(final[-16:]) == final


def test_pyspnego_reads_the_answers() -> None:
    acceptor = SpnegoAcceptor()
    acceptor.step(first_token(NTLMSSP))
    first = unpack_token(acceptor.challenge(b"challenge"))
    assert isinstance(first, NegTokenResp)
    assert first.supported_mech == NTLM_DOTTED
    assert first.neg_state == NegState.ACCEPT_INCOMPLETE
    assert first.response_token == b"challenge"
    last = unpack_token(acceptor.accept(None))
    assert last.neg_state == NegState.ACCEPT_COMPLETED
    assert last.supported_mech is None, "said once is enough"
    assert last.mech_list_mic is None


def test_a_refusal_is_worded() -> None:
    assert unpack_token(SpnegoAcceptor().reject()).neg_state == NegState.REJECT


# --- which mechanism ----------------------------------------------------------------------------------------


def test_the_clients_favourite_is_picked_and_its_token_taken() -> None:
    acceptor = SpnegoAcceptor()
    step = acceptor.step(first_token(NTLMSSP, KERBEROS))
    assert step.mechanism == NTLMSSP_OID
    assert step.mechanism_token is not None
    assert not acceptor.mic_required
    assert acceptor.mech_types == encode(
        SEQUENCE, encode(OBJECT_IDENTIFIER, NTLMSSP), encode(OBJECT_IDENTIFIER, KERBEROS)
    )


def test_an_optimistic_token_for_another_mechanism_is_left_and_a_mic_asked_for() -> None:
    acceptor = SpnegoAcceptor()
    step = acceptor.step(first_token(KERBEROS, NTLMSSP))
    assert step.mechanism == NTLMSSP_OID
    assert step.mechanism_token is None
    assert acceptor.mic_required
    first = unpack_token(acceptor.challenge(None))
    assert first.neg_state == NegState.REQUEST_MIC
    assert first.supported_mech == NTLM_DOTTED
    acceptor.step(response(encode(context(2), encode(OCTET_STRING, b"negotiate"))))
    assert unpack_token(acceptor.challenge(b"challenge")).neg_state == NegState.ACCEPT_INCOMPLETE


def test_no_mechanism_in_common_is_an_error() -> None:
    with pytest.raises(SpnegoError, match="common"):
        SpnegoAcceptor().step(first_token(KERBEROS))


# --- tokens that are not ------------------------------------------------------------------------------------


def initial(*fields: bytes, oid: bytes = SPNEGO_OID) -> memoryview:
    body = encode(context(0), encode(SEQUENCE, *fields))
    return memoryview(encode(APPLICATION_0, encode(OBJECT_IDENTIFIER, oid), body))


NTLM_ONLY = encode(context(0), encode(SEQUENCE, encode(OBJECT_IDENTIFIER, NTLMSSP)))


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(memoryview(b""), id="empty"),
        pytest.param(memoryview(b"NTLMSSP\0"), id="raw NTLM"),
        pytest.param(response(), id="a response first"),
        pytest.param(initial(NTLM_ONLY, oid=KERBEROS), id="another GSS mechanism"),
        pytest.param(initial(), id="no mechanisms"),
        pytest.param(initial(encode(context(0), encode(SEQUENCE))), id="an empty list"),
        pytest.param(
            initial(
                encode(
                    context(0),
                    encode(SEQUENCE, *[encode(OBJECT_IDENTIFIER, NTLMSSP)] * (MECHANISMS_MAX + 1)),
                )
            ),
            id="too many mechanisms",
        ),
        pytest.param(initial(NTLM_ONLY, NTLM_ONLY), id="a field twice"),
        pytest.param(initial(NTLM_ONLY, encode(context(2), b"\x05\0")), id="a token that is no string"),
    ],
)
def test_a_first_token_that_is_none_is_refused(token: memoryview) -> None:
    with pytest.raises(SpnegoError):
        SpnegoAcceptor().step(token)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(first_token(NTLMSSP), id="a first token again"),
        pytest.param(response(encode(context(0), encode(ENUMERATED, b"\2"))), id="rejected"),
        pytest.param(response(encode(context(0), encode(ENUMERATED, b"\0\0"))), id="a state of two bytes"),
        pytest.param(response(encode(context(0), encode(OCTET_STRING, b"\0"))), id="a state that is none"),
        pytest.param(
            response(encode(context(1), encode(OBJECT_IDENTIFIER, KERBEROS))), id="another mechanism"
        ),
        pytest.param(memoryview(bytes(response()) + b"\0"), id="something behind"),
    ],
)
def test_a_later_token_that_is_none_is_refused(token: memoryview) -> None:
    with pytest.raises(SpnegoError):
        negotiating().step(token)


def test_raw_ntlm_is_told_from_spnego() -> None:
    assert is_raw_ntlmssp(NtlmInitiator("x").negotiate())
    assert not is_raw_ntlmssp(first_token(NTLMSSP))
    assert not is_raw_ntlmssp(b"NTLMSSP")
    assert not is_raw_ntlmssp(b"")


GOOD_FIRST = bytes(first_token(NTLMSSP, KERBEROS))
GOOD_LATER = bytes(windows.LAST_REQUEST[88:])


@given(data=st.data(), is_first=st.booleans())
def test_mutated_tokens_are_taken_or_refused(data: st.DataObject, is_first: bool) -> None:
    token = bytearray(GOOD_FIRST if is_first else GOOD_LATER)
    for position in data.draw(st.lists(st.integers(0, min(len(token), 60) - 1), max_size=5)):
        token[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(token)) | st.just(len(token)))
    acceptor = SpnegoAcceptor() if is_first else negotiating()
    try:
        acceptor.step(memoryview(token)[:cut])
    except SpnegoError:
        return
