"""NTLMv2, the server's side of one logon.

Knows: [MS-NLMP] 3.2.5.1: which flags to agree on, what a valid answer to a challenge is.  Must not know:
SPNEGO, where accounts and hashes are kept, entropy (the challenge comes in).

Refused: LM and NTLMv1.  The age of a client's time stamp is not checked, as in Windows since Server 2012
(<69>): the challenge is fresh, and small machines have no clock before they have a network.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Final

from smbd_uring.crypto.ntlm_keys import (
    KEY_BYTES,
    NO_KEY,
    NtlmSession,
    message_integrity_code,
    proof_v2,
    rc4,
    response_key_v2,
    session_base_key_v2,
)
from smbd_uring.crypto.ntlm_messages import (
    AV_FLAG_MIC_PRESENT,
    MIC_BYTES,
    MIC_OFFSET,
    AuthenticateMessage,
    AvId,
    NegotiateFlags,
    NtlmError,
    NtlmV2Response,
    decode_authenticate,
    decode_negotiate,
    decode_ntlm_v2_response,
    encode_av_pairs,
    encode_challenge,
)
from smbd_uring.ports import Buffer

FLAGS_ON_REQUEST: Final = (
    NegotiateFlags.SIGN
    | NegotiateFlags.SEAL
    | NegotiateFlags.EXTENDED_SESSIONSECURITY
    | NegotiateFlags.VERSION
    | NegotiateFlags.KEY_128
    | NegotiateFlags.KEY_EXCH
    | NegotiateFlags.KEY_56
)
"""Given back when the client asks for them."""

FLAGS_ALWAYS: Final = (
    NegotiateFlags.REQUEST_TARGET
    | NegotiateFlags.NTLM
    | NegotiateFlags.ALWAYS_SIGN
    | NegotiateFlags.TARGET_TYPE_SERVER
    | NegotiateFlags.TARGET_INFO
)
"""Set in every challenge (3.2.5.1.1)."""

_TIMESTAMP_BYTES: Final = 8
_AV_FLAGS_BYTES: Final = 4
_ANONYMOUS_LM_RESPONSES: Final = (b"", b"\0")


@dataclass(frozen=True, slots=True)
class NtlmResult:
    """A proven logon: its key (ExportedSessionKey, 16 bytes) and its message integrity."""

    session_key: bytes = field(repr=False)
    session: NtlmSession = field(repr=False)


class NtlmAcceptor:
    """One exchange: NEGOTIATE in, CHALLENGE out, AUTHENTICATE in."""

    def __init__(
        self, server_name: str, domain_name: str, dns_server_name: str = "", dns_domain_name: str = ""
    ) -> None:
        """NetBIOS and DNS names of the server; an empty DNS name is not told."""
        self._server_name = server_name
        self._domain_name = domain_name
        self._dns_server_name = dns_server_name
        self._dns_domain_name = dns_domain_name
        self._exchange: _Exchange | None = None

    @property
    def has_challenged(self) -> bool:
        """Whether AUTHENTICATE comes next."""
        return self._exchange is not None

    def challenge(self, negotiate_blob: bytes, server_challenge: bytes, now_filetime: int) -> bytes:
        """CHALLENGE_MESSAGE for a NEGOTIATE_MESSAGE (3.2.5.1.1).

        `server_challenge` are 8 bytes nobody can guess, `now_filetime` is the time in 100 ns since 1601.
        That the time is in it makes clients protect the exchange with a MIC.  NtlmError when the client asks
        for what is not done.
        """
        assert self._exchange is None
        asked = decode_negotiate(memoryview(negotiate_blob)).flags
        flags = (asked & FLAGS_ON_REQUEST) | FLAGS_ALWAYS
        if asked & NegotiateFlags.UNICODE:
            flags |= NegotiateFlags.UNICODE
        elif asked & NegotiateFlags.OEM:
            flags |= NegotiateFlags.OEM
        else:
            raise NtlmError("no character set offered")
        timestamp = now_filetime.to_bytes(_TIMESTAMP_BYTES, "little")
        message = encode_challenge(flags, server_challenge, self._server_name, self._target_info(timestamp))
        self._exchange = _Exchange(negotiate_blob, message, int(flags), server_challenge, timestamp)
        return message

    def authenticate(self, blob: memoryview) -> AuthenticateRequest:
        """Take in an AUTHENTICATE_MESSAGE (3.2.5.1.2) as far as no account is needed for it.

        NtlmError when it is malformed or holds no NTLMv2 response.
        """
        assert self._exchange is not None
        return AuthenticateRequest(self._exchange, bytes(blob))

    def _target_info(self, timestamp: bytes) -> bytes:
        """The AV pairs in the order Windows has them."""
        names = (
            (AvId.NB_DOMAIN_NAME, self._domain_name),
            (AvId.NB_COMPUTER_NAME, self._server_name),
            (AvId.DNS_DOMAIN_NAME, self._dns_domain_name),
            (AvId.DNS_COMPUTER_NAME, self._dns_server_name),
        )
        pairs = [(int(identifier), name.encode("utf-16-le")) for identifier, name in names if name]
        return encode_av_pairs([*pairs, (AvId.TIMESTAMP, timestamp)])


@dataclass(frozen=True, slots=True)
class _Exchange:
    """The first two messages as they were, and what was agreed on in them."""

    negotiate: bytes
    challenge: bytes
    flags: int
    server_challenge: bytes
    timestamp: bytes


class AuthenticateRequest:
    """A client's claim to be `user`, not yet checked: `verify` does, given that account's NT hash."""

    __slots__ = (
        "_blob", "_exchange", "_flags", "_message", "_response", "anonymous", "carries_mic", "domain",
        "target_name", "user", "workstation",
    )  # fmt: skip

    def __init__(self, exchange: _Exchange, blob: bytes) -> None:
        """See NtlmAcceptor.authenticate."""
        message = decode_authenticate(memoryview(blob))
        self._exchange = exchange
        self._blob = blob
        self._message = message
        self._flags = exchange.flags & message.flags
        self.user = message.user_name
        self.domain = message.domain_name
        self.workstation = message.workstation
        self.anonymous = _is_anonymous(message)
        self.target_name = ""
        """SPN of the server the client wanted to reach (MsvAvTargetName), as it says."""
        self.carries_mic = False
        self._response: NtlmV2Response | None = None
        if not self.anonymous:
            self._response = self._checked_response()

    def verify(self, nt_hash: bytes) -> NtlmResult:
        """Check the response, then the MIC, with the account's NT hash (16 bytes).  NtlmError when either is
        wrong.

        The response key covers the domain as the client sent it; clients that leave it out of the key
        although they send one are understood too (3.2.5.1.2).
        """
        if self._response is None:
            raise NtlmError("anonymous, which proves nothing")
        response = self._response
        for domain in (self.domain, ""):
            response_key = response_key_v2(nt_hash, self.user, domain)
            proof = proof_v2(response_key, self._exchange.server_challenge, response.client_challenge)
            if hmac.compare_digest(proof, response.proof):
                break
        else:
            raise NtlmError("wrong password")
        session_key = self._exported_session_key(session_base_key_v2(response_key, proof))
        if self.carries_mic:
            self._check_mic(session_key)
        return NtlmResult(session_key, NtlmSession(self._flags, session_key))

    def accept_anonymous(self) -> NtlmResult:
        """The result of a client that asked to be nobody: its key is derived from zeros (3.2.5.1.2).

        NtlmError when the client did not ask for that.
        """
        if not self.anonymous:
            raise NtlmError("not anonymous")
        session_key = self._exported_session_key(NO_KEY)
        return NtlmResult(session_key, NtlmSession(self._flags, session_key))

    def _checked_response(self) -> NtlmV2Response:
        """The NTLMv2 response with the AV pairs this server looks at."""
        message = self._message
        if not message.user_name:
            raise NtlmError("a response without a user")
        if not len(message.nt_response):
            raise NtlmError("no NT response")
        response = decode_ntlm_v2_response(message.nt_response)
        pairs = response.av_pairs
        timestamp = pairs.get(AvId.TIMESTAMP)
        if timestamp is not None and timestamp != self._exchange.timestamp:
            raise NtlmError("the answer to another challenge")
        if AvId.FLAGS in pairs:
            self.carries_mic = bool(_av_flags(pairs[AvId.FLAGS]) & AV_FLAG_MIC_PRESENT)
        if self.carries_mic and len(self._blob) < MIC_OFFSET + MIC_BYTES:
            raise NtlmError("no room for the MIC that is said to be there")
        if AvId.TARGET_NAME in pairs:
            self.target_name = bytes(pairs[AvId.TARGET_NAME]).decode("utf-16-le", "replace")
        return response

    def _exported_session_key(self, key_exchange_key: bytes) -> bytes:
        flags = self._flags
        if not (flags & NegotiateFlags.KEY_EXCH and flags & (NegotiateFlags.SIGN | NegotiateFlags.SEAL)):
            return key_exchange_key
        encrypted = self._message.encrypted_random_session_key
        if len(encrypted) != KEY_BYTES:
            raise NtlmError("no session key although keys are exchanged")
        return rc4(key_exchange_key, encrypted)

    def _check_mic(self, session_key: bytes) -> None:
        blob = memoryview(self._blob)
        behind = MIC_OFFSET + MIC_BYTES
        expected = message_integrity_code(
            session_key,
            self._exchange.negotiate,
            self._exchange.challenge,
            blob[:MIC_OFFSET],
            bytes(MIC_BYTES),
            blob[behind:],
        )
        if not hmac.compare_digest(expected, blob[MIC_OFFSET:behind]):
            raise NtlmError("wrong MIC: a message was changed on its way")


def _is_anonymous(message: AuthenticateMessage) -> bool:
    return (
        not message.user_name
        and not len(message.nt_response)
        and bytes(message.lm_response) in _ANONYMOUS_LM_RESPONSES
    )


def _av_flags(value: Buffer) -> int:
    if len(value) != _AV_FLAGS_BYTES:
        raise NtlmError("MsvAvFlags of a size it does not have")
    return int.from_bytes(value, "little")
