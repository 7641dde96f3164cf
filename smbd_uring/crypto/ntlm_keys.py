"""NTLM's computations: response key, proof, key exchange, and the signatures that SPNEGO asks for.

Knows: [MS-NLMP] 3.3.2 and 3.4.  Must not know: messages' layout, who is authenticated.

MD5 and RC4 are the protocol's choice; each is used only where it leaves none.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
from cryptography.hazmat.primitives.ciphers import Cipher

from smbd_uring.crypto.ntlm_messages import NegotiateFlags
from smbd_uring.ports import Buffer

KEY_BYTES: Final = 16
NO_KEY: Final = bytes(KEY_BYTES)
"""SessionBaseKey of a client that proved nothing: anonymous or guest (3.2.5.1.2)."""

_SIGNATURE_VERSION: Final = 1
_SIGNATURE: Final = struct.Struct("<I8sI")
_CHECKSUM_BYTES: Final = 8
_KEY_56_BYTES: Final = 7
_KEY_40_BYTES: Final = 5
_ASCII_END: Final = "\x80"
_BASIC_PLANE_END: Final = "\U00010000"


def response_key_v2(nt_hash: bytes, user: str, domain: str) -> bytes:
    """NTOWFv2 (3.3.2): 16 bytes from the account's NT hash, the user's name in capitals and the domain as it
    is."""
    name = "".join(map(_upper, user)) + domain
    return hmac.digest(nt_hash, name.encode("utf-16-le"), "md5")


def proof_v2(response_key: bytes, server_challenge: bytes, client_challenge: Buffer) -> bytes:
    """NTProofStr (3.3.2) over both challenges; `client_challenge` is the whole NTLMv2_CLIENT_CHALLENGE."""
    return hmac.digest(response_key, b"".join((server_challenge, client_challenge)), "md5")


def session_base_key_v2(response_key: bytes, proof: Buffer) -> bytes:
    """SessionBaseKey (3.3.2), which with NTLMv2 is KeyExchangeKey too (3.4.5.1)."""
    return hmac.digest(response_key, proof, "md5")


def message_integrity_code(exported_session_key: bytes, *messages: Buffer) -> bytes:
    """The MIC over NEGOTIATE, CHALLENGE and AUTHENTICATE, in which the MIC itself is zero (3.1.5.1.2)."""
    return hmac.digest(exported_session_key, b"".join(messages), "md5")


def rc4(key: bytes, data: Buffer) -> bytes:
    """RC4 from a fresh state; the same both ways."""
    return Cipher(ARC4(key), mode=None).encryptor().update(data)


class NtlmSession:
    """Message integrity of an authenticated exchange, as far as SPNEGO needs it: one message each way.

    The sequence number is 0 and the RC4 state fresh, as [MS-SPNG] 3.2.5.1 wants it for a mechListMIC.
    """

    __slots__ = ("_flags", "_session_key")

    def __init__(self, flags: int, exported_session_key: bytes) -> None:
        """`flags` are those both sides agreed on."""
        self._flags = flags
        self._session_key = exported_session_key

    @property
    def has_integrity(self) -> bool:
        """Whether messages can be signed: extended session security, and signing or sealing (3.4.4.2)."""
        extended = self._flags & NegotiateFlags.EXTENDED_SESSIONSECURITY
        return bool(extended and self._flags & (NegotiateFlags.SIGN | NegotiateFlags.SEAL))

    def sign_mechlist(self, data: Buffer) -> bytes:
        """The server's signature over `data`, 16 bytes."""
        return self._signature(data, b"server-to-client")

    def verify_mechlist(self, data: Buffer, mic: Buffer) -> bool:
        """Whether `mic` is the client's signature over `data`; never where nothing can be signed."""
        return self.has_integrity and hmac.compare_digest(self._signature(data, b"client-to-server"), mic)

    def _signature(self, data: Buffer, direction: bytes) -> bytes:
        """NTLMSSP_MESSAGE_SIGNATURE for extended session security (2.2.2.9.2, 3.4.4.2)."""
        assert self.has_integrity
        sequence_number = 0
        signing_key = self._magic_key(self._session_key, direction, b"signing")
        signed = b"".join((sequence_number.to_bytes(4, "little"), data))
        checksum = hmac.digest(signing_key, signed, "md5")[:_CHECKSUM_BYTES]
        if self._flags & NegotiateFlags.KEY_EXCH:
            checksum = rc4(self._magic_key(self._sealing_base(), direction, b"sealing"), checksum)
        return _SIGNATURE.pack(_SIGNATURE_VERSION, checksum, sequence_number)

    def _sealing_base(self) -> bytes:
        if self._flags & NegotiateFlags.KEY_128:
            return self._session_key
        return self._session_key[: _KEY_56_BYTES if self._flags & NegotiateFlags.KEY_56 else _KEY_40_BYTES]

    @staticmethod
    def _magic_key(key: bytes, direction: bytes, use: bytes) -> bytes:
        """SIGNKEY and SEALKEY (3.4.5.2, 3.4.5.3) differ in one word."""
        magic = b"session key to " + direction + b" " + use + b" key magic constant\0"
        return hashlib.md5(key + magic, usedforsecurity=False).digest()


def _upper(character: str) -> str:
    """Upper case as Windows' table has it: one UTF-16 unit to one, and nothing becomes ASCII that was not."""
    upper = character.upper()
    if len(upper) != 1 or character >= _BASIC_PLANE_END or (upper < _ASCII_END <= character):
        return character
    return upper
