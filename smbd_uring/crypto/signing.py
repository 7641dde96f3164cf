"""Signatures of SMB2 messages, one signer a channel.

Knows: the three algorithms and where a message keeps its signature.  Must not know: which messages are signed
(`engine.chain`), sessions, dialects.

What is here is complete and made to be read; its native twin, several times as fast, is taken where it is built.

A message is given in segments so that a reply's payload need not be copied behind its header.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final, Protocol

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM
from cryptography.hazmat.primitives.cmac import CMAC

from smbd_uring import _native
from smbd_uring.ports import Buffer
from smbd_uring.wire.const import SigningAlgorithm

HEADER_BYTES: Final = 64
SIGNATURE_OFFSET: Final = 48
SIGNATURE_BYTES: Final = 16
_ZERO_SIGNATURE: Final = bytes(SIGNATURE_BYTES)

NONCE_FROM_SERVER: Final = 1
NONCE_CANCEL: Final = 2
"""Bits of the last four bytes of the AES-GMAC nonce ([MS-SMB2] 3.1.4.1)."""


class Signer(Protocol):
    """Signs and verifies messages with one key ([MS-SMB2] 3.1.4.1, 3.1.5.1).  Made by `make_signer`."""

    def sign(self, segments: Sequence[Buffer], message_id: int, from_server: bool, is_cancel: bool) -> bytes:
        """The 16-byte signature of a message whose signature field is still zero.

        `segments` one after the other are the message, at least its header, padding of a compound included.
        With AES-GMAC a message id must be used for one message a direction only: two signatures under one nonce
        give the key away.
        """
        ...

    def verify(self, message: memoryview, message_id: int, from_server: bool, is_cancel: bool) -> bool:
        """Whether `message` carries the right signature at offset 48; compared in constant time."""
        ...


def make_signer(algorithm: int, key: bytes) -> Signer:
    """The signer of a channel: `algorithm` is a SigningAlgorithm, `key` has 16 bytes.

    ValueError for an algorithm there is not.
    """
    known = SigningAlgorithm(algorithm)
    if _native.Signer is not None:
        return _native.Signer(known, key)
    return make_python_signer(known, key)


def make_python_signer(algorithm: int, key: bytes) -> PythonSigner:
    """As `make_signer`, without native code."""
    return _SIGNERS[SigningAlgorithm(algorithm)](key)


class _Computation(Protocol):
    """Anything that takes a message in pieces and gives its signature, 16 bytes."""

    def update(self, data: Buffer, /) -> object: ...

    def signature(self) -> bytes: ...


class PythonSigner:
    """A Signer over `hmac` and `cryptography`.  Made by `make_python_signer`."""

    __slots__ = ()

    def sign(self, segments: Sequence[Buffer], message_id: int, from_server: bool, is_cancel: bool) -> bytes:
        """See Signer."""
        computation = self._start(message_id, from_server, is_cancel)
        for segment in segments:
            computation.update(segment)
        return computation.signature()

    def verify(self, message: memoryview, message_id: int, from_server: bool, is_cancel: bool) -> bool:
        """See Signer."""
        if len(message) < HEADER_BYTES:
            return False
        segments = (message[:SIGNATURE_OFFSET], _ZERO_SIGNATURE, message[HEADER_BYTES:])
        expected = self.sign(segments, message_id, from_server, is_cancel)
        return hmac.compare_digest(expected, message[SIGNATURE_OFFSET:HEADER_BYTES])

    def _start(self, message_id: int, from_server: bool, is_cancel: bool) -> _Computation:
        raise NotImplementedError


# --- HMAC-SHA256 (2.0.2 and 2.1) ----------------------------------------------------------------------------


class _HmacComputation:
    __slots__ = ("_hmac", "update")

    def __init__(self, keyed: hmac.HMAC) -> None:
        self._hmac = keyed
        self.update = keyed.update

    def signature(self) -> bytes:
        return self._hmac.digest()[:SIGNATURE_BYTES]


class _HmacSigner(PythonSigner):
    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        self._keyed = hmac.new(key, digestmod=hashlib.sha256)

    def _start(self, message_id: int, from_server: bool, is_cancel: bool) -> _Computation:
        return _HmacComputation(self._keyed.copy())


# --- AES-128-CMAC (3.x) -------------------------------------------------------------------------------------


class _CmacComputation:
    __slots__ = ("_cmac", "signature")

    def __init__(self, keyed: CMAC) -> None:
        self._cmac = keyed
        self.signature = keyed.finalize

    def update(self, data: Buffer, /) -> None:
        self._cmac.update(data)  # type: ignore[arg-type]  # declared for bytes, takes any buffer


class _CmacSigner(PythonSigner):
    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        self._keyed = CMAC(AES(key))

    def _start(self, message_id: int, from_server: bool, is_cancel: bool) -> _Computation:
        return _CmacComputation(self._keyed.copy())


# --- AES-128-GMAC (3.1.1) -----------------------------------------------------------------------------------


class _GmacComputation:
    """AES-GCM with nothing to encrypt: the message is additional data, the tag is the signature (RFC 4543).
    """

    __slots__ = ("_encryptor", "update")

    def __init__(self, key: AES, nonce: bytes) -> None:
        self._encryptor = Cipher(key, GCM(nonce)).encryptor()
        self.update = self._encryptor.authenticate_additional_data

    def signature(self) -> bytes:
        self._encryptor.finalize()
        return self._encryptor.tag


class _GmacSigner(PythonSigner):
    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = AES(key)

    def _start(self, message_id: int, from_server: bool, is_cancel: bool) -> _Computation:
        bits = (NONCE_FROM_SERVER if from_server else 0) | (NONCE_CANCEL if is_cancel else 0)
        return _GmacComputation(self._key, message_id.to_bytes(8, "little") + bits.to_bytes(4, "little"))


_SIGNERS: Final = {
    SigningAlgorithm.HMAC_SHA256: _HmacSigner,
    SigningAlgorithm.AES_CMAC: _CmacSigner,
    SigningAlgorithm.AES_GMAC: _GmacSigner,
}
