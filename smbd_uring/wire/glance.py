"""The compound that asks for what is known of a file by its name: CREATE, QUERY_INFO, CLOSE, read and written as one.

Knows: where the fields of the three messages are ([MS-SMB2] 2.2.1, 2.2.13 to 2.2.16, 2.2.37, 2.2.38).  Must not know:
what the values mean; whatever is not exactly this shape is somebody else's to judge.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from smbd_uring import _native
from smbd_uring.wire.const import CloseFlags, Command, CreateAction, HeaderFlags
from smbd_uring.wire.header import HEADER_SIZE, PROTOCOL_SMB2
from smbd_uring.wire.pdu import FILE_ID_ANY, FileId

_FIRST = struct.Struct("<12xH6xI")
_CREATE = struct.Struct("<4sHH4xHHIIQ4xIQ16x H2xI16xIIIIIHH4xI")
_QUERY_INFO = struct.Struct("<4sHH4xHHIIQ32x HBBI4xI8xQQ")
_CLOSE = struct.Struct("<4sHH4xHHIIQ32x HH4xQQ")
_CREATED = struct.Struct("<4sHHIHHIIQ4xIQ16x HBBIQQQQQQI4xQQ8x")
_FOUND = struct.Struct("<4sHHIHHIIQ4xIQ16x HHI")
_CLOSED = struct.Struct("<4sHHIHHIIQ4xIQ16x HH4xQQQQQQI")
FOUND_OFFSET = 8
ALIGNMENT = 8
PADDING = bytes(ALIGNMENT)
CREATE, QUERY_INFO, CLOSE = int(Command.CREATE), int(Command.QUERY_INFO), int(Command.CLOSE)
RELATED, SERVER_TO_REDIR = int(HeaderFlags.RELATED_OPERATIONS), int(HeaderFlags.SERVER_TO_REDIR)
PRIORITY_AND_SIGNED = int(HeaderFlags.SIGNED | HeaderFlags.PRIORITY_MASK)
ANY, _ = FILE_ID_ANY
OPENED, POSTQUERY_ATTRIB = int(CreateAction.OPENED), int(CloseFlags.POSTQUERY_ATTRIB)
NO_ATTRIBUTES = bytes(8)
"""CLOSE's answer after its StructureSize, when none are asked for."""

_new = tuple.__new__
"""Makes a record without its constructor, which takes as long as all the rest."""

SHORTEST = _CREATE.size + _QUERY_INFO.size + _CLOSE.size
assert (_CREATE.size, _QUERY_INFO.size, _CLOSE.size) == (120, 104, 88)
assert (_CREATED.size, _FOUND.size, _CLOSED.size) == (152, 72, 124)


Three = tuple[int, int, int]


class Asked(NamedTuple):
    """One of the three requests: what of its header its answer depends on, and where it lies in the frame."""

    credit_charge: int
    credits: int
    flags: int
    message_id: int
    start: int
    end: int


class Parameters(NamedTuple):
    """What is asked, but for the name: a client asks the same again and again."""

    impersonation_level: int
    desired_access: int
    file_attributes: int
    share_access: int
    create_disposition: int
    create_options: int
    info_type: int
    file_info_class: int


class Glance(NamedTuple):
    """What the compound asks; `name` is UTF-16LE as it was sent."""

    session_id: int
    tree_id: int
    create: Asked
    query_info: Asked
    close: Asked
    parameters: Parameters
    name: bytes
    output_buffer_length: int
    wants_attributes: bool
    """Whether CLOSE asks for the attributes once more."""


class Answer(NamedTuple):
    """What the three answers have in common.  Times are FILETIMEs, sizes bytes."""

    creation_time: int
    last_access_time: int
    last_write_time: int
    change_time: int
    allocation_size: int
    end_of_file: int
    file_attributes: int
    information: bytes
    """QUERY_INFO's buffer."""


def read_glance(frame: memoryview) -> Glance | None:
    """The compound, or None when the frame is anything else.

    Exactly CREATE without contexts, QUERY_INFO without input and CLOSE, of which the last two are related to the one
    before and name its file by the ANY value; with no header flags but those of signature, relation and priority.
    """
    if _native.glance is not None:
        found: Glance | None = _native.glance.read_glance(frame, Glance, Asked, Parameters)
        return found
    return read_in_python(frame)


def read_in_python(frame: memoryview) -> Glance | None:
    """As `read_glance`, without native code."""
    length = len(frame)
    if length < SHORTEST:
        return None
    command, query_at = _FIRST.unpack_from(frame)
    if command != CREATE or query_at % ALIGNMENT or not _CREATE.size <= query_at <= length - SHORTEST + _CREATE.size:
        return None
    (
        protocol, size, charge, _, credits, flags, _, message_id, tree_id, session_id,
        body_size, impersonation, access, attributes, share, disposition, options, name_offset, name_length, contexts,
    ) = _CREATE.unpack_from(frame)  # fmt: skip
    if protocol != PROTOCOL_SMB2 or size != HEADER_SIZE or flags & ~PRIORITY_AND_SIGNED:
        return None
    if body_size != 57 or contexts or not _CREATE.size <= name_offset <= query_at - name_length:
        return None
    create = _new(Asked, (charge, credits, flags, message_id, 0, query_at))
    name = bytes(frame[name_offset : name_offset + name_length])

    (
        protocol, size, charge, command, credits, flags, close_size, message_id,
        body_size, info_type, info_class, output_length, input_length, persistent, volatile,
    ) = _QUERY_INFO.unpack_from(frame, query_at)  # fmt: skip
    if not _is_related(protocol, size, flags) or command != QUERY_INFO or body_size != 41:
        return None
    if input_length or persistent != ANY or volatile != ANY:
        return None
    close_at = query_at + close_size
    if close_size % ALIGNMENT or not _QUERY_INFO.size <= close_size <= length - query_at - _CLOSE.size:
        return None
    query = _new(Asked, (charge, credits, flags, message_id, query_at, close_at))

    (
        protocol, size, charge, command, credits, flags, following, message_id,
        body_size, close_flags, persistent, volatile,
    ) = _CLOSE.unpack_from(frame, close_at)  # fmt: skip
    if not _is_related(protocol, size, flags) or command != CLOSE or body_size != 24 or following:
        return None
    if persistent != ANY or volatile != ANY:
        return None
    close = _new(Asked, (charge, credits, flags, message_id, close_at, length))
    parameters = _new(
        Parameters, (impersonation, access, attributes, share, disposition, options, info_type, info_class)
    )
    wants_attributes = close_flags & POSTQUERY_ATTRIB != 0
    return _new(
        Glance, (session_id, tree_id, create, query, close, parameters, name, output_length, wants_attributes)
    )


def _is_related(protocol: bytes, header_size: int, flags: int) -> bool:
    return protocol == PROTOCOL_SMB2 and header_size == HEADER_SIZE and flags & ~PRIORITY_AND_SIGNED == RELATED


def lay_out_answers(
    asked: Glance, answer: Answer, file_id: FileId, credit_responses: Three, signs: Three
) -> list[bytes]:
    """The three answers, unsigned, each with its padding.

    `credit_responses` and `signs` (SIGNED or 0) are for each of the three.
    """
    if _native.glance is not None:
        messages: list[bytes] = _native.glance.lay_out_answers(asked, answer, file_id, credit_responses, signs)
        return messages
    return lay_out_in_python(asked, answer, file_id, credit_responses, signs)


def lay_out_in_python(
    asked: Glance, answer: Answer, file_id: FileId, credit_responses: Three, signs: Three
) -> list[bytes]:
    """As `lay_out_answers`, without native code."""
    create, query, close = asked.create, asked.query_info, asked.close
    tree_id, session_id = asked.tree_id, asked.session_id
    *facts, information = answer
    found_length = HEADER_SIZE + FOUND_OFFSET + len(information)
    padding = -found_length % ALIGNMENT
    created = _CREATED.pack(
        PROTOCOL_SMB2, HEADER_SIZE, create.credit_charge, 0, CREATE, credit_responses[0],
        SERVER_TO_REDIR | signs[0], _CREATED.size, create.message_id, tree_id, session_id,
        89, 0, 0, OPENED, *facts, *file_id,
    )  # fmt: skip
    found = _FOUND.pack(
        PROTOCOL_SMB2, HEADER_SIZE, query.credit_charge, 0, QUERY_INFO, credit_responses[1],
        SERVER_TO_REDIR | RELATED | signs[1], found_length + padding, query.message_id, tree_id, session_id,
        9, HEADER_SIZE + FOUND_OFFSET, len(information),
    )  # fmt: skip
    closed = _CLOSED.pack(
        PROTOCOL_SMB2, HEADER_SIZE, close.credit_charge, 0, CLOSE, credit_responses[2],
        SERVER_TO_REDIR | RELATED | signs[2], 0, close.message_id, tree_id, session_id,
        60, *((POSTQUERY_ATTRIB, *facts) if asked.wants_attributes else NO_ATTRIBUTES),
    )  # fmt: skip
    return [created, b"".join((found, information, PADDING[:padding])), closed]
