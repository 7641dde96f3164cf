# cython: language_level=3
"""Buffers of which the kernel picks one when bytes arrive.

Knows: the ring of provided buffers.  Must not know: connections, what is received.
"""

from libc.stdint cimport uint64_t, uintptr_t
from libc.stdlib cimport free
from libc.string cimport memset
from smbd_uring._native cimport liburing

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void **pointer, size_t alignment, size_t size)

cdef enum:
    PAGE_BYTES = 4096


cdef class ReceiveBuffers:
    """`count` (a power of two) buffers of `size` bytes."""

    def __cinit__(self, unsigned count, unsigned size, unsigned short group):
        if count == 0 or count & (count - 1) or count > 32768 or size == 0:
            raise ValueError("the number of buffers must be a power of two up to 32768")
        self.count = count
        self.size = size
        self.group = group
        self.mask = liburing.io_uring_buf_ring_mask(count)
        if (
            posix_memalign(<void **>&self.memory, PAGE_BYTES, <size_t>count * size)
            or posix_memalign(<void **>&self.table, PAGE_BYTES, count * sizeof(liburing.io_uring_buf))
        ):
            raise MemoryError
        memset(self.table, 0, count * sizeof(liburing.io_uring_buf))

    def __dealloc__(self):
        free(self.memory)
        free(self.table)

    cdef int register(self, liburing.io_uring *ring) noexcept nogil:
        cdef liburing.io_uring_buf_reg registration
        cdef unsigned index
        cdef int result
        memset(&registration, 0, sizeof(registration))
        registration.ring_addr = <uint64_t><uintptr_t>self.table
        registration.ring_entries = self.count
        registration.bgid = self.group
        result = liburing.io_uring_register_buf_ring(ring, &registration, 0)
        if result < 0:
            return result
        liburing.io_uring_buf_ring_init(self.table)
        for index in range(self.count):
            liburing.io_uring_buf_ring_add(
                self.table, self.memory + <size_t>index * self.size, self.size, index, self.mask, index
            )
        liburing.io_uring_buf_ring_advance(self.table, self.count)
        return 0

    cdef void unregister(self, liburing.io_uring *ring) noexcept nogil:
        liburing.io_uring_unregister_buf_ring(ring, self.group)
