# cython: language_level=3
"""The way out: makes requests of templates, signs or seals them, and sends as many at once as can go.

Knows: message ids, credits, frames ([MS-SMB2] 2.1, 2.2.1, 2.2.41, 3.2.4.1).  Must not know: answers.
"""

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdlib cimport free
from libc.string cimport memcpy, memmove, memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec
from smbd_uring._native._crypto cimport (
    SIGNATURE_OFFSET,
    seal_message,
    sealing_key_free,
    sign_message,
    signing_key_free,
)
from smbd_uring._native.uio cimport iovec
from smbd_uring.perf._content cimport fill_content
from smbd_uring.perf._template cimport free_operation

cdef extern from "<sys/socket.h>" nogil:
    cdef struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen

    ssize_t sendmsg(int socket, const msghdr *message, int flags)
    int MSG_DONTWAIT, MSG_NOSIGNAL

cdef enum:
    # Places in the header, [MS-SMB2] 2.2.1.2.
    CREDITS_OFFSET = 14
    MESSAGE_ID_OFFSET = 24
    # And in the transform header, 2.2.41.
    TRANSFORM_TAG_OFFSET = 4
    TRANSFORM_NONCE_OFFSET = 20
    TRANSFORM_SIZE_OFFSET = 36
    TRANSFORM_FLAGS_OFFSET = 42
    TRANSFORM_SESSION_OFFSET = 44
    # The nonce's first bytes tell it from those of the client that has set up the session with the same key.
    NONCE_PREFIX = 0x64616F6C
    # Asked for beyond what a request costs, until there are enough.
    CREDITS_MORE = 32


cdef uint64_t now_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <uint64_t>now.tv_sec * 1000000000 + <uint64_t>now.tv_nsec


cdef uint64_t random_below(connection *on, uint64_t limit) noexcept nogil:
    # xorshift64*; the high half is the good one.
    on.random ^= on.random >> 12
    on.random ^= on.random << 25
    on.random ^= on.random >> 27
    return (((on.random * <uint64_t>0x2545F4914F6CDD1D) >> 32) * limit) >> 32


cdef void make_ready(connection *on, uint32_t index) noexcept nogil:
    cdef uint32_t at = on.ready_first + on.ready_count
    on.ready[at if at < on.depth else at - on.depth] = index
    on.ready_count += 1


cdef void begin_operation(connection *on, uint32_t index) noexcept nogil:
    cdef slot *taken = &on.slots[index]
    cdef operation_template *operation
    taken.operation = on.sequence[on.sequence_at]
    on.sequence_at += 1
    if on.sequence_at == on.sequence_length:
        on.sequence_at = 0
    operation = &on.operations[taken.operation]
    taken.step = taken.awaiting = 0
    taken.failed = taken.again = False
    taken.entries = taken.started_ns = 0
    if operation.is_random:
        taken.offset = random_below(on, operation.blocks) * operation.block_bytes
    else:
        taken.offset = on.block % operation.blocks * operation.block_bytes
        on.block += 1
    if operation.numbers:
        taken.number = random_below(on, operation.numbers)
    else:
        taken.number = on.number
        on.number += 1
    make_ready(on, index)


cdef inline bint is_sent_apart(const connection *on, const common *shared, const step_template *step) noexcept nogil:
    return step.payload >= PAYLOAD_SENT_APART and not shared.verify and on.sealing is NULL


cdef bint can_send(connection *on, const common *shared, const step_template *step) noexcept nogil:
    """Whether there are credits, free message ids and room in the queue."""
    cdef size_t needed = PREFIX_BYTES + TRANSFORM_BYTES + step.length
    cdef uint64_t message_id = on.next_message_id
    cdef unsigned index
    if on.credits < <int64_t>step.charge or on.payload_left:
        return False
    if not is_sent_apart(on, shared, step):
        needed += step.payload
    if needed > on.out_capacity - on.out_end:
        return False
    for index in range(step.count):
        if on.requests[message_id & on.requests_mask].is_pending:
            return False
        message_id += step.messages[index].charge
    return True


cdef void write_number(uint8_t *into, unsigned digits, uint64_t number) noexcept nogil:
    while digits:
        digits -= 1
        into[2 * digits] = <uint8_t>(48 + number % 10)
        number //= 10


cdef void fill_in(
    connection *on, const step_template *step, const slot *sender, uint32_t slot_index, uint8_t *frame
) noexcept nogil:
    """Everything in a copied template that differs from one time to the next; ids and credits are taken."""
    cdef const message_template *message
    cdef request *asked
    cdef uint16_t credits
    cdef unsigned index
    for index in range(step.count):
        message = &step.messages[index]
        memcpy(frame + message.at + MESSAGE_ID_OFFSET, &on.next_message_id, 8)
        credits = message.charge
        if on.credits < on.credits_wanted:
            credits += CREDITS_MORE
        memcpy(frame + message.at + CREDITS_OFFSET, &credits, 2)
        if message.file_id_at:
            memcpy(frame + message.file_id_at, sender.file_id, 16)
        if message.offset_at:
            memcpy(frame + message.offset_at, &sender.offset, 8)
        if message.digits:
            write_number(frame + message.number_at, message.digits, sender.number)
        asked = &on.requests[on.next_message_id & on.requests_mask]
        asked.message_id = on.next_message_id
        asked.slot = slot_index
        asked.message = <uint16_t>index
        asked.is_pending = True
        on.next_message_id += message.charge
        on.credits -= message.charge


cdef int sign(
    connection *on, const step_template *step, uint8_t *frame, const uint8_t *payload_apart
) noexcept nogil:
    """Sign every message; the payload is part of the last one, wherever it is."""
    cdef iovec segments[2]
    cdef uint64_t message_id
    cdef unsigned index
    cdef int count
    cdef uint8_t *message
    for index in range(step.count):
        message = frame + step.messages[index].at
        memcpy(&message_id, message + MESSAGE_ID_OFFSET, 8)
        segments[0].iov_base = message
        segments[0].iov_len = step.messages[index].length
        count = 1
        if step.payload and index == step.count - 1:
            if payload_apart is NULL:
                segments[0].iov_len += step.payload
            else:
                segments[1].iov_base = <void *>payload_apart
                segments[1].iov_len = step.payload
                count = 2
        if sign_message(on.signing, segments, count, message_id, 0, message + SIGNATURE_OFFSET) < 0:
            return -1
    return 0


cdef int seal(connection *on, uint8_t *transform, uint32_t length) noexcept nogil:
    """Seal the messages that stand behind their transform header, in their place."""
    cdef uint16_t encrypted = 1
    cdef uint32_t prefix = NONCE_PREFIX
    cdef iovec segment
    memset(transform, 0, TRANSFORM_BYTES)
    memcpy(transform, b"\xfdSMB", 4)
    memcpy(transform + TRANSFORM_NONCE_OFFSET, &prefix, 4)
    # With CCM the nonce has 11 bytes: the counter's last byte, always 0, is not in it.
    memcpy(transform + TRANSFORM_NONCE_OFFSET + 4, &on.counter, 8)
    on.counter += 1
    memcpy(transform + TRANSFORM_SIZE_OFFSET, &length, 4)
    memcpy(transform + TRANSFORM_FLAGS_OFFSET, &encrypted, 2)
    memcpy(transform + TRANSFORM_SESSION_OFFSET, &on.session_id, 8)
    segment.iov_base = transform + TRANSFORM_BYTES
    segment.iov_len = length
    return seal_message(
        on.sealing, transform + TRANSFORM_NONCE_OFFSET, transform + TRANSFORM_NONCE_OFFSET,
        TRANSFORM_BYTES - TRANSFORM_NONCE_OFFSET, &segment, 1, transform + TRANSFORM_BYTES,
        transform + TRANSFORM_TAG_OFFSET,
    )


cdef void queue_step(connection *on, const common *shared, uint32_t index) noexcept nogil:
    """Make the frame of a slot's next step at the queue's end; `can_send` has said yes."""
    cdef slot *sender = &on.slots[index]
    cdef const step_template *step = &on.operations[sender.operation].steps[sender.step]
    cdef uint8_t *prefix = on.out + on.out_end
    cdef uint8_t *frame = prefix + PREFIX_BYTES + (TRANSFORM_BYTES if on.sealing is not NULL else 0)
    cdef bint apart = is_sent_apart(on, shared, step)
    cdef uint32_t length = step.length
    if not sender.started_ns:
        sender.started_ns = now_ns()
    memcpy(frame, step.bytes, step.length)
    fill_in(on, step, sender, index, frame)
    sender.awaiting = step.count
    if step.payload and not apart:
        if shared.verify:
            fill_content(frame + length, sender.offset, step.payload, shared.write_seed)
        else:
            memcpy(frame + length, shared.payload, step.payload)
        length += step.payload
    if on.signing is not NULL and sign(on, step, frame, shared.payload if apart else NULL) < 0:
        on.dead = CRYPTO
    if on.sealing is not NULL:
        if seal(on, prefix + PREFIX_BYTES, length) < 0:
            on.dead = CRYPTO
        length += TRANSFORM_BYTES
    on.out_end += PREFIX_BYTES + length
    if apart:
        on.payload_left = step.payload
        length += step.payload
    prefix[0] = 0
    prefix[1] = <uint8_t>(length >> 16)
    prefix[2] = <uint8_t>(length >> 8)
    prefix[3] = <uint8_t>length


cdef void flush(connection *on, const common *shared) noexcept nogil:
    """Send what is queued as far as the socket takes it."""
    cdef iovec segments[2]
    cdef msghdr message
    cdef ssize_t sent
    cdef size_t queued
    memset(&message, 0, sizeof(message))
    message.msg_iov = segments
    while on.out_first < on.out_end or on.payload_left:
        queued = on.out_end - on.out_first
        segments[0].iov_base = on.out + on.out_first
        segments[0].iov_len = queued
        segments[1].iov_base = <void *>(shared.payload + (shared.payload_bytes - on.payload_left))
        segments[1].iov_len = on.payload_left
        message.msg_iovlen = 2 if on.payload_left else 1
        sent = sendmsg(on.socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
        if sent < 0:
            if errno == EINTR:
                continue
            on.is_blocked = errno == EAGAIN
            if not on.is_blocked:
                on.dead = ENDED
            return
        if <size_t>sent < queued:
            on.out_first += sent
        else:
            on.out_first = on.out_end = 0
            on.payload_left -= <size_t>sent - queued
    on.is_blocked = False
    on.out_first = on.out_end = 0


cdef void make_room(connection *on) noexcept nogil:
    if on.out_first:
        memmove(on.out, on.out + on.out_first, on.out_end - on.out_first)
        on.out_end -= on.out_first
        on.out_first = 0


cdef void note_waiting(connection *on) noexcept nogil:
    """Operations that wait for credits or room have begun as far as whoever wants them is concerned."""
    cdef uint64_t now = now_ns()
    cdef uint32_t place, at
    cdef slot *waiting
    for place in range(on.ready_count):
        at = on.ready_first + place
        waiting = &on.slots[on.ready[at if at < on.depth else at - on.depth]]
        if not waiting.started_ns:
            waiting.started_ns = now


cdef void pump(connection *on, const common *shared) noexcept nogil:
    cdef uint32_t index
    cdef slot *sender
    cdef const step_template *step
    while not on.dead:
        make_room(on)
        while on.ready_count and not on.dead:
            index = on.ready[on.ready_first]
            sender = &on.slots[index]
            step = &on.operations[sender.operation].steps[sender.step]
            if not can_send(on, shared, step):
                break
            on.ready_first += 1
            if on.ready_first == on.depth:
                on.ready_first = 0
            on.ready_count -= 1
            queue_step(on, shared, index)
        if on.ready_count:
            note_waiting(on)
        if on.out_end == on.out_first and not on.payload_left:
            return
        flush(on, shared)
        if on.is_blocked:
            return


cdef void free_connection(connection *on) noexcept nogil:
    cdef uint32_t index
    signing_key_free(on.signing)
    sealing_key_free(on.sealing)
    sealing_key_free(on.opening)
    for index in range(on.operation_count):
        free_operation(&on.operations[index])
    free(on.operations)
    free(on.sequence)
    free(on.slots)
    free(on.ready)
    free(on.requests)
    free(on.out)
    free(on.received)
    memset(on, 0, sizeof(connection))
