# Segments of memory as the system calls take them; by itself because not everything that takes segments needs
# liburing.

cdef extern from "<sys/uio.h>" nogil:
    cdef struct iovec:
        void *iov_base
        size_t iov_len
