# Header of _serve.pyx.

from libc.stdint cimport uint8_t, uint64_t
from smbd_uring._native._connection cimport Connection
from smbd_uring._native._pool cimport Block
from smbd_uring._native._work cimport Served

# Answer a whole frame, or hand it to the engine.  `owner` is the block that holds nothing but the frame, or NULL when
# its memory is somebody else's; the frame is opened in place.
cdef Served serve_frame(Connection *connection, uint8_t *frame, size_t bytes, Block *owner) noexcept nogil
# The same for a frame that is open, its signature verified if `is_verified`.
cdef Served serve_opened(
    Connection *connection, uint8_t *frame, size_t bytes, uint64_t sealed_by, bint is_verified, Block *owner
) noexcept nogil
