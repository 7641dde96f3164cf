# Header of _buffers.pyx.

from smbd_uring._native cimport liburing


cdef class ReceiveBuffers:
    # Owned: `count` buffers of `size` bytes one after the other, page aligned.  Lives as long as this object,
    # and every memoryview on it keeps this object.
    cdef char *memory
    # Owned: the table of free buffers that the kernel shares; registered with one ring at a time.
    cdef liburing.io_uring_buf_ring *table
    # Owned: one byte a buffer, 1 while it is lent to Python.
    cdef char *is_lent
    cdef unsigned count
    cdef unsigned size
    cdef int mask
    cdef readonly int lent
    cdef unsigned short group

    # 0, or -errno.
    cdef int register(self, liburing.io_uring *ring) noexcept nogil
    cdef void unregister(self, liburing.io_uring *ring) noexcept nogil
    cdef void lend(self, unsigned buffer_id) noexcept nogil
    # -1 when the buffer is not lent.
    cdef int give_back(self, unsigned buffer_id) noexcept nogil
