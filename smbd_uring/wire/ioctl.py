"""What control codes carry.

Knows: [MS-SMB2] 2.2.31.3, 2.2.31.4, 2.2.32.6; [MS-FSCC] 2.1.3.1.  Must not know: what is done with it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from smbd_uring.ports import Buffer
from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.pdu import Cursor

_REQUEST = struct.Struct("<I16sHH")
_RESPONSE = struct.Struct("<I16sHH")
_RESILIENCY = struct.Struct("<I4x")
_PAIR = struct.Struct("<QQ")
OBJECT_ID_BYTES = 64
"""Of a FILE_OBJECTID_BUFFER."""


def decode_resiliency_timeout(data: Buffer) -> int:
    """[MS-SMB2] 2.2.31.3: milliseconds, 0 for what the server likes.  MalformedMessage when it is short."""
    if len(data) < _RESILIENCY.size:
        raise MalformedMessage(f"a resiliency request of {len(data)} bytes")
    timeout: int = _RESILIENCY.unpack_from(data)[0]
    return timeout


def encode_object_id(file: int, volume: int) -> bytes:
    """[MS-FSCC] 2.1.3.1: the file's id, which is unique on its volume, and where it was made; without a domain."""
    identifier = _PAIR.pack(file, volume & 0xFFFF_FFFF_FFFF_FFFF)
    return identifier + _PAIR.pack(0, volume & 0xFFFF_FFFF_FFFF_FFFF) + identifier + bytes(16)


def encode_resiliency_timeout(milliseconds: int) -> bytes:
    """[MS-SMB2] 2.2.31.3."""
    return _RESILIENCY.pack(milliseconds)


@dataclass(slots=True)
class ValidateNegotiateInfoRequest:
    """[MS-SMB2] 2.2.31.4."""

    capabilities: int
    guid: bytes
    security_mode: int
    dialects: tuple[int, ...]

    @classmethod
    def decode(cls, data: Buffer) -> ValidateNegotiateInfoRequest:
        """MalformedMessage when it does not decode."""
        cursor = Cursor(memoryview(data))
        capabilities, guid, mode, count = cursor.unpack(_REQUEST)
        return cls(capabilities, guid, mode, struct.unpack(f"<{count}H", cursor.take(2 * count)))

    def encode(self) -> bytes:
        """The input buffer."""
        fixed = _REQUEST.pack(self.capabilities, self.guid, self.security_mode, len(self.dialects))
        return fixed + struct.pack(f"<{len(self.dialects)}H", *self.dialects)


@dataclass(slots=True)
class ValidateNegotiateInfoResponse:
    """[MS-SMB2] 2.2.32.6."""

    capabilities: int
    guid: bytes
    security_mode: int
    dialect: int

    @classmethod
    def decode(cls, data: Buffer) -> ValidateNegotiateInfoResponse:
        """MalformedMessage when it is not exactly that long."""
        if len(data) != _RESPONSE.size:
            raise MalformedMessage(f"a negotiate validation of {len(data)} bytes")
        return cls(*_RESPONSE.unpack(data))

    def encode(self) -> bytes:
        """The output buffer."""
        return _RESPONSE.pack(self.capabilities, self.guid, self.security_mode, self.dialect)
