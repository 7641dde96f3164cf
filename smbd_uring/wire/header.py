"""The SMB2 header and the transform header; cutting a compound into messages.

Knows: [MS-SMB2] 2.2.1 and 2.2.41.  Must not know: bodies, keys.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from smbd_uring.wire.const import HeaderFlags
from smbd_uring.wire.errors import ProtocolViolation

PROTOCOL_SMB1 = b"\xffSMB"
PROTOCOL_SMB2 = b"\xfeSMB"
PROTOCOL_TRANSFORM = b"\xfdSMB"
PROTOCOL_COMPRESSION = b"\xfcSMB"

HEADER_SIZE = 64
TRANSFORM_SIZE = 52
COMPOUND_ALIGNMENT = 8
TRANSFORM_ENCRYPTED = 1

_HEADER = struct.Struct("<4sHHIHHIIQQQ16s")
_TRANSFORM = struct.Struct("<4s16s16sIHHQ")
_NEXT_COMMAND = struct.Struct("<I")
NEXT_COMMAND_OFFSET = 20
ASYNC_COMMAND = int(HeaderFlags.ASYNC_COMMAND)
NO_SIGNATURE = bytes(16)
assert _HEADER.size == HEADER_SIZE and _TRANSFORM.size == TRANSFORM_SIZE


@dataclass(slots=True)
class Header:
    """[MS-SMB2] 2.2.1.  `credits` is CreditRequest or CreditResponse.  With ASYNC_COMMAND set, `async_id` is on the
    wire; without it `tree_id` (and Reserved, sometimes a process id, which is ignored)."""

    credit_charge: int = 0
    status: int = 0
    command: int = 0
    credits: int = 0
    flags: int = 0
    next_command: int = 0
    message_id: int = 0
    tree_id: int = 0
    async_id: int = 0
    session_id: int = 0
    signature: bytes = bytes(16)

    @property
    def channel_sequence(self) -> int:
        """In a request of 3.x, the low half of the status field."""
        return self.status & 0xFFFF

    @classmethod
    def decode(cls, message: memoryview) -> Header:
        """ProtocolViolation when it is short, of another protocol, or its StructureSize is not 64."""
        if len(message) < HEADER_SIZE:
            raise ProtocolViolation(f"a header of {len(message)} bytes")
        (protocol, size, charge, status, command, credit_count, flags, following, message_id, ids, session_id, mac) = (
            _HEADER.unpack_from(message)
        )
        if protocol != PROTOCOL_SMB2 or size != HEADER_SIZE:
            raise ProtocolViolation("something that is not an SMB2 header")
        is_async = flags & ASYNC_COMMAND
        return cls(
            charge, status, command, credit_count, flags, following, message_id,
            0 if is_async else ids >> 32, ids if is_async else 0, session_id, mac,
        )  # fmt: skip

    def encode(self) -> bytes:
        """The 64 bytes."""
        ids = self.async_id if self.flags & ASYNC_COMMAND else self.tree_id << 32
        return _HEADER.pack(
            PROTOCOL_SMB2, HEADER_SIZE, self.credit_charge, self.status, self.command, self.credits, self.flags,
            self.next_command, self.message_id, ids, self.session_id, self.signature,
        )  # fmt: skip

    def encode_answer(self, status: int, credit_response: int, flags: int, next_command: int, async_id: int) -> bytes:
        """The 64 bytes that answer this request, unsigned; `async_id` counts when `flags` has ASYNC_COMMAND."""
        ids = async_id if flags & ASYNC_COMMAND else self.tree_id << 32
        return _HEADER.pack(
            PROTOCOL_SMB2, HEADER_SIZE, self.credit_charge, status, self.command, credit_response, flags,
            next_command, self.message_id, ids, self.session_id, NO_SIGNATURE,
        )  # fmt: skip


@dataclass(slots=True)
class TransformHeader:
    """[MS-SMB2] 2.2.41.  `nonce` is the 16-byte field, of which the cipher uses the first 11 or 12."""

    signature: bytes
    nonce: bytes
    original_message_size: int
    session_id: int
    flags: int = TRANSFORM_ENCRYPTED

    @classmethod
    def decode(cls, frame: memoryview) -> TransformHeader:
        """ProtocolViolation when it is short or of another protocol."""
        if len(frame) < TRANSFORM_SIZE:
            raise ProtocolViolation(f"a transform header of {len(frame)} bytes")
        protocol, signature, nonce, size, _, flags, session_id = _TRANSFORM.unpack_from(frame)
        if protocol != PROTOCOL_TRANSFORM:
            raise ProtocolViolation("something that is not a transform header")
        return cls(signature, nonce, size, session_id, flags)

    def encode(self) -> bytes:
        """The 52 bytes; what a cipher authenticates begins at byte 20."""
        return _TRANSFORM.pack(
            PROTOCOL_TRANSFORM, self.signature, self.nonce, self.original_message_size, 0, self.flags, self.session_id
        )


def split_compound(frame: memoryview, requests_max: int) -> list[memoryview]:
    """The messages of a frame, each a view from its header to where the next begins ([MS-SMB2] 3.3.5.2.7).

    ProtocolViolation for a NextCommand that is not 8-aligned, points inside the header or leaves the frame, and for
    more than `requests_max` messages.
    """
    messages = []
    while True:
        if len(frame) < HEADER_SIZE:
            raise ProtocolViolation(f"a message of {len(frame)} bytes")
        (following,) = _NEXT_COMMAND.unpack_from(frame, NEXT_COMMAND_OFFSET)
        if following == 0:
            messages.append(frame)
            return messages
        if following % COMPOUND_ALIGNMENT or not HEADER_SIZE <= following <= len(frame) - HEADER_SIZE:
            raise ProtocolViolation(f"NextCommand {following} in {len(frame)} bytes")
        if len(messages) + 1 >= requests_max:
            raise ProtocolViolation(f"a compound of more than {requests_max} requests")
        messages.append(frame[:following])
        frame = frame[following:]
