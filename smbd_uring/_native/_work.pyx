# cython: language_level=3
"""READ, WRITE and FLUSH that have to wait for a device, while the plane's thread goes on.

Knows: the ring's operations on files.  Must not know: which requests may be served, sockets.
"""

from libc.errno cimport EAGAIN, EINTR
from libc.stdint cimport int64_t, uint16_t
from libc.string cimport memcpy, memset
from smbd_uring._native cimport liburing
from smbd_uring._native._answers cimport answer, answer_read, head_bytes, store_read
from smbd_uring._native._connection cimport SEGMENT_HEAD, connection_hold, connection_release, mark_dirty, reserve
from smbd_uring._native._crew cimport give_answer_to_crew, is_for_crew
from smbd_uring._native._files cimport read_now
from smbd_uring._native._pool cimport pool_give, pool_take
from smbd_uring._native._smb2 cimport (
    COMMAND_FLUSH, COMMAND_READ, COMMAND_WRITE, FLUSH_RESPONSE_BYTES, HEADER_BYTES, READ_RESPONSE_BYTES, STATUS_SUCCESS,
    WRITE_RESPONSE_BYTES, FileOperation, store_empty_response, store_write_response,
)
from smbd_uring._native._steps cimport give_up
from smbd_uring._native._submit cimport WORK, entry, tagged


cdef Served start_work(
    Connection *connection, Step *step, uint8_t *frame, size_t bytes, uint64_t sealed_by, Block *owner
) noexcept nogil:
    cdef size_t extra = 0 if owner is not NULL else bytes
    cdef Block *block = pool_take(&connection.plane.pool, sizeof(Work) + extra)
    cdef Work *work
    if block is NULL:
        give_up(connection, step, 1, frame, bytes, sealed_by)
        return SERVED_DONE
    work = <Work *>block.data
    memset(work, 0, sizeof(Work))
    work.step = step[0]
    work.connection = connection
    work.sealed_by = sealed_by
    work.block = block
    work.owner = owner
    work.frame = frame
    work.frame_bytes = bytes
    if owner is NULL:
        work.frame = <uint8_t *>work + sizeof(Work)
        memcpy(work.frame, frame, bytes)
    work.step.message.start = work.frame
    if step.operation.data is not NULL:
        work.step.operation.data = work.frame + (step.operation.data - frame)
    if step.message.command == COMMAND_READ and not prepare_answer(connection, work):
        pool_give(&connection.plane.pool, block)
        give_up(connection, step, 1, frame, bytes, sealed_by)
        return SERVED_DONE
    connection_hold(connection)
    connection.works += 1
    connection.bytes_in_work += step.operation.length
    if step.message.command == COMMAND_READ:
        try_reading_now(work)
    else:
        submit_work(work)
    return SERVED_KEPT if owner is not NULL else SERVED_DONE


cdef void try_reading_now(Work *work) noexcept nogil:
    # A READ that is here for the crew's sake needs no wait for a device.
    cdef FileOperation *operation = &work.step.operation
    cdef int64_t count = read_now(work.step.grant, work.payload, operation.length, operation.offset)
    if count < 0:
        submit_work(work)
        return
    work.done = <uint32_t>count
    finish_read(work)


cdef bint prepare_answer(Connection *connection, Work *work) noexcept nogil:
    cdef size_t head = head_bytes(work.sealed_by) + HEADER_BYTES + READ_RESPONSE_BYTES
    cdef Block *block = pool_take(&connection.plane.pool, SEGMENT_HEAD + head + work.step.operation.length)
    if block is NULL:
        return False
    work.answer = <Segment *>block.data
    memset(work.answer, 0, sizeof(Segment))
    work.answer.block = block
    work.answer.data = block.data + SEGMENT_HEAD
    work.payload = work.answer.data + head
    return True


cdef void submit_work(Work *work) noexcept nogil:
    cdef liburing.io_uring_sqe *sqe = entry(work.connection.plane)
    cdef FileOperation *operation = &work.step.operation
    cdef uint32_t left = operation.length - work.done
    cdef int descriptor = work.step.grant.descriptor
    if sqe is NULL:
        fail_work(work)
        return
    if work.step.message.command == COMMAND_READ:
        liburing.io_uring_prep_read(sqe, descriptor, work.payload + work.done, left, operation.offset + work.done)
    elif work.step.message.command == COMMAND_WRITE:
        liburing.io_uring_prep_write(sqe, descriptor, operation.data + work.done, left, operation.offset + work.done)
        if operation.write_through:
            sqe.rw_flags = liburing.RWF_DSYNC
    else:
        liburing.io_uring_prep_fsync(sqe, descriptor, 0)
    sqe.user_data = tagged(work, WORK)
    work.connection.plane.operations += 1


cdef void work_completed(Work *work, int result) noexcept nogil:
    cdef uint16_t command = work.step.message.command
    if result == -EINTR or result == -EAGAIN:
        submit_work(work)
        return
    if result < 0 or (command == COMMAND_WRITE and result == 0):
        fail_work(work)
        return
    if command == COMMAND_FLUSH:
        answer_work(work, FLUSH_RESPONSE_BYTES)
        return
    work.done += <uint32_t>result
    if work.done < work.step.operation.length and result > 0:
        submit_work(work)
    elif command == COMMAND_WRITE:
        answer_work(work, WRITE_RESPONSE_BYTES)
    else:
        finish_read(work)


cdef void finish_read(Work *work) noexcept nogil:
    cdef Connection *connection = work.connection
    cdef uint8_t *body = work.answer.data + head_bytes(work.sealed_by) + HEADER_BYTES
    cdef uint32_t status
    cdef size_t length
    if is_for_crew(connection, &work.step, work.sealed_by, work.done):
        length = store_read(&work.step, body, work.done, &status)
        if give_answer_to_crew(
            connection, &work.step, work.answer, length, status, 0 if status else work.done, work.sealed_by
        ):
            work.answer = NULL
            end_work(work)
            return
    answer_read(connection, &work.step, work.answer, work.answer.data, work.done, work.sealed_by, False)
    work.answer = NULL
    end_work(work)


cdef void answer_work(Work *work, size_t body) noexcept nogil:
    cdef size_t head = head_bytes(work.sealed_by)
    cdef Segment *segment
    cdef uint8_t *room = reserve(work.connection, head + HEADER_BYTES + body, &segment)
    if room is NULL:
        fail_work(work)
        return
    if work.step.message.command == COMMAND_WRITE:
        store_write_response(room + head + HEADER_BYTES, work.done)
    else:
        store_empty_response(room + head + HEADER_BYTES)
    answer(work.connection, &work.step, segment, room, body, STATUS_SUCCESS, work.sealed_by, work.done, True)
    end_work(work)


cdef void fail_work(Work *work) noexcept nogil:
    give_up(work.connection, &work.step, 1, work.frame, work.frame_bytes, work.sealed_by)
    end_work(work)


cdef void end_work(Work *work) noexcept nogil:
    # Nothing of it is needed any more.
    cdef Connection *connection = work.connection
    if work.answer is not NULL:
        pool_give(&connection.plane.pool, work.answer.block)
    pool_give(&connection.plane.pool, work.owner)
    connection.works -= 1
    connection.bytes_in_work -= work.step.operation.length
    mark_dirty(connection)
    pool_give(&connection.plane.pool, work.block)
    connection_release(connection)
