# cython: language_level=3
"""Buffers that the kernel fills with received bytes, and lends.

Knows: the ring of provided buffers.  Must not know: connections, what is received.
"""

from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdint cimport uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from smbd_uring._native cimport liburing

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void **pointer, size_t alignment, size_t size)

cdef enum:
    PAGE_BYTES = 4096


cdef class ReceiveBuffers:
    """`count` (a power of two) buffers of `size` bytes as one read-only buffer object."""

    def __cinit__(self, unsigned count, unsigned size, unsigned short group):
        if count == 0 or count & (count - 1) or count > 32768 or size == 0:
            raise ValueError("the number of buffers must be a power of two up to 32768")
        self.count = count
        self.size = size
        self.group = group
        self.mask = liburing.io_uring_buf_ring_mask(count)
        self.is_lent = <char *>calloc(count, 1)
        if (
            self.is_lent is NULL
            or posix_memalign(<void **>&self.memory, PAGE_BYTES, <size_t>count * size)
            or posix_memalign(<void **>&self.table, PAGE_BYTES, count * sizeof(liburing.io_uring_buf))
        ):
            raise MemoryError
        memset(self.table, 0, count * sizeof(liburing.io_uring_buf))

    def __dealloc__(self):
        free(self.memory)
        free(self.table)
        free(self.is_lent)

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.memory, <Py_ssize_t>self.count * self.size, 1, flags)

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

    cdef void lend(self, unsigned buffer_id) noexcept nogil:
        self.is_lent[buffer_id] = 1
        self.lent += 1

    cdef int give_back(self, unsigned buffer_id) noexcept nogil:
        if buffer_id >= self.count or not self.is_lent[buffer_id]:
            return -1
        self.is_lent[buffer_id] = 0
        self.lent -= 1
        liburing.io_uring_buf_ring_add(
            self.table, self.memory + <size_t>buffer_id * self.size, self.size, buffer_id, self.mask, 0
        )
        liburing.io_uring_buf_ring_advance(self.table, 1)
        return 0
