# cython: language_level=3
"""The compound CREATE, QUERY_INFO, CLOSE that asks for a file's attributes by name, read in one pass, and its
answers written in one.

Knows: where the fields are.  Must not know: what they mean.  `smbd_uring.wire.glance` has the Python twin and says
which frames are one.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport UINT64_MAX, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from smbd_uring._native._smb2 cimport (
    COMMAND_CLOSE,
    COMPOUND_ALIGNMENT,
    FLAG_RELATED_OPERATIONS,
    FLAG_SERVER_TO_REDIR,
    FLAG_SIGNED,
    HEADER_BYTES,
    Message,
    load16,
    load32,
    load64,
    parse_message,
    store16,
    store32,
    store64,
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
    CREATE_ANSWER_BYTES = 152
    FOUND_BYTES = 72
    CLOSE_ANSWER_BYTES = 124
    CREATE_ACTION_OPENED = 1

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


cdef int store_header(
    uint8_t *at, uint16_t command, object one_asked, object credits, object sign, uint32_t related, uint32_t following,
    uint32_t tree_id, uint64_t session_id,
) except -1:
    """The header of the answer to one of the requests; the memory is zero before."""
    memcpy(at, b"\xfeSMB", 4)
    store16(at + 4, HEADER_BYTES)
    store16(at + 6, one_asked[0])
    store16(at + 12, command)
    store16(at + 14, credits)
    store32(at + 16, FLAG_SERVER_TO_REDIR | related | <uint32_t>sign)
    store32(at + 20, following)
    store64(at + 24, one_asked[3])
    store32(at + 36, tree_id)
    store64(at + 40, session_id)
    return 0


cdef int store_facts(uint8_t *at, object answer) except -1:
    """Four times, two sizes and the attributes, as CREATE's and CLOSE's answers have them."""
    cdef Py_ssize_t index
    for index in range(6):
        store64(at + 8 * index, answer[index])
    store32(at + 48, answer[6])
    return 0


cdef uint8_t *fresh(bytes made) noexcept:
    """The memory of a bytes object that nobody else has seen yet, zeroed."""
    memset(PyBytes_AS_STRING(made), 0, PyBytes_GET_SIZE(made))
    return <uint8_t *>PyBytes_AS_STRING(made)


def lay_out_answers(object glance, object answer, object file_id, object credits, object signs):
    """`wire.glance.lay_out_answers`."""
    cdef uint64_t session_id = glance[0]
    cdef uint32_t tree_id = glance[1]
    cdef bytes information = answer[7]
    cdef size_t length = FOUND_BYTES + PyBytes_GET_SIZE(information)
    cdef size_t padded = (length + COMPOUND_ALIGNMENT - 1) // COMPOUND_ALIGNMENT * COMPOUND_ALIGNMENT
    cdef bytes created = PyBytes_FromStringAndSize(NULL, CREATE_ANSWER_BYTES)
    cdef bytes found = PyBytes_FromStringAndSize(NULL, padded)
    cdef bytes closed = PyBytes_FromStringAndSize(NULL, CLOSE_ANSWER_BYTES)
    cdef uint8_t *at = fresh(created)
    store_header(at, COMMAND_CREATE, glance[2], credits[0], signs[0], 0, CREATE_ANSWER_BYTES, tree_id, session_id)
    store16(at + 64, 89)
    store32(at + 68, CREATE_ACTION_OPENED)
    store_facts(at + 72, answer)
    store64(at + 128, file_id[0])
    store64(at + 136, file_id[1])
    at = fresh(found)
    store_header(
        at, COMMAND_QUERY_INFO, glance[3], credits[1], signs[1], FLAG_RELATED_OPERATIONS, <uint32_t>padded, tree_id,
        session_id,
    )
    store16(at + 64, 9)
    store16(at + 66, FOUND_BYTES)
    store32(at + 68, <uint32_t>PyBytes_GET_SIZE(information))
    memcpy(at + FOUND_BYTES, PyBytes_AS_STRING(information), PyBytes_GET_SIZE(information))
    at = fresh(closed)
    store_header(at, COMMAND_CLOSE, glance[4], credits[2], signs[2], FLAG_RELATED_OPERATIONS, 0, tree_id, session_id)
    store16(at + 64, 60)
    if glance[8]:
        store16(at + 66, FLAG_POSTQUERY_ATTRIB)
        store_facts(at + 72, answer)
    return [created, found, closed]
