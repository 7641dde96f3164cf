# cython: language_level=3
"""libFuzzer's target over the parsers of `_smb2.pxd`: what they find lies inside the bytes they were given.

Knows: the parsers, nothing else.  Must not know: connections.

The input is what a peer sends: prefixes and frames.  Each frame is parsed in memory of exactly its size, so that
AddressSanitizer sees the first byte read beyond it.  A broken invariant ends the process, which libFuzzer reports.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport abort, free, malloc
from libc.string cimport memcmp, memcpy, memset
from smbd_uring._native._smb2 cimport *

cdef enum:
    FRAME_BYTES_MAX = 65536


cdef void require(bint holds) noexcept nogil:
    if not holds:
        abort()


cdef bint lies_inside(const uint8_t *at, size_t bytes, const uint8_t *outer, size_t outer_bytes) noexcept nogil:
    return at >= outer and bytes <= outer_bytes and <size_t>(at - outer) <= outer_bytes - bytes


cdef void check_prefix(const uint8_t *at, PrefixKind kind, size_t length) noexcept nogil:
    # What is written back is what was read.
    cdef uint8_t written[PREFIX_BYTES]
    cdef size_t again
    if kind != PREFIX_FRAME:
        return
    require(4 <= length <= FRAME_BYTES_MAX)
    store_prefix(written, length)
    require(memcmp(written, at, PREFIX_BYTES) == 0)
    require(parse_prefix(written, length, &again) == PREFIX_FRAME and again == length)
    require(parse_prefix(written, length - 1, &again) == PREFIX_WRONG_LENGTH)


cdef void check_operation(Message *message) noexcept nogil:
    cdef FileOperation operation
    cdef size_t at = file_id_offset(message.command)
    cdef int found = -1
    memset(&operation, 0, sizeof(operation))
    if message.command == COMMAND_READ:
        found = parse_read(message, &operation)
    elif message.command == COMMAND_WRITE:
        found = parse_write(message, &operation)
        if found == 0:
            require(lies_inside(operation.data, operation.length, message.start, message.bytes))
            require(operation.data >= message.start + HEADER_BYTES + WRITE_REQUEST_BYTES)
    elif message.command == COMMAND_FLUSH:
        found = parse_flush(message, &operation)
    elif message.command == COMMAND_ECHO and parse_echo(message) == 0:
        require(message.bytes >= HEADER_BYTES + ECHO_BYTES)
    if found == 0:
        # Both ways to the id of an open lead to the same one.
        require(at and message.bytes >= at + 16)
        require(load64(message.start + at) == operation.persistent_id)
        require(load64(message.start + at + 8) == operation.volatile_id)


cdef void check_header(const Message *message, const uint8_t *signature) noexcept nogil:
    # The header of an answer parses as what it was made from, seen by a client: it comes from a server.
    cdef uint8_t answer[HEADER_BYTES]
    cdef Message again
    store_header(answer, message, STATUS_END_OF_FILE, 7, message.flags & FLAG_RELATED_OPERATIONS)
    require(parse_message(answer, HEADER_BYTES, &again) == 0)
    require(again.command == message.command and again.message_id == message.message_id)
    require(again.tree_id == message.tree_id and again.session_id == message.session_id)
    require(again.credits == 7 and again.next_command == 0 and load32(answer + 8) == STATUS_END_OF_FILE)
    store_header(answer, message, STATUS_SUCCESS, 7, FLAG_SERVER_TO_REDIR)
    require(parse_message(answer, HEADER_BYTES, &again) == -1)
    # The whole fixed header is inside.
    require(signature + 16 <= message.start + message.bytes)


cdef void check_messages(uint8_t *frame, size_t bytes) noexcept nogil:
    cdef Message message
    cdef uint8_t *at = frame
    cdef size_t left = bytes
    while parse_message(at, left, &message) == 0:
        require(message.start == at and HEADER_BYTES <= message.bytes <= left)
        require(not message.next_command or message.next_command == message.bytes)
        require(not message.next_command or message.bytes % COMPOUND_ALIGNMENT == 0)
        require(lies_inside(message.start, message.bytes, frame, bytes))
        check_header(&message, at + SIGNATURE_OFFSET)
        check_operation(&message)
        if not message.next_command:
            return
        at += message.bytes
        left -= message.bytes


cdef void check_transform(uint8_t *frame, size_t bytes) noexcept nogil:
    cdef Transform transform
    cdef Transform again
    cdef uint8_t written[TRANSFORM_BYTES + 1]
    if parse_transform(frame, bytes, &transform) < 0:
        return
    require(is_sealed(frame, bytes))
    require(lies_inside(transform.tag, 16, frame, bytes) and lies_inside(transform.nonce, 16, frame, bytes))
    require(transform.bytes > 0 and transform.message + transform.bytes == frame + bytes)
    require(transform.nonce == frame + TRANSFORM_AUTHENTICATED_OFFSET)
    require(TRANSFORM_AUTHENTICATED_OFFSET + TRANSFORM_AUTHENTICATED_BYTES == TRANSFORM_BYTES)
    memset(written, 0, sizeof(written))
    store_transform(written, 1, transform.session_id)
    require(parse_transform(written, sizeof(written), &again) == 0)
    require(again.session_id == transform.session_id and again.bytes == 1)
    require(parse_transform(written, TRANSFORM_BYTES, &again) == -1)
    # Nothing but a fuzzer can read what is sealed; it has left the message in the clear.
    check_messages(transform.message, transform.bytes)


cdef public int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) noexcept nogil:
    """Parse the input as a stream of frames."""
    cdef size_t length = 0
    cdef PrefixKind kind
    cdef uint8_t *frame
    while size >= PREFIX_BYTES:
        kind = parse_prefix(data, FRAME_BYTES_MAX, &length)
        check_prefix(data, kind, length)
        data += PREFIX_BYTES
        size -= PREFIX_BYTES
        if kind == PREFIX_KEEP_ALIVE:
            continue
        # A frame that ends early is looked at as far as it goes, which no connection would do.
        length = min(length, size)
        frame = <uint8_t *>malloc(length)
        if frame is NULL:
            return 0
        memcpy(frame, data, length)
        if is_sealed(frame, length):
            check_transform(frame, length)
        else:
            check_messages(frame, length)
        free(frame)
        data += length
        size -= length
    return 0
