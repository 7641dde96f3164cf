# How the data plane marks its operations on a ring that it may share with others.
#
# Knows: user_data.  Must not know: what the operations are for.
#
# user_data of the plane's operations has the highest bit set, which no address and no number of `_core` has; below it
# are the address of what the operation belongs to (at least 16-aligned, as malloc gives it) and in its last bits what
# kind of operation it is.

from libc.stdint cimport uint64_t, uintptr_t
from smbd_uring._native cimport liburing
from smbd_uring._native._connection cimport Plane

cdef enum:
    WORK = 1
    RECEIVE_CHUNK = 2
    RECEIVE_FRAME = 3
    SEND = 4
    POLL = 5
    WAKEUP = 6
    CANCEL = 7
    KIND_MASK = 15

cdef inline uint64_t tagged(void *subject, int kind) noexcept nogil:
    return <uint64_t>1 << 63 | <uintptr_t>subject | kind

cdef inline bint is_planes(uint64_t user_data) noexcept nogil:
    return user_data >> 63

cdef inline int kind_of(uint64_t user_data) noexcept nogil:
    return user_data & KIND_MASK

cdef inline void *subject_of(uint64_t user_data) noexcept nogil:
    return <void *><uintptr_t>((user_data << 1 >> 1) & ~<uint64_t>KIND_MASK)

cdef inline liburing.io_uring_sqe *entry(Plane *plane) noexcept nogil:
    # A free entry of the submission queue; NULL when the kernel takes no more for the moment.
    cdef liburing.io_uring_sqe *sqe = liburing.io_uring_get_sqe(plane.ring)
    if sqe is NULL:
        liburing.io_uring_submit(plane.ring)
        sqe = liburing.io_uring_get_sqe(plane.ring)
    return sqe
