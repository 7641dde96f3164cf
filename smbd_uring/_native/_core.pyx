# cython: language_level=3
"""The mechanics of one io_uring: set up, submit, wait, reap, tear down.

Knows: submission and completion queues, which operations are in flight, the provided buffers.  Must not know:
what the operations are for, Python's sockets and files.

A ring belongs to the thread that made it.  Everything that enters the kernel or touches the queues is a
function without the GIL over plain C structures; what needs Python objects is done before and after it.
"""

from libc.errno cimport EAGAIN, EBUSY, EINTR, EINVAL, ETIME
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset
from posix.unistd cimport close as close_descriptor
from smbd_uring._native cimport liburing
from smbd_uring._native._buffers cimport ReceiveBuffers
from smbd_uring._native._operation cimport Operation

import os
import time
import warnings

from smbd_uring._native.remedies import RingUnavailable, remedy

cdef enum:
    SUBMISSION_ENTRIES = 1024
    COMPLETION_ENTRIES = 8192
    OPCODES = 256

CLOSE_TIMEOUT_S = 5.0
"""How long `close` waits for operations that were cancelled; one on a dead disk may never end."""

RECEIVE_BUFFERS = 64
RECEIVE_BUFFER_BYTES = 64 * 1024
"""Measured over loopback, 4 MiB divided in every way from 256 buffers of 16 KiB to 16 of 256 KiB: at 64 KiB
a received MiB costs the least processor time (0.12 ms, a quarter less than at 16 KiB) and buffers fill up;
larger ones stay half empty."""


cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int CLOCK_MONOTONIC
    int clock_gettime(int clock, timespec *now)


cdef inline double now_s() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec + now.tv_nsec * 1e-9


cdef class RingCore:
    """One ring, its provided buffers, and the table of operations in flight."""

    def __cinit__(self):
        self.table = [None]
        self.free_slots = []
        self.backlog = []

    def __init__(self, unsigned buffers=RECEIVE_BUFFERS, unsigned buffer_bytes=RECEIVE_BUFFER_BYTES):
        """Set up a ring with `buffers` provided buffers of `buffer_bytes`.

        Raises RingUnavailable, whose message says what is missing and how to get it.
        """
        if self.is_open:
            raise RuntimeError("the ring is set up already")
        self.buffers = ReceiveBuffers(buffers, buffer_bytes, BUFFER_GROUP)
        self.set_up()
        self.is_open = True
        cdef int result
        with nogil:
            result = self.buffers.register(&self.ring)
        if result < 0:
            self.close()
            raise RingUnavailable(remedy("provided buffers", -result))
        self.supported = self.probe()

    cdef int set_up(self) except -1:
        cdef liburing.io_uring_params params
        cdef int result = 0
        cdef unsigned common = (
            liburing.IORING_SETUP_CQSIZE | liburing.IORING_SETUP_CLAMP | liburing.IORING_SETUP_SUBMIT_ALL
        )
        cdef unsigned wish
        # Best first.  A kernel that does not know a flag refuses the whole set-up with EINVAL.
        for wish in (
            liburing.IORING_SETUP_SINGLE_ISSUER
            | liburing.IORING_SETUP_DEFER_TASKRUN
            | liburing.IORING_SETUP_COOP_TASKRUN,
            liburing.IORING_SETUP_COOP_TASKRUN,
            0,
        ):
            memset(&params, 0, sizeof(params))
            params.flags = common | wish
            params.cq_entries = COMPLETION_ENTRIES
            with nogil:
                result = liburing.io_uring_queue_init_params(SUBMISSION_ENTRIES, &self.ring, &params)
            if result != -EINVAL:
                break
        if result < 0:
            raise RingUnavailable(remedy("io_uring_setup", -result))
        self.setup_flags = params.flags
        if not params.features & liburing.IORING_FEAT_EXT_ARG:
            liburing.io_uring_queue_exit(&self.ring)
            raise RingUnavailable(remedy("waiting with a timeout", EINVAL))
        return 0

    cdef frozenset probe(self):
        cdef liburing.io_uring_probe *probe = liburing.io_uring_get_probe_ring(&self.ring)
        if probe is NULL:
            self.close()
            raise RingUnavailable(remedy("the list of operations", EINVAL))
        try:
            return frozenset(
                [op for op in range(OPCODES) if liburing.io_uring_opcode_supported(probe, op)]
            )
        finally:
            liburing.io_uring_free_probe(probe)

    def __del__(self):
        if self.is_open:
            warnings.warn(f"ring {self.ring.ring_fd} was dropped open", ResourceWarning, source=self)
            self.close()

    # --- submitting -----------------------------------------------------------------------------------------

    cdef liburing.io_uring_sqe *entry(self) except NULL:
        cdef liburing.io_uring_sqe *sqe
        if not self.is_open:
            raise RuntimeError("the ring is closed")
        sqe = liburing.io_uring_get_sqe(&self.ring)
        while sqe is NULL:
            # The queue is full: hand it over early.  When the kernel takes nothing because too many
            # completions wait, these go to the backlog first.
            self.collect(self.backlog)
            self.submit()
            sqe = liburing.io_uring_get_sqe(&self.ring)
        return sqe

    cdef Operation launch(self, liburing.io_uring_sqe *sqe, Operation operation, int personality):
        cdef uint32_t slot
        assert operation.user_data == 0
        if self.free_slots:
            slot = self.free_slots.pop()
            self.table[slot] = operation
        else:
            slot = len(self.table)
            self.table.append(operation)
        # The upper half makes a late completion of an earlier operation in the same slot visible as what it
        # is.
        self.generation = (self.generation + 1) & 0x7FFFFFFF
        operation.user_data = <uint64_t>self.generation << 32 | slot
        sqe.user_data = operation.user_data
        sqe.personality = personality
        self.in_flight += 1
        return operation

    def submit(self):
        """Hand what is queued to the kernel now, without waiting.  Raises OSError."""
        cdef int result
        if not self.is_open:
            raise RuntimeError("the ring is closed")
        with nogil:
            result = self.enter(0.0)
        self.check(result)

    def cancel(self, Operation operation):
        """Ask the kernel to end an operation; its last completion follows as always, often with
        -ECANCELED."""
        cdef liburing.io_uring_sqe *sqe
        if operation.user_data:
            sqe = self.entry()
            liburing.io_uring_prep_cancel64(sqe, operation.user_data, 0)
            sqe.user_data = 0

    # --- waiting and reaping --------------------------------------------------------------------------------

    def wait(self, double timeout_s):
        """Submit what is queued and wait up to `timeout_s` for one completion at least.

        Result: a list of (operation, result, flags); result is negative for -errno; flags are IORING_CQE_F_*.
        Returns early, maybe with nothing, when a signal came.  Raises OSError.
        """
        cdef int result
        cdef list completions = self.backlog
        if not self.is_open:
            raise RuntimeError("the ring is closed")
        self.backlog = []
        with nogil:
            result = self.turn(timeout_s)
        self.check(result)
        self.collect(completions)
        return completions

    cdef int turn(self, double timeout_s) noexcept nogil:
        cdef double ends, left = timeout_s
        cdef int settled, result
        if self.guest.subject is NULL:
            result = self.enter(timeout_s)
            self.reap()
            return result
        ends = now_s() + timeout_s
        while True:
            settled = self.guest.settle(self.guest.subject)
            if settled & 1:
                # Python is wanted.  What can wait until it is done is submitted then.
                result = self.enter(0.0) if settled & 2 else 0
            else:
                result = self.enter(0.0 if settled & 4 else left)
            self.reap()
            if settled & 1 or self.batched or result < 0:
                if result < 0 and not self.batched and not self.guests_reaped:
                    self.guest.idle(self.guest.subject)
                return result
            left = ends - now_s()
            if left <= 0.0:
                return 0

    cdef int enter(self, double timeout_s) noexcept nogil:
        cdef liburing.__kernel_timespec timeout
        cdef liburing.io_uring_cqe *first = NULL
        if timeout_s <= 0:
            return liburing.io_uring_submit_and_get_events(&self.ring)
        timeout.tv_sec = <long long>timeout_s
        timeout.tv_nsec = <long long>((timeout_s - timeout.tv_sec) * 1e9)
        return liburing.io_uring_submit_and_wait_timeout(&self.ring, &first, 1, &timeout, NULL)

    cdef int check(self, int result) except -1:
        # Time is up, a signal, or the kernel wants completions reaped first: all of them mean "go on".
        if result < 0 and result not in (-ETIME, -EINTR, -EAGAIN, -EBUSY):
            raise OSError(-result, f"io_uring_enter: {os.strerror(-result)}")
        return 0

    cdef int reap(self) noexcept nogil:
        cdef liburing.io_uring_cqe *entries[COMPLETIONS_BATCH]
        cdef completion guests[COMPLETIONS_BATCH]
        cdef unsigned count = liburing.io_uring_peek_batch_cqe(
            &self.ring, entries, COMPLETIONS_BATCH - self.batched
        )
        cdef completion *place
        cdef unsigned index
        self.guests_reaped = 0
        for index in range(count):
            if entries[index].user_data >> 63:
                place = &guests[self.guests_reaped]
                self.guests_reaped += 1
            else:
                place = &self.batch[self.batched]
                self.batched += 1
            place.user_data = entries[index].user_data
            place.result = entries[index].res
            place.flags = entries[index].flags
        liburing.io_uring_cq_advance(&self.ring, count)
        if self.guest.subject is NULL:
            return self.batched
        # Only now: what the guest does may need room in the queues.
        for index in range(self.guests_reaped):
            self.guest.completed(self.guest.subject, guests[index].user_data, guests[index].result, guests[index].flags)
        return self.batched

    cdef int collect(self, list into) except -1:
        cdef Operation operation
        cdef completion *done
        cdef uint32_t slot
        cdef int index, count = COMPLETIONS_BATCH
        # Bounded by what the queue holds: a full batch may have more behind it.
        while count == COMPLETIONS_BATCH:
            with nogil:
                count = self.reap()
            self.batched = 0
            for index in range(count):
                done = &self.batch[index]
                if done.user_data == 0:
                    continue
                slot = done.user_data & 0xFFFFFFFF
                operation = self.table[slot]
                assert operation is not None and operation.user_data == done.user_data
                if not done.flags & liburing.IORING_CQE_F_MORE:
                    operation.user_data = 0
                    self.table[slot] = None
                    self.free_slots.append(slot)
                    self.in_flight -= 1
                into.append((operation, done.result, done.flags))
        return 0

    # --- identities -----------------------------------------------------------------------------------------

    def register_personality(self):
        """Keep the calling thread's present credentials under a number that operations can name.  Raises
        OSError."""
        cdef int result
        with nogil:
            result = liburing.io_uring_register_personality(&self.ring)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return result

    def unregister_personality(self, int personality):
        """Forget credentials; operations queued with them are submitted first.  Raises OSError."""
        cdef int result
        self.submit()
        with nogil:
            result = liburing.io_uring_unregister_personality(&self.ring, personality)
        if result < 0:
            raise OSError(-result, os.strerror(-result))

    # --- tearing down ---------------------------------------------------------------------------------------

    def close(self):
        """Cancel what is in flight, wait for it, and end the ring.  Idempotent.

        Operations that do not end in time keep their memory for good: the kernel may still write to it.
        """
        cdef liburing.io_uring_sqe *sqe
        if not self.is_open:
            return
        ends = time.monotonic() + CLOSE_TIMEOUT_S
        self.drop(self.backlog)
        while self.in_flight and time.monotonic() < ends:
            sqe = self.entry()
            liburing.io_uring_prep_cancel64(
                sqe, 0, liburing.IORING_ASYNC_CANCEL_ANY | liburing.IORING_ASYNC_CANCEL_ALL
            )
            sqe.user_data = 0
            self.drop(self.wait(0.05))
        self.is_open = False
        if self.in_flight:
            warnings.warn(f"{self.in_flight} operations did not end", ResourceWarning, source=self)
            _abandoned.append((self.table, self.buffers))
        with nogil:
            self.buffers.unregister(&self.ring)
            liburing.io_uring_queue_exit(&self.ring)

    cdef int drop(self, list completions) except -1:
        """What completes while the ring closes has no taker: descriptors in it are closed."""
        for operation, result, flags in completions:
            if result >= 0 and operation.kind in (liburing.IORING_OP_ACCEPT, liburing.IORING_OP_OPENAT2):
                close_descriptor(result)
        return 0


_abandoned = []
"""Memory that the kernel may still write to although its ring is closed."""
