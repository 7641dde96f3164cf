# cython: language_level=3
"""Takes the templates of operations over from Python into plain C.

Knows: the fields of `perf.templates`.  Must not know: what the bytes mean.
"""

from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset


cdef int fill_message(message_template *into, object message, unsigned frame_bytes) except -1:
    into.at = message.at
    into.length = message.length
    into.command = message.command
    into.charge = message.charge
    into.file_id_at = message.file_id_at
    into.offset_at = message.offset_at
    into.number_at = message.number_at
    into.digits = message.digits
    for end in (
        into.at + into.length, into.file_id_at + 16, into.offset_at + 8, into.number_at + 2 * into.digits,
    ):
        if end > max(frame_bytes, 16):
            raise ValueError("a template that reaches beyond its frame")
    if into.length < 64:
        raise ValueError("a template without a header")
    return 0


cdef int fill_step(step_template *into, object step) except -1:
    cdef bytes data = step.data
    if not 0 < len(step.messages) <= MESSAGES_MAX:
        raise ValueError(f"{len(step.messages)} messages in a frame")
    into.length = len(data)
    into.count = len(step.messages)
    into.payload = step.payload
    into.charge = 0
    for index, message in enumerate(step.messages):
        fill_message(&into.messages[index], message, into.length)
        into.charge += into.messages[index].charge
    into.bytes = <uint8_t *>malloc(into.length)
    if into.bytes is NULL:
        raise MemoryError
    memcpy(into.bytes, <const char *>data, into.length)
    return 0


cdef int fill_operation(operation_template *into, object operation) except -1:
    memset(into, 0, sizeof(operation_template))
    if not 0 < len(operation.steps) <= STEPS_MAX:
        raise ValueError(f"an operation of {len(operation.steps)} steps")
    into.block_bytes = operation.block_bytes
    into.blocks = max(operation.blocks, 1)
    into.is_random = operation.is_random
    into.numbers = operation.numbers
    into.entries = operation.entries
    into.bytes = operation.bytes_moved
    try:
        for step in operation.steps:
            fill_step(&into.steps[into.count], step)
            into.count += 1
    except Exception:
        free_operation(into)
        raise
    return 0


cdef void free_operation(operation_template *operation) noexcept nogil:
    cdef unsigned index
    for index in range(<unsigned>STEPS_MAX):
        free(operation.steps[index].bytes)
        operation.steps[index].bytes = NULL
    operation.count = 0
