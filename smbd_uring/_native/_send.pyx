# cython: language_level=3
"""Bytes out: everything that was answered in one turn leaves together.

Knows: the ring's send, and sendfile for pages of files, which a ring does not have.  Must not know: what is sent.
"""

from libc.errno cimport EAGAIN, EINTR, ENOMEM, errno
from libc.stdint cimport int64_t
from libc.string cimport memset
from smbd_uring._native cimport liburing
from smbd_uring._native._connection cimport (
    ECANCELED, EVENT_FAILED, EVENT_SENT, SEND_VECTORS, Segment, grant_done, mark_dirty, post_event, pthread_mutex_lock,
    pthread_mutex_unlock, segment_free,
)
from smbd_uring._native._files cimport read_or_zero
from smbd_uring._native._pool cimport Block, pool_take
from smbd_uring._native._submit cimport POLL, SEND, entry, tagged

cdef extern from "<sys/socket.h>" nogil:
    ssize_t send(int descriptor, const void *data, size_t length, int flags)
    int MSG_MORE, MSG_DONTWAIT

cdef extern from "<sys/sendfile.h>" nogil:
    ssize_t sendfile(int to, int source, int64_t *offset, size_t length)

cdef enum:
    # Bytes of one send, and of one turn of sendfile: enough to amortise the call.
    SEND_BYTES_MAX = 1048576


cdef void sent(Connection *connection, size_t bytes) noexcept nogil:
    # The first `bytes` of the queue are with the kernel.
    cdef Segment *segment
    cdef size_t part, engines = 0
    cdef bint is_news
    pthread_mutex_lock(&connection.lock)
    connection.bytes_queued -= bytes
    connection.bytes_sent += bytes
    while connection.first is not NULL:
        segment = connection.first
        part = min(bytes, segment.end - segment.start)
        segment.start += part
        segment.offset += part
        bytes -= part
        if segment.is_engines:
            engines += part
        if segment.start < segment.end:
            break
        connection.first = segment.next
        if connection.first is NULL:
            connection.last = NULL
        if segment.grant is not NULL:
            grant_done(connection, segment.grant)
        segment_free(connection, segment)
    # An engine that reads no more may be waiting for just this.
    is_news = not connection.reading_wanted
    pthread_mutex_unlock(&connection.lock)
    if engines:
        post_event(connection, EVENT_SENT, engines, is_news, NULL, 0, False, 0)


cdef int gather(Connection *connection, bint *pages_follow) noexcept nogil:
    # What one send takes: the memory at the queue's front.  Result: how many vectors are filled.
    cdef Segment *segment
    cdef size_t bytes = 0
    cdef int count = 0
    pages_follow[0] = False
    pthread_mutex_lock(&connection.lock)
    segment = connection.first
    while segment is not NULL and count < SEND_VECTORS and bytes < SEND_BYTES_MAX:
        if segment.grant is not NULL:
            pages_follow[0] = True
            break
        if segment.start < segment.end:
            connection.vectors[count].iov_base = segment.data + segment.start
            connection.vectors[count].iov_len = segment.end - segment.start
            bytes += segment.end - segment.start
            count += 1
        segment = segment.next
    pthread_mutex_unlock(&connection.lock)
    return count


cdef Segment *first_segment(Connection *connection) noexcept nogil:
    # Stays at the front: only this thread takes segments off.
    cdef Segment *segment
    pthread_mutex_lock(&connection.lock)
    segment = connection.first
    pthread_mutex_unlock(&connection.lock)
    return segment


cdef bint start_sending(Connection *connection) noexcept nogil:
    cdef liburing.io_uring_sqe *sqe
    cdef bint pages_follow
    cdef int count
    if connection.is_sending or connection.is_polling:
        return False
    count = gather(connection, &pages_follow)
    if pages_follow:
        send_with_pages(connection, count)
        return False
    if count == 0:
        sent(connection, 0)
        return False
    sqe = entry(connection.plane)
    if sqe is NULL:
        mark_dirty(connection)
        return False
    if count == 1:
        liburing.io_uring_prep_send(
            sqe, connection.descriptor, connection.vectors[0].iov_base, connection.vectors[0].iov_len,
            liburing.MSG_NOSIGNAL,
        )
    else:
        memset(&connection.message, 0, sizeof(liburing.msghdr))
        connection.message.msg_iov = connection.vectors
        connection.message.msg_iovlen = count
        liburing.io_uring_prep_sendmsg(sqe, connection.descriptor, &connection.message, liburing.MSG_NOSIGNAL)
    sqe.user_data = tagged(connection, SEND)
    connection.is_sending = True
    connection.plane.operations += 1
    return True


cdef void send_with_pages(Connection *connection, int vectors) noexcept nogil:
    # Send memory and pages by system calls, until the socket is full or enough was sent for one turn.
    cdef size_t total = 0
    cdef ssize_t count
    cdef bint pages_follow
    cdef Segment *segment
    cdef int64_t offset
    cdef int index
    while total < SEND_BYTES_MAX:
        for index in range(vectors):
            count = send(
                connection.descriptor, connection.vectors[index].iov_base, connection.vectors[index].iov_len,
                liburing.MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE,
            )
            if count < 0:
                stopped(connection)
                return
            total += count
            sent(connection, count)
            if <size_t>count < connection.vectors[index].iov_len:
                wait_for_room(connection)
                return
        sent(connection, 0)
        segment = first_segment(connection)
        if segment is NULL or segment.grant is NULL:
            break
        offset = <int64_t>segment.offset
        count = sendfile(connection.descriptor, segment.grant.descriptor, &offset, segment.end - segment.start)
        if count == 0:
            if not copy_pages(connection, segment):
                return
        elif count < 0:
            stopped(connection)
            return
        else:
            total += count
            sent(connection, count)
        vectors = gather(connection, &pages_follow)
        if not pages_follow:
            break
    mark_dirty(connection)


cdef void stopped(Connection *connection) noexcept nogil:
    # A send did not go: for want of room, or for good.
    if errno == EAGAIN:
        wait_for_room(connection)
    elif errno == EINTR:
        mark_dirty(connection)
    else:
        post_event(connection, EVENT_FAILED, errno, 0, NULL, 0, False, 0)


cdef void wait_for_room(Connection *connection) noexcept nogil:
    cdef liburing.io_uring_sqe *sqe = entry(connection.plane)
    if sqe is NULL:
        mark_dirty(connection)
        return
    liburing.io_uring_prep_poll_add(sqe, connection.descriptor, liburing.POLLOUT)
    sqe.user_data = tagged(connection, POLL)
    connection.is_polling = True
    connection.plane.operations += 1


cdef bint copy_pages(Connection *connection, Segment *segment) noexcept nogil:
    # Turn a segment of a file into one of memory; what the file has lost meanwhile is zeros.  False: no memory.
    cdef size_t bytes = segment.end - segment.start
    cdef Block *block = pool_take(&connection.plane.pool, sizeof(Segment) + bytes)
    cdef Segment *copy
    cdef Segment **place = &connection.first
    if block is NULL:
        post_event(connection, EVENT_FAILED, ENOMEM, 0, NULL, 0, False, 0)
        return False
    copy = <Segment *>block.data
    memset(copy, 0, sizeof(Segment))
    copy.block = block
    copy.data = block.data + sizeof(Segment)
    copy.end = bytes
    read_or_zero(segment.grant.descriptor, copy.data, bytes, segment.offset)
    pthread_mutex_lock(&connection.lock)
    while place[0] is not segment:
        place = &place[0].next
    copy.next = segment.next
    place[0] = copy
    if connection.last is segment:
        connection.last = copy
    grant_done(connection, segment.grant)
    pthread_mutex_unlock(&connection.lock)
    segment_free(connection, segment)
    return True


cdef void copy_revoked(Connection *connection) noexcept nogil:
    cdef Segment *segment
    while True:
        pthread_mutex_lock(&connection.lock)
        segment = connection.first
        while segment is not NULL and (segment.grant is NULL or not segment.grant.revoked):
            segment = segment.next
        pthread_mutex_unlock(&connection.lock)
        if segment is NULL or not copy_pages(connection, segment):
            return


cdef void send_completed(Connection *connection, int result) noexcept nogil:
    connection.is_sending = False
    if result >= 0:
        sent(connection, result)
    elif result not in (-EAGAIN, -EINTR, -ECANCELED):
        post_event(connection, EVENT_FAILED, -result, 0, NULL, 0, False, 0)
    mark_dirty(connection)
