"""SESSION_SETUP and LOGOFF.

Knows: [MS-SMB2] 2.2.5 to 2.2.8.  Must not know: tokens.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from smbd_uring.ports import Buffer
from smbd_uring.wire.pdu import BODY_OFFSET, EmptyBody, slice_of, unpack_body

_REQUEST = struct.Struct("<HBBIIHHQ")
_RESPONSE = struct.Struct("<HHHH")
REQUEST_STRUCTURE_SIZE = 25
RESPONSE_STRUCTURE_SIZE = 9


@dataclass(slots=True)
class SessionSetupRequest:
    """[MS-SMB2] 2.2.5."""

    flags: int = 0
    security_mode: int = 0
    capabilities: int = 0
    channel: int = 0
    previous_session_id: int = 0
    security_buffer: Buffer = b""

    @classmethod
    def decode(cls, message: memoryview) -> SessionSetupRequest:
        """MalformedMessage when it does not decode."""
        flags, mode, capabilities, channel, offset, length, previous = unpack_body(
            _REQUEST, message, REQUEST_STRUCTURE_SIZE
        )
        return cls(flags, mode, capabilities, channel, previous, slice_of(message, offset, length))

    def encode(self) -> bytes:
        """The body."""
        offset = BODY_OFFSET + _REQUEST.size
        return _REQUEST.pack(
            REQUEST_STRUCTURE_SIZE, self.flags, self.security_mode, self.capabilities, self.channel, offset,
            len(self.security_buffer), self.previous_session_id,
        ) + bytes(self.security_buffer)  # fmt: skip


@dataclass(slots=True)
class SessionSetupResponse:
    """[MS-SMB2] 2.2.6."""

    session_flags: int
    security_buffer: Buffer = b""

    @classmethod
    def decode(cls, message: memoryview) -> SessionSetupResponse:
        """MalformedMessage when it does not decode."""
        flags, offset, length = unpack_body(_RESPONSE, message, RESPONSE_STRUCTURE_SIZE)
        return cls(flags, slice_of(message, offset, length))

    def encode(self) -> bytes:
        """The body."""
        offset = BODY_OFFSET + _RESPONSE.size
        return _RESPONSE.pack(
            RESPONSE_STRUCTURE_SIZE, self.session_flags, offset, len(self.security_buffer)
        ) + bytes(self.security_buffer)


class LogoffRequest(EmptyBody):
    """[MS-SMB2] 2.2.7."""

    __slots__ = ()


class LogoffResponse(EmptyBody):
    """[MS-SMB2] 2.2.8."""

    __slots__ = ()
