"""NEGOTIATE, its contexts, and the SMB1 NEGOTIATE that may come before it.

Knows: [MS-SMB2] 2.2.3, 2.2.4; [MS-CIFS] 2.2.4.52.1 as far as the dialect list goes.  Must not know: what is chosen.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from smbd_uring.ports import Buffer
from smbd_uring.wire.const import Dialect
from smbd_uring.wire.errors import MalformedMessage, ProtocolViolation
from smbd_uring.wire.names import decode_utf16, encode_utf16
from smbd_uring.wire.pdu import BODY_OFFSET, Cursor, slice_of, unpack_body

_REQUEST = struct.Struct("<HHHHI16sIHH")
_RESPONSE = struct.Struct("<HHHH16sIIIIQQHHI")
_CONTEXT = struct.Struct("<HHI")
REQUEST_STRUCTURE_SIZE = 36
RESPONSE_STRUCTURE_SIZE = 65
ALIGNMENT = 8
CONTEXTS_DECODED_MAX = 256
"""A list of empty contexts costs 8 bytes each; this ends the walk through one that is only there to be walked."""


@dataclass(slots=True)
class NegotiateRequest:
    """[MS-SMB2] 2.2.3.  `contexts` are (type, data) in their order, only where 3.1.1 is offered."""

    security_mode: int
    capabilities: int
    client_guid: bytes
    dialects: tuple[int, ...]
    contexts: list[tuple[int, Buffer]] = field(default_factory=list)

    @classmethod
    def decode(cls, message: memoryview) -> NegotiateRequest:
        """MalformedMessage when it does not decode."""
        count, security_mode, _, capabilities, guid, offset, context_count, _ = unpack_body(
            _REQUEST, message, REQUEST_STRUCTURE_SIZE
        )
        words = slice_of(message, BODY_OFFSET + _REQUEST.size, 2 * count)
        dialects = struct.unpack(f"<{count}H", words)
        contexts: list[tuple[int, Buffer]] = []
        if Dialect.SMB_3_1_1 in dialects and context_count:
            contexts = _decode_contexts(message, offset, context_count)
        return cls(security_mode, capabilities, guid, dialects, contexts)

    def encode(self) -> bytes:
        """The body."""
        words = struct.pack(f"<{len(self.dialects)}H", *self.dialects)
        end = BODY_OFFSET + _REQUEST.size + len(words)
        padding = -end % ALIGNMENT if self.contexts else 0
        offset = end + padding if self.contexts else 0
        fixed = _REQUEST.pack(
            REQUEST_STRUCTURE_SIZE, len(self.dialects), self.security_mode, 0, self.capabilities, self.client_guid,
            offset, len(self.contexts), 0,
        )  # fmt: skip
        return fixed + words + bytes(padding) + _encode_contexts(self.contexts)


@dataclass(slots=True)
class NegotiateResponse:
    """[MS-SMB2] 2.2.4.  Times are FILETIMEs, sizes bytes."""

    security_mode: int
    dialect_revision: int
    server_guid: bytes
    capabilities: int
    max_transact_size: int
    max_read_size: int
    max_write_size: int
    system_time: int
    server_start_time: int
    security_buffer: Buffer
    contexts: Sequence[tuple[int, Buffer]] = ()

    @classmethod
    def decode(cls, message: memoryview) -> NegotiateResponse:
        """MalformedMessage when it does not decode."""
        mode, dialect, count, guid, capabilities, transact, read, write, now, start, offset, length, where = (
            unpack_body(_RESPONSE, message, RESPONSE_STRUCTURE_SIZE)
        )
        contexts = _decode_contexts(message, where, count) if dialect == Dialect.SMB_3_1_1 and count else []
        return cls(
            mode, dialect, guid, capabilities, transact, read, write, now, start,
            slice_of(message, offset, length), contexts,
        )  # fmt: skip

    def encode(self) -> bytes:
        """The body."""
        buffer_offset = BODY_OFFSET + _RESPONSE.size
        end = buffer_offset + len(self.security_buffer)
        padding = -end % ALIGNMENT if self.contexts else 0
        fixed = _RESPONSE.pack(
            RESPONSE_STRUCTURE_SIZE, self.security_mode, self.dialect_revision, len(self.contexts), self.server_guid,
            self.capabilities, self.max_transact_size, self.max_read_size, self.max_write_size, self.system_time,
            self.server_start_time, buffer_offset, len(self.security_buffer), end + padding if self.contexts else 0,
        )  # fmt: skip
        return fixed + bytes(self.security_buffer) + bytes(padding) + _encode_contexts(self.contexts)


def _decode_contexts(message: memoryview, offset: int, count: int) -> list[tuple[int, Buffer]]:
    if not BODY_OFFSET <= offset <= len(message) or count > CONTEXTS_DECODED_MAX:
        raise MalformedMessage(f"{count} negotiate contexts at {offset}")
    cursor = Cursor(message[offset:])
    contexts: list[tuple[int, Buffer]] = []
    for _ in range(count):
        cursor.align(ALIGNMENT)
        kind, length, _ = cursor.unpack(_CONTEXT)
        contexts.append((kind, cursor.take(length)))
    return contexts


def _encode_contexts(contexts: Sequence[tuple[int, Buffer]]) -> bytes:
    out = bytearray()
    for kind, data in contexts:
        out += bytes(-len(out) % ALIGNMENT)
        out += _CONTEXT.pack(kind, len(data), 0)
        out += data
    return bytes(out)


def _decode_words(cursor: Cursor, count: int) -> tuple[int, ...]:
    return struct.unpack(f"<{count}H", cursor.take(2 * count))


def _encode_words(words: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(words)}H", *words)


_WORD = struct.Struct("<H")
_TWO_WORDS = struct.Struct("<HH")
_COMPRESSION = struct.Struct("<HHI")


@dataclass(slots=True)
class PreauthIntegrityCapabilities:
    """[MS-SMB2] 2.2.3.1.1."""

    hash_algorithms: tuple[int, ...]
    salt: Buffer

    @classmethod
    def decode(cls, data: Buffer) -> PreauthIntegrityCapabilities:
        """MalformedMessage when it does not decode."""
        cursor = Cursor(memoryview(data))
        count, salt_length = cursor.unpack(_TWO_WORDS)
        return cls(_decode_words(cursor, count), cursor.take(salt_length))

    def encode(self) -> bytes:
        """The context's data."""
        return (
            _TWO_WORDS.pack(len(self.hash_algorithms), len(self.salt))
            + _encode_words(self.hash_algorithms)
            + bytes(self.salt)
        )


@dataclass(slots=True)
class EncryptionCapabilities:
    """[MS-SMB2] 2.2.3.1.2."""

    ciphers: tuple[int, ...]

    @classmethod
    def decode(cls, data: Buffer) -> EncryptionCapabilities:
        """MalformedMessage when it does not decode."""
        cursor = Cursor(memoryview(data))
        (count,) = cursor.unpack(_WORD)
        return cls(_decode_words(cursor, count))

    def encode(self) -> bytes:
        """The context's data."""
        return _WORD.pack(len(self.ciphers)) + _encode_words(self.ciphers)


@dataclass(slots=True)
class SigningCapabilities:
    """[MS-SMB2] 2.2.3.1.7."""

    signing_algorithms: tuple[int, ...]

    @classmethod
    def decode(cls, data: Buffer) -> SigningCapabilities:
        """MalformedMessage when it does not decode."""
        cursor = Cursor(memoryview(data))
        (count,) = cursor.unpack(_WORD)
        return cls(_decode_words(cursor, count))

    def encode(self) -> bytes:
        """The context's data."""
        return _WORD.pack(len(self.signing_algorithms)) + _encode_words(self.signing_algorithms)


@dataclass(slots=True)
class CompressionCapabilities:
    """[MS-SMB2] 2.2.3.1.3."""

    flags: int
    compression_algorithms: tuple[int, ...]

    @classmethod
    def decode(cls, data: Buffer) -> CompressionCapabilities:
        """MalformedMessage when it does not decode."""
        cursor = Cursor(memoryview(data))
        count, _, flags = cursor.unpack(_COMPRESSION)
        return cls(flags, _decode_words(cursor, count))

    def encode(self) -> bytes:
        """The context's data."""
        return _COMPRESSION.pack(len(self.compression_algorithms), 0, self.flags) + _encode_words(
            self.compression_algorithms
        )


@dataclass(slots=True)
class NetnameNegotiateContextId:
    """[MS-SMB2] 2.2.3.1.4."""

    net_name: str

    @classmethod
    def decode(cls, data: Buffer) -> NetnameNegotiateContextId:
        """MalformedMessage when it does not decode."""
        return cls(decode_utf16(memoryview(data)))

    def encode(self) -> bytes:
        """The context's data."""
        return encode_utf16(self.net_name)


SMB1_HEADER_SIZE = 32
SMB1_COM_NEGOTIATE = 0x72
SMB1_DIALECT_BUFFER = 0x02
SMB1_DIALECTS_MAX = 64


def smb1_negotiate_dialects(frame: memoryview) -> list[bytes]:
    """The dialect strings of an SMB1 NEGOTIATE.  ProtocolViolation when the frame is anything else."""
    if len(frame) < SMB1_HEADER_SIZE + 3 or frame[4] != SMB1_COM_NEGOTIATE or frame[SMB1_HEADER_SIZE] != 0:
        raise ProtocolViolation("an SMB1 message that is no NEGOTIATE")
    (byte_count,) = _WORD.unpack_from(frame, SMB1_HEADER_SIZE + 1)
    data = bytes(frame[SMB1_HEADER_SIZE + 3 :])
    if byte_count > len(data):
        raise ProtocolViolation("an SMB1 NEGOTIATE cut short")
    data = data[:byte_count]
    dialects: list[bytes] = []
    while data:
        name, terminator, rest = data[1:].partition(b"\0")
        if data[0] != SMB1_DIALECT_BUFFER or not terminator or len(dialects) >= SMB1_DIALECTS_MAX:
            raise ProtocolViolation("an SMB1 NEGOTIATE with a broken dialect list")
        dialects.append(name)
        data = rest
    return dialects
