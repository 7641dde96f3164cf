"""NTLM, the client's side, for tests: a client that does everything right, or one chosen thing wrong.

Knows: [MS-NLMP] 3.1.5.1, written from the specification on its own so that it can disagree with the server.
Must not know: `smbd_uring`, SPNEGO.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from enum import Flag, auto

from Cryptodome.Cipher import ARC4
from Cryptodome.Hash import MD4

UNICODE = 0x1
REQUEST_TARGET = 0x4
SIGN = 0x10
SEAL = 0x20
NTLM = 0x200
ALWAYS_SIGN = 0x8000
EXTENDED_SESSIONSECURITY = 0x8_0000
TARGET_INFO = 0x80_0000
VERSION = 0x200_0000
KEY_128 = 0x2000_0000
KEY_EXCH = 0x4000_0000
KEY_56 = 0x8000_0000

USUAL_FLAGS = (
    UNICODE | REQUEST_TARGET | SIGN | NTLM | ALWAYS_SIGN | EXTENDED_SESSIONSECURITY | TARGET_INFO | VERSION
    | KEY_128 | KEY_EXCH | KEY_56
)  # fmt: skip
"""What Windows asks for when it sets up an SMB session."""

AV_EOL = 0
AV_FLAGS = 6
AV_TIMESTAMP = 7
AV_TARGET_NAME = 9
AV_CHANNEL_BINDINGS = 10

MIC_OFFSET = 72
HEADER_BYTES = 88
VERSION_BYTES = bytes((10, 0, 0x63, 0x45, 0, 0, 0, 15))

CLIENT_CHALLENGE = bytes.fromhex("aaaaaaaaaaaaaaaa")
EXPORTED_SESSION_KEY = bytes(range(16))


class Misbehaviour(Flag):
    """What a client may do wrong in its AUTHENTICATE_MESSAGE."""

    NONE = 0
    NO_MIC = auto()
    """Neither sent nor announced, as clients of the time before Vista: allowed."""
    ZERO_MIC = auto()
    """Announced, but zero."""
    WRONG_MIC = auto()
    NTLM_V1_RESPONSE = auto()
    """24 bytes."""
    LM_ONLY = auto()
    WRONG_PROOF = auto()
    NO_CHARACTER_SET = auto()
    """NEGOTIATE_MESSAGE offers neither Unicode nor OEM."""
    OTHER_TIMESTAMP = auto()
    """AV pairs with the time of another challenge."""
    NO_SESSION_KEY = auto()
    """Keys are exchanged, but there is none."""
    DOMAIN_NOT_IN_KEY = auto()
    """The response key leaves the domain out although the message has one: allowed."""


def nt_hash_of(password: str) -> bytes:
    """MD4 over the password in UTF-16: 16 bytes."""
    return MD4.new(password.encode("utf-16-le")).digest()


class NtlmInitiator:
    """One logon of a client: `negotiate`, then `authenticate` the server's challenge; then there is a session
    key.

    An empty `user` asks to be anonymous.
    """

    def __init__(
        self,
        user: str,
        password: str = "",
        domain: str = "",
        *,
        nt_hash: bytes | None = None,
        workstation: str = "CLIENT",
        flags: int = USUAL_FLAGS,
        client_challenge: bytes = CLIENT_CHALLENGE,
        exported_session_key: bytes = EXPORTED_SESSION_KEY,
        misbehaviour: Misbehaviour = Misbehaviour.NONE,
    ) -> None:
        self.user = user
        self.domain = domain
        self.session_key = bytes(16)
        """ExportedSessionKey, once `authenticate` was called."""
        self.sends_mic = False
        self._nt_hash = nt_hash_of(password) if nt_hash is None else nt_hash
        self._workstation = workstation
        self._flags = flags
        self._client_challenge = client_challenge
        self._exported_session_key = exported_session_key
        self._misbehaviour = misbehaviour
        self._negotiate = b""

    def negotiate(self) -> bytes:
        """NEGOTIATE_MESSAGE."""
        flags = self._flags
        if Misbehaviour.NO_CHARACTER_SET in self._misbehaviour:
            flags &= ~UNICODE
        names = struct.pack("<HHIHHI", 0, 0, 0, 0, 0, 0)
        self._negotiate = b"NTLMSSP\0" + struct.pack("<II", 1, flags) + names + VERSION_BYTES
        return self._negotiate

    def authenticate(self, challenge: bytes) -> bytes:
        """AUTHENTICATE_MESSAGE for the server's CHALLENGE_MESSAGE."""
        server_flags = int.from_bytes(challenge[20:24], "little")
        self._flags &= server_flags
        lm_response, nt_response, base_key = self._responses(challenge)
        encrypted_key = b""
        self.session_key = base_key
        if self._flags & KEY_EXCH and self._flags & (SIGN | SEAL):
            self.session_key = self._exported_session_key
            encrypted_key = ARC4.new(base_key).encrypt(self._exported_session_key)
        if Misbehaviour.NO_SESSION_KEY in self._misbehaviour:
            encrypted_key = b""
        message = self._encode(lm_response, nt_response, encrypted_key)
        if self.sends_mic:
            message[MIC_OFFSET:HEADER_BYTES] = self._mic(challenge, message)
        return bytes(message)

    def sign(self, data: bytes) -> bytes:
        """The client's NTLMSSP_MESSAGE_SIGNATURE over `data`, sequence number 0."""
        return self._signature(data, b"client-to-server")

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Whether `signature` is the server's over `data`, sequence number 0."""
        return self._signature(data, b"server-to-client") == signature

    def _responses(self, challenge: bytes) -> tuple[bytes, bytes, bytes]:
        """LmChallengeResponse, NtChallengeResponse and SessionBaseKey."""
        if not self.user:
            return b"\0", b"", bytes(16)
        if Misbehaviour.NTLM_V1_RESPONSE in self._misbehaviour:
            return bytes(24), bytes(range(24)), bytes(16)
        if Misbehaviour.LM_ONLY in self._misbehaviour:
            return bytes(range(24)), b"", bytes(16)
        av_pairs = self._av_pairs(challenge)
        timestamp = dict(av_pairs).get(AV_TIMESTAMP, bytes(8))
        encoded = b"".join(struct.pack("<HH", key, len(value)) + value for key, value in av_pairs)
        own = b"\1\1" + bytes(6) + timestamp + self._client_challenge + bytes(4)
        blob = own + encoded + struct.pack("<HH", AV_EOL, 0) + bytes(4)
        domain = "" if Misbehaviour.DOMAIN_NOT_IN_KEY in self._misbehaviour else self.domain
        response_key = _hmac_md5(self._nt_hash, (self.user.upper() + domain).encode("utf-16-le"))
        proof = _hmac_md5(response_key, challenge[24:32] + blob)
        base_key = _hmac_md5(response_key, proof)
        if Misbehaviour.WRONG_PROOF in self._misbehaviour:
            proof = bytes(byte ^ 1 for byte in proof)
        return bytes(24), proof + blob, base_key

    def _av_pairs(self, challenge: bytes) -> list[tuple[int, bytes]]:
        """The server's pairs and the client's own, without the end."""
        pairs = read_target_info(challenge)
        if Misbehaviour.OTHER_TIMESTAMP in self._misbehaviour:
            pairs = [(key, bytes(8) if key == AV_TIMESTAMP else value) for key, value in pairs]
        if AV_TIMESTAMP in dict(pairs) and Misbehaviour.NO_MIC not in self._misbehaviour:
            self.sends_mic = True
            pairs.append((AV_FLAGS, struct.pack("<I", 2)))
        pairs.append((AV_CHANNEL_BINDINGS, bytes(16)))
        pairs.append((AV_TARGET_NAME, "cifs/server".encode("utf-16-le")))
        return pairs

    def _encode(self, lm_response: bytes, nt_response: bytes, encrypted_key: bytes) -> bytearray:
        names = (self.domain, self.user, self._workstation)
        domain, user, workstation = (name.encode("utf-16-le") for name in names)
        header = bytearray(b"NTLMSSP\0" + struct.pack("<I", 3))
        payload = b""
        for field in (lm_response, nt_response, domain, user, workstation, encrypted_key):
            header += struct.pack("<HHI", len(field), len(field), HEADER_BYTES + len(payload))
            payload += field
        header += struct.pack("<I", self._flags) + VERSION_BYTES + bytes(16)
        return header + payload

    def _mic(self, challenge: bytes, message: bytearray) -> bytes:
        mic = _hmac_md5(self.session_key, self._negotiate + challenge + message)
        if Misbehaviour.ZERO_MIC in self._misbehaviour:
            return bytes(16)
        if Misbehaviour.WRONG_MIC in self._misbehaviour:
            return bytes(byte ^ 0x80 for byte in mic)
        return mic

    def _signature(self, data: bytes, direction: bytes) -> bytes:
        sealing_base = self.session_key
        if not self._flags & KEY_128:
            sealing_base = sealing_base[: 7 if self._flags & KEY_56 else 5]
        magic = b"session key to " + direction
        signing_key = _md5(self.session_key + magic + b" signing key magic constant\0")
        sealing_key = _md5(sealing_base + magic + b" sealing key magic constant\0")
        checksum = _hmac_md5(signing_key, bytes(4) + data)[:8]
        if self._flags & KEY_EXCH:
            checksum = ARC4.new(sealing_key).encrypt(checksum)
        return struct.pack("<I8sI", 1, checksum, 0)


def read_target_info(challenge: bytes) -> list[tuple[int, bytes]]:
    """The AV pairs of a CHALLENGE_MESSAGE in their order, without the end."""
    length, _, offset = struct.unpack_from("<HHI", challenge, 40)
    info = challenge[offset : offset + length]
    pairs: list[tuple[int, bytes]] = []
    position = 0
    while True:
        key, size = struct.unpack_from("<HH", info, position)
        position += 4
        if key == AV_EOL:
            return pairs
        pairs.append((key, info[position : position + size]))
        position += size


def _hmac_md5(key: bytes, data: bytes | bytearray) -> bytes:
    return hmac.digest(key, data, "md5")


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data).digest()
