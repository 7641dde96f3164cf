"""The ERROR response body.

Knows: [MS-SMB2] 2.2.2.  Must not know: which error.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from smbd_uring.wire.pdu import BODY_OFFSET, slice_of, unpack_body

_LAYOUT = struct.Struct("<HBBI")
STRUCTURE_SIZE = 9


def encode_error_response(data: bytes = b"", context_count: int = 0) -> bytes:
    """The body; without data one zero byte stands in, as StructureSize 9 says."""
    return _LAYOUT.pack(STRUCTURE_SIZE, context_count, 0, len(data)) + (data or b"\0")


@dataclass(slots=True)
class ErrorResponse:
    """[MS-SMB2] 2.2.2."""

    error_context_count: int
    error_data: memoryview

    @classmethod
    def decode(cls, message: memoryview) -> ErrorResponse:
        """MalformedMessage when it does not decode."""
        count, _, length = unpack_body(_LAYOUT, message, STRUCTURE_SIZE)
        return cls(count, slice_of(message, BODY_OFFSET + _LAYOUT.size, length))
