# SMB2 on the wire for the data plane: what a frame holds, read and written without Python.
#
# Knows: the layouts of [MS-SMB2] 2.1, 2.2.1, 2.2.2, 2.2.17 to 2.2.22, 2.2.28, 2.2.29 and 2.2.41.  Must not know:
# connections, sessions, files.  Everything here is inline and touches only the memory it is given.
#
# Every `parse_…` takes the bytes that are there and returns 0, or -1 for "not something the data plane serves": the
# engine then looks at the same bytes and says what is wrong with them.  Pointers in a result lead into the bytes.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

cdef extern from "<endian.h>" nogil:
    uint16_t le16toh(uint16_t value)
    uint32_t le32toh(uint32_t value)
    uint64_t le64toh(uint64_t value)
    uint16_t htole16(uint16_t value)
    uint32_t htole32(uint32_t value)
    uint64_t htole64(uint64_t value)

cdef enum:
    PREFIX_BYTES = 4
    HEADER_BYTES = 64
    TRANSFORM_BYTES = 52
    # What the tag of a sealed message covers beside it: from Nonce to SessionId.
    TRANSFORM_AUTHENTICATED_OFFSET = 20
    TRANSFORM_AUTHENTICATED_BYTES = 32
    SIGNATURE_OFFSET = 48
    COMPOUND_ALIGNMENT = 8
    MESSAGES_MAX = 64

    COMMAND_CLOSE = 6
    COMMAND_FLUSH = 7
    COMMAND_READ = 8
    COMMAND_WRITE = 9
    COMMAND_LOCK = 10
    COMMAND_IOCTL = 11
    COMMAND_ECHO = 13
    COMMAND_SET_INFO = 17
    COMMANDS = 19

    FLAG_SERVER_TO_REDIR = 1
    FLAG_ASYNC_COMMAND = 2
    FLAG_RELATED_OPERATIONS = 4
    FLAG_SIGNED = 8
    FLAG_REPLAY_OPERATION = 0x20000000

    READ_REQUEST_BYTES = 48
    WRITE_REQUEST_BYTES = 48
    FLUSH_REQUEST_BYTES = 24
    ECHO_BYTES = 4
    READ_RESPONSE_BYTES = 16
    WRITE_RESPONSE_BYTES = 16
    FLUSH_RESPONSE_BYTES = 4
    ERROR_RESPONSE_BYTES = 9
    WRITE_DATA_OFFSET_MAX = 0x100
    WRITE_FLAG_WRITE_THROUGH = 1

    STATUS_SUCCESS = 0
    STATUS_END_OF_FILE = 0xC0000011

cdef inline uint16_t load16(const uint8_t *at) noexcept nogil:
    cdef uint16_t value
    memcpy(&value, at, 2)
    return le16toh(value)

cdef inline uint32_t load32(const uint8_t *at) noexcept nogil:
    cdef uint32_t value
    memcpy(&value, at, 4)
    return le32toh(value)

cdef inline uint64_t load64(const uint8_t *at) noexcept nogil:
    cdef uint64_t value
    memcpy(&value, at, 8)
    return le64toh(value)

cdef inline void store16(uint8_t *at, uint16_t value) noexcept nogil:
    value = htole16(value)
    memcpy(at, &value, 2)

cdef inline void store32(uint8_t *at, uint32_t value) noexcept nogil:
    value = htole32(value)
    memcpy(at, &value, 4)

cdef inline void store64(uint8_t *at, uint64_t value) noexcept nogil:
    value = htole64(value)
    memcpy(at, &value, 8)


# --- frames ---------------------------------------------------------------------------------------------------------

cdef enum PrefixKind:
    PREFIX_FRAME = 0
    # [RFC1002] 4.3.6: old stacks send it on an idle connection; it says nothing.
    PREFIX_KEEP_ALIVE = 1
    PREFIX_WRONG_TYPE = 2
    PREFIX_WRONG_LENGTH = 3

cdef inline PrefixKind parse_prefix(const uint8_t *at, size_t bytes_max, size_t *length) noexcept nogil:
    # [MS-SMB2] 2.1: four bytes are there; the length is big-endian.
    length[0] = <size_t>at[1] << 16 | <size_t>at[2] << 8 | at[3]
    if at[0] == 0x85 and length[0] == 0:
        return PREFIX_KEEP_ALIVE
    if at[0] != 0:
        return PREFIX_WRONG_TYPE
    if length[0] < 4 or length[0] > bytes_max:
        return PREFIX_WRONG_LENGTH
    return PREFIX_FRAME

cdef inline void store_prefix(uint8_t *at, size_t length) noexcept nogil:
    at[0] = 0
    at[1] = <uint8_t>(length >> 16)
    at[2] = <uint8_t>(length >> 8)
    at[3] = <uint8_t>length


# --- headers --------------------------------------------------------------------------------------------------------

cdef struct Message:
    # One request of a frame.  `start` is its header, `bytes` reach to the next request or to the frame's end.
    uint8_t *start
    size_t bytes
    uint16_t credit_charge
    # Of 3.x; older dialects have zeros there.
    uint16_t channel_sequence
    uint16_t command
    uint16_t credits
    uint32_t flags
    uint32_t next_command
    uint64_t message_id
    uint32_t tree_id
    uint64_t session_id

cdef inline bint is_sealed(const uint8_t *frame, size_t bytes) noexcept nogil:
    return bytes >= 4 and memcmp(frame, b"\xfdSMB", 4) == 0

cdef inline int parse_message(uint8_t *at, size_t left, Message *message) noexcept nogil:
    # [MS-SMB2] 2.2.1 and 3.3.5.2.7 (where the next request of a compound begins).
    cdef uint32_t following
    if left < HEADER_BYTES or memcmp(at, b"\xfeSMB", 4) != 0 or load16(at + 4) != HEADER_BYTES:
        return -1
    following = load32(at + 20)
    if following and (following % COMPOUND_ALIGNMENT or following < HEADER_BYTES or following > left - HEADER_BYTES):
        return -1
    message.start = at
    message.bytes = following if following else left
    message.credit_charge = load16(at + 6)
    message.channel_sequence = load16(at + 8)
    message.command = load16(at + 12)
    message.credits = load16(at + 14)
    message.flags = load32(at + 16)
    message.next_command = following
    message.message_id = load64(at + 24)
    message.tree_id = load32(at + 36)
    message.session_id = load64(at + 40)
    return 0 if not message.flags & (FLAG_SERVER_TO_REDIR | FLAG_ASYNC_COMMAND) else -1

cdef inline void store_header(
    uint8_t *at, const Message *asked, uint32_t status, uint16_t credits, uint32_t flags
) noexcept nogil:
    # The header of the answer to `asked`; NextCommand and Signature are zero.
    memcpy(at, b"\xfeSMB", 4)
    store16(at + 4, HEADER_BYTES)
    store16(at + 6, asked.credit_charge)
    store32(at + 8, status)
    store16(at + 12, asked.command)
    store16(at + 14, credits)
    store32(at + 16, flags)
    store32(at + 20, 0)
    store64(at + 24, asked.message_id)
    store32(at + 32, 0)
    store32(at + 36, asked.tree_id)
    store64(at + 40, asked.session_id)
    memset(at + SIGNATURE_OFFSET, 0, 16)

cdef struct Transform:
    # [MS-SMB2] 2.2.41, and the sealed message behind it.
    const uint8_t *tag
    const uint8_t *nonce
    uint64_t session_id
    uint8_t *message
    size_t bytes

cdef inline int parse_transform(uint8_t *frame, size_t bytes, Transform *transform) noexcept nogil:
    if bytes <= TRANSFORM_BYTES or not is_sealed(frame, bytes):
        return -1
    if load32(frame + 36) != bytes - TRANSFORM_BYTES or load16(frame + 42) != 1:
        return -1
    transform.tag = frame + 4
    transform.nonce = frame + 20
    transform.session_id = load64(frame + 44)
    transform.message = frame + TRANSFORM_BYTES
    transform.bytes = bytes - TRANSFORM_BYTES
    return 0

cdef inline void store_transform(uint8_t *at, size_t bytes, uint64_t session_id) noexcept nogil:
    # Everything but Signature and Nonce.
    memcpy(at, b"\xfdSMB", 4)
    store32(at + 36, <uint32_t>bytes)
    store16(at + 40, 0)
    store16(at + 42, 1)
    store64(at + 44, session_id)


# --- bodies ---------------------------------------------------------------------------------------------------------

cdef struct FileOperation:
    # A READ, WRITE or FLUSH: which open, and for the first two which bytes of the file.
    uint64_t persistent_id
    uint64_t volatile_id
    uint64_t offset
    uint32_t length
    # READ: fewer bytes are STATUS_END_OF_FILE.
    uint32_t minimum_count
    # WRITE: the payload, `length` bytes, and whether it must be on the disk before it is answered.
    uint8_t *data
    bint write_through

cdef inline int parse_read(const Message *message, FileOperation *operation) noexcept nogil:
    # [MS-SMB2] 2.2.19.  A channel (RDMA) is not served here.
    cdef const uint8_t *body = message.start + HEADER_BYTES
    if message.bytes < HEADER_BYTES + READ_REQUEST_BYTES or load16(body) != 49 or load32(body + 36) != 0:
        return -1
    operation.length = load32(body + 4)
    operation.offset = load64(body + 8)
    operation.persistent_id = load64(body + 16)
    operation.volatile_id = load64(body + 24)
    operation.minimum_count = load32(body + 32)
    return 0

cdef inline int parse_write(const Message *message, FileOperation *operation) noexcept nogil:
    # [MS-SMB2] 2.2.21.
    cdef const uint8_t *body = message.start + HEADER_BYTES
    cdef size_t data_offset
    if message.bytes < HEADER_BYTES + WRITE_REQUEST_BYTES or load16(body) != 49 or load32(body + 32) != 0:
        return -1
    data_offset = load16(body + 2)
    operation.length = load32(body + 4)
    if data_offset < HEADER_BYTES + WRITE_REQUEST_BYTES or data_offset > WRITE_DATA_OFFSET_MAX:
        return -1
    if data_offset > message.bytes or operation.length > message.bytes - data_offset:
        return -1
    operation.offset = load64(body + 8)
    operation.persistent_id = load64(body + 16)
    operation.volatile_id = load64(body + 24)
    operation.data = message.start + data_offset
    operation.write_through = load32(body + 44) & WRITE_FLAG_WRITE_THROUGH
    return 0

cdef inline int parse_flush(const Message *message, FileOperation *operation) noexcept nogil:
    # [MS-SMB2] 2.2.17.
    cdef const uint8_t *body = message.start + HEADER_BYTES
    if message.bytes < HEADER_BYTES + FLUSH_REQUEST_BYTES or load16(body) != 24:
        return -1
    operation.persistent_id = load64(body + 8)
    operation.volatile_id = load64(body + 16)
    return 0

cdef inline int parse_echo(const Message *message) noexcept nogil:
    # [MS-SMB2] 2.2.28.
    return 0 if message.bytes >= HEADER_BYTES + ECHO_BYTES and load16(message.start + HEADER_BYTES) == 4 else -1

cdef inline size_t file_id_offset(uint16_t command) noexcept nogil:
    # Where a request that changes an open, or what it can do, says which one; 0 for every other command.
    if command in (COMMAND_CLOSE, COMMAND_FLUSH, COMMAND_LOCK, COMMAND_IOCTL):
        return HEADER_BYTES + 8
    if command in (COMMAND_READ, COMMAND_WRITE, COMMAND_SET_INFO):
        return HEADER_BYTES + 16
    return 0

cdef inline void store_read_response(uint8_t *body, uint32_t length) noexcept nogil:
    # [MS-SMB2] 2.2.20: the data follows at once.
    store16(body, 17)
    store16(body + 2, HEADER_BYTES + READ_RESPONSE_BYTES)
    store32(body + 4, length)
    store64(body + 8, 0)

cdef inline void store_write_response(uint8_t *body, uint32_t count) noexcept nogil:
    # [MS-SMB2] 2.2.22.
    store32(body, 17)
    store32(body + 4, count)
    store64(body + 8, 0)

cdef inline void store_empty_response(uint8_t *body) noexcept nogil:
    # [MS-SMB2] 2.2.18 (FLUSH) and 2.2.29 (ECHO).
    store32(body, 4)

cdef inline void store_error_response(uint8_t *body) noexcept nogil:
    # [MS-SMB2] 2.2.2, without data: one zero byte stands in.
    memset(body, 0, ERROR_RESPONSE_BYTES)
    store16(body, 9)
