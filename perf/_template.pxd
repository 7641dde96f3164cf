# Header of _template.pyx.

from libc.stdint cimport uint8_t, uint16_t, uint64_t


cdef enum:
    MESSAGES_MAX = 4
    STEPS_MAX = 6


# One message of a frame, and what differs from one time it is sent to the next.  Places count from the frame's
# beginning; 0 says that there is none.
cdef struct message_template:
    # Where its header begins, and how long it is up to the next message or to the payload.
    unsigned at
    unsigned length
    uint16_t command
    uint16_t charge
    # Where the FileId goes that the operation's CREATE has given.
    unsigned file_id_at
    # Where the offset of the READ or WRITE goes.
    unsigned offset_at
    # Where the operation's number goes, in `digits` decimal digits of two bytes each.
    unsigned number_at
    unsigned digits


# One frame: what an operation sends before it waits for the answers to all of it.
cdef struct step_template:
    # Owned by the operation.
    uint8_t *bytes
    unsigned length
    message_template messages[MESSAGES_MAX]
    unsigned count
    # Sum of the messages' charges.
    unsigned charge
    # Bytes of content that follow the last message: those of a WRITE.
    unsigned payload


# An operation: steps one after the other.  Everything of it belongs to whoever called fill_operation.
cdef struct operation_template:
    step_template steps[STEPS_MAX]
    unsigned count
    # Length of each READ and WRITE, and how many such blocks the file has.
    unsigned block_bytes
    uint64_t blocks
    bint is_random
    # Names are numbered at random below this; 0: they count up.
    uint64_t numbers
    # Entries that a listing must find.
    uint64_t entries
    # Payload that the operation moves.
    uint64_t bytes


# Copies a Python OperationTemplate.  Raises ValueError, MemoryError; then nothing is owned.
cdef int fill_operation(operation_template *into, object operation) except -1
cdef void free_operation(operation_template *operation) noexcept nogil
