"""CREATE and CLOSE.

Knows: [MS-SMB2] 2.2.13 to 2.2.16.  Must not know: what contexts mean (`create_contexts`).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from smbd_uring.ports import Buffer
from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.names import decode_utf16, encode_utf16
from smbd_uring.wire.pdu import BODY_OFFSET, FileId, slice_of, unpack_body

_REQUEST = struct.Struct("<HBBIQQIIIIIHHII")
_RESPONSE = struct.Struct("<HBBIQQQQQQIIQQII")
_CONTEXT = struct.Struct("<IHHHHI")
REQUEST_VARIABLE_OFFSET = BODY_OFFSET + _REQUEST.size
_CLOSE_REQUEST = struct.Struct("<HHIQQ")
_CLOSE_RESPONSE = struct.Struct("<HHIQQQQQQI")
REQUEST_STRUCTURE_SIZE = 57
RESPONSE_STRUCTURE_SIZE = 89
CLOSE_REQUEST_STRUCTURE_SIZE = 24
CLOSE_RESPONSE_STRUCTURE_SIZE = 60
ALIGNMENT = 8
CONTEXT_NAME_SIZE_MIN = 4
CONTEXTS_DECODED_MAX = 256
"""Ends the walk through a chain that is only there to be walked."""

Context = tuple[bytes, Buffer]


@dataclass(slots=True)
class CreateRequest:
    """[MS-SMB2] 2.2.13.  `contexts` are (name, data) in their order."""

    requested_oplock_level: int = 0
    impersonation_level: int = 2
    desired_access: int = 0
    file_attributes: int = 0
    share_access: int = 0
    create_disposition: int = 1
    create_options: int = 0
    name: str = ""
    contexts: Sequence[Context] = field(default_factory=list)

    @classmethod
    def decode(cls, message: memoryview) -> CreateRequest:
        """MalformedMessage when it does not decode."""
        (
            _, oplock, impersonation, _, _, access, attributes, share, disposition, options, name_offset, name_length,
            contexts_offset, contexts_length,
        ) = unpack_body(_REQUEST, message, REQUEST_STRUCTURE_SIZE)  # fmt: skip
        name = decode_utf16(slice_of(message, name_offset, name_length, REQUEST_VARIABLE_OFFSET)) if name_length else ""
        contexts: list[Context] = []
        if contexts_length:
            contexts = _decode_contexts(
                slice_of(message, contexts_offset, contexts_length, REQUEST_VARIABLE_OFFSET)
            )
        return cls(oplock, impersonation, access, attributes, share, disposition, options, name, contexts)

    def encode(self) -> bytes:
        """The body; an empty name still takes one character's room, as clients send it."""
        name = encode_utf16(self.name)
        name_offset = BODY_OFFSET + _REQUEST.size
        variable = name or bytes(ALIGNMENT)
        contexts = _encode_contexts(self.contexts)
        contexts_offset = 0
        if contexts:
            variable += bytes(-len(variable) % ALIGNMENT)
            contexts_offset = name_offset + len(variable)
        return (
            _REQUEST.pack(
                REQUEST_STRUCTURE_SIZE, 0, self.requested_oplock_level, self.impersonation_level, 0, 0,
                self.desired_access, self.file_attributes, self.share_access, self.create_disposition,
                self.create_options, name_offset, len(name), contexts_offset, len(contexts),
            )
            + variable
            + contexts
        )


@dataclass(slots=True)
class CreateResponse:
    """[MS-SMB2] 2.2.14.  Times are FILETIMEs, sizes bytes."""

    oplock_level: int
    flags: int
    create_action: int
    creation_time: int
    last_access_time: int
    last_write_time: int
    change_time: int
    allocation_size: int
    end_of_file: int
    file_attributes: int
    file_id: FileId
    contexts: Sequence[Context] = field(default_factory=list)

    @classmethod
    def decode(cls, message: memoryview) -> CreateResponse:
        """MalformedMessage when it does not decode."""
        (
            oplock, flags, action, creation, access, write, change, allocation, end, attributes, _, persistent,
            volatile, offset, length,
        ) = unpack_body(_RESPONSE, message, RESPONSE_STRUCTURE_SIZE)  # fmt: skip
        return cls(
            oplock, flags, action, creation, access, write, change, allocation, end, attributes,
            FileId(persistent, volatile),
            _decode_contexts(slice_of(message, offset, length, earliest=BODY_OFFSET + _RESPONSE.size)),
        )  # fmt: skip

    def encode(self) -> bytes:
        """The body."""
        contexts, offset = b"", 0
        if self.contexts:
            contexts, offset = _encode_contexts(self.contexts), BODY_OFFSET + _RESPONSE.size
        file_id = self.file_id
        return _RESPONSE.pack(
            RESPONSE_STRUCTURE_SIZE, self.oplock_level, self.flags, self.create_action, self.creation_time,
            self.last_access_time, self.last_write_time, self.change_time, self.allocation_size, self.end_of_file,
            self.file_attributes, 0, file_id.persistent, file_id.volatile, offset, len(contexts),
        ) + contexts


def _decode_contexts(view: memoryview) -> list[Context]:
    """[MS-SMB2] 2.2.13.2 and 3.3.5.9: a chain of contexts, each within the room up to the next."""
    contexts: list[Context] = []
    while view:
        if len(view) < _CONTEXT.size or len(contexts) >= CONTEXTS_DECODED_MAX:
            raise MalformedMessage("a chain of create contexts that is cut short or has no end")
        following, name_offset, name_length, _, data_offset, data_length = _CONTEXT.unpack_from(view)
        if following and (following % ALIGNMENT or not _CONTEXT.size <= following <= len(view) - _CONTEXT.size):
            raise MalformedMessage(f"create context: Next {following} of {len(view)}")
        if name_length < CONTEXT_NAME_SIZE_MIN:
            raise MalformedMessage(f"create context: a name of {name_length} bytes")
        own = view[:following] if following else view
        name = bytes(slice_of(own, name_offset, name_length, earliest=_CONTEXT.size))
        contexts.append((name, slice_of(own, data_offset, data_length, earliest=_CONTEXT.size)))
        view = view[following:] if following else view[:0]
    return contexts


def _encode_contexts(contexts: Sequence[Context]) -> bytes:
    out = bytearray()
    for index, (name, data) in enumerate(contexts):
        name_end = _CONTEXT.size + len(name)
        data_offset = name_end + -name_end % ALIGNMENT
        end = data_offset + len(data) if data else name_end
        is_last = index == len(contexts) - 1
        following = 0 if is_last else end + -end % ALIGNMENT
        out += _CONTEXT.pack(
            following, _CONTEXT.size, len(name), 0, data_offset if data else 0, len(data)
        )
        out += name
        if data:
            out += bytes(data_offset - name_end) + bytes(data)
        if not is_last:
            out += bytes(following - end)
    return bytes(out)


@dataclass(slots=True)
class CloseRequest:
    """[MS-SMB2] 2.2.15."""

    flags: int
    file_id: FileId

    @classmethod
    def decode(cls, message: memoryview) -> CloseRequest:
        """MalformedMessage when it does not decode."""
        flags, _, persistent, volatile = unpack_body(_CLOSE_REQUEST, message, CLOSE_REQUEST_STRUCTURE_SIZE)
        return cls(flags, FileId(persistent, volatile))

    def encode(self) -> bytes:
        """The body."""
        return _CLOSE_REQUEST.pack(CLOSE_REQUEST_STRUCTURE_SIZE, self.flags, 0, *self.file_id)


@dataclass(slots=True)
class CloseResponse:
    """[MS-SMB2] 2.2.16; all zero unless the client asked for the attributes."""

    flags: int = 0
    creation_time: int = 0
    last_access_time: int = 0
    last_write_time: int = 0
    change_time: int = 0
    allocation_size: int = 0
    end_of_file: int = 0
    file_attributes: int = 0

    @classmethod
    def decode(cls, message: memoryview) -> CloseResponse:
        """MalformedMessage when it does not decode."""
        flags, _, *values = unpack_body(_CLOSE_RESPONSE, message, CLOSE_RESPONSE_STRUCTURE_SIZE)
        return cls(flags, *values)

    def encode(self) -> bytes:
        """The body."""
        return _CLOSE_RESPONSE.pack(
            CLOSE_RESPONSE_STRUCTURE_SIZE, self.flags, 0, self.creation_time, self.last_access_time,
            self.last_write_time, self.change_time, self.allocation_size, self.end_of_file, self.file_attributes,
        )  # fmt: skip
