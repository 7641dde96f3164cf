# Header of _buffers.pyx.

from smbd_uring._native cimport liburing


cdef class ReceiveBuffers:
    # Owned: `count` buffers of `size` bytes one after the other, page aligned.
    cdef char *memory
    # Owned: the table of free buffers that the kernel shares; registered with one ring at a time.
    cdef liburing.io_uring_buf_ring *table
    cdef unsigned count
    cdef unsigned size
    cdef int mask
    cdef unsigned short group

    # 0, or -errno.
    cdef int register(self, liburing.io_uring *ring) noexcept nogil
    cdef void unregister(self, liburing.io_uring *ring) noexcept nogil
