"""Given messages in any segments, native code signs and seals as its Python twin does, in place too."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbd_uring.crypto.sealing import TRANSFORM_BYTES, PythonOpener, PythonSealer
from smbd_uring.crypto.signing import HEADER_BYTES, SIGNATURE_OFFSET, make_python_signer
from smbd_uring.wire.const import CipherId, SigningAlgorithm
from tests.unit.native import native_crypto as native
from tests.unit.native.native_crypto import Memory

KEY = bytes(range(32))
LENGTHS = st.one_of(st.integers(0, 300), st.integers(0, 100 * 1024), st.sampled_from([4096, 4111, 65536]))
each_algorithm = pytest.mark.parametrize("algorithm", list(SigningAlgorithm), ids=lambda number: number.name)
each_cipher = pytest.mark.parametrize("cipher", list(CipherId), ids=lambda number: number.name)


@contextmanager
def signing_key(algorithm: int) -> Iterator[int]:
    key = native.signing_key_new(algorithm, KEY[:16])
    assert key
    yield key
    native.signing_key_free(key)


@contextmanager
def sealing_key(cipher: CipherId, seals: bool) -> Iterator[int]:
    key = native.sealing_key_new(cipher, key_of(cipher), seals)
    assert key
    yield key
    native.sealing_key_free(key)


def key_of(cipher: CipherId) -> bytes:
    return KEY if cipher in (CipherId.AES_256_CCM, CipherId.AES_256_GCM) else KEY[:16]


def message_of(length: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(length)


def cuts_in(first: int, last: int, seed: int) -> list[int]:
    """Where to cut; now and then twice at the same place."""
    chance = random.Random(seed)
    return [chance.randint(first, last) for _ in range(chance.randrange(8))]


def sign(key: int, memory: Memory, message_id: int, nonce_bits: int) -> bytes:
    signature = (ctypes.c_char * native.SIGNATURE_BYTES)()
    assert native.sign_message(key, memory.segments, memory.count, message_id, nonce_bits, signature) == 0
    return signature.raw


@each_algorithm
@given(
    bodies=st.lists(LENGTHS, min_size=1, max_size=3),
    seed=st.integers(0, 2**32),
    message_id=st.integers(0, 2**64 - 1),
    from_server=st.booleans(),
    is_cancel=st.booleans(),
)
def test_any_segments_have_the_twins_signature(
    algorithm: SigningAlgorithm, bodies: list[int], seed: int, message_id: int, from_server: bool, is_cancel: bool
) -> None:
    twin = make_python_signer(algorithm, KEY[:16])
    nonce_bits = from_server | is_cancel << 1
    with signing_key(algorithm) as key:
        for number, body in enumerate(bodies):  # one after the other under one key
            message = message_of(HEADER_BYTES + body, seed + number)
            unsigned = message[:SIGNATURE_OFFSET] + bytes(16) + message[HEADER_BYTES:]
            expected = twin.sign([unsigned], message_id, from_server, is_cancel)
            cuts = cuts_in(HEADER_BYTES, len(message), seed)
            memory = Memory(message, cuts)
            assert sign(key, memory, message_id, nonce_bits) == expected
            assert bytes(memory) == message
            right = Memory(message[:SIGNATURE_OFFSET] + expected + message[HEADER_BYTES:], cuts)
            assert native.verify_message(key, right.segments, right.count, message_id, nonce_bits) == 1


@each_algorithm
@given(body=st.integers(0, 200), bit=st.integers(0), cuts=st.lists(st.integers(HEADER_BYTES, 264), max_size=3))
def test_a_changed_bit_does_not_verify(
    algorithm: SigningAlgorithm, body: int, bit: int, cuts: list[int]
) -> None:
    message = bytearray(message_of(HEADER_BYTES + body, body))
    cuts = [min(cut, len(message)) for cut in cuts]
    with signing_key(algorithm) as key:
        message[SIGNATURE_OFFSET:HEADER_BYTES] = sign(key, Memory(bytes(message), cuts), 9, 0)
        message[bit // 8 % len(message)] ^= 1 << bit % 8
        wrong = Memory(bytes(message), cuts)
        assert native.verify_message(key, wrong.segments, wrong.count, 9, 0) == 0


@each_cipher
@given(lengths=st.lists(LENGTHS, min_size=1, max_size=3), seed=st.integers(0, 2**32), in_place=st.booleans())
def test_what_is_sealed_in_any_segments_opens_in_any(
    cipher: CipherId, lengths: list[int], seed: int, in_place: bool
) -> None:
    twin, twin_opener = PythonSealer(cipher, key_of(cipher), b"abcd"), PythonOpener(cipher, key_of(cipher))
    with sealing_key(cipher, True) as sealer, sealing_key(cipher, False) as opener:
        for number, length in enumerate(lengths):
            message = message_of(length, seed + number)
            header, expected = (bytes(part) for part in twin.seal([message], 7))
            memory = Memory(message, cuts_in(0, length, seed))
            sealed = memory if in_place else Memory(bytes(length))
            tag = (ctypes.c_char * native.TAG_BYTES)()
            nonce, authenticated = header[20:36], header[20:52]
            call = (nonce, authenticated, len(authenticated))
            assert native.seal_message(sealer, *call, memory.segments, memory.count, sealed.address, tag) == 0
            assert (bytes(sealed), tag.raw) == (expected, header[4:20])
            if message:  # a frame without a message is none
                assert twin_opener.open(memoryview(header + bytes(sealed))) == message
            memory = Memory(expected, cuts_in(0, length, seed + 1))
            opened = memory if in_place else Memory(bytes(length))
            assert native.open_message(opener, *call, memory.segments, memory.count, opened.address, tag) == 1
            assert bytes(opened) == message


@each_cipher
@given(length=st.integers(1, 200), bit=st.integers(0), in_place=st.booleans(), seed=st.integers(0, 1000))
def test_what_does_not_open_leaves_nothing_behind_and_the_next_message_opens(
    cipher: CipherId, length: int, bit: int, in_place: bool, seed: int
) -> None:
    twin = PythonSealer(cipher, key_of(cipher), b"abcd")
    with sealing_key(cipher, False) as opener:
        frame = bytearray(b"".join(twin.seal([message_of(length, 1)], 7)))
        position = 4 + bit // 8 % (len(frame) - 4)
        frame[position] ^= 1 << bit % 8
        good = b"".join(twin.seal([b"the next one"], 7))
        for sealed, expected in ((bytes(frame), 0), (good, 1)):
            body = sealed[TRANSFORM_BYTES:]
            memory = Memory(body, cuts_in(0, len(body), seed))
            into = memory if in_place else Memory(b"\xaa" * len(body))
            result = native.open_message(
                opener, sealed[20:36], sealed[20:52], 32, memory.segments, memory.count, into.address, sealed[4:20]
            )
            assert result == expected, f"byte {position}"
            assert bytes(into) == (b"the next one" if expected else bytes(len(body)))


@pytest.mark.parametrize("number", [-1, 3, 65536])
def test_there_is_no_key_for_an_algorithm_there_is_not(number: int) -> None:
    assert native.signing_key_new(number, KEY[:16]) is None


@pytest.mark.parametrize("number", [-1, 0, 5, 65536])
def test_there_is_no_key_for_a_cipher_there_is_not(number: int) -> None:
    assert native.sealing_key_new(number, KEY, True) is None


def test_no_key_is_freed_without_harm() -> None:
    native.signing_key_free(None)
    native.sealing_key_free(None)


def test_keys_that_come_and_go_take_no_memory() -> None:
    """100,000 keys; one that stayed would show with its contexts of a kilobyte and more."""
    memory = Memory(message_of(100, 0))
    process = psutil.Process()

    def come_and_go(times: int) -> int:
        for _ in range(times):
            for algorithm in SigningAlgorithm:
                with signing_key(algorithm) as key:
                    sign(key, memory, 0, 0)
            native.signing_key_new(7, KEY)
            for cipher in CipherId:
                with sealing_key(cipher, True):
                    pass
        return int(process.memory_info().rss)

    before = come_and_go(1_000)
    assert come_and_go(100_000 // 7) - before < 2 * 1024 * 1024
