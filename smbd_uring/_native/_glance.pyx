# cython: language_level=3
"""The compound CREATE, QUERY_INFO, CLOSE that asks for a file's attributes by name, read in one pass.

Knows: where its fields are.  Must not know: what they mean.  `smbd_uring.wire.glance` has the Python twin and says
which frames are one.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport UINT64_MAX, uint8_t, uint16_t, uint32_t

from smbd_uring._native._smb2 cimport (
    COMMAND_CLOSE,
    FLAG_RELATED_OPERATIONS,
    FLAG_SIGNED,
    Message,
    load16,
    load32,
    load64,
    parse_message,
)

cdef enum:
    COMMAND_CREATE = 5
    COMMAND_QUERY_INFO = 16
    FLAG_PRIORITY_MASK = 0x70
    # Headers and fixed parts.
    CREATE_BYTES = 120
    QUERY_INFO_BYTES = 104
    CLOSE_BYTES = 88
    FLAG_POSTQUERY_ATTRIB = 1

cdef object new_tuple = tuple.__new__


cdef bint has_shape(uint8_t *at, size_t length, Message *create, Message *query, Message *close) noexcept nogil:
    """Whether the frame is the compound; then the three messages lie in it with their fixed parts."""
    cdef size_t name_offset, name_length
    if length < CREATE_BYTES + QUERY_INFO_BYTES + CLOSE_BYTES or load16(at + 12) != COMMAND_CREATE:
        return False
    if parse_message(at, length, create) < 0 or not create.next_command or create.bytes < CREATE_BYTES:
        return False
    if create.flags & ~<uint32_t>(FLAG_SIGNED | FLAG_PRIORITY_MASK):
        return False
    name_offset, name_length = load16(at + 108), load16(at + 110)
    if load16(at + 64) != 57 or load32(at + 116) or name_offset < CREATE_BYTES:
        return False
    if name_length > create.bytes or name_offset > create.bytes - name_length:
        return False
    if parse_message(at + create.bytes, length - create.bytes, query) < 0 or not query.next_command:
        return False
    if query.bytes < QUERY_INFO_BYTES or query.command != COMMAND_QUERY_INFO or not is_related(query):
        return False
    if load16(query.start + 64) != 41 or load32(query.start + 76):
        return False
    if load64(query.start + 88) != UINT64_MAX or load64(query.start + 96) != UINT64_MAX:
        return False
    length -= create.bytes + query.bytes
    if parse_message(query.start + query.bytes, length, close) < 0 or close.next_command or length < CLOSE_BYTES:
        return False
    if close.command != COMMAND_CLOSE or not is_related(close) or load16(close.start + 64) != 24:
        return False
    return load64(close.start + 72) == UINT64_MAX and load64(close.start + 80) == UINT64_MAX


cdef inline bint is_related(const Message *message) noexcept nogil:
    return message.flags & ~<uint32_t>(FLAG_SIGNED | FLAG_PRIORITY_MASK) == FLAG_RELATED_OPERATIONS


cdef inline object asked(object kind, const Message *message, size_t start):
    return new_tuple(kind, (
        message.credit_charge, message.credits, message.flags, message.message_id, start, start + message.bytes,
    ))


def read_glance(object frame, type glance, type one_asked, type parameters):
    """`wire.glance.read_glance`; the types are its Glance, Asked and Parameters."""
    cdef Message create, query, close
    # Held until the end; the messages point into it.
    cdef Py_buffer held
    cdef uint8_t *at
    PyObject_GetBuffer(frame, &held, PyBUF_SIMPLE)
    try:
        at = <uint8_t *>held.buf
        if not has_shape(at, held.len, &create, &query, &close):
            return None
        return new_tuple(glance, (
            create.session_id, create.tree_id, asked(one_asked, &create, 0), asked(one_asked, &query, create.bytes),
            asked(one_asked, &close, create.bytes + query.bytes),
            new_tuple(parameters, (
                load32(at + 68), load32(at + 88), load32(at + 92), load32(at + 96), load32(at + 100), load32(at + 104),
                query.start[66], query.start[67],
            )),
            PyBytes_FromStringAndSize(<char *>at + load16(at + 108), load16(at + 110)),
            load32(query.start + 68), load16(close.start + 66) & FLAG_POSTQUERY_ATTRIB != 0,
        ))
    finally:
        PyBuffer_Release(&held)
