# cython: language_level=3
"""What the data plane answers: bodies, headers, credits, signatures and sealing.

Knows: [MS-SMB2] 3.3.4.1 (sending any message).  Must not know: how a request was done, how bytes leave.
"""

from libc.errno cimport EIO
from libc.string cimport memcpy, memset
from libc.time cimport time_t
from smbd_uring._native._atomics cimport add_to_count
from smbd_uring._native._connection cimport (
    EVENT_FAILED, append_segment, commit, grant_done, mark_dirty, post_event, pthread_mutex_lock, pthread_mutex_unlock,
)
from smbd_uring._native._crypto cimport seal_message, sign_message
from smbd_uring._native._smb2 cimport *
from smbd_uring._native._window cimport window_grant
from smbd_uring._native.uio cimport iovec

cdef extern from "<time.h>" nogil:
    cdef struct timespec:
        # Seconds and nanoseconds.
        time_t tv_sec
        long tv_nsec
    enum:
        CLOCK_REALTIME
    int clock_gettime(int clock, timespec *now)


cdef enum:
    NONCE_FROM_SERVER = 1
    # As if the first WRITE were long ago: what was flushed need not wait for clients to be told of it.
    FLUSHED = 1

cdef uint64_t NONCES_MAX = <uint64_t>-1


cdef bint finish_message(
    Connection *connection, Step *step, Keys *keys, uint8_t *message, size_t bytes, uint32_t status,
    uint32_t next_command,
) noexcept nogil:
    # Header and signature of an answer of `bytes`, its body being there.
    cdef uint32_t flags = FLAG_SERVER_TO_REDIR | (step.message.flags & FLAG_RELATED_OPERATIONS)
    cdef uint64_t credits
    cdef iovec segment
    pthread_mutex_lock(&connection.lock)
    credits = window_grant(&connection.window, step.message.credits, connection.span_max)
    pthread_mutex_unlock(&connection.lock)
    if step.signs:
        flags |= FLAG_SIGNED
    store_header(message, &step.message, status, <uint16_t>credits, flags)
    store32(message + 20, next_command)
    if not step.signs:
        return True
    segment.iov_base = message
    segment.iov_len = bytes
    return sign_message(
        keys.signer, &segment, 1, step.message.message_id, NONCE_FROM_SERVER, message + SIGNATURE_OFFSET
    ) == 0


cdef bint finish_frame(Keys *keys, uint8_t *room, size_t bytes, uint64_t sealed_by) noexcept nogil:
    # Seal `bytes` of messages, which begin behind the head, and say how long the frame is.
    cdef uint8_t *transform = room + PREFIX_BYTES
    cdef iovec segment
    if not sealed_by:
        store_prefix(room, bytes)
        return True
    if keys.sealer is NULL or keys.nonce_counter == NONCES_MAX:
        return False
    store_prefix(room, TRANSFORM_BYTES + bytes)
    store_transform(transform, bytes, sealed_by)
    memset(transform + TRANSFORM_AUTHENTICATED_OFFSET, 0, 16)
    store64(transform + TRANSFORM_AUTHENTICATED_OFFSET, keys.nonce_counter)
    memcpy(transform + TRANSFORM_AUTHENTICATED_OFFSET + 8, keys.nonce_prefix, 4)
    keys.nonce_counter += 1
    segment.iov_base = transform + TRANSFORM_BYTES
    segment.iov_len = bytes
    return seal_message(
        keys.sealer, transform + TRANSFORM_AUTHENTICATED_OFFSET, transform + TRANSFORM_AUTHENTICATED_OFFSET,
        TRANSFORM_AUTHENTICATED_BYTES, &segment, 1, transform + TRANSFORM_BYTES, transform + 4,
    ) == 0


cdef void account(Connection *connection, Step *step, uint32_t count) noexcept nogil:
    # The step is answered and `count` bytes of its file were read or written.  `connection.lock` held.
    cdef timespec now
    connection.turn_bytes += count
    add_to_count(&connection.plane.served[step.message.command], 1)
    if step.grant is NULL:
        return
    if step.message.command == COMMAND_READ and (count or step.operation.length == 0):
        add_to_count(&connection.plane.bytes_read, count)
    else:
        add_to_count(&connection.plane.bytes_written, count)
    if step.message.command == COMMAND_READ and (count or step.operation.length == 0):
        step.grant.position = step.operation.offset + count
    elif step.message.command == COMMAND_WRITE and step.grant.written_ns == 0:
        clock_gettime(CLOCK_REALTIME, &now)
        step.grant.written_ns = <uint64_t>now.tv_sec * 1000000000 + now.tv_nsec
    elif step.message.command == COMMAND_FLUSH and step.grant.written_ns:
        step.grant.written_ns = FLUSHED
    grant_done(connection, step.grant)


cdef void answer(
    Connection *connection, Step *step, Segment *segment, uint8_t *room, size_t body, uint32_t status,
    uint64_t sealed_by, uint32_t count, bint is_queued,
) noexcept nogil:
    # Complete the answer to a frame of one request, its `body` bytes being in `room` where they belong, and queue it.
    cdef uint8_t *message = room + head_bytes(sealed_by)
    cdef Keys *keys = &step.session.keys
    cdef bint done = finish_message(connection, step, keys, message, HEADER_BYTES + body, status, 0)
    done = done and finish_frame(keys, room, HEADER_BYTES + body, sealed_by)
    queue_answer(connection, step, segment, head_bytes(sealed_by) + HEADER_BYTES + body, count, is_queued, done)


cdef void queue_answer(
    Connection *connection, Step *step, Segment *segment, size_t bytes, uint32_t count, bint is_queued, bint done
) noexcept nogil:
    pthread_mutex_lock(&connection.lock)
    if done:
        if is_queued:
            commit(connection, segment, bytes)
        else:
            segment.end = bytes
            append_segment(connection, segment)
    account(connection, step, count)
    pthread_mutex_unlock(&connection.lock)
    if not done:
        post_event(connection, EVENT_FAILED, EIO, 0, NULL, 0, False, 0)
    mark_dirty(connection)


cdef size_t store_read(Step *step, uint8_t *body, uint32_t count, uint32_t *status) noexcept nogil:
    # The body of a READ's answer, its payload being in place.  Result: its bytes.
    if count == 0 or count < step.operation.minimum_count:
        status[0] = STATUS_END_OF_FILE
        store_error_response(body)
        return ERROR_RESPONSE_BYTES
    status[0] = STATUS_SUCCESS
    store_read_response(body, count)
    return READ_RESPONSE_BYTES + count


cdef void answer_read(
    Connection *connection, Step *step, Segment *segment, uint8_t *room, uint32_t count, uint64_t sealed_by,
    bint is_queued,
) noexcept nogil:
    cdef uint32_t status
    cdef size_t body = store_read(step, room + head_bytes(sealed_by) + HEADER_BYTES, count, &status)
    answer(connection, step, segment, room, body, status, sealed_by, count, is_queued)
