# Header of _ring.pyx.

from smbd_uring._native._core cimport RingCore


cdef class Ring(RingCore):
    pass
