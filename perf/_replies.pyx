# cython: language_level=3
"""The way in: opens or verifies answers, checks everything in them, and moves operations on.

Knows: frames, headers and the bodies of the answers that workloads get.  Must not know: sockets.

Every length is the peer's word: it is checked against what is there before anything behind it is read.
"""

from libc.stdint cimport int64_t, uint16_t
from libc.string cimport memcmp, memcpy, memmove
from smbd_uring._native._crypto cimport open_message, verify_message, NONCE_FROM_SERVER
from smbd_uring._native.uio cimport iovec
from smbd_uring.perf._connection cimport (
    CONTENT,
    COUNT,
    CRYPTO,
    MALFORMED,
    NONE,
    NOT_A_REPLY,
    PREFIX_BYTES,
    SEAL,
    SIGNATURE,
    STATUS,
    TRANSFORM_BYTES,
    WRITTEN_KEPT,
    begin_operation,
    make_ready,
    request,
    slot,
)
from smbd_uring.perf._content cimport is_content
from smbd_uring.perf._template cimport operation_template, step_template

cdef enum:
    HEADER = 64
    FLAG_FROM_SERVER = 0x1
    FLAG_ASYNC = 0x2
    FLAG_SIGNED = 0x8
    STATUS_PENDING = 0x103
    STATUS_NO_MORE_FILES = 0x80000006
    # [MS-SMB2] 2.2.1.
    COMMAND_CREATE = 5
    COMMAND_CLOSE = 6
    COMMAND_READ = 8
    COMMAND_WRITE = 9
    COMMAND_ECHO = 13
    COMMAND_QUERY_DIRECTORY = 14
    COMMAND_QUERY_INFO = 16
    # FileAllInformation up to its name, [MS-FSCC] 2.4.2.
    ALL_INFORMATION_BYTES = 100
    # FileIdBothDirectoryInformation up to its name, [MS-FSCC] 2.4.22.
    DIRECTORY_ENTRY_BYTES = 104
    NAME_LENGTH_OFFSET = 60


cdef inline uint16_t word16(const uint8_t *at) noexcept nogil:
    cdef uint16_t value
    memcpy(&value, at, 2)
    return value


cdef inline uint32_t word32(const uint8_t *at) noexcept nogil:
    cdef uint32_t value
    memcpy(&value, at, 4)
    return value


cdef inline uint64_t word64(const uint8_t *at) noexcept nogil:
    cdef uint64_t value
    memcpy(&value, at, 8)
    return value


cdef void complain(tally *counted, complaint why, uint32_t status, uint32_t command) noexcept nogil:
    if counted.first == NONE:
        counted.first = why
        counted.first_status = status
        counted.first_command = command


cdef complaint check_read(
    connection *on, const common *shared, const slot *asked, const uint8_t *message, uint32_t length
) noexcept nogil:
    """[MS-SMB2] 2.2.20."""
    cdef const operation_template *operation = &on.operations[asked.operation]
    cdef uint32_t offset, count
    if length < HEADER + 16 or word16(message + HEADER) != 17:
        return MALFORMED
    offset = message[HEADER + 2]
    count = word32(message + HEADER + 4)
    if offset < HEADER + 16 or offset > length or count > length - offset:
        return MALFORMED
    if count != operation.block_bytes:
        return COUNT
    if shared.verify and not is_content(message + offset, asked.offset, count, shared.read_seed):
        return CONTENT
    return NONE


cdef complaint check_write(connection *on, slot *asked, const uint8_t *message, uint32_t length) noexcept nogil:
    """[MS-SMB2] 2.2.22."""
    if length < HEADER + 16 or word16(message + HEADER) != 17:
        return MALFORMED
    if word32(message + HEADER + 4) != on.operations[asked.operation].steps[asked.step].payload:
        return COUNT
    on.written[on.written_count % WRITTEN_KEPT] = asked.offset
    on.written_count += 1
    return NONE


cdef complaint check_buffer(const uint8_t *message, uint32_t length, uint32_t *offset, uint32_t *count) noexcept nogil:
    """An answer that is nothing but a buffer, [MS-SMB2] 2.2.34 and 2.2.38: where it is."""
    if length < HEADER + 8 or word16(message + HEADER) != 9:
        return MALFORMED
    offset[0] = word16(message + HEADER + 2)
    count[0] = word32(message + HEADER + 4)
    if offset[0] < HEADER + 8 or offset[0] > length or count[0] > length - offset[0]:
        return MALFORMED
    return NONE


cdef complaint check_listing(slot *asked, const uint8_t *message, uint32_t length) noexcept nogil:
    """Count the entries; the listing goes on."""
    cdef uint32_t at, left, following
    cdef complaint wrong = check_buffer(message, length, &at, &left)
    if wrong != NONE:
        return wrong
    while True:
        if left < DIRECTORY_ENTRY_BYTES:
            return MALFORMED
        if word32(message + at + NAME_LENGTH_OFFSET) > left - DIRECTORY_ENTRY_BYTES:
            return MALFORMED
        asked.entries += 1
        following = word32(message + at)
        if following == 0:
            break
        if following < DIRECTORY_ENTRY_BYTES or following > left:
            return MALFORMED
        at += following
        left -= following
    asked.again = True
    return NONE


cdef complaint check_answer(
    connection *on, const common *shared, slot *asked, const uint8_t *message, uint32_t length
) noexcept nogil:
    """Status and body of one answer."""
    cdef uint32_t status = word32(message + 8)
    cdef uint16_t command = word16(message + 12)
    cdef uint32_t offset, count
    cdef complaint wrong
    if command == COMMAND_QUERY_DIRECTORY and status == STATUS_NO_MORE_FILES:
        asked.again = False
        return NONE if asked.entries == on.operations[asked.operation].entries else COUNT
    if status != 0:
        return STATUS
    if command == COMMAND_READ:
        return check_read(on, shared, asked, message, length)
    if command == COMMAND_WRITE:
        return check_write(on, asked, message, length)
    if command == COMMAND_ECHO:
        return NONE if length >= HEADER + 4 and word16(message + HEADER) == 4 else MALFORMED
    if command == COMMAND_CLOSE:
        return NONE if length >= HEADER + 60 and word16(message + HEADER) == 60 else MALFORMED
    if command == COMMAND_CREATE:
        if length < HEADER + 88 or word16(message + HEADER) != 89:
            return MALFORMED
        memcpy(asked.file_id, message + HEADER + 64, 16)
        return NONE
    if command == COMMAND_QUERY_DIRECTORY:
        return check_listing(asked, message, length)
    if command == COMMAND_QUERY_INFO:
        wrong = check_buffer(message, length, &offset, &count)
        return COUNT if wrong == NONE and count < ALL_INFORMATION_BYTES else wrong
    return MALFORMED


cdef complaint check_signature(connection *on, uint8_t *message, uint32_t length) noexcept nogil:
    cdef iovec segment
    cdef int verdict
    if not word32(message + 16) & FLAG_SIGNED:
        return SIGNATURE
    segment.iov_base = message
    segment.iov_len = length
    verdict = verify_message(on.signing, &segment, 1, word64(message + 24), NONCE_FROM_SERVER)
    if verdict == 1:
        return NONE
    return SIGNATURE if verdict == 0 else CRYPTO


cdef void move_on(
    connection *on, tally *counted, Histogram latencies, uint32_t index, uint64_t received_ns
) noexcept nogil:
    """All answers to a slot's step are there: the next step, or the next operation."""
    cdef slot *asked = &on.slots[index]
    cdef operation_template *operation = &on.operations[asked.operation]
    if asked.failed:
        counted.errors += 1
    else:
        if not asked.again:
            asked.step += 1
        if asked.step < operation.count:
            asked.again = False
            make_ready(on, index)
            return
        counted.operations += 1
        counted.bytes += operation.bytes
        latencies.record(received_ns - asked.started_ns if received_ns > asked.started_ns else 0)
    if counted.is_ending:
        on.busy -= 1
    else:
        begin_operation(on, index)


cdef complaint handle_message(
    connection *on, const common *shared, tally *counted, Histogram latencies, uint8_t *message, uint32_t length,
    uint64_t received_ns,
) noexcept nogil:
    """One answer.  Result: what makes the connection useless, or NONE."""
    cdef uint64_t message_id = word64(message + 24)
    cdef request *known = &on.requests[message_id & on.requests_mask]
    cdef slot *asked
    cdef complaint wrong = NONE
    cdef uint32_t flags = word32(message + 16)
    cdef uint16_t command = word16(message + 12)
    if memcmp(message, b"\xfeSMB", 4) or word16(message + 4) != HEADER or not flags & FLAG_FROM_SERVER:
        return NOT_A_REPLY
    if not known.is_pending or known.message_id != message_id:
        return NOT_A_REPLY
    asked = &on.slots[known.slot]
    if command != on.operations[asked.operation].steps[asked.step].messages[known.message].command:
        return NOT_A_REPLY
    on.credits += word16(message + 14)
    if word32(message + 8) == STATUS_PENDING and flags & FLAG_ASYNC:
        # An interim answer; [MS-SMB2] 3.2.5.1.3: its signature is not to be verified.
        return NONE
    known.is_pending = False
    if on.signing is not NULL:
        wrong = check_signature(on, message, length)
    if wrong == NONE:
        wrong = check_answer(on, shared, asked, message, length)
    if wrong != NONE:
        complain(counted, wrong, word32(message + 8), command)
        asked.failed = True
    asked.awaiting -= 1
    if asked.awaiting == 0:
        move_on(on, counted, latencies, known.slot, received_ns)
    return NONE


cdef complaint open_frame(connection *on, uint8_t *frame, uint32_t length) noexcept nogil:
    """Decrypt a sealed frame in its place."""
    cdef iovec segment
    cdef int verdict
    if length < TRANSFORM_BYTES + HEADER or memcmp(frame, b"\xfdSMB", 4):
        return SEAL
    if word32(frame + 36) != length - TRANSFORM_BYTES or word64(frame + 44) != on.session_id:
        return SEAL
    segment.iov_base = frame + TRANSFORM_BYTES
    segment.iov_len = length - TRANSFORM_BYTES
    verdict = open_message(
        on.opening, frame + 20, frame + 20, TRANSFORM_BYTES - 20, &segment, 1, frame + TRANSFORM_BYTES, frame + 4
    )
    if verdict == 1:
        return NONE
    return SEAL if verdict == 0 else CRYPTO


cdef complaint handle_frame(
    connection *on, const common *shared, tally *counted, Histogram latencies, uint8_t *frame, uint32_t length,
    uint64_t received_ns,
) noexcept nogil:
    """One frame of one or more answers."""
    cdef uint32_t following
    cdef complaint wrong
    if on.opening is not NULL:
        wrong = open_frame(on, frame, length)
        if wrong != NONE:
            return wrong
        frame += TRANSFORM_BYTES
        length -= TRANSFORM_BYTES
    while True:
        if length < HEADER:
            return NOT_A_REPLY
        following = word32(frame + 20)
        if following and (following < HEADER or following & 7 or following > length - HEADER):
            return NOT_A_REPLY
        wrong = handle_message(
            on, shared, counted, latencies, frame, following if following else length, received_ns
        )
        if wrong != NONE or not following:
            return wrong
        frame += following
        length -= following


cdef void handle_received(
    connection *on, const common *shared, tally *counted, Histogram latencies, uint64_t received_ns
) noexcept nogil:
    cdef uint8_t *at
    cdef size_t left
    cdef size_t length = 0
    cdef complaint wrong
    while True:
        at = on.received + on.received_first
        left = on.received_end - on.received_first
        if left < PREFIX_BYTES:
            break
        length = (<size_t>at[0] << 24) | (<size_t>at[1] << 16) | (<size_t>at[2] << 8) | at[3]
        if length > on.received_capacity - PREFIX_BYTES:
            wrong = NOT_A_REPLY
        elif left - PREFIX_BYTES < length:
            break
        else:
            wrong = handle_frame(on, shared, counted, latencies, at + PREFIX_BYTES, <uint32_t>length, received_ns)
        if wrong != NONE:
            complain(counted, wrong, 0, 0)
            on.dead = wrong
            return
        on.received_first += PREFIX_BYTES + length
    if left == 0:
        on.received_first = on.received_end = 0
    elif on.received_first and (left < PREFIX_BYTES or PREFIX_BYTES + length > on.received_capacity - on.received_first):
        memmove(on.received, at, left)
        on.received_first = 0
        on.received_end = left
