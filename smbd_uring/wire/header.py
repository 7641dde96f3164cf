"""The packet headers: SMB2's 64 bytes, the transform's 52, and how a compound is cut ([MS-SMB2] 2.2.1, 2.2.41).

Knows: layouts.  Must not know: credits, sessions, signatures, keys.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from smbd_uring.ports import Buffer
from smbd_uring.wire.const import HeaderFlags
from smbd_uring.wire.errors import ProtocolViolation

PROTOCOL_SMB1: Final = b"\xffSMB"
PROTOCOL_SMB2: Final = b"\xfeSMB"
PROTOCOL_TRANSFORM: Final = b"\xfdSMB"
PROTOCOL_COMPRESSION: Final = b"\xfcSMB"

HEADER_SIZE: Final = 64
TRANSFORM_SIZE: Final = 52
TRANSFORM_AAD_OFFSET: Final = 20
"""The bytes of a transform header from here on are authenticated with the encrypted message."""

SIGNATURE_OFFSET: Final = 48
"""Where the 16 bytes of the signature are in a message."""

_ALIGNMENT: Final = 8
_HEADER: Final = struct.Struct("<4sHHIHHIIQQQ16s")
_TRANSFORM: Final = struct.Struct("<4s16s16sIHHQ")
_NEXT_COMMAND: Final = struct.Struct("<I")
_NEXT_COMMAND_OFFSET: Final = 20
_NO_SIGNATURE: Final = bytes(16)
_ASYNC: Final = int(HeaderFlags.ASYNC_COMMAND)

assert _HEADER.size == HEADER_SIZE
assert _TRANSFORM.size == TRANSFORM_SIZE


@dataclass(slots=True)
class Header:
    """SMB2 packet header, synchronous and asynchronous ([MS-SMB2] 2.2.1.1, 2.2.1.2).

    `async_id` is on the wire when `flags` has ASYNC_COMMAND, `tree_id` when it has not; the other one is 0 after
    decoding.  `credits` is CreditRequest in a request, CreditResponse in a response.
    """

    command: int
    credit_charge: int = 0
    status: int = 0
    credits: int = 0
    flags: int = 0
    next_command: int = 0
    message_id: int = 0
    tree_id: int = 0
    async_id: int = 0
    session_id: int = 0
    signature: bytes = _NO_SIGNATURE
    process_id: int = 0
    """The four bytes before TreeId: reserved, though some clients send 0xFEFF and expect it back."""

    @property
    def channel_sequence(self) -> int:
        """ChannelSequence of a request of the 3.x dialects: the lower half of what responses use for the status."""
        return self.status & 0xFFFF

    @property
    def is_async(self) -> bool:
        """Whether the header has an AsyncId."""
        return self.flags & _ASYNC != 0

    @classmethod
    def decode(cls, message: memoryview) -> Header:
        """Read the header at the start of `message`.

        Raises ProtocolViolation when `message` is shorter than a header, is not SMB2, or the header's StructureSize
        is not 64.
        """
        if len(message) < HEADER_SIZE:
            raise ProtocolViolation(f"message of {len(message)} bytes has no complete header")
        (protocol_id, structure_size, credit_charge, status, command, credits, flags, next_command, message_id,
         async_or_tree, session_id, signature) = _HEADER.unpack_from(message)  # fmt: skip
        if protocol_id != PROTOCOL_SMB2:
            raise ProtocolViolation(f"message starts with {protocol_id.hex()}, which is not SMB2")
        if structure_size != HEADER_SIZE:
            raise ProtocolViolation(f"header says its size is {structure_size}")
        if flags & _ASYNC:
            async_id, tree_id, process_id = async_or_tree, 0, 0
        else:
            async_id, tree_id, process_id = 0, async_or_tree >> 32, async_or_tree & 0xFFFF_FFFF
        return cls(
            command, credit_charge, status, credits, flags, next_command, message_id, tree_id, async_id, session_id,
            signature, process_id,
        )  # fmt: skip

    def encode(self) -> bytes:
        """The 64 bytes of the header."""
        async_or_tree = self.async_id if self.flags & _ASYNC else self.tree_id << 32 | self.process_id
        return _HEADER.pack(
            PROTOCOL_SMB2, HEADER_SIZE, self.credit_charge, self.status, self.command, self.credits, self.flags,
            self.next_command, self.message_id, async_or_tree, self.session_id, self.signature,
        )  # fmt: skip


@dataclass(slots=True)
class TransformHeader:
    """SMB2 TRANSFORM_HEADER ([MS-SMB2] 2.2.41): what comes before an encrypted message.

    `nonce` is always 16 bytes; the cipher uses the first 11 (CCM) or 12 (GCM).  `flags` is EncryptionAlgorithm in the
    dialects 3.0 and 3.0.2; both must be 1.  The bytes of `encode()` from TRANSFORM_AAD_OFFSET on are the additional
    authenticated data.
    """

    session_id: int
    original_message_size: int
    nonce: bytes
    signature: bytes = _NO_SIGNATURE
    flags: int = 1

    @classmethod
    def decode(cls, frame: memoryview) -> TransformHeader:
        """Read the header at the start of `frame`.

        Raises ProtocolViolation when it is too short or not a transform header.
        """
        if len(frame) < TRANSFORM_SIZE:
            raise ProtocolViolation(f"frame of {len(frame)} bytes has no complete transform header")
        protocol_id, signature, nonce, size, _reserved, flags, session_id = _TRANSFORM.unpack_from(frame)
        if protocol_id != PROTOCOL_TRANSFORM:
            raise ProtocolViolation(f"frame starts with {protocol_id.hex()}, which is no transform header")
        return cls(session_id, size, nonce, signature, flags)

    def encode(self) -> bytes:
        """The 52 bytes of the header."""
        return _TRANSFORM.pack(
            PROTOCOL_TRANSFORM, self.signature, self.nonce, self.original_message_size, 0, self.flags,
            self.session_id,
        )  # fmt: skip


def split_compound(frame: memoryview, requests_max: int) -> list[memoryview]:
    """Cut a frame into its messages by NextCommand ([MS-SMB2] 3.3.5.2.7).

    Each message goes up to where the next begins, padding included (a signature covers it).  Only NextCommand is
    read here; `Header.decode` checks the rest.  Raises ProtocolViolation when a message has no complete header,
    NextCommand is not 8-aligned, below 64 or outside the frame, or there are more than `requests_max` messages.
    """
    messages: list[memoryview] = []
    while True:
        if len(frame) < HEADER_SIZE:
            raise ProtocolViolation(f"message of {len(frame)} bytes has no complete header")
        if len(messages) == requests_max:
            raise ProtocolViolation(f"compound of more than {requests_max} messages")
        (next_command,) = _NEXT_COMMAND.unpack_from(frame, _NEXT_COMMAND_OFFSET)
        if next_command == 0:
            messages.append(frame)
            return messages
        if next_command % _ALIGNMENT or not HEADER_SIZE <= next_command <= len(frame):
            raise ProtocolViolation(f"NextCommand {next_command} in a message of {len(frame)} bytes")
        messages.append(frame[:next_command])
        frame = frame[next_command:]


def protocol_id(frame: Buffer) -> bytes:
    """The first four bytes of a frame, to be compared with the PROTOCOL_ constants."""
    return bytes(frame[:4])
