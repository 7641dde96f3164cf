# cython: language_level=3
"""Bytes in: receiving, cutting frames, allowances.

Knows: the ring's receive, [MS-SMB2] 2.1.  Must not know: what a frame says (`_serve` does).

A connection that waits holds no memory: the kernel picks one of the provided buffers when bytes come.  Frames that lie in
it whole are served from there.  What is left of the last one moves to a block of its own size, and the rest of that frame
is received straight to where it belongs.  After a large frame only the beginning of the next is received into a provided
buffer, so that a large WRITE's payload goes from the socket to its place, and from there to the file.
"""

from libc.errno cimport EAGAIN, EINTR, ENOBUFS, ENOMEM
from libc.stdint cimport uint8_t, uint16_t, uint64_t
from libc.string cimport memcpy
from smbd_uring._native cimport liburing
from smbd_uring._native._atomics cimport load_flag
from smbd_uring._native._connection cimport (
    ECANCELED, EVENT_FAILED, EVENT_PEER_FINISHED, EVENT_VIOLATION, HANDED_BYTES_MAX, VIOLATION_FRAME_LENGTH,
    VIOLATION_FRAME_TYPE, Plane, mark_dirty, post_event, pthread_mutex_lock, pthread_mutex_unlock,
)
from smbd_uring._native._pool cimport Block, pool_give, pool_take
from smbd_uring._native._serve cimport serve_frame
from smbd_uring._native._smb2 cimport (
    PREFIX_BYTES, PREFIX_FRAME, PREFIX_KEEP_ALIVE, PREFIX_WRONG_TYPE, PrefixKind, parse_prefix,
)
from smbd_uring._native._submit cimport RECEIVE_CHUNK, RECEIVE_FRAME, entry, tagged
from smbd_uring._native._work cimport SERVED_DONE

cdef extern from "<sys/socket.h>" nogil:
    int setsockopt(int descriptor, int level, int option, const void *value, unsigned length)
    int SOL_SOCKET, SO_RCVLOWAT

cdef enum:
    # While the rest of a large frame comes, be woken for so many bytes at once: a MiB costs a sixth less then than when
    # each packet wakes, and more when it is awaited whole.
    WAKING_BYTES_MAX = 262144
    # Payload that one connection gets served in one go, before the others have their turn.
    TURN_BYTES_MAX = 1048576
    # After a frame of this size the next is expected to be as large.
    LARGE_FRAME_BYTES = 32768
    # Enough for all headers of a sealed WRITE; payload that is received along with them is copied.
    FRAME_BEGINNING_BYTES = 256


# --- allowances -----------------------------------------------------------------------------------------------------


cdef bint may_serve(Connection *connection) noexcept nogil:
    # Whether one more frame may be begun: the connection's own allowance, then that of all together, in which every
    # connection may have one frame at least.
    cdef Plane *plane = connection.plane
    cdef size_t held
    cdef bint wanted
    pthread_mutex_lock(&connection.lock)
    held = connection.bytes_queued + connection.bytes_in_work
    wanted = (
        connection.reading_wanted
        and not connection.is_with_crew
        and held <= connection.queue_bytes_max
        and connection.bytes_handed <= HANDED_BYTES_MAX
        and (plane.pool.bytes_taken <= plane.bytes_max or held == 0)
    )
    pthread_mutex_unlock(&connection.lock)
    return wanted


# --- receiving ------------------------------------------------------------------------------------------------------


cdef void break_off(Connection *connection, uint64_t violation, uint64_t detail) noexcept nogil:
    connection.is_broken = True
    post_event(connection, EVENT_VIOLATION, violation, detail, NULL, 0, False, 0)


cdef bint begin_frame(Connection *connection) noexcept nogil:
    # The four bytes before a frame are there.  False: there is no frame to be expected.
    cdef size_t length, bytes_max
    cdef PrefixKind kind
    pthread_mutex_lock(&connection.lock)
    bytes_max = connection.frame_bytes_max
    pthread_mutex_unlock(&connection.lock)
    kind = parse_prefix(connection.prefix, bytes_max, &length)
    if kind == PREFIX_FRAME:
        connection.frame_bytes = length
        return True
    connection.prefix_filled = 0
    if kind == PREFIX_KEEP_ALIVE:
        return False
    if kind == PREFIX_WRONG_TYPE:
        break_off(connection, VIOLATION_FRAME_TYPE, connection.prefix[0])
    else:
        break_off(connection, VIOLATION_FRAME_LENGTH, length)
    return False


cdef size_t take_bytes(Connection *connection, uint8_t *data, size_t bytes) noexcept nogil:
    # Cut frames out of received bytes and serve them.  Result: how many bytes are done with; the others have to wait.
    cdef size_t position = 0, count
    while position < bytes:
        if connection.is_broken or load_flag(&connection.is_discarding):
            return bytes
        if connection.prefix_filled < PREFIX_BYTES:
            count = min(<size_t>PREFIX_BYTES - connection.prefix_filled, bytes - position)
            memcpy(&connection.prefix[connection.prefix_filled], data + position, count)
            connection.prefix_filled += <unsigned>count
            position += count
            if connection.prefix_filled < PREFIX_BYTES or not begin_frame(connection):
                continue
        if connection.turn_bytes > TURN_BYTES_MAX:
            mark_dirty(connection)
            return position
        if not may_serve(connection):
            return position
        if bytes - position < connection.frame_bytes:
            keep_beginning(connection, data + position, bytes - position)
            return bytes
        serve_frame(connection, data + position, connection.frame_bytes, NULL)
        position += connection.frame_bytes
        connection.prefix_filled = 0
        connection.expects_large = False
    return bytes


cdef void keep_beginning(Connection *connection, uint8_t *data, size_t bytes) noexcept nogil:
    # The rest of this frame is received to its place behind what is here.
    connection.frame = pool_take(&connection.plane.pool, connection.frame_bytes)
    if connection.frame is NULL:
        connection.is_broken = True
        post_event(connection, EVENT_FAILED, ENOMEM, 0, NULL, 0, False, 0)
        return
    memcpy(connection.frame.data, data, bytes)
    connection.frame_filled = bytes


cdef void received_chunk(Connection *connection, uint8_t *data, size_t bytes) noexcept nogil:
    # Bytes in a lent buffer: what has to wait moves out of it, for there are few such buffers.
    cdef size_t done = take_bytes(connection, data, bytes)
    if done == bytes:
        return
    connection.held = pool_take(&connection.plane.pool, bytes - done)
    if connection.held is NULL:
        connection.is_broken = True
        post_event(connection, EVENT_FAILED, ENOMEM, 0, NULL, 0, False, 0)
        return
    memcpy(connection.held.data, data + done, bytes - done)
    connection.held_start = 0
    connection.held_end = bytes - done


cdef void go_on(Connection *connection) noexcept nogil:
    # Serve what waited for an allowance.
    cdef Block *block = connection.frame
    cdef bint is_ignored
    if block is not NULL and connection.frame_filled == connection.frame_bytes:
        is_ignored = connection.is_broken or load_flag(&connection.is_discarding)
        if not is_ignored and not may_serve(connection):
            return
        connection.frame = NULL
        connection.prefix_filled = 0
        connection.expects_large = connection.frame_bytes >= LARGE_FRAME_BYTES
        if is_ignored or serve_frame(connection, block.data, connection.frame_bytes, block) == SERVED_DONE:
            pool_give(&connection.plane.pool, block)
    block = connection.held
    if block is not NULL:
        connection.held_start += take_bytes(
            connection, block.data + connection.held_start, connection.held_end - connection.held_start
        )
        if connection.held_start == connection.held_end:
            connection.held = NULL
            pool_give(&connection.plane.pool, block)


cdef void wake_at(Connection *connection, size_t bytes) noexcept nogil:
    # Not for fewer than `bytes`, which are all of those that are awaited or a part of them.
    cdef int value = <int>bytes
    if bytes < LARGE_FRAME_BYTES:
        value = 1
    if value != connection.waking_bytes:
        connection.waking_bytes = value
        setsockopt(connection.descriptor, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof(value))


cdef void start_receiving(Connection *connection) noexcept nogil:
    cdef Plane *plane = connection.plane
    cdef liburing.io_uring_sqe *sqe
    cdef bint wanted, discarding
    if connection.is_receiving or connection.peer_finished or connection.held is not NULL:
        return
    if connection.frame is not NULL and connection.frame_filled == connection.frame_bytes:
        return
    discarding = load_flag(&connection.is_discarding)
    pthread_mutex_lock(&connection.lock)
    wanted = connection.reading_wanted
    pthread_mutex_unlock(&connection.lock)
    if not discarding and (connection.is_broken or not wanted):
        return
    sqe = entry(plane)
    if sqe is NULL:
        mark_dirty(connection)
        return
    if connection.frame is not NULL:
        wake_at(connection, min(<size_t>WAKING_BYTES_MAX, connection.frame_bytes - connection.frame_filled))
        liburing.io_uring_prep_recv(
            sqe, connection.descriptor, connection.frame.data + connection.frame_filled,
            connection.frame_bytes - connection.frame_filled, 0,
        )
        sqe.ioprio |= <uint16_t>liburing.IORING_RECVSEND_POLL_FIRST
        sqe.user_data = tagged(connection, RECEIVE_FRAME)
    else:
        wake_at(connection, 1)
        liburing.io_uring_prep_recv(
            sqe, connection.descriptor, NULL,
            FRAME_BEGINNING_BYTES if connection.expects_large else plane.buffer_bytes, 0,
        )
        sqe.flags |= <uint8_t>liburing.IOSQE_BUFFER_SELECT
        # What was there has just been taken: trying once more before waiting mostly finds nothing.
        sqe.ioprio |= <uint16_t>liburing.IORING_RECVSEND_POLL_FIRST
        sqe.buf_group = plane.buffer_group
        sqe.user_data = tagged(connection, RECEIVE_CHUNK)
    connection.is_receiving = True
    plane.operations += 1


cdef void receive_completed(Connection *connection, int result, unsigned flags) noexcept nogil:
    cdef Plane *plane = connection.plane
    cdef unsigned buffer
    connection.is_receiving = False
    if flags & liburing.IORING_CQE_F_BUFFER:
        buffer = flags >> liburing.IORING_CQE_BUFFER_SHIFT
        if result > 0 and not load_flag(&connection.is_dropped):
            received_chunk(connection, plane.buffer_memory + <size_t>buffer * plane.buffer_bytes, result)
        liburing.io_uring_buf_ring_add(
            plane.buffer_table, plane.buffer_memory + <size_t>buffer * plane.buffer_bytes, plane.buffer_bytes,
            <unsigned short>buffer, liburing.io_uring_buf_ring_mask(plane.buffer_count), 0,
        )
        liburing.io_uring_buf_ring_advance(plane.buffer_table, 1)
    elif result > 0:
        connection.frame_filled += result
        if not load_flag(&connection.is_dropped):
            go_on(connection)
    if result == 0:
        connection.peer_finished = True
        post_event(connection, EVENT_PEER_FINISHED, 0, 0, NULL, 0, False, 0)
    elif result < 0 and result not in (-EAGAIN, -EINTR, -ECANCELED, -ENOBUFS):
        connection.peer_finished = True
        post_event(connection, EVENT_FAILED, -result, 0, NULL, 0, False, 0)
    mark_dirty(connection)
