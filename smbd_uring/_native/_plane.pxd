# Header of _plane.pyx.

from smbd_uring._native._connection cimport Plane
from smbd_uring._native._core cimport RingCore
from smbd_uring._native._crew cimport CryptographyCrew


cdef class DataPlane:
    cdef Plane plane
    # Keeps the ring, and with it the lent buffers, alive.
    cdef RingCore ring
    # Keeps the crew's structure alive; None without one.
    cdef CryptographyCrew crew

    cdef int arm_wakeup(self) noexcept nogil
    # Until `stop_wanted` and connections have let go of their sockets.  Result: 0, or -errno that no retry mends.
    cdef int serve(self) noexcept nogil
