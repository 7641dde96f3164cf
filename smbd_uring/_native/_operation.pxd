# Header of _operation.pyx.

from libc.stdint cimport uint64_t
from smbd_uring._native cimport liburing


cdef union operation_memory:
    # What the kernel reads or writes beside the caller's buffers, for the kind that needs it.
    liburing.open_how how
    liburing.msghdr message
    # struct statx; 256 bytes on every architecture.
    char status[256]


cdef class Operation:
    cdef readonly int kind
    cdef public object context
    # Owned references: paths, names and fresh bytes objects whose memory the kernel uses.
    cdef object kept
    # Identifies the operation to the kernel while it is in flight; 0 before and after.
    cdef uint64_t user_data
    cdef operation_memory memory
    # Owned: `views_count` buffers held open, and as many vectors that point into them.
    cdef Py_buffer *views
    cdef liburing.iovec *vectors
    cdef int views_count

    # Hold the buffers of `segments` open until the operation is gone; raises MemoryError, BufferError,
    # TypeError.
    cdef int hold(self, object segments) except -1
