# cython: language_level=3
"""One connection of the data plane as Python sees it: what the engine tells of bounds, sessions and grants.

Knows: the structures' locks.  Must not know: what a frame says, how bytes travel.

Every method may be called from the engine's thread, wherever the plane runs.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cython cimport no_gc_clear
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from smbd_uring._native._atomics cimport load_flag, store_flag
from smbd_uring._native._connection cimport (
    Connection, Device, Grant, Keys, Plane, Segment, Session, add_grant, append_segment, bury_grant, bury_session,
    connection_hold, connection_new, connection_release, find_grant, find_session, mark_dirty, post_mail,
    pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock, session_free,
)
from smbd_uring._native._crypto cimport sealing_key_new, signing_key_new
from smbd_uring._native._files cimport is_locked_elsewhere, is_on_local_file_system
from smbd_uring._native._window cimport window_grant, window_take

cdef extern from "<sys/socket.h>" nogil:
    int shutdown(int descriptor, int how)
    int SHUT_WR

cdef extern from "<sys/ioctl.h>" nogil:
    int ioctl(int descriptor, unsigned long request, int *value)

cdef extern from "<linux/sockios.h>" nogil:
    unsigned long SIOCOUTQ


cdef PlaneConnection make_connection(Plane *plane, object owner, uint64_t number, int descriptor, uint64_t span_max):
    cdef PlaneConnection made = PlaneConnection.__new__(PlaneConnection)
    cdef Connection *connection = connection_new(plane, number, descriptor, span_max)
    if connection is NULL:
        raise MemoryError
    made.connection = connection
    made.owner = owner
    # The plane's own reference, until it has closed the socket.
    connection_hold(connection)
    pthread_mutex_lock(&plane.lock)
    plane.open_connections += 1
    pthread_mutex_unlock(&plane.lock)
    return made


# The collector may not take from it what its end still needs.
@no_gc_clear
cdef class PlaneConnection:
    """One connection: what the engine tells the plane about it.  Implements `ports.PlaneConnection`."""

    def __dealloc__(self):
        if self.connection is not NULL:
            connection_release(self.connection)

    # --- message ids -----------------------------------------------------------------------------------------------

    @property
    def available(self):
        """See `engine.credits.CreditWindow`."""
        pthread_mutex_lock(&self.connection.lock)
        available = self.connection.window.available
        pthread_mutex_unlock(&self.connection.lock)
        return available

    @property
    def span(self):
        """See `engine.credits.CreditWindow`."""
        pthread_mutex_lock(&self.connection.lock)
        span = self.connection.window.high - self.connection.window.low
        pthread_mutex_unlock(&self.connection.lock)
        return span

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
            # In bytes, whatever the items of a view are.
            PyObject_GetBuffer(part, &view, PyBUF_SIMPLE)
            total += view.len
            PyBuffer_Release(&view)
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
        store_flag(&self.connection.is_discarding, discarding)
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
        if not load_flag(&self.connection.is_dropped):
            shutdown(self.connection.descriptor, SHUT_WR)

    def drop(self):
        """Close the socket, whatever is under way."""
        if load_flag(&self.connection.is_dropped):
            return
        store_flag(&self.connection.is_dropped, True)
        self.look()

    def sending_progress(self):
        """Reply bytes that wait for the peer, and how many have left since the connection was made."""
        pthread_mutex_lock(&self.connection.lock)
        progress = (self.connection.bytes_queued, self.connection.bytes_sent)
        pthread_mutex_unlock(&self.connection.lock)
        return progress

    def unacknowledged(self):
        """Bytes that the kernel has for the peer and the peer has not acknowledged; 0 when the kernel does not tell."""
        cdef int count = 0
        if load_flag(&self.connection.is_dropped) or ioctl(self.connection.descriptor, SIOCOUTQ, &count) < 0:
            return 0
        return count

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
        cdef bint complete
        if session is NULL:
            raise MemoryError
        pthread_mutex_init(&session.crew_lock, NULL)
        session.session_id = session_id
        session.signing_required = signing_required
        session.encrypt_data = encrypt_data
        session.is_served = True
        complete = make_keys(&session.keys, signing, sealing, 0)
        if self.connection.plane.crew is not NULL:
            complete = make_keys(&session.crew_keys, signing, sealing, 2) and complete
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
        unsigned operations, bint write_through, bint needs_sealing, uint64_t device, int channel_sequence
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
        grant.channel_sequence = channel_sequence
        grant.device = device_of(self.connection.plane, device, descriptor)
        added = grant.device is not NULL
        if added:
            pthread_mutex_lock(&self.connection.lock)
            added = add_grant(self.connection, grant)
            pthread_mutex_unlock(&self.connection.lock)
        if not added:
            free(grant)
            raise MemoryError

    def is_locked(self, int descriptor, uint64_t number):
        """Whether another open file holds a lock on some of this one; False where asking might take long."""
        cdef Device *device = device_of(self.connection.plane, number, descriptor)
        return device is not NULL and device.is_local and is_locked_elsewhere(descriptor)

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
        if volatile_id == <uint64_t>-1:
            self.connection.frozen -= 1
        elif grant is not NULL and grant.frozen:
            grant.frozen -= 1
        pthread_mutex_unlock(&self.connection.lock)

    def position(self, uint64_t volatile_id):
        """Where the last READ of a granted open ended; 0 before the first."""
        cdef Grant *grant
        cdef uint64_t position = 0
        pthread_mutex_lock(&self.connection.lock)
        grant = find_grant(self.connection, volatile_id)
        if grant is not NULL:
            position = grant.position
        pthread_mutex_unlock(&self.connection.lock)
        return position

    def written_ns(self, uint64_t volatile_id):
        """When the first WRITE of a granted open ended, in ns since 1970; 0 before it."""
        cdef Grant *grant
        cdef uint64_t written_ns = 0
        pthread_mutex_lock(&self.connection.lock)
        grant = find_grant(self.connection, volatile_id)
        if grant is not NULL:
            written_ns = grant.written_ns
        pthread_mutex_unlock(&self.connection.lock)
        return written_ns

    def set_position(self, uint64_t volatile_id, uint64_t position):
        """The engine served one that ended there."""
        cdef Grant *grant
        pthread_mutex_lock(&self.connection.lock)
        grant = find_grant(self.connection, volatile_id)
        if grant is not NULL:
            grant.position = position
        pthread_mutex_unlock(&self.connection.lock)


cdef bint make_keys(Keys *keys, signing, sealing, uint8_t prefix_bits) except -1:
    # False when libcrypto lacks something; what is there is the session's to free.  `prefix_bits` tell apart the nonces
    # of the sealers that one prefix was given for.
    cdef bytes key, prefix
    cdef bint complete = True
    if signing is not None:
        key = signing[1]
        keys.signer = signing_key_new(signing[0], <const uint8_t *><char *>key)
        complete = keys.signer is not NULL
    if sealing is not None:
        key, prefix = sealing[1], sealing[3]
        keys.sealer = sealing_key_new(sealing[0], <const uint8_t *><char *>key, True)
        key = sealing[2]
        keys.opener = sealing_key_new(sealing[0], <const uint8_t *><char *>key, False)
        memcpy(keys.nonce_prefix, <char *>prefix, 4)
        keys.nonce_prefix[0] ^= prefix_bits
        complete = complete and keys.sealer is not NULL and keys.opener is not NULL
    return complete


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
