# Header of _work.pyx.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from smbd_uring._native._connection cimport Connection, Segment
from smbd_uring._native._pool cimport Block
from smbd_uring._native._steps cimport Step


cdef struct Work:
    # A READ, WRITE or FLUSH that the kernel's workers are doing.  Lives at the start of its own block.
    Step step
    # Referenced.
    Connection *connection
    # The session that sealed the frame; 0: it came in the clear.
    uint64_t sealed_by
    # The frame, opened: in this block behind the structure, or in `owner`.
    uint8_t *frame
    size_t frame_bytes
    Block *owner
    Block *block
    # READ: the segment that will be the answer, filled from `payload` on.
    Segment *answer
    uint8_t *payload
    # Bytes read or written so far.
    uint32_t done


cdef enum Served:
    # The frame's memory may be used again.
    SERVED_DONE = 0
    # `owner` belongs to an operation now.
    SERVED_KEPT = 1


# Have the kernel's workers do a request.  The frame is kept, for an engine that may have to answer after all; `owner` is
# the block that holds nothing else, or NULL: then it is copied.
cdef Served start_work(
    Connection *connection, Step *step, uint8_t *frame, size_t bytes, uint64_t sealed_by, Block *owner
) noexcept nogil
# The kernel has done a part of it; `result` as an operation's completion gives it.
cdef void work_completed(Work *work, int result) noexcept nogil
