# Header of _send.pyx.

from smbd_uring._native._connection cimport Connection

# Send what is queued, if nothing is under way.  Result: whether an operation was queued with the ring.
cdef bint start_sending(Connection *connection) noexcept nogil
cdef void send_completed(Connection *connection, int result) noexcept nogil
# Turn pages of files whose grants are revoked into memory: whoever revokes must not have to wait for a client that does
# not read.
cdef void copy_revoked(Connection *connection) noexcept nogil
