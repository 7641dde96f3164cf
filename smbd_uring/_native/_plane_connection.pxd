# Header of _plane_connection.pyx.

from libc.stdint cimport uint64_t
from smbd_uring._native._connection cimport Connection, Plane


cdef class PlaneConnection:
    # Referenced; NULL only before it was made.
    cdef Connection *connection
    # Keeps the plane alive.
    cdef object owner

    # Have the plane look at the connection before it sleeps.
    cdef void look(self) noexcept


# A connection of `plane`, whose object is `owner`: the plane has a reference of its own from now on.
cdef PlaneConnection make_connection(Plane *plane, object owner, uint64_t number, int descriptor, uint64_t span_max)
