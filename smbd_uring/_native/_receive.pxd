# Header of _receive.pyx.

from smbd_uring._native._connection cimport Connection

# Serve what waited for an allowance.
cdef void go_on(Connection *connection) noexcept nogil
# Receive more, if it is wanted and nothing received waits.
cdef void start_receiving(Connection *connection) noexcept nogil
cdef void receive_completed(Connection *connection, int result, unsigned flags) noexcept nogil
