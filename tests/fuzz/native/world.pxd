# The world of one input: a connection, its files, the kernel's operations, and the client's side of it.
#
# Knows: how frames are made, signed and sealed.  Must not know: what the plane does with them.

from libc.stdint cimport uint8_t, uint16_t, uint64_t
from libc.string cimport memcpy, memset
from kernel cimport queued
from replies cimport require
from smbd_uring._native cimport liburing
from smbd_uring._native._connection cimport Connection, Device, Plane
from smbd_uring._native._crypto cimport SealingKey, SigningKey, seal_message, sign_message
from smbd_uring._native._smb2 cimport *
from smbd_uring._native.uio cimport iovec

cdef enum:
    SESSION_PLAIN = 1
    SESSION_SEALED = 2
    TREE = 5
    STREAM_BYTES_MAX = 1048576
    PENDING_MAX = 512
    FROZEN_MAX = 1024

    FRAME_SEALED = 1
    FRAME_OF_SEALED_SESSION = 2
    FRAME_SIGNED = 4
    FRAME_AS_IT_IS = 8
    BYTES_AS_THEY_ARE = 16

cdef struct World:
    liburing.io_uring ring
    # What the client signs, seals and opens with.
    SigningKey *signer
    SealingKey *sealer
    SealingKey *opener
    uint64_t nonces
    Plane plane
    Device devices[2]
    Connection *connection
    int peer
    # Files whose pages are all in memory, until one is cut short.
    int files[2]
    bint is_cut
    bint is_granted[2]
    # The input.
    const uint8_t *data
    size_t left
    # What the client has sent and nobody has received: [stream_start, stream_end).
    uint8_t *stream
    size_t stream_start
    size_t stream_end
    uint8_t *output
    size_t output_bytes
    bint peer_reads
    bint is_manual
    size_t chunk_bytes
    uint64_t next_id
    queued pending[PENDING_MAX]
    unsigned pending_count
    uint64_t frozen[FROZEN_MAX]
    unsigned frozen_count
    # Frames sent, answered and handed over; they need not add up once `is_astray`.
    size_t sent
    size_t handed
    size_t answered
    bint is_astray
    bint is_dropped
    unsigned drains_wanted

cdef inline void put_right(World *world, uint8_t *frame, size_t bytes, unsigned how) noexcept nogil:
    # Ids that the connection can accept, and signatures that fit.
    cdef size_t at = 0, following, length
    cdef unsigned charge
    cdef bint of_sealed = how & FRAME_OF_SEALED_SESSION != 0
    cdef iovec segment
    while bytes - at >= HEADER_BYTES:
        following = load32(frame + at + 20)
        if following < HEADER_BYTES or following > bytes - at - HEADER_BYTES:
            following = 0
        length = following if following else bytes - at
        charge = load16(frame + at + 6) & 7
        store16(frame + at + 6, <uint16_t>charge)
        store64(frame + at + 24, world.next_id)
        world.next_id += charge if charge else 1
        store32(frame + at + 36, TREE)
        store64(frame + at + 40, SESSION_SEALED if of_sealed else SESSION_PLAIN)
        if how & FRAME_SIGNED and of_sealed:
            store32(frame + at + 16, load32(frame + at + 16) | FLAG_SIGNED)
            segment.iov_base = frame + at
            segment.iov_len = length
            require(sign_message(
                world.signer, &segment, 1, load64(frame + at + 24), 0, frame + at + SIGNATURE_OFFSET
            ) == 0)
        if not following:
            return
        at += following

cdef inline void client_sends(World *world, const uint8_t *data, size_t bytes, unsigned how) noexcept nogil:
    cdef size_t head = PREFIX_BYTES + (TRANSFORM_BYTES if how & FRAME_SEALED else 0)
    cdef uint8_t *frame = world.stream + world.stream_end + head
    cdef uint8_t *transform = frame - TRANSFORM_BYTES
    cdef iovec segment
    if STREAM_BYTES_MAX - world.stream_end < head + bytes + 1:
        return
    if how & BYTES_AS_THEY_ARE:
        world.is_astray = True
        memcpy(world.stream + world.stream_end, data, bytes)
        world.stream_end += bytes
        return
    memcpy(frame, data, bytes)
    if how & FRAME_AS_IT_IS:
        world.is_astray = True
    else:
        put_right(world, frame, bytes, how)
    if bytes < 4:
        world.is_astray = True
    store_prefix(world.stream + world.stream_end, head - PREFIX_BYTES + bytes)
    if how & FRAME_SEALED:
        store_transform(transform, bytes, SESSION_SEALED)
        memset(transform + TRANSFORM_AUTHENTICATED_OFFSET, 0, 16)
        store64(transform + TRANSFORM_AUTHENTICATED_OFFSET, world.nonces)
        world.nonces += 1
        segment.iov_base = frame
        segment.iov_len = bytes
        require(seal_message(
            world.sealer, transform + TRANSFORM_AUTHENTICATED_OFFSET, transform + TRANSFORM_AUTHENTICATED_OFFSET,
            TRANSFORM_AUTHENTICATED_BYTES, &segment, 1, frame, transform + 4,
        ) == 0)
    world.stream_end += head + bytes
    world.sent += 1
