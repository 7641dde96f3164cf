# cython: language_level=3
"""Which frames the data plane may answer: sessions, protection, grants, credits and message ids.

Knows: the checks of [MS-SMB2] 3.3.5.2, 3.3.5.2.3 to 3.3.5.2.7, 3.3.5.2.10, 3.3.5.11 to 3.3.5.13 as far as "all is well" goes.  Must
not know: how a request is done, what an answer looks like.

Anything that is not in perfect order is handed to the engine as it came, which says what is wrong with it.
"""

from libc.errno cimport ENOMEM
from libc.string cimport memset
from smbd_uring._native._connection cimport (
    EVENT_FAILED, EVENT_FRAME, EVENT_VIOLATION, GRANT_FLUSH, GRANT_READ, GRANT_WRITE, VIOLATION_MESSAGE_ID,
    VIOLATION_NOT_OPENED, find_grant, find_session, grant_done, post_event, pthread_mutex_lock, pthread_mutex_unlock,
)
from smbd_uring._native._crypto cimport open_message, verify_message
from smbd_uring._native._smb2 cimport *
from smbd_uring._native._window cimport window_take
from smbd_uring._native.uio cimport iovec

cdef enum:
    BYTES_PER_CREDIT = 65536
    # A frame cannot be longer ([MS-SMB2] 2.1).
    FRAME_BYTES_MAX = 0xFFFFFF

cdef uint64_t OFFSET_MAX = 0x7FFFFFFFFFFFFFFF
# [MS-FSA] 2.1.5.4, as the engine has it.
cdef uint64_t FILE_BYTES_MAX = 0xFFFFFFF0000
cdef uint64_t ANY = <uint64_t>-1


# --- sealed frames ---------------------------------------------------------------------------------------------------


cdef bint open_frame(Connection *connection, uint8_t *frame, size_t bytes, Transform *opened) noexcept nogil:
    cdef Session *session
    cdef iovec segment
    opened.session_id = 0
    if parse_transform(frame, bytes, opened) < 0:
        opened.session_id = 0
        return False
    pthread_mutex_lock(&connection.lock)
    session = find_session(connection, opened.session_id)
    pthread_mutex_unlock(&connection.lock)
    if session is NULL or session.keys.opener is NULL:
        opened.session_id = 0
        return False
    segment.iov_base = opened.message
    segment.iov_len = opened.bytes
    if open_message(
        session.keys.opener, opened.nonce, frame + TRANSFORM_AUTHENTICATED_OFFSET, TRANSFORM_AUTHENTICATED_BYTES,
        &segment, 1, opened.message, opened.tag,
    ) == 1:
        return True
    connection.is_broken = True
    post_event(connection, EVENT_VIOLATION, VIOLATION_NOT_OPENED, opened.session_id, NULL, 0, False, 0)
    return False


# --- what may be served ---------------------------------------------------------------------------------------------


cdef int find_steps(
    Connection *connection, uint8_t *frame, size_t bytes, uint64_t sealed_by, Step *steps
) noexcept nogil:
    # Cut the frame and find each request's session, protection checked as far as flags go.  Result: how many steps,
    # 0 when one of them is not for the plane.  `connection.lock` held.
    cdef int count = 0
    cdef Step *step
    while True:
        step = &steps[count]
        if count == MESSAGES_MAX or parse_message(frame, bytes, &step.message) < 0:
            return 0
        if step.message.flags & FLAG_RELATED_OPERATIONS:
            if count == 0:
                return 0
            step.session = steps[count - 1].session
            step.message.session_id = steps[count - 1].message.session_id
            step.message.tree_id = steps[count - 1].message.tree_id
        else:
            step.session = find_session(connection, step.message.session_id)
        if step.session is NULL or not step.session.is_served:
            return 0
        step.signs = False
        if sealed_by:
            if step.message.session_id != sealed_by:
                return 0
        else:
            if step.session.encrypt_data:
                return 0
            if step.session.keys.signer is not NULL:
                step.signs = step.message.flags & FLAG_SIGNED or step.session.signing_required
                if step.signs and not step.message.flags & FLAG_SIGNED:
                    return 0
        count += 1
        if not step.message.next_command:
            return count
        frame += step.message.bytes
        bytes -= step.message.bytes


cdef bint signatures_fit(Step *steps, int count) noexcept nogil:
    cdef int index
    cdef iovec segment
    for index in range(count):
        if steps[index].signs:
            segment.iov_base = steps[index].message.start
            segment.iov_len = steps[index].message.bytes
            if verify_message(steps[index].session.keys.signer, &segment, 1, steps[index].message.message_id, 0) != 1:
                return False
    return True


cdef bint find_operation(
    Connection *connection, Step *step, Step *previous, uint64_t sealed_by, bint is_only
) noexcept nogil:
    # Whether the request is well-formed, paid for, and on an open that is granted for it.  `connection.lock` held.
    cdef FileOperation *operation = &step.operation
    cdef uint64_t paid
    cdef unsigned wanted
    cdef Grant *grant
    step.grant = NULL
    memset(operation, 0, sizeof(FileOperation))
    if step.message.command == COMMAND_ECHO:
        return parse_echo(&step.message) == 0
    elif step.message.command == COMMAND_READ:
        wanted = GRANT_READ
        if parse_read(&step.message, operation) < 0 or operation.length > connection.read_bytes_max:
            return False
    elif step.message.command == COMMAND_WRITE:
        wanted = GRANT_WRITE
        if parse_write(&step.message, operation) < 0 or operation.length > connection.write_bytes_max:
            return False
        if operation.offset > FILE_BYTES_MAX - operation.length:
            return False
    elif step.message.command == COMMAND_FLUSH and is_only:
        wanted = GRANT_FLUSH
        if parse_flush(&step.message, operation) < 0:
            return False
    else:
        return False
    if step.message.command != COMMAND_FLUSH:
        if operation.length == 0 or operation.offset > OFFSET_MAX - operation.length:
            return False
        paid = step.message.credit_charge if connection.multi_credit and step.message.credit_charge else 1
        if operation.length > paid * BYTES_PER_CREDIT:
            return False
    if operation.persistent_id == ANY and operation.volatile_id == ANY:
        if previous is NULL or not step.message.flags & FLAG_RELATED_OPERATIONS:
            return False
        grant = previous.grant
    else:
        grant = find_grant(connection, operation.volatile_id)
        if grant is not NULL and grant.persistent_id != operation.persistent_id:
            return False
    if grant is NULL or grant.revoked or grant.frozen or connection.frozen or not grant.operations & wanted:
        return False
    if grant.session_id != step.message.session_id or grant.tree_id != step.message.tree_id:
        return False
    if grant.needs_sealing and not sealed_by:
        return False
    if grant.channel_sequence >= 0 and (
        step.message.channel_sequence != grant.channel_sequence or step.message.flags & FLAG_REPLAY_OPERATION
    ):
        return False
    operation.write_through = operation.write_through or grant.write_through
    if operation.write_through and step.message.command == COMMAND_WRITE and not is_only:
        return False
    step.grant = grant
    return True


cdef bint take_all(Connection *connection, Step *steps, int count, uint64_t sealed_by) noexcept nogil:
    # Find all operations, then take all message ids.  False: the engine has to see to it, or the connection is broken.
    cdef int index
    cdef uint64_t charge
    cdef size_t answer = 0
    cdef bint fits = True, reads = False
    pthread_mutex_lock(&connection.lock)
    for index in range(count):
        if not find_operation(
            connection, &steps[index], &steps[index - 1] if index else NULL, sealed_by, count == 1
        ):
            fits = False
            break
        answer += HEADER_BYTES + READ_RESPONSE_BYTES + COMPOUND_ALIGNMENT
        if steps[index].message.command == COMMAND_READ:
            answer += steps[index].operation.length
            reads = True
        elif reads and steps[index].message.command == COMMAND_WRITE:
            # If a later request failed the engine would do all of them again, and read what has been written here.
            fits = False
            break
    if fits and answer > FRAME_BYTES_MAX - TRANSFORM_BYTES:
        fits = False
    if fits:
        for index in range(count):
            charge = steps[index].message.credit_charge
            if not connection.multi_credit or charge == 0:
                charge = 1
            if not window_take(&connection.window, steps[index].message.message_id, charge):
                post_event(
                    connection, EVENT_VIOLATION, VIOLATION_MESSAGE_ID, steps[index].message.message_id, NULL, 0,
                    False, 0,
                )
                connection.is_broken = True
                fits = False
                break
        else:
            for index in range(count):
                if steps[index].grant is not NULL:
                    steps[index].grant.in_flight += 1
    pthread_mutex_unlock(&connection.lock)
    return fits


cdef int begin_steps(
    Connection *connection, uint8_t *frame, size_t bytes, uint64_t sealed_by, bint is_verified, Step *steps
) noexcept nogil:
    cdef int count
    pthread_mutex_lock(&connection.lock)
    count = find_steps(connection, frame, bytes, sealed_by, steps)
    pthread_mutex_unlock(&connection.lock)
    if count and (is_verified or signatures_fit(steps, count)) and take_all(connection, steps, count, sealed_by):
        return count
    return 0


cdef void end_steps(Connection *connection, Step *steps, int count) noexcept nogil:
    cdef int index
    pthread_mutex_lock(&connection.lock)
    for index in range(count):
        if steps[index].grant is not NULL:
            grant_done(connection, steps[index].grant)
    pthread_mutex_unlock(&connection.lock)


# --- handing over ---------------------------------------------------------------------------------------------------


cdef uint64_t freeze(Connection *connection, uint8_t *frame, size_t bytes) noexcept nogil:
    # Freeze the granted open that a frame's requests change; when there are several, all that the connection has.
    # Result: which, as `thaw` wants to hear it; 0 for none.  `connection.lock` held.
    cdef Message message
    cdef Grant *found = NULL
    cdef Grant *grant
    cdef size_t at
    if not connection.grant_count:
        return 0
    while parse_message(frame, bytes, &message) == 0:
        at = file_id_offset(message.command)
        if at and message.bytes >= at + 16:
            grant = find_grant(connection, load64(message.start + at + 8))
            if grant is not NULL and found is not NULL and grant is not found:
                connection.frozen += 1
                return ANY
            if grant is not NULL and not grant.revoked:
                found = grant
        if not message.next_command:
            break
        frame += message.bytes
        bytes -= message.bytes
    if found is NULL:
        return 0
    found.frozen += 1
    return found.volatile_id


cdef void hand_over(
    Connection *connection, uint8_t *frame, size_t bytes, uint64_t sealed_by, bint ids_taken
) noexcept nogil:
    # The engine answers this frame.  Opens that it changes wait for the answer: what the client asks of them afterwards is
    # not to overtake.
    cdef uint64_t frozen
    pthread_mutex_lock(&connection.lock)
    frozen = freeze(connection, frame, bytes)
    connection.bytes_handed += bytes
    if not post_event(connection, EVENT_FRAME, sealed_by, 0, frame, bytes, ids_taken, frozen):
        post_event(connection, EVENT_FAILED, ENOMEM, 0, NULL, 0, False, 0)
    pthread_mutex_unlock(&connection.lock)


cdef void give_up(
    Connection *connection, Step *steps, int count, uint8_t *frame, size_t bytes, uint64_t sealed_by
) noexcept nogil:
    hand_over(connection, frame, bytes, sealed_by, True)
    end_steps(connection, steps, count)
