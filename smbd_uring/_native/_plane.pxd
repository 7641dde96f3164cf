# Header of _plane.pyx.

from smbd_uring._native._connection cimport Connection, Plane
from smbd_uring._native._core cimport RingCore


cdef class DataPlane:
    cdef Plane plane
    # Keeps the ring, and with it the lent buffers, alive.
    cdef RingCore ring

    cdef int arm_wakeup(self) noexcept nogil
    cdef int turn_threaded(self) noexcept nogil


cdef class PlaneConnection:
    # Referenced; NULL only before it was made.
    cdef Connection *connection
    cdef DataPlane owner

    # Have the plane look at the connection before it sleeps.
    cdef void look(self) noexcept
