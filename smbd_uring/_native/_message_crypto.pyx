# cython: language_level=3
"""What Python calls to sign, verify, seal and open: the native twins of `crypto.signing` and `crypto.sealing`.

Knows: buffers and the transform header ([MS-SMB2] 2.2.41).  Must not know: which messages are signed or sealed.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport UINT32_MAX, UINT64_MAX, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset
from smbd_uring._native cimport _crypto
from smbd_uring._native.uio cimport iovec

cdef extern from "<endian.h>" nogil:
    uint16_t le16toh(uint16_t value)
    uint16_t htole16(uint16_t value)
    uint32_t le32toh(uint32_t value)
    uint32_t htole32(uint32_t value)
    uint64_t htole64(uint64_t value)

cdef enum:
    SIGNING_KEY_BYTES = 16
    # More are joined first.
    SEGMENTS_MAX = 16
    # The GIL is given up for this much work: getting it back may take as long as that.
    LARGE_BYTES = 1 << 16
    COUNTER_BYTES = 8
    PREFIX_BYTES_GCM = 4
    PREFIX_BYTES_CCM = 3
    ENCRYPTED = 1
    # The transform header from its nonce on, which is additional data.
    AUTHENTICATED_BYTES = 32
    TRANSFORM_BYTES = 52

# CipherId -> bytes of a key, bytes of the nonce that follow its counter.
cdef dict _SIZES = {
    1: (16, PREFIX_BYTES_CCM),
    2: (16, PREFIX_BYTES_GCM),
    3: (32, PREFIX_BYTES_CCM),
    4: (32, PREFIX_BYTES_GCM),
}

cdef packed struct transform_header:
    uint8_t[4] protocol_id
    uint8_t[16] signature
    uint8_t[16] nonce
    uint32_t original_message_size
    uint16_t reserved
    uint16_t flags
    uint64_t session_id


cdef class Segments:
    # A message's segments as memory; the buffers are held until `release`.
    cdef Py_buffer[SEGMENTS_MAX] buffers
    cdef iovec[SEGMENTS_MAX] memory
    cdef int count
    cdef size_t total

    cdef int hold(self, object segments, Py_ssize_t first_bytes_min) except -1:
        """Take hold of `segments`; joined where there are many or the first has not `first_bytes_min` bytes."""
        cdef object segment
        if len(segments) > SEGMENTS_MAX or (segments and len(segments[0]) < first_bytes_min):
            segments = (b"".join(segments),)
        self.count = 0
        self.total = 0
        for segment in segments:
            PyObject_GetBuffer(segment, &self.buffers[self.count], PyBUF_SIMPLE)
            self.memory[self.count].iov_base = self.buffers[self.count].buf
            self.memory[self.count].iov_len = self.buffers[self.count].len
            self.total += self.buffers[self.count].len
            self.count += 1
        return 0

    cdef void release(self):
        while self.count > 0:
            self.count -= 1
            PyBuffer_Release(&self.buffers[self.count])

    def __dealloc__(self):
        self.release()


cdef class Signer:
    """Signs and verifies messages with one key; see `crypto.signing.Signer`."""

    # Owned.
    cdef _crypto.SigningKey *key
    cdef Segments segments

    def __cinit__(self, int algorithm, bytes key not None):
        if len(key) != SIGNING_KEY_BYTES:
            raise ValueError(f"a signing key has {SIGNING_KEY_BYTES} bytes, not {len(key)}")
        self.segments = Segments()
        self.key = _crypto.signing_key_new(algorithm, <const uint8_t *>PyBytes_AS_STRING(key))
        if self.key is NULL:
            raise ValueError(f"libcrypto has no signing algorithm {algorithm}")

    def __dealloc__(self):
        _crypto.signing_key_free(self.key)

    def sign(self, segments not None, uint64_t message_id, bint from_server, bint is_cancel):
        """The 16-byte signature of a message; ValueError when it is shorter than a header."""
        cdef uint8_t[_crypto.SIGNATURE_BYTES] signature
        cdef unsigned nonce_bits = nonce_bits_of(from_server, is_cancel)
        cdef Segments held = self.segments
        cdef int result
        try:
            held.hold(segments, _crypto.HEADER_BYTES)
            if held.count == 0 or held.memory[0].iov_len < _crypto.HEADER_BYTES:
                raise ValueError("a message is no shorter than its header")
            if held.total < LARGE_BYTES:
                result = _crypto.sign_message(
                    self.key, held.memory, held.count, message_id, nonce_bits, signature
                )
            else:
                with nogil:
                    result = _crypto.sign_message(
                        self.key, held.memory, held.count, message_id, nonce_bits, signature
                    )
        finally:
            held.release()
        if result < 0:
            raise RuntimeError("libcrypto failed to sign")
        return PyBytes_FromStringAndSize(<char *>signature, _crypto.SIGNATURE_BYTES)

    def verify(self, message not None, uint64_t message_id, bint from_server, bint is_cancel):
        """Whether `message` carries the right signature at offset 48; compared in constant time."""
        cdef unsigned nonce_bits = nonce_bits_of(from_server, is_cancel)
        cdef Py_buffer buffer
        cdef iovec segment
        cdef int result
        PyObject_GetBuffer(message, &buffer, PyBUF_SIMPLE)
        segment.iov_base = buffer.buf
        segment.iov_len = buffer.len
        if segment.iov_len < _crypto.HEADER_BYTES:
            result = 0
        elif segment.iov_len < LARGE_BYTES:
            result = _crypto.verify_message(self.key, &segment, 1, message_id, nonce_bits)
        else:
            with nogil:
                result = _crypto.verify_message(self.key, &segment, 1, message_id, nonce_bits)
        PyBuffer_Release(&buffer)
        if result < 0:
            raise RuntimeError("libcrypto failed to verify")
        return result == 1


cdef unsigned nonce_bits_of(bint from_server, bint is_cancel) noexcept:
    return (_crypto.NONCE_FROM_SERVER if from_server else 0) | (_crypto.NONCE_CANCEL if is_cancel else 0)


cdef _crypto.SealingKey *sealing_key(int cipher, bytes key, bint seals) except NULL:
    # Owned by the caller.
    cdef _crypto.SealingKey *new
    if cipher not in _SIZES:
        raise ValueError(f"{cipher} is no cipher")
    key_bytes, _ = _SIZES[cipher]
    if len(key) != key_bytes:
        raise ValueError(f"a key of cipher {cipher} has {key_bytes} bytes, not {len(key)}")
    new = _crypto.sealing_key_new(cipher, <const uint8_t *>PyBytes_AS_STRING(key), seals)
    if new is NULL:
        raise RuntimeError("libcrypto refuses to make a key")
    return new


cdef class Sealer:
    """Seals messages with one key, each under a nonce of its own; see `crypto.sealing.Sealer`."""

    # Owned.
    cdef _crypto.SealingKey *key
    cdef Segments segments
    cdef object error
    cdef uint8_t[_crypto.NONCE_BYTES] nonce
    cdef public uint64_t counter
    """Of the next message's nonce."""
    cdef bint is_used_up

    def __cinit__(self, int cipher, bytes key not None, bytes nonce_prefix not None, error not None):
        """`error` is what to raise once every nonce was used."""
        self.key = sealing_key(cipher, key, True)
        self.segments = Segments()
        self.error = error
        _, prefix_bytes = _SIZES[cipher]
        if len(nonce_prefix) < prefix_bytes:
            raise ValueError(f"a nonce prefix of {len(nonce_prefix)} bytes is too short")
        memset(self.nonce, 0, _crypto.NONCE_BYTES)
        memcpy(self.nonce + COUNTER_BYTES, PyBytes_AS_STRING(nonce_prefix), <size_t>prefix_bytes)

    def __dealloc__(self):
        _crypto.sealing_key_free(self.key)

    def seal(self, segments not None, uint64_t session_id):
        """The transform header and the sealed message, which is `segments` one after the other."""
        cdef transform_header header
        cdef Segments held = self.segments
        cdef bytes sealed
        cdef uint8_t *into
        cdef int result
        if self.is_used_up:
            raise self.error("every nonce of this key was used")
        try:
            held.hold(segments, 0)
            if held.total > UINT32_MAX:
                raise ValueError("a message of 4 GiB and more cannot be sealed")
            sealed = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>held.total)
            into = <uint8_t *>PyBytes_AS_STRING(sealed)
            self.fill(&header, held.total, session_id)
            if held.total < LARGE_BYTES:
                result = seal_into(self.key, &header, held.memory, held.count, into)
            else:
                with nogil:
                    result = seal_into(self.key, &header, held.memory, held.count, into)
        finally:
            held.release()
        if result < 0:
            raise RuntimeError("libcrypto failed to seal")
        return [PyBytes_FromStringAndSize(<char *>&header, TRANSFORM_BYTES), sealed]

    cdef void fill(self, transform_header *header, size_t total, uint64_t session_id):
        # All but the signature; uses up a nonce.
        cdef uint64_t counter = htole64(self.counter)
        memcpy(self.nonce, &counter, COUNTER_BYTES)
        self.is_used_up = self.counter == UINT64_MAX
        self.counter += 1
        memcpy(header.protocol_id, b"\xfdSMB", 4)
        memcpy(header.nonce, self.nonce, _crypto.NONCE_BYTES)
        header.original_message_size = htole32(<uint32_t>total)
        header.reserved = 0
        header.flags = htole16(ENCRYPTED)
        header.session_id = htole64(session_id)


cdef int seal_into(
    _crypto.SealingKey *key, transform_header *header, const iovec *segments, int count, uint8_t *into
) noexcept nogil:
    return _crypto.seal_message(
        key, header.nonce, header.nonce, AUTHENTICATED_BYTES, segments, count, into, header.signature
    )


cdef class Opener:
    """Opens what a peer sealed with one key; see `crypto.sealing.Opener`."""

    # Owned.
    cdef _crypto.SealingKey *key
    cdef object error

    def __cinit__(self, int cipher, bytes key not None, error not None):
        """`error` is what to raise for a frame that does not open."""
        self.key = sealing_key(cipher, key, False)
        self.error = error

    def __dealloc__(self):
        _crypto.sealing_key_free(self.key)

    def open(self, frame not None):
        """The message inside a frame that begins with its transform header."""
        cdef Py_buffer buffer
        cdef bytes message
        PyObject_GetBuffer(frame, &buffer, PyBUF_SIMPLE)
        try:
            message = self.message_in(<const uint8_t *>buffer.buf, buffer.len)
        finally:
            PyBuffer_Release(&buffer)
        return memoryview(message)

    cdef bytes message_in(self, const uint8_t *frame, size_t frame_bytes):
        cdef const transform_header *header = <const transform_header *>frame
        cdef bytes message
        cdef uint8_t *into
        cdef iovec sealed
        cdef int result
        if frame_bytes <= TRANSFORM_BYTES or memcmp(header.protocol_id, b"\xfdSMB", 4) != 0:
            raise self.error("not a transform header with a message behind it")
        sealed.iov_base = <void *>(frame + TRANSFORM_BYTES)
        sealed.iov_len = frame_bytes - TRANSFORM_BYTES
        if le32toh(header.original_message_size) != sealed.iov_len:
            raise self.error("OriginalMessageSize is not the message's size")
        if le16toh(header.flags) != ENCRYPTED:
            raise self.error("a transform that is no encryption")
        message = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>sealed.iov_len)
        into = <uint8_t *>PyBytes_AS_STRING(message)
        if sealed.iov_len < LARGE_BYTES:
            result = open_into(self.key, header, &sealed, into)
        else:
            with nogil:
                result = open_into(self.key, header, &sealed, into)
        if result < 0:
            raise RuntimeError("libcrypto failed to open")
        if result == 0:
            raise self.error("the tag does not fit the message")
        return message


cdef int open_into(
    _crypto.SealingKey *key, const transform_header *header, const iovec *sealed, uint8_t *into
) noexcept nogil:
    return _crypto.open_message(
        key, header.nonce, header.nonce, AUTHENTICATED_BYTES, sealed, 1, into, header.signature
    )
