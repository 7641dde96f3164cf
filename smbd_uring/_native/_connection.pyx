# cython: language_level=3
"""The structures of the data plane and the ways they change: connections, sessions, grants, outgoing bytes, events.

Knows: which thread may touch what (see the header).  Must not know: the ring's operations, SMB2's messages.
"""

from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy
from posix.unistd cimport write as write_descriptor
from smbd_uring._native._atomics cimport load_flag, store_flag
from smbd_uring._native._crypto cimport sealing_key_free, signing_key_free
from smbd_uring._native._pool cimport pool_give, pool_take
from smbd_uring._native._window cimport window_set_up, window_tear_down

cdef enum:
    BUCKETS_FIRST = 8
    # Replies share a segment of this size; larger ones get one of their own.
    SEGMENT_BYTES = 65536


# --- life -----------------------------------------------------------------------------------------------------------


cdef Connection *connection_new(Plane *plane, uint64_t number, int descriptor, uint64_t span_max) noexcept nogil:
    cdef Connection *connection = <Connection *>calloc(1, sizeof(Connection))
    if connection is NULL:
        return NULL
    if window_set_up(&connection.window, span_max) < 0:
        free(connection)
        return NULL
    pthread_mutex_init(&connection.lock, NULL)
    connection.number = number
    connection.descriptor = descriptor
    connection.plane = plane
    connection.references = 1
    connection.reading_wanted = True
    connection.waking_bytes = 1
    connection.span_max = span_max
    return connection


cdef void connection_hold(Connection *connection) noexcept nogil:
    pthread_mutex_lock(&connection.plane.lock)
    connection.references += 1
    pthread_mutex_unlock(&connection.plane.lock)


cdef void drop_reference(Connection *connection) noexcept nogil:
    # `plane.lock` held.
    connection.references -= 1
    if connection.references == 0:
        connection.next_mail = connection.plane.dead_connections
        connection.plane.dead_connections = connection
        store_flag(&connection.plane.something_is_dead, True)


cdef void connection_release(Connection *connection) noexcept nogil:
    cdef Plane *plane = connection.plane
    pthread_mutex_lock(&plane.lock)
    drop_reference(connection)
    pthread_mutex_unlock(&plane.lock)


cdef void connection_free(Connection *connection) noexcept nogil:
    cdef Session *session
    cdef Grant *grant
    cdef Segment *segment
    cdef size_t index
    while connection.first is not NULL:
        segment = connection.first
        connection.first = segment.next
        segment_free(connection, segment)
    while connection.sessions is not NULL:
        session = connection.sessions
        connection.sessions = session.next
        session_free(session)
    for index in range(connection.bucket_count):
        while connection.buckets[index] is not NULL:
            grant = connection.buckets[index]
            connection.buckets[index] = grant.next
            free(grant)
    free(connection.buckets)
    window_tear_down(&connection.window)
    pthread_mutex_destroy(&connection.lock)
    free(connection)


cdef void free_dead(Plane *plane) noexcept nogil:
    cdef Session *sessions
    cdef Session *session
    cdef Grant *grants
    cdef Grant *grant
    cdef Connection *connections
    cdef Connection *connection
    if not load_flag(&plane.something_is_dead):
        return
    pthread_mutex_lock(&plane.lock)
    store_flag(&plane.something_is_dead, False)
    sessions, plane.dead_sessions = plane.dead_sessions, NULL
    grants, plane.dead_grants = plane.dead_grants, NULL
    connections, plane.dead_connections = plane.dead_connections, NULL
    pthread_mutex_unlock(&plane.lock)
    while sessions is not NULL:
        session, sessions = sessions, sessions.next
        if session.jobs:
            # The crew still uses its keys.
            pthread_mutex_lock(&plane.lock)
            session.next = plane.dead_sessions
            plane.dead_sessions = session
            store_flag(&plane.something_is_dead, True)
            pthread_mutex_unlock(&plane.lock)
        else:
            session_free(session)
    while grants is not NULL:
        grant, grants = grants, grants.next
        free(grant)
    while connections is not NULL:
        connection, connections = connections, connections.next_mail
        connection_free(connection)


# --- between the threads --------------------------------------------------------------------------------------------


cdef bint post_event(
    Connection *connection, EventKind kind, uint64_t number, uint64_t detail, const uint8_t *data, size_t bytes,
    bint ids_taken, uint64_t frozen_open,
) noexcept nogil:
    cdef Event *event = <Event *>malloc(sizeof(Event) + bytes)
    cdef Plane *plane = connection.plane
    if event is NULL:
        return False
    event.next = NULL
    event.kind = kind
    event.connection = connection
    event.number = number
    event.detail = detail
    event.ids_taken = ids_taken
    event.frozen_open = frozen_open
    event.bytes = bytes
    if bytes:
        memcpy(<uint8_t *>event + sizeof(Event), data, bytes)
    pthread_mutex_lock(&plane.lock)
    connection.references += 1
    if plane.last_event is NULL:
        plane.first_event = event
    else:
        plane.last_event.next = event
    plane.last_event = event
    if kind == EVENT_SENT:
        plane.sent_untold += number
    if kind != EVENT_SENT or detail or plane.sent_untold >= SENT_UNTOLD_MAX:
        plane.has_news = True
    pthread_mutex_unlock(&plane.lock)
    return True


cdef void post_mail(Connection *connection) noexcept nogil:
    cdef Plane *plane = connection.plane
    pthread_mutex_lock(&plane.lock)
    if not connection.has_mail:
        connection.has_mail = True
        connection.references += 1
        connection.next_mail = plane.first_mail
        plane.first_mail = connection
        store_flag(&plane.mail_waits, True)
    pthread_mutex_unlock(&plane.lock)
    wake_plane(plane)


cdef void wake_plane(Plane *plane) noexcept nogil:
    cdef uint64_t one = 1
    cdef bint wake
    pthread_mutex_lock(&plane.lock)
    wake = plane.is_asleep
    plane.is_asleep = False
    pthread_mutex_unlock(&plane.lock)
    if wake:
        write_descriptor(plane.plane_wakeup, &one, sizeof(one))


cdef void take_mail(Plane *plane) noexcept nogil:
    cdef Connection *connection
    if not load_flag(&plane.mail_waits):
        return
    pthread_mutex_lock(&plane.lock)
    store_flag(&plane.mail_waits, False)
    while plane.first_mail is not NULL:
        # Off the list with the lock held: as soon as it has no mail, the other thread may link it again.
        connection = plane.first_mail
        plane.first_mail = connection.next_mail
        connection.has_mail = False
        mark_dirty(connection)
        drop_reference(connection)
    pthread_mutex_unlock(&plane.lock)


cdef void mark_dirty(Connection *connection) noexcept nogil:
    cdef Plane *plane = connection.plane
    # A closed one may be freed at any time and must be in no list.
    if connection.is_dirty or connection.is_closed:
        return
    connection.is_dirty = True
    connection.next_dirty = NULL
    if plane.last_dirty is NULL:
        plane.first_dirty = connection
    else:
        plane.last_dirty.next_dirty = connection
    plane.last_dirty = connection


# --- sessions -------------------------------------------------------------------------------------------------------


cdef Session *find_session(Connection *connection, uint64_t session_id) noexcept nogil:
    cdef Session *session = connection.sessions
    while session is not NULL and session.session_id != session_id:
        session = session.next
    return session


cdef void session_free(Session *session) noexcept nogil:
    keys_free(&session.keys)
    keys_free(&session.crew_keys)
    pthread_mutex_destroy(&session.crew_lock)
    free(session)


cdef void keys_free(Keys *keys) noexcept nogil:
    signing_key_free(keys.signer)
    sealing_key_free(keys.opener)
    sealing_key_free(keys.sealer)


cdef void bury_session(Connection *connection, Session *session) noexcept nogil:
    cdef Session **place = &connection.sessions
    cdef Plane *plane = connection.plane
    while place[0] is not session:
        place = &place[0].next
    place[0] = session.next
    pthread_mutex_lock(&plane.lock)
    session.next = plane.dead_sessions
    plane.dead_sessions = session
    store_flag(&plane.something_is_dead, True)
    pthread_mutex_unlock(&plane.lock)


# --- grants ---------------------------------------------------------------------------------------------------------


cdef Grant *find_grant(Connection *connection, uint64_t volatile_id) noexcept nogil:
    cdef Grant *grant
    if connection.bucket_count == 0:
        return NULL
    grant = connection.buckets[volatile_id & (connection.bucket_count - 1)]
    while grant is not NULL and grant.volatile_id != volatile_id:
        grant = grant.next
    return grant


cdef bint grow_buckets(Connection *connection) noexcept nogil:
    cdef size_t count = connection.bucket_count * 2 if connection.bucket_count else BUCKETS_FIRST
    cdef Grant **buckets = <Grant **>calloc(count, sizeof(Grant *))
    cdef Grant *grant
    cdef Grant **place
    cdef size_t index
    if buckets is NULL:
        return False
    for index in range(connection.bucket_count):
        while connection.buckets[index] is not NULL:
            grant = connection.buckets[index]
            connection.buckets[index] = grant.next
            place = &buckets[grant.volatile_id & (count - 1)]
            grant.next = place[0]
            place[0] = grant
    free(connection.buckets)
    connection.buckets = buckets
    connection.bucket_count = count
    return True


cdef bint add_grant(Connection *connection, Grant *grant) noexcept nogil:
    cdef Grant **place
    if connection.grant_count >= connection.bucket_count and not grow_buckets(connection):
        return False
    place = &connection.buckets[grant.volatile_id & (connection.bucket_count - 1)]
    grant.next = place[0]
    place[0] = grant
    connection.grant_count += 1
    return True


cdef void bury_grant(Connection *connection, Grant *grant) noexcept nogil:
    cdef Grant **place = &connection.buckets[grant.volatile_id & (connection.bucket_count - 1)]
    cdef Plane *plane = connection.plane
    while place[0] is not grant:
        place = &place[0].next
    place[0] = grant.next
    connection.grant_count -= 1
    pthread_mutex_lock(&plane.lock)
    grant.next = plane.dead_grants
    plane.dead_grants = grant
    store_flag(&plane.something_is_dead, True)
    pthread_mutex_unlock(&plane.lock)


cdef void grant_done(Connection *connection, Grant *grant) noexcept nogil:
    grant.in_flight -= 1
    if grant.in_flight == 0 and grant.drained_wanted:
        post_event(connection, EVENT_DRAINED, grant.number, 0, NULL, 0, False, 0)
        bury_grant(connection, grant)


# --- outgoing bytes -------------------------------------------------------------------------------------------------


cdef uint8_t *reserve(Connection *connection, size_t bytes, Segment **into) noexcept nogil:
    cdef Segment *segment
    cdef Block *block
    cdef size_t wanted
    pthread_mutex_lock(&connection.lock)
    segment = connection.last
    pthread_mutex_unlock(&connection.lock)
    # Only this thread appends to a segment with room, and takes segments off.
    if segment is not NULL and segment.capacity and bytes <= segment.capacity - segment.end:
        into[0] = segment
        return segment.data + segment.end
    wanted = bytes if bytes > SEGMENT_BYTES // 4 else SEGMENT_BYTES
    block = pool_take(&connection.plane.pool, SEGMENT_HEAD + wanted)
    if block is NULL:
        return NULL
    segment = <Segment *>block.data
    segment.next = NULL
    segment.data = block.data + SEGMENT_HEAD
    segment.start = 0
    segment.end = 0
    segment.capacity = block.capacity - SEGMENT_HEAD
    segment.block = block
    segment.grant = NULL
    segment.offset = 0
    segment.is_engines = False
    into[0] = segment
    pthread_mutex_lock(&connection.lock)
    append_segment(connection, segment)
    pthread_mutex_unlock(&connection.lock)
    return segment.data


cdef void commit(Connection *connection, Segment *segment, size_t bytes) noexcept nogil:
    segment.end += bytes
    connection.bytes_queued += bytes


cdef void append_segment(Connection *connection, Segment *segment) noexcept nogil:
    if connection.last is NULL:
        connection.first = segment
    else:
        connection.last.next = segment
    connection.last = segment
    connection.bytes_queued += segment.end - segment.start


cdef void segment_free(Connection *connection, Segment *segment) noexcept nogil:
    if segment.block is not NULL:
        pool_give(&connection.plane.pool, segment.block)
    else:
        free(segment)
