"""The SMB2 header, whose session a sealed frame is for, and cutting a compound into messages.

Knows: [MS-SMB2] 2.2.1 and 2.2.41.  Must not know: bodies, keys, what else a transform header says
(`crypto.sealing`).
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

_HEADER = struct.Struct("<4sHHIHHIIQQQ16s")
_TRANSFORM_SESSION = struct.Struct("<44xQ")
_NEXT_COMMAND = struct.Struct("<I")
NEXT_COMMAND_OFFSET = 20
ASYNC_COMMAND = int(HeaderFlags.ASYNC_COMMAND)
NO_SIGNATURE = bytes(16)
assert _HEADER.size == HEADER_SIZE and _TRANSFORM_SESSION.size == TRANSFORM_SIZE


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


def sealing_session_id(frame: memoryview) -> int:
    """The session that a frame beginning with a transform header is for ([MS-SMB2] 2.2.41).

    ProtocolViolation when the frame is shorter than that header.
    """
    if len(frame) < TRANSFORM_SIZE:
        raise ProtocolViolation(f"a transform header of {len(frame)} bytes")
    session_id: int = _TRANSFORM_SESSION.unpack_from(frame)[0]
    return session_id


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
