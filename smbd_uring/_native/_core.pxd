# Header of _core.pyx.

from libc.stdint cimport uint32_t, uint64_t
from smbd_uring._native cimport liburing
from smbd_uring._native._buffers cimport ReceiveBuffers
from smbd_uring._native._operation cimport Operation


cdef struct completion:
    # One completion as the kernel told it; plain data, so that a thread without the GIL can keep a queue.
    uint64_t user_data
    int result
    uint32_t flags


cdef enum:
    COMPLETIONS_BATCH = 256
    # The id of the one group of provided buffers.
    BUFFER_GROUP = 1


cdef struct Guest:
    # Native code that shares the ring.  Its operations have the highest bit of user_data set.
    void *subject
    # Called before each sleep.  Result: a sum of 1: Python has something to take; 2: something must be submitted now;
    # 4: call again without sleeping.
    int (*settle)(void *subject) noexcept nogil
    void (*completed)(void *subject, uint64_t user_data, int result, unsigned flags) noexcept nogil
    # Called when nothing has happened for a whole sleep.
    void (*idle)(void *subject) noexcept nogil


cdef class RingCore:
    cdef liburing.io_uring ring
    cdef bint is_open
    # Owned: filled by `reap`, emptied by `collect`.
    cdef completion batch[COMPLETIONS_BATCH]
    # How many of `batch` wait for `collect`; how many completions were the guest's in the last `reap`.
    cdef int batched
    cdef int guests_reaped
    # `subject` is NULL without one; otherwise it outlives the ring's use.
    cdef Guest guest
    # Operations in flight; the index is the low half of user_data.  Slot 0 stays empty.
    cdef list table
    cdef list free_slots
    cdef uint32_t generation
    # Completions collected while room for submissions was made, not handed out yet.
    cdef list backlog
    cdef ReceiveBuffers buffers
    cdef readonly frozenset supported
    cdef readonly unsigned setup_flags
    cdef readonly int in_flight

    # Both raise RingUnavailable with the ring closed.
    cdef int set_up(self) except -1
    cdef frozenset probe(self)
    # A free submission entry, never NULL; raises RuntimeError on a closed ring, OSError.
    cdef liburing.io_uring_sqe *entry(self) except NULL
    # Hand an operation that is prepared in `sqe` over to the ring.
    cdef Operation launch(self, liburing.io_uring_sqe *sqe, Operation operation, int personality)
    # The only calls that enter the kernel.  Result: >= 0, or -errno.
    cdef int enter(self, double timeout_s) noexcept nogil
    # Enter until there is something for Python.  Result: as `enter`.
    cdef int turn(self, double timeout_s) noexcept nogil
    # Move completions from the shared queue into `batch`, the guest's to the guest; result: how many are in `batch`.
    cdef int reap(self) noexcept nogil
    # Append (operation, result, flags) of everything that has completed.
    cdef int collect(self, list into) except -1
    # OSError for a result of `enter` that no retry mends.
    cdef int check(self, int result) except -1
    cdef int drop(self, list completions) except -1
