# Header of _answers.pyx.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from smbd_uring._native._connection cimport Connection, Keys, Segment
from smbd_uring._native._smb2 cimport PREFIX_BYTES, TRANSFORM_BYTES
from smbd_uring._native._steps cimport Step

cdef inline size_t head_bytes(uint64_t sealed_by) noexcept nogil:
    # Before the first message of an answer: its length, and room for the transform header.
    return PREFIX_BYTES + (TRANSFORM_BYTES if sealed_by else 0)

# The body of a READ's answer, its `count` bytes of payload being in place behind it.  Result: the body's bytes.
cdef size_t store_read(Step *step, uint8_t *body, uint32_t count, uint32_t *status) noexcept nogil
# Header and signature of an answer of `bytes`, its body being there.  False when libcrypto fails.
cdef bint finish_message(
    Connection *connection, Step *step, Keys *keys, uint8_t *message, size_t bytes, uint32_t status,
    uint32_t next_command,
) noexcept nogil
# Seal `bytes` of messages, which begin behind the head in `room`, and say how long the frame is.
cdef bint finish_frame(Keys *keys, uint8_t *room, size_t bytes, uint64_t sealed_by) noexcept nogil
# The step is answered and `count` bytes of its file were read or written.  `connection.lock` held.
cdef void account(Connection *connection, Step *step, uint32_t count) noexcept nogil
# Complete the answer to a frame of one request, its `body` bytes being in `room` where they belong, and queue it.
# `segment` holds `room`, and is in the queue already if `is_queued`.
cdef void answer(
    Connection *connection, Step *step, Segment *segment, uint8_t *room, size_t body, uint32_t status,
    uint64_t sealed_by, uint32_t count, bint is_queued,
) noexcept nogil
# Queue what has been completed: `bytes` in `segment`, or end the connection when it is not `done`.
cdef void queue_answer(
    Connection *connection, Step *step, Segment *segment, size_t bytes, uint32_t count, bint is_queued, bint done
) noexcept nogil
cdef void answer_read(
    Connection *connection, Step *step, Segment *segment, uint8_t *room, uint32_t count, uint64_t sealed_by,
    bint is_queued,
) noexcept nogil
