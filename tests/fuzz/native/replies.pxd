# What a client may expect of the bytes a data plane sends: whole frames, each of them an answer that makes sense.
#
# Knows: [MS-SMB2] 2.2.1, 2.2.2, 2.2.18, 2.2.20, 2.2.22, 2.2.29.  Must not know: how the answers came about.

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport abort
from libc.string cimport memcmp
from smbd_uring._native._crypto cimport SealingKey, SigningKey, open_message, verify_message
from smbd_uring._native._smb2 cimport *
from smbd_uring._native.uio cimport iovec

cdef enum:
    # What stands for a reply of the engine's: no command that the plane serves.
    COMMAND_OF_THE_ENGINE = 3
    NONCE_OF_A_SERVER = 1

cdef inline void require(bint holds) noexcept nogil:
    if not holds:
        abort()

cdef inline void check_body(uint16_t command, uint32_t status, const uint8_t *body, size_t bytes, bint is_last) \
        noexcept nogil:
    cdef size_t expected
    if command == COMMAND_READ and status == STATUS_END_OF_FILE:
        require(bytes >= ERROR_RESPONSE_BYTES and load16(body) == 9 and load32(body + 4) == 0)
        expected = ERROR_RESPONSE_BYTES
    elif command == COMMAND_READ:
        require(bytes >= READ_RESPONSE_BYTES and load16(body) == 17)
        require(body[2] == HEADER_BYTES + READ_RESPONSE_BYTES and load32(body + 4) > 0)
        expected = READ_RESPONSE_BYTES + <size_t>load32(body + 4)
    elif command == COMMAND_WRITE:
        require(bytes >= WRITE_RESPONSE_BYTES and load16(body) == 17)
        expected = WRITE_RESPONSE_BYTES
    else:
        require(command in (COMMAND_FLUSH, COMMAND_ECHO) and bytes >= 4 and load32(body) == 4)
        expected = 4
    require(status == STATUS_SUCCESS or command == COMMAND_READ)
    if is_last:
        require(bytes == expected)
    else:
        require(bytes == (expected + COMPOUND_ALIGNMENT - 1) // COMPOUND_ALIGNMENT * COMPOUND_ALIGNMENT)

# Answers of one frame in the clear.  Result: whether the plane made them.
cdef inline bint check_answers(uint8_t *at, size_t left, SigningKey *signer, bint was_sealed) noexcept nogil:
    cdef size_t bytes, following
    cdef iovec segment
    while True:
        require(left >= HEADER_BYTES and memcmp(at, b"\xfeSMB", 4) == 0 and load16(at + 4) == HEADER_BYTES)
        require(load32(at + 16) & FLAG_SERVER_TO_REDIR)
        following = load32(at + 20)
        require(following % COMPOUND_ALIGNMENT == 0)
        require(following == 0 or HEADER_BYTES <= following <= left - HEADER_BYTES)
        bytes = following if following else left
        if load16(at + 12) == COMMAND_OF_THE_ENGINE:
            return False
        check_body(load16(at + 12), load32(at + 8), at + HEADER_BYTES, bytes - HEADER_BYTES, not following)
        if load32(at + 16) & FLAG_SIGNED:
            require(not was_sealed)
            segment.iov_base = at
            segment.iov_len = bytes
            require(verify_message(signer, &segment, 1, load64(at + 24), NONCE_OF_A_SERVER) == 1)
        if not following:
            return True
        at += following
        left -= following

# `opener` opens what the plane seals; `count` is raised by each frame of the plane's.  Result: bytes of whole frames.
cdef inline size_t check_stream(
    uint8_t *stream, size_t bytes, SigningKey *signer, SealingKey *opener, size_t *count
) noexcept nogil:
    cdef size_t position = 0, length = 0
    cdef uint8_t *frame
    cdef Transform transform
    cdef iovec segment
    while bytes - position >= PREFIX_BYTES:
        require(parse_prefix(stream + position, 0xFFFFFF, &length) == PREFIX_FRAME)
        if length > bytes - position - PREFIX_BYTES:
            break
        frame = stream + position + PREFIX_BYTES
        if is_sealed(frame, length):
            require(parse_transform(frame, length, &transform) == 0)
            segment.iov_base = transform.message
            segment.iov_len = transform.bytes
            require(open_message(
                opener, transform.nonce, frame + TRANSFORM_AUTHENTICATED_OFFSET, TRANSFORM_AUTHENTICATED_BYTES,
                &segment, 1, transform.message, transform.tag,
            ) == 1)
            count[0] += check_answers(transform.message, transform.bytes, signer, True)
        else:
            count[0] += check_answers(frame, length, signer, False)
        position += PREFIX_BYTES + length
    return position
