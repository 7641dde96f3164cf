# cython: language_level=3
"""From a frame to its answer: what the engine has granted is done here, everything else is handed to the engine.

Knows: the success paths of [MS-SMB2] 3.3.5.11, 3.3.5.12, 3.3.5.13 and 3.3.5.17.  Must not know: how bytes come and go,
who holds a share, why an open was granted.

The rule that keeps this small: the plane knows how to succeed, and STATUS_END_OF_FILE.  A request whose file operation
fails goes to the engine, which then fails it with the right status; READ, WRITE and FLUSH may be done twice without
harm, in a compound as long as no WRITE comes after a READ (`_steps` sees to that).
"""

from libc.errno cimport EAGAIN, EIO
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset
from smbd_uring._native cimport _files
from smbd_uring._native._answers cimport (
    account, answer, answer_read, finish_frame, finish_message, head_bytes, store_read,
)
from smbd_uring._native._connection cimport (
    EVENT_FAILED, Segment, append_segment, commit, mark_dirty, post_event, pthread_mutex_lock, pthread_mutex_unlock,
    reserve,
)
from smbd_uring._native._pool cimport pool_give, pool_take
from smbd_uring._native._smb2 cimport *
from smbd_uring._native._steps cimport Step, begin_steps, give_up, hand_over, open_frame
from smbd_uring._native._crew cimport give_frame_to_crew, is_for_crew
from smbd_uring._native._work cimport SERVED_DONE, SERVED_KEPT, start_work

cdef enum:
    # Below this a file's bytes are cheaper copied than handed from the page cache to the socket page by page.
    FILE_SEGMENT_BYTES_MIN = 32768


cdef Served serve_frame(Connection *connection, uint8_t *frame, size_t bytes, Block *owner) noexcept nogil:
    cdef Transform opened
    if owner is not NULL and give_frame_to_crew(connection, frame, bytes, owner):
        return SERVED_KEPT
    if not is_sealed(frame, bytes):
        return serve_opened(connection, frame, bytes, 0, False, owner)
    if open_frame(connection, frame, bytes, &opened):
        return serve_opened(connection, opened.message, opened.bytes, opened.session_id, False, owner)
    if opened.session_id == 0:
        hand_over(connection, frame, bytes, 0, False)
    return SERVED_DONE


cdef Served serve_opened(
    Connection *connection, uint8_t *frame, size_t bytes, uint64_t sealed_by, bint is_verified, Block *owner
) noexcept nogil:
    cdef Step steps[MESSAGES_MAX]
    cdef int count = begin_steps(connection, frame, bytes, sealed_by, is_verified, steps)
    if count == 0:
        if not connection.is_broken:
            hand_over(connection, frame, bytes, sealed_by, False)
        return SERVED_DONE
    if count > 1:
        return serve_compound(connection, steps, count, frame, bytes, sealed_by)
    if steps[0].message.command == COMMAND_READ:
        return serve_read(connection, steps, frame, bytes, sealed_by)
    if steps[0].message.command == COMMAND_WRITE:
        return serve_write(connection, steps, frame, bytes, sealed_by, owner)
    if steps[0].message.command == COMMAND_FLUSH:
        return start_work(connection, steps, frame, bytes, sealed_by, owner)
    return serve_echo(connection, steps, frame, bytes, sealed_by)


cdef Served serve_echo(
    Connection *connection, Step *step, uint8_t *frame, size_t bytes, uint64_t sealed_by
) noexcept nogil:
    cdef Segment *segment
    cdef size_t head = head_bytes(sealed_by)
    cdef uint8_t *room = reserve(connection, head + HEADER_BYTES + ECHO_BYTES, &segment)
    if room is NULL:
        give_up(connection, step, 1, frame, bytes, sealed_by)
        return SERVED_DONE
    store_empty_response(room + head + HEADER_BYTES)
    answer(connection, step, segment, room, ECHO_BYTES, STATUS_SUCCESS, sealed_by, 0, True)
    return SERVED_DONE


cdef Served serve_read(
    Connection *connection, Step *step, uint8_t *frame, size_t bytes, uint64_t sealed_by
) noexcept nogil:
    cdef size_t head = head_bytes(sealed_by)
    cdef uint8_t *room
    cdef Segment *segment
    cdef int64_t count
    if not sealed_by and not step.signs and step.operation.length >= FILE_SEGMENT_BYTES_MIN:
        if queue_file_read(connection, step):
            return SERVED_DONE
    if is_for_crew(connection, step, sealed_by, step.operation.length):
        return start_work(connection, step, frame, bytes, sealed_by, NULL)
    room = reserve(connection, head + HEADER_BYTES + READ_RESPONSE_BYTES + step.operation.length, &segment)
    if room is NULL:
        give_up(connection, step, 1, frame, bytes, sealed_by)
        return SERVED_DONE
    count = _files.read_now(
        step.grant, room + head + HEADER_BYTES + READ_RESPONSE_BYTES, step.operation.length, step.operation.offset
    )
    if count == -EAGAIN:
        return start_work(connection, step, frame, bytes, sealed_by, NULL)
    if count < 0:
        give_up(connection, step, 1, frame, bytes, sealed_by)
        return SERVED_DONE
    answer_read(connection, step, segment, room, <uint32_t>count, sealed_by, True)
    return SERVED_DONE


cdef bint queue_file_read(Connection *connection, Step *step) noexcept nogil:
    # Answer a READ with the file's own pages, if all of them are in memory.  False: nothing has been done.
    cdef int64_t count = _files.bytes_in_memory(step.grant, step.operation.length, step.operation.offset)
    cdef Segment *segment
    cdef Segment *pages
    cdef uint8_t *room
    cdef Block *block
    if count < FILE_SEGMENT_BYTES_MIN or count < step.operation.minimum_count:
        return False
    block = pool_take(&connection.plane.pool, sizeof(Segment))
    if block is NULL:
        return False
    room = reserve(connection, PREFIX_BYTES + HEADER_BYTES + READ_RESPONSE_BYTES, &segment)
    if room is NULL:
        pool_give(&connection.plane.pool, block)
        return False
    store_read_response(room + PREFIX_BYTES + HEADER_BYTES, <uint32_t>count)
    finish_message(connection, step, &step.session.keys, room + PREFIX_BYTES, 0, STATUS_SUCCESS, 0)
    store_prefix(room, HEADER_BYTES + READ_RESPONSE_BYTES + count)
    pages = <Segment *>block.data
    memset(pages, 0, sizeof(Segment))
    pages.block = block
    pages.end = count
    pages.grant = step.grant
    pages.offset = step.operation.offset
    pthread_mutex_lock(&connection.lock)
    commit(connection, segment, PREFIX_BYTES + HEADER_BYTES + READ_RESPONSE_BYTES)
    append_segment(connection, pages)
    step.grant.in_flight += 1
    account(connection, step, <uint32_t>count)
    pthread_mutex_unlock(&connection.lock)
    mark_dirty(connection)
    return True


cdef Served serve_write(
    Connection *connection, Step *step, uint8_t *frame, size_t bytes, uint64_t sealed_by, Block *owner
) noexcept nogil:
    cdef size_t head = head_bytes(sealed_by)
    cdef Segment *segment
    cdef uint8_t *room
    cdef int64_t result = -EAGAIN
    if not step.operation.write_through:
        result = _files.write_now(step.grant, step.operation.data, step.operation.length, step.operation.offset)
    if result == -EAGAIN:
        return start_work(connection, step, frame, bytes, sealed_by, owner)
    room = reserve(connection, head + HEADER_BYTES + WRITE_RESPONSE_BYTES, &segment) if result == 0 else NULL
    if room is NULL:
        give_up(connection, step, 1, frame, bytes, sealed_by)
        return SERVED_DONE
    store_write_response(room + head + HEADER_BYTES, step.operation.length)
    answer(
        connection, step, segment, room, WRITE_RESPONSE_BYTES, STATUS_SUCCESS, sealed_by, step.operation.length, True
    )
    return SERVED_DONE


# --- compounds ------------------------------------------------------------------------------------------------------


cdef int64_t run_step(Step *step, uint8_t *body, uint32_t *status, uint32_t *count) noexcept nogil:
    # Do one request of a compound.  Result: bytes of its answer's body, or -errno.
    cdef int64_t result
    status[0] = STATUS_SUCCESS
    count[0] = 0
    if step.message.command == COMMAND_ECHO:
        store_empty_response(body)
        return ECHO_BYTES
    if step.message.command == COMMAND_READ:
        result = _files.read_now(
            step.grant, body + READ_RESPONSE_BYTES, step.operation.length, step.operation.offset
        )
        if result < 0:
            return result
        count[0] = <uint32_t>result
        result = <int64_t>store_read(step, body, count[0], status)
        if status[0] != STATUS_SUCCESS:
            count[0] = 0
        return result
    result = _files.write_now(step.grant, step.operation.data, step.operation.length, step.operation.offset)
    if result < 0:
        return result
    count[0] = step.operation.length
    store_write_response(body, count[0])
    return WRITE_RESPONSE_BYTES


cdef Served serve_compound(
    Connection *connection, Step *steps, int count, uint8_t *frame, size_t bytes, uint64_t sealed_by
) noexcept nogil:
    # Several requests, each of them served at once; when one of them cannot be, the engine answers them all.
    cdef size_t head = head_bytes(sealed_by), room_wanted = head, length, position = 0
    cdef uint32_t statuses[MESSAGES_MAX]
    cdef uint32_t counts[MESSAGES_MAX]
    cdef size_t lengths[MESSAGES_MAX]
    cdef Segment *segment
    cdef uint8_t *room
    cdef int index
    cdef int64_t body
    cdef bint done = True
    for index in range(count):
        room_wanted += HEADER_BYTES + READ_RESPONSE_BYTES + COMPOUND_ALIGNMENT
        if steps[index].message.command == COMMAND_READ:
            room_wanted += steps[index].operation.length
    room = reserve(connection, room_wanted, &segment)
    if room is NULL:
        give_up(connection, steps, count, frame, bytes, sealed_by)
        return SERVED_DONE
    for index in range(count):
        body = run_step(&steps[index], room + head + position + HEADER_BYTES, &statuses[index], &counts[index])
        if body < 0:
            give_up(connection, steps, count, frame, bytes, sealed_by)
            return SERVED_DONE
        length = HEADER_BYTES + <size_t>body
        if index < count - 1:
            while length % COMPOUND_ALIGNMENT:
                room[head + position + length] = 0
                length += 1
        lengths[index] = length
        position += length
    position = 0
    for index in range(count):
        done = done and finish_message(
            connection, &steps[index], &steps[index].session.keys, room + head + position, lengths[index],
            statuses[index], <uint32_t>lengths[index] if index < count - 1 else 0,
        )
        position += lengths[index]
    done = done and finish_frame(&steps[0].session.keys, room, position, sealed_by)
    pthread_mutex_lock(&connection.lock)
    if done:
        commit(connection, segment, head + position)
    for index in range(count):
        account(connection, &steps[index], counts[index])
    pthread_mutex_unlock(&connection.lock)
    if not done:
        post_event(connection, EVENT_FAILED, EIO, 0, NULL, 0, False, 0)
    mark_dirty(connection)
    return SERVED_DONE
