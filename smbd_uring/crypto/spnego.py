"""SPNEGO, the acceptor's side: which mechanism, its tokens in and out of their wrapping, what the MIC covers.

Knows: RFC 4178 and [MS-SPNG].  Must not know: what a mechanism's tokens say, how a MIC is made.

An exchange: the server's NEGOTIATE answer carries `initial_token()`; the client sends a NegTokenInit with its
mechanisms in order of preference and usually the first one's token; the acceptor picks; then NegTokenResp
both ways until the mechanism is done.  Where the client's favourite was not picked, both must prove by a MIC
over the list that nobody shortened it on the way (RFC 4178 section 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from smbd_uring.crypto.der import (
    APPLICATION_0,
    ENUMERATED,
    GENERAL_STRING,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    DerError,
    DerReader,
    context,
    encode,
    numbered_fields,
    only,
)
from smbd_uring.ports import Buffer

SPNEGO_OID: Final = bytes.fromhex("2b0601050502")
"""1.3.6.1.5.5.2"""

NTLMSSP_OID: Final = bytes.fromhex("2b06010401823702020a")
"""1.3.6.1.4.1.311.2.2.10"""

HINT_NAME: Final = b"not_defined_in_RFC4178@please_ignore"
"""[MS-SPNG] 2.2.1"""

MECHANISMS_MAX: Final = 32
"""In one NegTokenInit; Windows offers four."""

_NTLMSSP_SIGNATURE: Final = b"NTLMSSP\0"


class SpnegoError(Exception):
    """A token that is malformed, out of turn, or offers no mechanism that is known."""


class NegState(IntEnum):
    """RFC 4178 section 4.2.2."""

    ACCEPT_COMPLETED = 0
    ACCEPT_INCOMPLETE = 1
    REJECT = 2
    REQUEST_MIC = 3


@dataclass(frozen=True, slots=True)
class SpnegoStep:
    """What one token of the client brought; views into the token."""

    mechanism: bytes
    """OID (contents octets) of the mechanism that was picked."""
    mechanism_token: memoryview | None
    """For that mechanism; None when there was none or it was for a mechanism that was not picked."""
    mech_list_mic: memoryview | None


def is_raw_ntlmssp(token: Buffer) -> bool:
    """Whether a security blob is NTLM without SPNEGO around it, as the Linux kernel's client sends it."""
    return bytes(token[: len(_NTLMSSP_SIGNATURE)]) == _NTLMSSP_SIGNATURE


def initial_token(mechanisms: Sequence[bytes] = (NTLMSSP_OID,)) -> bytes:
    """NegTokenInit2 for the NEGOTIATE response: the server's mechanisms, preferred first ([MS-SPNG] 3.2.5.2).
    """
    hints = encode(SEQUENCE, encode(context(0), encode(GENERAL_STRING, HINT_NAME)))
    token = encode(
        SEQUENCE,
        encode(context(0), _mech_type_list(mechanisms)),
        encode(context(3), hints),
    )
    return encode(APPLICATION_0, encode(OBJECT_IDENTIFIER, SPNEGO_OID), encode(context(0), token))


class SpnegoAcceptor:
    """One negotiation.  `step` takes what the client sent; `challenge`, `accept` and `reject` word the
    answer."""

    def __init__(self, mechanisms: Sequence[bytes] = (NTLMSSP_OID,)) -> None:
        """`mechanisms` are the OIDs (contents octets) that the server takes."""
        self._mechanisms = frozenset(mechanisms)
        self._mechanism: bytes | None = None
        self._announced = False
        self.mech_types = b""
        """The client's MechTypeList, encoded as it came: what a mechListMIC is computed over."""
        self.mic_required = False
        """Whether the client must prove the list (RFC 4178 section 5): its favourite was not picked."""

    def step(self, token: memoryview) -> SpnegoStep:
        """Take the client's next token.  SpnegoError when it is not one that can come now."""
        try:
            if self._mechanism is None:
                return self._initial(token)
            return self._response(token, self._mechanism)
        except DerError as error:
            raise SpnegoError(str(error)) from None

    def challenge(self, mechanism_token: bytes | None) -> bytes:
        """NegTokenResp that asks for more; the first one also says which mechanism was picked."""
        state = NegState.ACCEPT_INCOMPLETE
        if self.mic_required and not self._announced:
            state = NegState.REQUEST_MIC
        return self._answer(state, mechanism_token=mechanism_token)

    def accept(self, mic: bytes | None) -> bytes:
        """NegTokenResp that ends the negotiation, with the server's own mechListMIC where the client sent
        one."""
        return self._answer(NegState.ACCEPT_COMPLETED, mic=mic)

    def reject(self) -> bytes:
        """NegTokenResp that says no."""
        return self._answer(NegState.REJECT)

    def _initial(self, token: memoryview) -> SpnegoStep:
        reader = DerReader(only(token, APPLICATION_0))
        if reader.expect(OBJECT_IDENTIFIER) != SPNEGO_OID:
            raise SpnegoError("a GSS token that is not SPNEGO's")
        contents = reader.expect(context(0))
        reader.end()
        fields = numbered_fields(only(contents, SEQUENCE))
        if 0 not in fields:
            raise SpnegoError("a NegTokenInit without mechanisms")
        offered = _read_mech_types(fields[0])
        picked = next((mechanism for mechanism in offered if mechanism in self._mechanisms), None)
        if picked is None:
            raise SpnegoError("no mechanism in common")
        self._mechanism = picked
        self.mech_types = bytes(fields[0])
        self.mic_required = picked != offered[0]
        mechanism_token = None if self.mic_required else _octets(fields, 2)
        return SpnegoStep(picked, mechanism_token, None)

    def _response(self, token: memoryview, mechanism: bytes) -> SpnegoStep:
        fields = numbered_fields(only(only(token, context(1)), SEQUENCE))
        if 0 in fields:
            state = only(fields[0], ENUMERATED)
            if len(state) != 1 or state[0] not in (NegState.ACCEPT_COMPLETED, NegState.ACCEPT_INCOMPLETE):
                raise SpnegoError("the client gave up")
        if 1 in fields and only(fields[1], OBJECT_IDENTIFIER) != mechanism:
            raise SpnegoError("another mechanism than the one picked")
        return SpnegoStep(mechanism, _octets(fields, 2), _octets(fields, 3))

    def _answer(
        self, state: NegState, mechanism_token: bytes | None = None, mic: bytes | None = None
    ) -> bytes:
        parts = [encode(context(0), encode(ENUMERATED, bytes((state,))))]
        if self._mechanism is not None and not self._announced:
            parts.append(encode(context(1), encode(OBJECT_IDENTIFIER, self._mechanism)))
            self._announced = True
        if mechanism_token is not None:
            parts.append(encode(context(2), encode(OCTET_STRING, mechanism_token)))
        if mic is not None:
            parts.append(encode(context(3), encode(OCTET_STRING, mic)))
        return encode(context(1), encode(SEQUENCE, *parts))


def _mech_type_list(mechanisms: Sequence[bytes]) -> bytes:
    return encode(SEQUENCE, *(encode(OBJECT_IDENTIFIER, mechanism) for mechanism in mechanisms))


def _read_mech_types(field: memoryview) -> list[bytes]:
    """The OIDs of a MechTypeList, at least one."""
    reader = DerReader(only(field, SEQUENCE))
    offered: list[bytes] = []
    while not reader.at_end:
        if len(offered) == MECHANISMS_MAX:
            raise SpnegoError("more mechanisms than there are")
        offered.append(bytes(reader.expect(OBJECT_IDENTIFIER)))
    if not offered:
        raise SpnegoError("a NegTokenInit without mechanisms")
    return offered


def _octets(fields: dict[int, memoryview], number: int) -> memoryview | None:
    """The OCTET STRING in a field, None where the field is absent."""
    return only(fields[number], OCTET_STRING) if number in fields else None
