"""Session keys from a logon's key, and the preauthentication hash they depend on.

Knows: SP800-108 and the labels of [MS-SMB2].  Must not know: sessions, who asks, what the keys are used on.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from smbd_uring.ports import Buffer
from smbd_uring.wire.const import CipherId, Dialect

SESSION_KEY_BYTES: Final = 16
PREAUTH_HASH_BYTES: Final = 64
COUNTER_BYTES: Final = 4
"""'r' and the length field of SP800-108, 32 bits each ([MS-SMB2] 3.1.4.2)."""

_FIRST_COUNT: Final = (1).to_bytes(COUNTER_BYTES, "big")

KEY_BITS: Final = 128
LONG_KEY_BITS: Final = 256


class Purpose(NamedTuple):
    """What one key is derived for: labels and contexts with the NUL that counts in their length.

    In 3.1.1 the context is the preauthentication hash, so only 3.0 and 3.0.2 have one of their own.
    """

    label: bytes
    label_3_0: bytes
    context_3_0: bytes


SIGNING: Final = Purpose(b"SMBSigningKey\0", b"SMB2AESCMAC\0", b"SmbSign\0")
APPLICATION: Final = Purpose(b"SMBAppKey\0", b"SMB2APP\0", b"SmbRpc\0")
SERVER_TO_CLIENT: Final = Purpose(b"SMBS2CCipherKey\0", b"SMB2AESCCM\0", b"ServerOut\0")
CLIENT_TO_SERVER: Final = Purpose(b"SMBC2SCipherKey\0", b"SMB2AESCCM\0", b"ServerIn \0")
"""The blank in "ServerIn " is the specification's."""


def derive_key(key: bytes, label: bytes, context: bytes, bits: int) -> bytes:
    """Derive `bits` bits from `key` by SP800-108 in counter mode over HMAC-SHA256.

    [MS-SMB2] 3.1.4.2.  `label` and `context` come with their terminating NUL.  256 bits at most, which is what the
    first count gives.
    """
    assert bits <= LONG_KEY_BITS
    length = bits.to_bytes(COUNTER_BYTES, "big")
    return hmac.digest(key, _FIRST_COUNT + label + b"\0" + context + length, "sha256")[: bits // 8]


class PreauthIntegrity:
    """The running SHA-512 over NEGOTIATE and SESSION_SETUP messages ([MS-SMB2] 3.3.5.4, 3.3.5.5).

    A connection has one, each session set up on it goes on with a copy.
    """

    __slots__ = ("value",)

    def __init__(self, value: bytes = bytes(PREAUTH_HASH_BYTES)) -> None:
        self.value = value

    def update(self, message: Buffer) -> None:
        """Take in one message, from its ProtocolId on to its end."""
        digest = hashlib.sha512(self.value)
        digest.update(message)
        self.value = digest.digest()

    def copy(self) -> PreauthIntegrity:
        """One that starts where this one stands."""
        return PreauthIntegrity(self.value)


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """The keys of one session; none of them shows in its repr.

    `encryption_key` seals what the server sends, `decryption_key` opens what the client sent; both are empty
    where nothing can be sealed (before 3.0, or no cipher agreed on).
    """

    signing_key: bytes = field(repr=False)
    application_key: bytes = field(repr=False)
    encryption_key: bytes = field(repr=False)
    decryption_key: bytes = field(repr=False)
    session_key: bytes = field(repr=False)


def derive_session_keys(
    dialect: int, session_key: bytes, full_session_key: bytes, cipher: int | None, preauth_hash: bytes
) -> SessionKeys:
    """All keys of a session ([MS-SMB2] 3.3.5.5.3).

    `session_key` is padded with zeros or cut to 16 bytes; `full_session_key` is what the logon gave, and only
    the 256-bit ciphers use it whole.  `preauth_hash` (64 bytes) is used by 3.1.1 alone.

    Signing and application keys have 128 bits whatever the cipher: 3.1.4.2 can be read otherwise, but that is
    what Windows and Samba do.  Before 3.0 nothing is derived, the session key itself signs.
    """
    base_key = session_key[:SESSION_KEY_BYTES].ljust(SESSION_KEY_BYTES, b"\0")
    if dialect < Dialect.SMB_3_0:
        return SessionKeys(base_key, base_key, b"", b"", base_key)
    encryption_key = decryption_key = b""
    if cipher is not None:
        is_long = cipher in (CipherId.AES_256_CCM, CipherId.AES_256_GCM)
        cipher_base, bits = (full_session_key, LONG_KEY_BITS) if is_long else (base_key, KEY_BITS)
        encryption_key = _derive(SERVER_TO_CLIENT, dialect, cipher_base, preauth_hash, bits)
        decryption_key = _derive(CLIENT_TO_SERVER, dialect, cipher_base, preauth_hash, bits)
    return SessionKeys(
        signing_key=_derive(SIGNING, dialect, base_key, preauth_hash, KEY_BITS),
        application_key=_derive(APPLICATION, dialect, base_key, preauth_hash, KEY_BITS),
        encryption_key=encryption_key,
        decryption_key=decryption_key,
        session_key=base_key,
    )


def derive_channel_signing_key(dialect: int, session_key: bytes, preauth_hash: bytes) -> bytes:
    """Channel.SigningKey of a connection bound to a session ([MS-SMB2] 3.3.5.5.3), 16 bytes.

    `session_key` is the binding logon's own key, `preauth_hash` the hash of the binding connection.  3.x
    only: earlier dialects bind nothing.
    """
    base_key = session_key[:SESSION_KEY_BYTES].ljust(SESSION_KEY_BYTES, b"\0")
    return _derive(SIGNING, dialect, base_key, preauth_hash, KEY_BITS)


def _derive(purpose: Purpose, dialect: int, key: bytes, preauth_hash: bytes, bits: int) -> bytes:
    if dialect >= Dialect.SMB_3_1_1:
        assert len(preauth_hash) == PREAUTH_HASH_BYTES
        return derive_key(key, purpose.label, preauth_hash, bits)
    return derive_key(key, purpose.label_3_0, purpose.context_3_0, bits)
