# Header of _transport.pyx.

from libc.stdint cimport uint64_t
from smbd_uring._native._connection cimport Connection, Plane

# Look at every connection that something happened to, free what is dead, and wake the engine's thread if it is another.
# Result: a sum of 1: there are events for the engine; 2: sends were queued; 4: it wants to be called again soon.
cdef int settle(Plane *plane) noexcept nogil
# An operation of the plane has completed.
cdef void completed(Plane *plane, uint64_t user_data, int result, unsigned flags) noexcept nogil
