"""TREE_CONNECT and TREE_DISCONNECT.

Knows: [MS-SMB2] 2.2.9 to 2.2.12.  Must not know: shares.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.names import decode_utf16, encode_utf16
from smbd_uring.wire.pdu import BODY_OFFSET, EmptyBody, slice_of, unpack_body

_REQUEST = struct.Struct("<HHHH")
_RESPONSE = struct.Struct("<HBBIII")
REQUEST_STRUCTURE_SIZE = 9
RESPONSE_STRUCTURE_SIZE = 16
EXTENSION_PRESENT = 0x0004
"""[MS-SMB2] 2.2.9: the path is inside an extension of clustered servers, which no client sends unasked."""


@dataclass(slots=True)
class TreeConnectRequest:
    r"""[MS-SMB2] 2.2.9.  `path` is \\server\share."""

    flags: int
    path: str

    @classmethod
    def decode(cls, message: memoryview) -> TreeConnectRequest:
        """MalformedMessage when it does not decode."""
        flags, offset, length = unpack_body(_REQUEST, message, REQUEST_STRUCTURE_SIZE)
        if flags & EXTENSION_PRESENT:
            raise MalformedMessage("a tree connect extension")
        return cls(flags, decode_utf16(slice_of(message, offset, length)))

    def encode(self) -> bytes:
        """The body."""
        path = encode_utf16(self.path)
        return _REQUEST.pack(REQUEST_STRUCTURE_SIZE, self.flags, BODY_OFFSET + _REQUEST.size, len(path)) + path


@dataclass(slots=True)
class TreeConnectResponse:
    """[MS-SMB2] 2.2.10."""

    share_type: int
    share_flags: int
    capabilities: int
    maximal_access: int

    @classmethod
    def decode(cls, message: memoryview) -> TreeConnectResponse:
        """MalformedMessage when it does not decode."""
        kind, _, flags, capabilities, access = unpack_body(_RESPONSE, message, RESPONSE_STRUCTURE_SIZE)
        return cls(kind, flags, capabilities, access)

    def encode(self) -> bytes:
        """The body."""
        return _RESPONSE.pack(
            RESPONSE_STRUCTURE_SIZE, self.share_type, 0, self.share_flags, self.capabilities, self.maximal_access
        )


class TreeDisconnectRequest(EmptyBody):
    """[MS-SMB2] 2.2.11."""

    __slots__ = ()


class TreeDisconnectResponse(EmptyBody):
    """[MS-SMB2] 2.2.12."""

    __slots__ = ()
