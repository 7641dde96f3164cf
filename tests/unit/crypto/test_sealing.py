"""What is sealed opens again, here and in other implementations; anything else is refused."""

from __future__ import annotations

import uuid
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smbprotocol.connection import Connection, SMB2TransformHeader

from smbd_uring._native import _message_crypto
from smbd_uring.crypto.sealing import (
    COUNTER_END,
    TRANSFORM_BYTES,
    PythonSealer,
    SealingError,
    make_opener,
    make_sealer,
)
from smbd_uring.wire.const import CipherId, Dialect
from tests.unit.crypto.implementations import Implementation, each_implementation

SESSION_ID = 0x1122_3344_5566_7788
PREFIX = b"\xa1\xa2\xa3\xa4"
CIPHERS = list(CipherId)
KEYS = {cipher: bytes(range(32 if cipher >= CipherId.AES_256_CCM else 16)) for cipher in CIPHERS}

each_cipher = pytest.mark.parametrize("cipher", CIPHERS, ids=lambda cipher: cipher.name)


def sealed(implementation: Implementation, cipher: CipherId, message: bytes) -> bytes:
    """One frame."""
    return b"".join(implementation.sealer(cipher, KEYS[cipher], PREFIX).seal([message], SESSION_ID))


def open_frame(implementation: Implementation, cipher: CipherId, frame: bytes | bytearray) -> bytes:
    """The message in a frame."""
    return bytes(implementation.opener(cipher, KEYS[cipher]).open(memoryview(frame)))


def smbprotocol_peer(cipher: CipherId) -> tuple[Connection, SimpleNamespace]:
    """smbprotocol's connection and session with the keys of a client of this server."""
    connection = Connection(uuid.UUID(int=0), "nowhere")
    connection.dialect = int(Dialect.SMB_3_1_1)
    connection.cipher_id = int(cipher)
    session = SimpleNamespace(session_id=SESSION_ID, encryption_key=KEYS[cipher], decryption_key=KEYS[cipher])
    connection.session_table[SESSION_ID] = session
    return connection, session


@each_implementation
@each_cipher
@given(message=st.binary(min_size=1, max_size=400))
def test_smbprotocol_opens_what_is_sealed_here(
    implementation: Implementation, cipher: CipherId, message: bytes
) -> None:
    connection, _ = smbprotocol_peer(cipher)
    header = SMB2TransformHeader()
    header.unpack(sealed(implementation, cipher, message))
    assert connection._decrypt(header) == message


@each_implementation
@each_cipher
@given(message=st.binary(min_size=1, max_size=400))
def test_what_smbprotocol_seals_opens_here(implementation: Implementation, cipher: CipherId, message: bytes) -> None:
    connection, session = smbprotocol_peer(cipher)
    assert open_frame(implementation, cipher, connection._encrypt(message, session).pack()) == message


@each_implementation
@each_cipher
def test_the_header_is_laid_out_as_specified(implementation: Implementation, cipher: CipherId) -> None:
    header, body = implementation.sealer(cipher, KEYS[cipher], PREFIX).seal([b"one", memoryview(b"two")], SESSION_ID)
    is_gcm = cipher in (CipherId.AES_128_GCM, CipherId.AES_256_GCM)
    nonce = bytes(8) + (PREFIX if is_gcm else PREFIX[:3])
    assert len(header) == TRANSFORM_BYTES
    assert header[:4] == b"\xfdSMB"
    assert header[20:36] == nonce.ljust(16, b"\0")
    assert header[36:52] == (6).to_bytes(4, "little") + b"\0\0\1\0" + SESSION_ID.to_bytes(8, "little")
    assert len(body) == 6
    assert open_frame(implementation, cipher, b"".join((header, body))) == b"onetwo"


@each_implementation
@each_cipher
def test_no_nonce_is_used_twice(implementation: Implementation, cipher: CipherId) -> None:
    sealer = implementation.sealer(cipher, KEYS[cipher], PREFIX)
    counters = [int.from_bytes(sealer.seal([b"x"], SESSION_ID)[0][20:28], "little") for _ in range(300)]
    assert counters == list(range(300))


def test_a_sealer_without_nonces_left_seals_nothing() -> None:
    cipher = CipherId.AES_128_GCM
    python = PythonSealer(cipher, KEYS[cipher], PREFIX)
    python._counter = COUNTER_END - 1
    native = _message_crypto.Sealer(cipher, KEYS[cipher], PREFIX, SealingError)
    native.counter = COUNTER_END - 1
    for sealer in (python, native):
        header, _ = sealer.seal([b"the last"], SESSION_ID)
        assert bytes(header[20:28]) == b"\xff" * 8
        with pytest.raises(SealingError, match="every nonce"):
            sealer.seal([b"one more"], SESSION_ID)


@each_implementation
@each_cipher
@given(message=st.binary(min_size=1, max_size=100), position=st.integers(0), mask=st.integers(1, 255))
def test_a_changed_byte_is_refused(
    implementation: Implementation, cipher: CipherId, message: bytes, position: int, mask: int
) -> None:
    frame = bytearray(sealed(implementation, cipher, message))
    frame[position % len(frame)] ^= mask
    with pytest.raises(SealingError):
        open_frame(implementation, cipher, frame)


@each_implementation
@each_cipher
def test_a_frame_cut_anywhere_is_refused(implementation: Implementation, cipher: CipherId) -> None:
    frame = sealed(implementation, cipher, b"some message")
    for length in range(len(frame)):
        with pytest.raises(SealingError):
            open_frame(implementation, cipher, frame[:length])


@each_implementation
@each_cipher
@given(frame=st.binary(max_size=120), with_magic=st.booleans())
def test_noise_is_refused(implementation: Implementation, cipher: CipherId, frame: bytes, with_magic: bool) -> None:
    with pytest.raises(SealingError):
        open_frame(implementation, cipher, (b"\xfdSMB" if with_magic else b"") + frame)


@each_implementation
@each_cipher
def test_a_frame_that_says_it_is_not_encrypted_is_refused(implementation: Implementation, cipher: CipherId) -> None:
    frame = bytearray(sealed(implementation, cipher, b"message"))
    frame[42:44] = b"\0\0"
    with pytest.raises(SealingError, match="no encryption"):
        open_frame(implementation, cipher, frame)


@each_implementation
@each_cipher
def test_another_key_opens_nothing(implementation: Implementation, cipher: CipherId) -> None:
    other = bytes(len(KEYS[cipher]))
    with pytest.raises(SealingError):
        implementation.opener(cipher, other).open(memoryview(sealed(implementation, cipher, b"message")))


@pytest.mark.parametrize("cipher", [0, 5])
def test_a_cipher_there_is_not_is_refused(cipher: int) -> None:
    with pytest.raises(ValueError, match=str(cipher)):
        make_sealer(cipher, bytes(16), PREFIX)
    with pytest.raises(ValueError, match=str(cipher)):
        make_opener(cipher, bytes(16))
