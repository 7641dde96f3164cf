# cython: language_level=3
"""One turn of the data plane: every connection is brought in line with what is wanted of it, up to its end.

Knows: completions of the plane's operations, who has to be woken.  Must not know: what a frame says, how bytes travel.
"""

from libc.stdint cimport uint64_t
from posix.unistd cimport close as close_descriptor
from posix.unistd cimport write as write_descriptor
from smbd_uring._native cimport liburing
from smbd_uring._native._atomics cimport load_flag
from smbd_uring._native._connection cimport (
    EVENT_FLUSHED, EVENT_VIOLATION, VIOLATION_NOT_OPENED, Job, Segment, connection_release, free_dead, grant_done,
    mark_dirty, post_event, pthread_mutex_lock, pthread_mutex_unlock, segment_free, take_mail,
)
from smbd_uring._native._answers cimport head_bytes, queue_answer
from smbd_uring._native._crew cimport JOB_ANSWER, JOB_VERIFY, AnswerJob, FrameJob, end_job, take_done_jobs
from smbd_uring._native._pool cimport pool_give
from smbd_uring._native._receive cimport go_on, receive_completed, start_receiving
from smbd_uring._native._send cimport copy_revoked, send_completed, start_sending
from smbd_uring._native._submit cimport (
    CANCEL, POLL, RECEIVE_CHUNK, RECEIVE_FRAME, SEND, WAKEUP, WORK, entry, kind_of, subject_of, tagged,
)
from smbd_uring._native._serve cimport serve_opened
from smbd_uring._native._smb2 cimport HEADER_BYTES
from smbd_uring._native._work cimport SERVED_DONE, Served, Work, work_completed

cdef extern from "<sys/socket.h>" nogil:
    int shutdown(int descriptor, int how)
    int SHUT_RDWR

cdef enum:
    SETTLED_EVENTS = 1
    SETTLED_SENDS = 2
    SETTLED_AGAIN = 4


# --- ends -----------------------------------------------------------------------------------------------------------


cdef void cancel(Connection *connection, int kind) noexcept nogil:
    cdef liburing.io_uring_sqe *sqe = entry(connection.plane)
    if sqe is not NULL:
        liburing.io_uring_prep_cancel64(sqe, tagged(connection, kind), 0)
        sqe.user_data = tagged(NULL, CANCEL)


cdef void drop(Connection *connection) noexcept nogil:
    # Let go of a connection once nothing in the kernel uses it.
    cdef Segment *segment
    if connection.is_closed:
        return
    if not connection.is_cancelled:
        connection.is_cancelled = True
        shutdown(connection.descriptor, SHUT_RDWR)
        if connection.is_receiving:
            cancel(connection, RECEIVE_FRAME if connection.frame is not NULL else RECEIVE_CHUNK)
        if connection.is_sending:
            cancel(connection, SEND)
        if connection.is_polling:
            cancel(connection, POLL)
    if connection.is_receiving or connection.is_sending or connection.is_polling:
        return
    connection.is_closed = True
    pthread_mutex_lock(&connection.lock)
    while connection.first is not NULL:
        segment = connection.first
        connection.first = segment.next
        if segment.grant is not NULL:
            grant_done(connection, segment.grant)
        segment_free(connection, segment)
    connection.last = NULL
    connection.bytes_queued = 0
    pthread_mutex_unlock(&connection.lock)
    pool_give(&connection.plane.pool, connection.frame)
    pool_give(&connection.plane.pool, connection.held)
    connection.frame = NULL
    connection.held = NULL
    close_descriptor(connection.descriptor)
    pthread_mutex_lock(&connection.plane.lock)
    connection.plane.open_connections -= 1
    pthread_mutex_unlock(&connection.plane.lock)
    connection_release(connection)


# --- one turn -------------------------------------------------------------------------------------------------------


cdef bint advance(Connection *connection) noexcept nogil:
    # Bring a connection in line with what is wanted of it.  Result: whether a send was queued.
    cdef bint sends = False, flushed = False, is_busy
    connection.turn_bytes = 0
    if load_flag(&connection.is_dropped):
        drop(connection)
        return False
    copy_revoked(connection)
    if not connection.is_receiving:
        go_on(connection)
    sends = start_sending(connection)
    start_receiving(connection)
    pthread_mutex_lock(&connection.lock)
    is_busy = connection.works > 0 or connection.is_with_crew
    if connection.is_finishing and connection.first is NULL and not is_busy:
        connection.is_finishing = False
        flushed = True
    pthread_mutex_unlock(&connection.lock)
    if flushed:
        post_event(connection, EVENT_FLUSHED, 0, 0, NULL, 0, False, 0)
    return sends


cdef void take_jobs(Plane *plane) noexcept nogil:
    cdef Job *job = take_done_jobs(plane)
    cdef Job *following
    cdef Connection *connection
    while job is not NULL:
        following = job.next
        connection = job.connection
        if job.kind == JOB_ANSWER:
            answer_is_done(<AnswerJob *>job)
        else:
            frame_is_done(<FrameJob *>job)
        end_job(job)
        job = following


cdef void answer_is_done(AnswerJob *job) noexcept nogil:
    job.job.connection.works -= 1
    job.job.connection.bytes_in_work -= job.body
    queue_answer(
        job.job.connection, &job.step, job.segment, head_bytes(job.sealed_by) + HEADER_BYTES + job.body, job.count,
        False, job.job.result == 1,
    )


cdef void frame_is_done(FrameJob *job) noexcept nogil:
    # Opened or verified: go on with it.  What is not right is the engine's to say, as everywhere.
    cdef Connection *connection = job.job.connection
    cdef Served served = SERVED_DONE
    connection.is_with_crew = False
    if connection.is_closed or load_flag(&connection.is_dropped):
        pass
    elif job.job.kind == JOB_VERIFY:
        served = serve_opened(connection, job.frame, job.bytes, 0, job.job.result == 1, job.owner)
    elif job.job.result == 1:
        served = serve_opened(
            connection, job.opened.message, job.opened.bytes, job.opened.session_id, False, job.owner
        )
    else:
        connection.is_broken = True
        post_event(connection, EVENT_VIOLATION, VIOLATION_NOT_OPENED, job.opened.session_id, NULL, 0, False, 0)
    if served == SERVED_DONE:
        pool_give(&connection.plane.pool, job.owner)
    mark_dirty(connection)


cdef int settle(Plane *plane) noexcept nogil:
    cdef Connection *connection
    cdef Connection *following
    cdef int result = 0
    cdef uint64_t one = 1
    cdef bint tell = False
    take_mail(plane)
    take_jobs(plane)
    # A connection that marks itself again is looked at in the next turn: others have to get theirs.
    connection = plane.first_dirty
    plane.first_dirty = NULL
    plane.last_dirty = NULL
    while connection is not NULL:
        following = connection.next_dirty
        connection.is_dirty = False
        if advance(connection):
            result |= SETTLED_SENDS
        connection = following
    if plane.first_dirty is not NULL:
        result |= SETTLED_AGAIN
    free_dead(plane)
    pthread_mutex_lock(&plane.lock)
    if plane.has_news:
        result |= SETTLED_EVENTS
        tell = plane.is_threaded and not plane.engine_told
        plane.engine_told = True
    pthread_mutex_unlock(&plane.lock)
    if tell:
        write_descriptor(plane.engine_wakeup, &one, sizeof(one))
    return result


cdef void completed(Plane *plane, uint64_t user_data, int result, unsigned flags) noexcept nogil:
    cdef int kind = kind_of(user_data)
    cdef Connection *connection
    if kind == CANCEL:
        return
    plane.operations -= 1
    if kind == WORK:
        work_completed(<Work *>subject_of(user_data), result)
        return
    if kind == WAKEUP:
        plane.wakeup_armed = False
        return
    connection = <Connection *>subject_of(user_data)
    if kind == SEND:
        send_completed(connection, result)
    elif kind == POLL:
        connection.is_polling = False
        mark_dirty(connection)
    else:
        receive_completed(connection, result, flags)
