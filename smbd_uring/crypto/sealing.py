"""Encrypting what the server sends and opening what clients send.

Knows: the ciphers and the transform header ([MS-SMB2] 2.2.41).  Must not know: which session a frame is for,
or who must encrypt.

What is here is complete and made to be read; its native twin, several times as fast, is taken where it is built.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM

from smbd_uring import _native
from smbd_uring.ports import Buffer
from smbd_uring.wire.const import CipherId

TRANSFORM_BYTES: Final = 52
TAG_BYTES: Final = 16
COUNTER_BYTES: Final = 8
COUNTER_END: Final = 1 << (8 * COUNTER_BYTES)
ENCRYPTED: Final = 1
"""The only value of Flags, which 3.0 calls EncryptionAlgorithm."""

_PROTOCOL_ID: Final = b"\xfdSMB"
_AUTHENTICATED: Final = struct.Struct("<16sIHHQ")
"""What the tag covers beside the message: Nonce, OriginalMessageSize, Reserved, Flags, SessionId."""
_AUTHENTICATED_OFFSET: Final = 20
_SIGNATURE_OFFSET: Final = 4

_NONCE_BYTES: Final = {
    CipherId.AES_128_CCM: 11,
    CipherId.AES_128_GCM: 12,
    CipherId.AES_256_CCM: 11,
    CipherId.AES_256_GCM: 12,
}
_KEY_BYTES: Final = {
    CipherId.AES_128_CCM: 16,
    CipherId.AES_128_GCM: 16,
    CipherId.AES_256_CCM: 32,
    CipherId.AES_256_GCM: 32,
}


class SealingError(Exception):
    """A frame that does not open, or a sealer that has used up its nonces; either ends the connection."""


class Sealer(Protocol):
    """Seals messages with one key, each under a nonce of its own.  Made by `make_sealer`.

    A nonce is an 8-byte counter followed by as much of the nonce prefix as fits (4 bytes with GCM, 3 with CCM):
    the counter never repeats for this sealer, the prefix keeps two sealers of one key apart.
    """

    def seal(self, segments: Sequence[Buffer], session_id: int) -> list[Buffer]:
        """[MS-SMB2] 3.1.4.3: the transform header and the sealed message, which is `segments` one after the
        other.

        SealingError once every nonce was used.
        """
        ...


class Opener(Protocol):
    """Opens what a peer sealed with one key.  Made by `make_opener`."""

    def open(self, frame: memoryview) -> memoryview:
        """[MS-SMB2] 3.3.5.2.1.1: the message inside a frame that begins with its transform header.

        SealingError for anything that is not exactly one sealed message under this key.
        """
        ...


def make_sealer(cipher: int, key: bytes, nonce_prefix: bytes) -> Sealer:
    """`cipher` is a CipherId, `key` has 16 or 32 bytes to suit it, `nonce_prefix` at least 4 random ones.

    ValueError for a cipher there is not.
    """
    known = CipherId(cipher)
    if _native.Sealer is not None:
        return _native.Sealer(known, key, nonce_prefix, SealingError)
    return PythonSealer(known, key, nonce_prefix)


def make_opener(cipher: int, key: bytes) -> Opener:
    """`cipher` is a CipherId, `key` has 16 or 32 bytes to suit it.  ValueError for a cipher there is not."""
    known = CipherId(cipher)
    if _native.Opener is not None:
        return _native.Opener(known, key, SealingError)
    return PythonOpener(known, key)


class PythonSealer:
    """A Sealer over `cryptography`."""

    __slots__ = ("_aead", "_counter", "_nonce_bytes", "_nonce_prefix")

    def __init__(self, cipher: int, key: bytes, nonce_prefix: bytes) -> None:
        """See `make_sealer`."""
        self._aead = _aead(cipher, key)
        self._nonce_bytes = _NONCE_BYTES[CipherId(cipher)]
        prefix_bytes = self._nonce_bytes - COUNTER_BYTES
        assert len(nonce_prefix) >= prefix_bytes
        self._nonce_prefix = nonce_prefix[:prefix_bytes]
        self._counter = 0

    def seal(self, segments: Sequence[Buffer], session_id: int) -> list[Buffer]:
        """See Sealer."""
        if self._counter == COUNTER_END:
            raise SealingError("every nonce of this key was used")
        nonce = self._counter.to_bytes(COUNTER_BYTES, "little") + self._nonce_prefix
        self._counter += 1
        message = segments[0] if len(segments) == 1 else b"".join(segments)
        authenticated = _AUTHENTICATED.pack(nonce, len(message), 0, ENCRYPTED, session_id)
        sealed = memoryview(self._aead.encrypt(nonce, message, authenticated))
        tag = bytes(sealed[-TAG_BYTES:])
        return [_PROTOCOL_ID + tag + authenticated, sealed[:-TAG_BYTES]]


class PythonOpener:
    """An Opener over `cryptography`."""

    __slots__ = ("_aead", "_nonce_bytes")

    def __init__(self, cipher: int, key: bytes) -> None:
        """See `make_opener`."""
        self._aead = _aead(cipher, key)
        self._nonce_bytes = _NONCE_BYTES[CipherId(cipher)]

    def open(self, frame: memoryview) -> memoryview:
        """See Opener."""
        if len(frame) <= TRANSFORM_BYTES or bytes(frame[:_SIGNATURE_OFFSET]) != _PROTOCOL_ID:
            raise SealingError("not a transform header with a message behind it")
        nonce, size, _, flags, _ = _AUTHENTICATED.unpack_from(frame, _AUTHENTICATED_OFFSET)
        if size != len(frame) - TRANSFORM_BYTES:
            raise SealingError("OriginalMessageSize is not the message's size")
        if flags != ENCRYPTED:
            raise SealingError("a transform that is no encryption")
        sealed = b"".join((frame[TRANSFORM_BYTES:], frame[_SIGNATURE_OFFSET:_AUTHENTICATED_OFFSET]))
        authenticated = frame[_AUTHENTICATED_OFFSET:TRANSFORM_BYTES]
        try:
            return memoryview(self._aead.decrypt(nonce[: self._nonce_bytes], sealed, authenticated))
        except InvalidTag:
            raise SealingError("the tag does not fit the message") from None


def _aead(cipher: int, key: bytes) -> AESCCM | AESGCM:
    """ValueError for a cipher there is not."""
    known = CipherId(cipher)
    assert len(key) == _KEY_BYTES[known]
    if known in (CipherId.AES_128_GCM, CipherId.AES_256_GCM):
        return AESGCM(key)
    return AESCCM(key, tag_length=TAG_BYTES)
