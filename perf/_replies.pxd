# Header of _replies.pyx.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from smbd_uring.perf._connection cimport common, complaint, connection
from smbd_uring.perf._histogram cimport Histogram


# What happened, over all connections.
cdef struct tally:
    uint64_t operations
    uint64_t bytes
    uint64_t errors
    # The first complaint, and the status and command of the answer it is about.
    complaint first
    uint32_t first_status
    uint32_t first_command
    # No more operations are begun.
    bint is_ending


# Use all whole frames among the received bytes; slots whose answers are complete become ready or idle.
# `received_ns` is when the bytes came.
cdef void handle_received(
    connection *on, const common *shared, tally *counted, Histogram latencies, uint64_t received_ns
) noexcept nogil
# Note a complaint about an answer or a connection.
cdef void complain(tally *counted, complaint why, uint32_t status, uint32_t command) noexcept nogil
