"""Signatures are those of the standards, of Windows and of other clients; a changed bit is noticed."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smbprotocol.connection import Connection

from smbd_uring.crypto.signing import SIGNATURE_OFFSET, make_python_signer, make_signer
from smbd_uring.wire.const import Command, Dialect, SigningAlgorithm
from tests.unit.crypto import windows_handshake as windows
from tests.unit.crypto.implementations import NATIVE, Implementation, each_implementation

KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
ALGORITHMS = list(SigningAlgorithm)

RFC_4493_MESSAGE = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411 e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710"
)


def signed(
    implementation: Implementation,
    message: bytes,
    algorithm: int,
    message_id: int,
    from_server: bool,
    is_cancel: bool,
) -> memoryview:
    """`message` with its signature where it belongs."""
    unsigned = message[:48] + bytes(16) + message[64:]
    signature = implementation.signer(algorithm, KEY).sign([unsigned], message_id, from_server, is_cancel)
    return memoryview(unsigned[:48] + signature + unsigned[64:])


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (0, "bb1d6929e95937287fa37d129b756746"),
        (16, "070a16b46b4d4144f79bdd9dd04a287c"),
        (40, "dfa66747de9ae63030ca32611497c827"),
        (64, "51f0bebf7e3b9d92fc49741779363cfe"),
    ],
)
def test_cmac_is_rfc_4493s(length: int, expected: str) -> None:
    signer = make_python_signer(SigningAlgorithm.AES_CMAC, KEY)
    message = RFC_4493_MESSAGE[:length]
    assert signer.sign([message], 0, False, False).hex() == expected
    assert signer.sign([message[:7], memoryview(message)[7:]], 0, False, False).hex() == expected


@each_implementation
def test_windows_signature_of_a_session_setup_response_verifies(implementation: Implementation) -> None:
    signer = implementation.signer(SigningAlgorithm.AES_CMAC, bytes.fromhex("73FE7A9A77BEF0BDE49C650D8CCB5F76"))
    assert signer.verify(memoryview(windows.LAST_RESPONSE), 3, from_server=True, is_cancel=False)


@each_implementation
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("from_server", [False, True])
@pytest.mark.parametrize("command", [Command.READ, Command.CANCEL])
@given(message=st.binary(min_size=64, max_size=300), message_id=st.integers(0, 2**64 - 1))
def test_smbprotocol_signs_the_same(
    implementation: Implementation,
    algorithm: SigningAlgorithm,
    from_server: bool,
    command: Command,
    message: bytes,
    message_id: int,
) -> None:
    theirs = Connection(uuid.UUID(int=0), "nowhere")
    theirs.dialect = int(Dialect.SMB_3_1_1)
    theirs.signing_algorithm_id = int(algorithm)
    expected = theirs._generate_signature(message, KEY, message_id, from_server, int(command))
    segments = [message[:48], bytes(16), memoryview(message)[64:]]
    is_cancel = command == Command.CANCEL
    assert implementation.signer(algorithm, KEY).sign(segments, message_id, from_server, is_cancel) == expected


@each_implementation
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(message=st.binary(min_size=64, max_size=200), position=st.integers(0), mask=st.integers(1, 255))
def test_a_changed_byte_is_noticed(
    implementation: Implementation, algorithm: SigningAlgorithm, message: bytes, position: int, mask: int
) -> None:
    good = signed(implementation, message, algorithm, 7, False, False)
    assert implementation.signer(algorithm, KEY).verify(good, 7, False, False)
    bad = bytearray(good)
    bad[position % len(bad)] ^= mask
    assert not implementation.signer(algorithm, KEY).verify(memoryview(bad), 7, False, False)


@each_implementation
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_another_key_does_not_verify(implementation: Implementation, algorithm: SigningAlgorithm) -> None:
    good = signed(implementation, bytes(80), algorithm, 1, True, False)
    assert not implementation.signer(algorithm, bytes(16)).verify(good, 1, True, False)


@each_implementation
@pytest.mark.parametrize(
    ("message_id", "from_server", "is_cancel"), [(2, False, False), (1, True, False), (1, False, True)]
)
def test_gmac_depends_on_who_sends_what_under_which_id(
    implementation: Implementation, message_id: int, from_server: bool, is_cancel: bool
) -> None:
    good = signed(implementation, bytes(80), SigningAlgorithm.AES_GMAC, 1, False, False)
    assert not implementation.signer(SigningAlgorithm.AES_GMAC, KEY).verify(good, message_id, from_server, is_cancel)


@each_implementation
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("length", [0, SIGNATURE_OFFSET, 63])
def test_a_message_without_room_for_a_signature_does_not_verify(
    implementation: Implementation, algorithm: SigningAlgorithm, length: int
) -> None:
    assert not implementation.signer(algorithm, KEY).verify(memoryview(bytes(length)), 0, False, False)


def test_an_algorithm_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="3"):
        make_signer(3, KEY)


def test_the_native_signer_refuses_what_is_no_message_and_no_key() -> None:
    signer = NATIVE.signer(SigningAlgorithm.AES_GMAC, KEY)
    for segments in ([], [bytes(63)], [b""] * 70):
        with pytest.raises(ValueError, match="header"):
            signer.sign(segments, 1, False, False)
    for length in (0, 15, 17):
        with pytest.raises(ValueError, match=f"not {length}"):
            NATIVE.signer(SigningAlgorithm.AES_CMAC, bytes(length))
