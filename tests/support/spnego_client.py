"""SPNEGO, the client's side, for tests: NTLM in its wrapping, with the mechListMIC a client owes, or without.

Knows: RFC 4178.  Must not know: what NTLM's messages say.
"""

from __future__ import annotations

from collections.abc import Sequence

from smbd_uring.crypto.der import (
    APPLICATION_0,
    ENUMERATED,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    context,
    encode,
    numbered_fields,
    only,
)
from tests.support.ntlm_client import NtlmInitiator

SPNEGO = bytes.fromhex("2b0601050502")
NTLMSSP = bytes.fromhex("2b06010401823702020a")
KERBEROS = bytes.fromhex("2a864886f712010202")


class SpnegoInitiator:
    """One negotiation around `ntlm`: `first`, then `answer` to each token of the server.

    `mechanisms` are offered in their order; where NTLM is not the first, the first blob carries
    `foreign_token` for another.  `sends_mic=False` leaves the mechListMIC out, `wrong_mic` spoils it.
    """

    def __init__(
        self,
        ntlm: NtlmInitiator,
        mechanisms: Sequence[bytes] = (NTLMSSP,),
        *,
        foreign_token: bytes | None = b"a ticket",
        sends_mic: bool = True,
        wrong_mic: bool = False,
    ) -> None:
        self.ntlm = ntlm
        self.is_complete = False
        """Whether the server said so."""
        self._mechanisms = mechanisms
        self._foreign_token = foreign_token
        self._sends_mic = sends_mic
        self._wrong_mic = wrong_mic
        self._mech_types = encode(SEQUENCE, *(encode(OBJECT_IDENTIFIER, oid) for oid in mechanisms))
        self._has_negotiated = False

    def first(self) -> bytes:
        """NegTokenInit."""
        token = self._foreign_token
        if self._mechanisms[0] == NTLMSSP:
            token = self.ntlm.negotiate()
            self._has_negotiated = True
        parts = [encode(context(0), self._mech_types)]
        if token is not None:
            parts.append(encode(context(2), encode(OCTET_STRING, token)))
        body = encode(context(0), encode(SEQUENCE, *parts))
        return encode(APPLICATION_0, encode(OBJECT_IDENTIFIER, SPNEGO), body)

    def answer(self, token: bytes) -> bytes:
        """NegTokenResp for a token that asks for more."""
        fields = read_response(token)
        if not self._has_negotiated:
            self._has_negotiated = True
            return self._response(self.ntlm.negotiate(), None)
        message = self.ntlm.authenticate(bytes(only(fields[2], OCTET_STRING)))
        mic = self.ntlm.sign(self._mech_types) if self._sends_mic else None
        if mic is not None and self._wrong_mic:
            mic = mic[:4] + bytes(byte ^ 1 for byte in mic[4:12]) + mic[12:]
        return self._response(message, mic)

    def finish(self, token: bytes) -> None:
        """Take the server's last token; AssertionError unless it accepts and proves the list where it has to.
        """
        fields = read_response(token)
        assert bytes(only(fields[0], ENUMERATED)) == b"\0"
        assert (3 in fields) == self._sends_mic
        if 3 in fields:
            assert self.ntlm.verify(self._mech_types, bytes(only(fields[3], OCTET_STRING)))
        self.is_complete = True

    @staticmethod
    def _response(message: bytes, mic: bytes | None) -> bytes:
        parts = [encode(context(2), encode(OCTET_STRING, message))]
        if mic is not None:
            parts.append(encode(context(3), encode(OCTET_STRING, mic)))
        return encode(context(1), encode(SEQUENCE, *parts))


def read_response(token: bytes) -> dict[int, memoryview]:
    """The fields of a NegTokenResp by number."""
    return numbered_fields(only(only(memoryview(token), context(1)), SEQUENCE))
