# cython: language_level=3
"""Threads that sign, verify, seal and open large messages, so that small ones on the same ring need not wait.

Knows: keys and messages.  Must not know: where a message goes, rings.

A MiB takes AES-CCM and the signatures but GMAC most of a millisecond.  The plane's thread gives it away and goes on; the
crew has keys of its own, for the contexts of libcrypto serve one thread at a time.  A connection's next frame waits while
one is being opened, so that nothing overtakes it.
"""

from libc.string cimport memset
from smbd_uring._native._answers cimport finish_frame, finish_message, head_bytes
from smbd_uring._native._connection cimport (
    connection_hold, connection_release, find_session, pthread_cond_broadcast, pthread_cond_destroy, pthread_cond_init,
    pthread_cond_signal, pthread_cond_wait, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock,
    pthread_mutex_unlock, wake_plane, Session,
)
from smbd_uring._native._crypto cimport open_message, verify_message
from smbd_uring._native._pool cimport pool_give, pool_take
from smbd_uring._native._smb2 cimport (
    FLAG_SIGNED, HEADER_BYTES, TRANSFORM_AUTHENTICATED_BYTES, TRANSFORM_AUTHENTICATED_OFFSET, is_sealed, parse_message,
    parse_transform,
)
from smbd_uring._native.uio cimport iovec

cdef enum:
    # Below this the way to another thread and back costs more than it saves.
    CREW_BYTES_MIN = 131072


cdef bint has_crew(Connection *connection, size_t bytes) noexcept nogil:
    cdef Plane *plane = connection.plane
    cdef bint has_others
    if bytes < CREW_BYTES_MIN or plane.crew is NULL:
        return False
    # With one connection alone there is nobody who could be kept waiting.
    pthread_mutex_lock(&plane.lock)
    has_others = plane.open_connections > 1
    pthread_mutex_unlock(&plane.lock)
    return has_others


cdef bint is_for_crew(Connection *connection, Step *step, uint64_t sealed_by, size_t bytes) noexcept nogil:
    return (sealed_by or step.signs) and has_crew(connection, bytes)


# --- giving jobs ----------------------------------------------------------------------------------------------------


cdef void give(Job *job, JobKind kind, Connection *connection, Session *session, Block *block) noexcept nogil:
    cdef Crew *crew = connection.plane.crew
    job.next = NULL
    job.result = -1
    job.kind = kind
    job.connection = connection
    job.session = session
    job.block = block
    session.jobs += 1
    connection_hold(connection)
    pthread_mutex_lock(&crew.lock)
    if crew.last is NULL:
        crew.first = job
    else:
        crew.last.next = job
    crew.last = job
    pthread_cond_signal(&crew.work_is_there)
    pthread_mutex_unlock(&crew.lock)


cdef bint give_frame_to_crew(Connection *connection, uint8_t *frame, size_t bytes, Block *owner) noexcept nogil:
    cdef Transform opened
    cdef Message message
    cdef Session *session = NULL
    cdef FrameJob *job
    cdef Block *block
    cdef bint sealed
    if not has_crew(connection, bytes):
        return False
    sealed = is_sealed(frame, bytes)
    pthread_mutex_lock(&connection.lock)
    if sealed:
        if parse_transform(frame, bytes, &opened) == 0:
            session = find_session(connection, opened.session_id)
    elif parse_message(frame, bytes, &message) == 0 and message.flags & FLAG_SIGNED and not message.next_command:
        session = find_session(connection, message.session_id)
    pthread_mutex_unlock(&connection.lock)
    if session is NULL:
        return False
    if session.crew_keys.opener is NULL if sealed else session.crew_keys.signer is NULL:
        return False
    block = pool_take(&connection.plane.pool, sizeof(FrameJob))
    if block is NULL:
        return False
    job = <FrameJob *>block.data
    job.frame = frame
    job.bytes = bytes
    job.owner = owner
    if sealed:
        job.opened = opened
    else:
        job.message_id = message.message_id
    connection.is_with_crew = True
    give(&job.job, JOB_OPEN if sealed else JOB_VERIFY, connection, session, block)
    return True


cdef bint give_answer_to_crew(
    Connection *connection, Step *step, Segment *segment, size_t body, uint32_t status, uint32_t count,
    uint64_t sealed_by,
) noexcept nogil:
    cdef Block *block = pool_take(&connection.plane.pool, sizeof(AnswerJob))
    cdef AnswerJob *job
    if block is NULL:
        return False
    job = <AnswerJob *>block.data
    job.step = step[0]
    job.segment = segment
    job.body = body
    job.status = status
    job.count = count
    job.sealed_by = sealed_by
    # Until it is queued it counts as what the kernel's workers are doing: against the allowance, and as not sent yet.
    connection.works += 1
    connection.bytes_in_work += body
    give(&job.job, JOB_ANSWER, connection, step.session, block)
    return True


# --- doing them, in a thread of the crew ----------------------------------------------------------------------------


cdef int do_frame_job(FrameJob *job) noexcept nogil:
    cdef Session *session = job.job.session
    cdef iovec segment
    if job.job.kind == JOB_OPEN:
        segment.iov_base = job.opened.message
        segment.iov_len = job.opened.bytes
        return open_message(
            session.crew_keys.opener, job.opened.nonce, job.frame + TRANSFORM_AUTHENTICATED_OFFSET,
            TRANSFORM_AUTHENTICATED_BYTES, &segment, 1, job.opened.message, job.opened.tag,
        )
    segment.iov_base = job.frame
    segment.iov_len = job.bytes
    return verify_message(session.crew_keys.signer, &segment, 1, job.message_id, 0)


cdef int do_answer_job(AnswerJob *job) noexcept nogil:
    cdef Session *session = job.job.session
    cdef uint8_t *message = job.segment.data + head_bytes(job.sealed_by)
    cdef size_t bytes = HEADER_BYTES + job.body
    if not finish_message(job.job.connection, &job.step, &session.crew_keys, message, bytes, job.status, 0):
        return -1
    return 1 if finish_frame(&session.crew_keys, job.segment.data, bytes, job.sealed_by) else -1


cdef void do_job(Job *job) noexcept nogil:
    cdef Plane *plane = job.connection.plane
    pthread_mutex_lock(&job.session.crew_lock)
    job.result = do_answer_job(<AnswerJob *>job) if job.kind == JOB_ANSWER else do_frame_job(<FrameJob *>job)
    pthread_mutex_unlock(&job.session.crew_lock)
    pthread_mutex_lock(&plane.lock)
    job.next = plane.done_jobs
    plane.done_jobs = job
    pthread_mutex_unlock(&plane.lock)
    wake_plane(plane)


cdef Job *take_job(Crew *crew) noexcept nogil:
    # Wait for one; NULL when the crew is to stop.
    cdef Job *job = NULL
    pthread_mutex_lock(&crew.lock)
    while crew.first is NULL and not crew.stop_wanted:
        pthread_cond_wait(&crew.work_is_there, &crew.lock)
    job = crew.first
    if job is not NULL:
        crew.first = job.next
        if crew.first is NULL:
            crew.last = NULL
    pthread_mutex_unlock(&crew.lock)
    return job


# --- taking them back -----------------------------------------------------------------------------------------------


cdef Job *take_done_jobs(Plane *plane) noexcept nogil:
    cdef Job *done
    cdef Job *ordered = NULL
    cdef Job *following
    if plane.crew is NULL:
        return NULL
    pthread_mutex_lock(&plane.lock)
    done = plane.done_jobs
    plane.done_jobs = NULL
    pthread_mutex_unlock(&plane.lock)
    while done is not NULL:
        following = done.next
        done.next = ordered
        ordered = done
        done = following
    return ordered


cdef void end_job(Job *job) noexcept nogil:
    cdef Connection *connection = job.connection
    job.session.jobs -= 1
    pool_give(&connection.plane.pool, job.block)
    connection_release(connection)


cdef class CryptographyCrew:
    """The crew's jobs.  Threads are lent to it: each calls `run`."""

    def __cinit__(self):
        memset(&self.crew, 0, sizeof(Crew))
        pthread_mutex_init(&self.crew.lock, NULL)
        pthread_cond_init(&self.crew.work_is_there, NULL)

    def __dealloc__(self):
        pthread_cond_destroy(&self.crew.work_is_there)
        pthread_mutex_destroy(&self.crew.lock)

    def run(self):
        """Do jobs until `stop`; those that are there are done first."""
        cdef Job *job
        with nogil:
            while True:
                job = take_job(&self.crew)
                if job is NULL:
                    break
                do_job(job)

    def stop(self):
        """Have every `run` return."""
        pthread_mutex_lock(&self.crew.lock)
        self.crew.stop_wanted = True
        pthread_cond_broadcast(&self.crew.work_is_there)
        pthread_mutex_unlock(&self.crew.lock)
