# cython: language_level=3
"""The data plane as Python sees it: `DataPlane`, one a ring, and `PlaneConnection`, one a connection.

Knows: the structures' locks, the events.  Must not know: what a frame says, how bytes travel.

A plane either shares the ring and the thread of the engine's driver (`attach`), or has a ring and a thread of its own
(`run`).  Every method of PlaneConnection may be called from the engine's thread in both cases.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from smbd_uring._native cimport liburing
from smbd_uring._native._connection cimport (
    EVENT_FRAME, HANDED_BYTES_MAX, Device, Event, Grant, Segment, Session, add_grant,
    append_segment, bury_grant, bury_session, connection_hold, connection_new, connection_release, find_grant,
    find_session, free_dead, mark_dirty, post_mail, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock,
    pthread_mutex_unlock, session_free,
)
from smbd_uring._native._core cimport BUFFER_GROUP, RingCore
from smbd_uring._native._crypto cimport sealing_key_new, signing_key_new
from smbd_uring._native._files cimport is_on_local_file_system
from smbd_uring._native._pool cimport pool_trim
from smbd_uring._native._smb2 cimport COMMANDS
from smbd_uring._native._submit cimport WAKEUP, entry, tagged
from smbd_uring._native._transport cimport completed, settle
from smbd_uring._native._window cimport window_grant, window_take

import os

# Longest sleep of a plane's own thread; it then gives memory back that it did not need.
cdef double SLEEP_S = 1.0
# When it is to end: how often it looks whether every socket is closed, and for how long.
cdef double STOP_SLEEP_S = 0.02
cdef int STOP_TURNS = 100


cdef extern from "<sys/socket.h>" nogil:
    int shutdown(int descriptor, int how)
    int SHUT_WR


cdef int settle_guest(void *subject) noexcept nogil:
    return settle(<Plane *>subject)


cdef void completed_guest(void *subject, uint64_t user_data, int result, unsigned flags) noexcept nogil:
    completed(<Plane *>subject, user_data, result, flags)


cdef void idle_guest(void *subject) noexcept nogil:
    pool_trim(&(<Plane *>subject).pool)


cdef class DataPlane:
    """Connections and what is granted of them, on one ring."""

    def __cinit__(self, RingCore ring, size_t bytes_max, int engine_wakeup=-1, int plane_wakeup=-1):
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
        ring.guest.subject = &self.plane
        ring.guest.settle = settle_guest
        ring.guest.completed = completed_guest
        ring.guest.idle = idle_guest

    def __dealloc__(self):
        cdef Device *device
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
        cdef PlaneConnection made = PlaneConnection.__new__(PlaneConnection)
        cdef Connection *connection = connection_new(&self.plane, number, descriptor, span_max)
        if connection is NULL:
            raise MemoryError
        made.connection = connection
        made.owner = self
        # The plane's own reference, until it has closed the socket.
        connection_hold(connection)
        pthread_mutex_lock(&self.plane.lock)
        self.plane.open_connections += 1
        pthread_mutex_unlock(&self.plane.lock)
        return made

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
        cdef int command
        pthread_mutex_lock(&self.plane.lock)
        served = {command: self.plane.served[command] for command in range(COMMANDS) if self.plane.served[command]}
        result = (served, self.plane.bytes_read, self.plane.bytes_written)
        pthread_mutex_unlock(&self.plane.lock)
        return result

    @property
    def operations(self):
        """Operations of the plane that the ring has not completed."""
        return self.plane.operations

    # --- a thread of its own ---------------------------------------------------------------------------------------

    def run(self):
        """Serve until `stop`, in the thread that made the ring."""
        cdef int result = 0
        while True:
            with nogil:
                result = self.turn_threaded()
            self.ring.check(result)
            if self.plane.stop_wanted:
                return

    cdef int turn_threaded(self) noexcept nogil:
        cdef Plane *plane = &self.plane
        cdef int result = 0, settled
        cdef bint may_sleep
        cdef int turns_left = STOP_TURNS
        while turns_left:
            settled = settle(plane)
            if plane.stop_wanted:
                # Connections that were dropped just now have to let go of their sockets.
                turns_left = turns_left - 1 if plane.open_connections else 0
            else:
                self.arm_wakeup()
            pthread_mutex_lock(&plane.lock)
            may_sleep = plane.first_mail is NULL and plane.first_dirty is NULL
            plane.is_asleep = may_sleep
            pthread_mutex_unlock(&plane.lock)
            result = self.ring.enter((STOP_SLEEP_S if plane.stop_wanted else SLEEP_S) if may_sleep else 0.0)
            pthread_mutex_lock(&plane.lock)
            plane.is_asleep = False
            pthread_mutex_unlock(&plane.lock)
            if self.ring.reap() == 0 and self.ring.guests_reaped == 0 and may_sleep:
                pool_trim(&plane.pool)
            if result < 0:
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
            self.ring.wait(STOP_SLEEP_S)

    def stop(self):
        """Have `run` return; for any thread."""
        pthread_mutex_lock(&self.plane.lock)
        self.plane.stop_wanted = True
        pthread_mutex_unlock(&self.plane.lock)
        os.write(self.plane.plane_wakeup, (1).to_bytes(8, "little"))


cdef class PlaneConnection:
    """One connection: what the engine tells the plane about it.  Implements `ports.PlaneConnection`."""

    def __dealloc__(self):
        if self.connection is not NULL:
            connection_release(self.connection)

    # --- message ids -----------------------------------------------------------------------------------------------

    @property
    def available(self):
        """See `engine.credits.CreditWindow`."""
        return self.connection.window.available

    @property
    def span(self):
        """See `engine.credits.CreditWindow`."""
        return self.connection.window.high - self.connection.window.low

    def take(self, uint64_t message_id, uint64_t charge):
        """See `engine.credits.CreditWindow`."""
        pthread_mutex_lock(&self.connection.lock)
        taken = window_take(&self.connection.window, message_id, charge)
        pthread_mutex_unlock(&self.connection.lock)
        return taken != 0

    def grant(self, uint64_t requested, uint64_t span_max):
        """See `engine.credits.CreditWindow`."""
        pthread_mutex_lock(&self.connection.lock)
        granted = window_grant(&self.connection.window, requested, span_max)
        pthread_mutex_unlock(&self.connection.lock)
        return granted

    # --- bytes -----------------------------------------------------------------------------------------------------

    def bound(self, size_t frame_bytes_max, size_t queue_bytes_max):
        """Refuse longer frames from now on; serve nothing while more reply bytes wait."""
        pthread_mutex_lock(&self.connection.lock)
        self.connection.frame_bytes_max = frame_bytes_max
        self.connection.queue_bytes_max = queue_bytes_max
        pthread_mutex_unlock(&self.connection.lock)
        self.look()

    def send(self, segments):
        """Queue bytes, which are copied."""
        cdef Py_ssize_t total = 0
        cdef Py_buffer view
        cdef Segment *segment
        cdef uint8_t *at
        for part in segments:
            total += len(part)
        segment = <Segment *>malloc(sizeof(Segment) + total)
        if segment is NULL:
            raise MemoryError
        memset(segment, 0, sizeof(Segment))
        segment.data = <uint8_t *>segment + sizeof(Segment)
        at = segment.data
        for part in segments:
            PyObject_GetBuffer(part, &view, PyBUF_SIMPLE)
            memcpy(at, view.buf, view.len)
            at += view.len
            PyBuffer_Release(&view)
        segment.end = total
        segment.is_engines = True
        pthread_mutex_lock(&self.connection.lock)
        append_segment(self.connection, segment)
        pthread_mutex_unlock(&self.connection.lock)
        self.look()

    def read_on(self, bint wanted, bint discarding):
        """Whether bytes are received, and whether only to find the end behind them."""
        pthread_mutex_lock(&self.connection.lock)
        self.connection.reading_wanted = wanted
        self.connection.is_discarding = discarding
        pthread_mutex_unlock(&self.connection.lock)
        self.look()

    def finish(self):
        """Tell by FLUSHED when nothing is left to send."""
        pthread_mutex_lock(&self.connection.lock)
        self.connection.is_finishing = True
        pthread_mutex_unlock(&self.connection.lock)
        self.look()

    def end_sending(self):
        """Tell the peer that nothing more will come."""
        if not self.connection.is_dropped:
            shutdown(self.connection.descriptor, SHUT_WR)

    def drop(self):
        """Close the socket, whatever is under way."""
        if self.connection.is_dropped:
            return
        self.connection.is_dropped = True
        self.look()

    def sending_progress(self):
        """Reply bytes that wait for the peer, and how many have left since the connection was made."""
        pthread_mutex_lock(&self.connection.lock)
        progress = (self.connection.bytes_queued, self.connection.bytes_sent)
        pthread_mutex_unlock(&self.connection.lock)
        return progress

    cdef void look(self) noexcept:
        if self.connection.plane.is_threaded:
            post_mail(self.connection)
        else:
            mark_dirty(self.connection)

    # --- sessions --------------------------------------------------------------------------------------------------

    def negotiated(self, bint multi_credit, uint32_t read_bytes_max, uint32_t write_bytes_max, uint64_t span_max):
        """What the connection's dialect and the configuration allow."""
        pthread_mutex_lock(&self.connection.lock)
        self.connection.multi_credit = multi_credit
        self.connection.read_bytes_max = read_bytes_max
        self.connection.write_bytes_max = write_bytes_max
        self.connection.span_max = span_max
        pthread_mutex_unlock(&self.connection.lock)

    def admit(
        self, uint64_t session_id, bint signing_required, bint encrypt_data, signing, sealing
    ):
        """Serve a session from now on.  `signing` is (algorithm, key) or None for a guest, `sealing` is (cipher, key to
        seal with, key to open with, 4 bytes no other sealer of that key begins its nonces' second part with) or None.
        Raises ValueError when libcrypto has no such algorithm."""
        cdef Session *session = <Session *>calloc(1, sizeof(Session))
        cdef bint complete = True
        cdef bytes key, prefix
        if session is NULL:
            raise MemoryError
        session.session_id = session_id
        session.signing_required = signing_required
        session.encrypt_data = encrypt_data
        session.is_served = True
        if signing is not None:
            key = signing[1]
            session.signer = signing_key_new(signing[0], <const uint8_t *><char *>key)
            complete = session.signer is not NULL
        if sealing is not None:
            key, prefix = sealing[1], sealing[3]
            session.sealer = sealing_key_new(sealing[0], <const uint8_t *><char *>key, True)
            key = sealing[2]
            session.opener = sealing_key_new(sealing[0], <const uint8_t *><char *>key, False)
            memcpy(session.nonce_prefix, <char *>prefix, 4)
            complete = complete and session.sealer is not NULL and session.opener is not NULL
        if not complete:
            session_free(session)
            raise ValueError("libcrypto does not offer the session's algorithms")
        pthread_mutex_lock(&self.connection.lock)
        session.next = self.connection.sessions
        self.connection.sessions = session
        pthread_mutex_unlock(&self.connection.lock)

    def suspend(self, uint64_t session_id):
        """Serve no further request of a session; its sealed frames are still opened."""
        cdef Session *session
        pthread_mutex_lock(&self.connection.lock)
        session = find_session(self.connection, session_id)
        if session is not NULL:
            session.is_served = False
        pthread_mutex_unlock(&self.connection.lock)

    def resume(self, uint64_t session_id):
        """Undo `suspend`."""
        cdef Session *session
        pthread_mutex_lock(&self.connection.lock)
        session = find_session(self.connection, session_id)
        if session is not NULL:
            session.is_served = True
        pthread_mutex_unlock(&self.connection.lock)

    def dismiss(self, uint64_t session_id):
        """Forget a session, whose grants are all revoked."""
        cdef Session *session
        pthread_mutex_lock(&self.connection.lock)
        session = find_session(self.connection, session_id)
        if session is not NULL:
            bury_session(self.connection, session)
        pthread_mutex_unlock(&self.connection.lock)

    # --- grants ----------------------------------------------------------------------------------------------------

    def grant_open(
        self, uint64_t persistent_id, uint64_t volatile_id, uint64_t session_id, uint32_t tree_id, int descriptor,
        unsigned operations, bint write_through, bint needs_sealing, uint64_t device
    ):
        """Serve `operations` on an open.  Between this and `revoke` the descriptor is not to be closed."""
        cdef Grant *grant = <Grant *>calloc(1, sizeof(Grant))
        cdef bint added
        if grant is NULL:
            raise MemoryError
        grant.number = volatile_id
        grant.persistent_id = persistent_id
        grant.volatile_id = volatile_id
        grant.session_id = session_id
        grant.tree_id = tree_id
        grant.descriptor = descriptor
        grant.operations = operations
        grant.write_through = write_through
        grant.needs_sealing = needs_sealing
        grant.device = device_of(&self.owner.plane, device, descriptor)
        added = grant.device is not NULL
        if added:
            pthread_mutex_lock(&self.connection.lock)
            added = add_grant(self.connection, grant)
            pthread_mutex_unlock(&self.connection.lock)
        if not added:
            free(grant)
            raise MemoryError

    def revoke(self, uint64_t volatile_id):
        """Begin no further operation on an open.  False: some are under way, DRAINED tells when they are done."""
        cdef Grant *grant
        cdef bint drained = True
        pthread_mutex_lock(&self.connection.lock)
        grant = find_grant(self.connection, volatile_id)
        if grant is not NULL:
            grant.revoked = True
            drained = grant.in_flight == 0
            if drained:
                bury_grant(self.connection, grant)
            else:
                grant.drained_wanted = True
        pthread_mutex_unlock(&self.connection.lock)
        if not drained:
            self.look()
        return drained

    def thaw(self, uint64_t volatile_id):
        """A frame that named this open is answered."""
        cdef Grant *grant
        pthread_mutex_lock(&self.connection.lock)
        grant = find_grant(self.connection, volatile_id)
        if grant is not NULL and grant.frozen:
            grant.frozen -= 1
        pthread_mutex_unlock(&self.connection.lock)

    def position(self, uint64_t volatile_id):
        """Where the last READ or WRITE of a granted open ended; 0 before the first."""
        cdef Grant *grant
        cdef uint64_t position = 0
        pthread_mutex_lock(&self.connection.lock)
        grant = find_grant(self.connection, volatile_id)
        if grant is not NULL:
            position = grant.position
        pthread_mutex_unlock(&self.connection.lock)
        return position

    def set_position(self, uint64_t volatile_id, uint64_t position):
        """The engine served one that ended there."""
        cdef Grant *grant
        pthread_mutex_lock(&self.connection.lock)
        grant = find_grant(self.connection, volatile_id)
        if grant is not NULL:
            grant.position = position
        pthread_mutex_unlock(&self.connection.lock)


cdef Device *device_of(Plane *plane, uint64_t number, int descriptor) noexcept:
    cdef Device *device = plane.devices
    while device is not NULL and device.number != number:
        device = device.next
    if device is NULL:
        device = <Device *>calloc(1, sizeof(Device))
        if device is not NULL:
            device.number = number
            device.is_local = is_on_local_file_system(descriptor)
            device.next = plane.devices
            plane.devices = device
    return device
