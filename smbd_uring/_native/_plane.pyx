# cython: language_level=3
"""The data plane as Python sees it, one a ring.

Knows: rings, threads, the queue of events.  Must not know: what a frame says, how bytes travel.

A plane either shares the ring and the thread of the engine's driver, or has a ring and a thread of its own
(`run`).
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cython cimport no_gc_clear
from libc.errno cimport EAGAIN, EBUSY, EINTR, ETIME
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset
from smbd_uring._native cimport liburing
from smbd_uring._native._atomics cimport load_count, load_flag, store_flag
from smbd_uring._native._connection cimport (
    EVENT_FRAME, HANDED_BYTES_MAX, Connection, Device, Event, connection_release, free_dead, post_mail,
    pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock,
)
from smbd_uring._native._core cimport BUFFER_GROUP, RingCore
from smbd_uring._native._crew cimport CryptographyCrew
from smbd_uring._native._plane_connection cimport make_connection
from smbd_uring._native._pool cimport pool_trim
from smbd_uring._native._smb2 cimport COMMANDS
from smbd_uring._native._submit cimport WAKEUP, entry, tagged
from smbd_uring._native._transport cimport completed, settle

import os

# Longest sleep of a plane's own thread; it then gives memory back that it did not need.
cdef double SLEEP_S = 1.0
# When it is to end: how often it looks whether every socket is closed, and for how long.
cdef double STOP_SLEEP_S = 0.02
cdef int STOP_TURNS = 100


cdef int settle_guest(void *subject) noexcept nogil:
    return settle(<Plane *>subject)


cdef void completed_guest(void *subject, uint64_t user_data, int result, unsigned flags) noexcept nogil:
    completed(<Plane *>subject, user_data, result, flags)


cdef void idle_guest(void *subject) noexcept nogil:
    pool_trim(&(<Plane *>subject).pool)


# The collector may not take from it what its end still needs.
@no_gc_clear
cdef class DataPlane:
    """Connections and what is granted of them, on one ring."""

    def __cinit__(
        self, RingCore ring, size_t bytes_max, int engine_wakeup=-1, int plane_wakeup=-1, CryptographyCrew crew=None
    ):
        """`bytes_max` bounds the memory of frames and replies of all connections together.  A plane with a thread of
        its own is given two eventfds: one wakes the engine, the other is how the engine wakes the plane."""
        memset(&self.plane, 0, sizeof(Plane))
        pthread_mutex_init(&self.plane.lock, NULL)
        self.ring = ring
        self.plane.ring = &ring.ring
        self.plane.buffer_table = ring.buffers.table
        self.plane.buffer_memory = <uint8_t *>ring.buffers.memory
        self.plane.buffer_bytes = ring.buffers.size
        self.plane.buffer_count = ring.buffers.count
        self.plane.buffer_group = BUFFER_GROUP
        self.plane.bytes_max = bytes_max
        self.plane.is_threaded = engine_wakeup >= 0
        self.plane.engine_wakeup = engine_wakeup
        self.plane.plane_wakeup = plane_wakeup
        self.crew = crew
        if crew is not None:
            self.plane.crew = &crew.crew
        ring.guest.subject = &self.plane
        ring.guest.settle = settle_guest
        ring.guest.completed = completed_guest
        ring.guest.idle = idle_guest

    def __dealloc__(self):
        cdef Device *device
        # A ring that is closed later must not call what is gone.
        if self.ring is not None:
            self.ring.guest.subject = NULL
        while self.plane.devices is not NULL:
            device = self.plane.devices
            self.plane.devices = device.next
            free(device)
        if self.plane.operations:
            # The kernel may still write to their memory.
            return
        free_dead(&self.plane)
        pool_trim(&self.plane.pool)
        pthread_mutex_destroy(&self.plane.lock)

    def connect(self, uint64_t number, int descriptor, uint64_t span_max):
        """Take over a connected socket, which must be O_NONBLOCK.  Result: its PlaneConnection."""
        return make_connection(&self.plane, self, number, descriptor, span_max)

    def take_events(self):
        """What happened since the last call: a list of (kind, connection number, number, detail, ids_taken,
        frozen_open, data); see the kinds' names."""
        cdef Event *event
        cdef Event *following
        cdef Connection *connection
        cdef list events = []
        cdef bint was_full
        pthread_mutex_lock(&self.plane.lock)
        event = self.plane.first_event
        self.plane.first_event = NULL
        self.plane.last_event = NULL
        self.plane.has_news = False
        self.plane.sent_untold = 0
        self.plane.engine_told = False
        pthread_mutex_unlock(&self.plane.lock)
        while event is not NULL:
            following = event.next
            connection = event.connection
            data = None
            if event.kind == EVENT_FRAME:
                data = PyBytes_FromStringAndSize(<char *>event + sizeof(Event), event.bytes)
                pthread_mutex_lock(&connection.lock)
                was_full = connection.bytes_handed > HANDED_BYTES_MAX
                connection.bytes_handed -= event.bytes
                pthread_mutex_unlock(&connection.lock)
                if was_full:
                    post_mail(connection)
            events.append((
                event.kind, connection.number, event.number, event.detail, event.ids_taken != 0, event.frozen_open, data
            ))
            connection_release(connection)
            free(event)
            event = following
        return events

    def counters(self):
        """What was served: ({command: requests}, bytes read, bytes written)."""
        served = {command: load_count(&self.plane.served[command]) for command in range(COMMANDS)}
        served = {command: count for command, count in served.items() if count}
        return served, load_count(&self.plane.bytes_read), load_count(&self.plane.bytes_written)

    @property
    def operations(self):
        """Operations of the plane that the ring has not completed."""
        return self.plane.operations

    # --- a thread of its own ---------------------------------------------------------------------------------------

    def run(self):
        """Serve until `stop`, in the thread that made the ring.  Raises OSError."""
        cdef int result
        with nogil:
            result = self.serve()
        self.ring.check(result)

    cdef int serve(self) noexcept nogil:
        cdef Plane *plane = &self.plane
        cdef int result = 0, settled
        cdef bint may_sleep, stopping
        cdef int turns_left = STOP_TURNS
        while turns_left:
            settled = settle(plane)
            stopping = load_flag(&plane.stop_wanted)
            if not stopping:
                self.arm_wakeup()
            pthread_mutex_lock(&plane.lock)
            if stopping:
                # Connections that were dropped just now have to let go of their sockets.
                turns_left = turns_left - 1 if plane.open_connections else 0
            # What came since `settle` looked woke nobody.
            may_sleep = plane.first_mail is NULL and plane.done_jobs is NULL and plane.first_dirty is NULL
            plane.is_asleep = may_sleep
            pthread_mutex_unlock(&plane.lock)
            result = self.ring.enter((STOP_SLEEP_S if stopping else SLEEP_S) if may_sleep else 0.0)
            pthread_mutex_lock(&plane.lock)
            plane.is_asleep = False
            pthread_mutex_unlock(&plane.lock)
            if self.ring.reap() == 0 and self.ring.guests_reaped == 0 and may_sleep:
                pool_trim(&plane.pool)
            if result < 0 and result not in (-ETIME, -EINTR, -EAGAIN, -EBUSY):
                return result
        return 0

    cdef int arm_wakeup(self) noexcept nogil:
        cdef liburing.io_uring_sqe *sqe
        if self.plane.wakeup_armed:
            return 0
        sqe = entry(&self.plane)
        if sqe is NULL:
            return -1
        liburing.io_uring_prep_read(sqe, self.plane.plane_wakeup, &self.plane.wakeup_value, 8, 0)
        sqe.user_data = tagged(NULL, WAKEUP)
        self.plane.wakeup_armed = True
        self.plane.operations += 1
        return 0

    def drain(self):
        """Without a thread of its own: have dropped connections let go of their sockets."""
        for _ in range(STOP_TURNS):
            if not self.plane.open_connections and not self.plane.operations:
                return
            self.ring.drop(self.ring.wait(STOP_SLEEP_S))

    def stop(self):
        """Have `run` return; for any thread."""
        store_flag(&self.plane.stop_wanted, True)
        os.write(self.plane.plane_wakeup, (1).to_bytes(8, "little"))
