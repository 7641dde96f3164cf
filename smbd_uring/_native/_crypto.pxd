# Header of _crypto.pyx.
#
# A key is used by one thread at a time; different keys by any number of threads.  Nothing here needs the GIL,
# allocates memory per message, or keeps a pointer after it returned.

from libc.stdint cimport uint8_t, uint64_t
from smbd_uring._native.uio cimport iovec


cdef enum:
    # The whole SMB2 header, which the first segment of a message to sign must have.
    HEADER_BYTES = 64
    SIGNATURE_OFFSET = 48
    SIGNATURE_BYTES = 16
    # The nonce field of a transform header; 12 bytes of it are used with GCM, 11 with CCM.
    NONCE_BYTES = 16
    TAG_BYTES = 16
    # Bits of the nonce of AES-GMAC ([MS-SMB2] 3.1.4.1).
    NONCE_FROM_SERVER = 1
    NONCE_CANCEL = 2


# The contexts of one signing key.  Opaque; owned by whoever called signing_key_new.
cdef struct SigningKey

# `algorithm` is a number of SigningAlgorithm in wire.const, `key` has 16 bytes.  NULL for an algorithm there is
# not and when libcrypto refuses.
cdef SigningKey *signing_key_new(int algorithm, const uint8_t *key) noexcept nogil
# Wipes the key.  NULL is fine.
cdef void signing_key_free(SigningKey *key) noexcept nogil
# The signature of the message that `segments` are one after the other: 0, or -1 when libcrypto fails.  The
# first segment has at least HEADER_BYTES, and what stands in its signature field counts as zero.  `message_id`
# and `nonce_bits` matter to AES-GMAC only; no two messages of a direction may have the same.
cdef int sign_message(
    SigningKey *key,
    const iovec *segments,
    int count,
    uint64_t message_id,
    unsigned nonce_bits,
    uint8_t *signature,
) noexcept nogil
# Whether the message carries the right signature: 1 or 0, found in constant time, -1 when libcrypto fails.
cdef int verify_message(
    SigningKey *key, const iovec *segments, int count, uint64_t message_id, unsigned nonce_bits
) noexcept nogil


# The context of one encryption or decryption key.  Opaque; owned by whoever called sealing_key_new.
cdef struct SealingKey

# `cipher` is a number of CipherId in wire.const, `key` has 16 or 32 bytes to suit it.  A key either seals or
# opens.  NULL for a cipher there is not and when libcrypto refuses.
cdef SealingKey *sealing_key_new(int cipher, const uint8_t *key, bint seals) noexcept nogil
# Wipes the key.  NULL is fine.
cdef void sealing_key_free(SealingKey *key) noexcept nogil
# Encrypt what `segments` are one after the other to `into`, which has room for all of it and may be where the
# segments are when they lie behind one another, but may not overlap them otherwise.  0, or -1 when libcrypto
# fails.  `nonce` points to NONCE_BYTES, never the same twice for one key; `tag` has room for TAG_BYTES.
cdef int seal_message(
    SealingKey *key,
    const uint8_t *nonce,
    const uint8_t *authenticated,
    size_t authenticated_bytes,
    const iovec *segments,
    int count,
    uint8_t *into,
    uint8_t *tag,
) noexcept nogil
# Decrypt in the same way: 1 opened, 0 the tag does not fit, -1 libcrypto fails.  Unless opened, `into` is wiped.
cdef int open_message(
    SealingKey *key,
    const uint8_t *nonce,
    const uint8_t *authenticated,
    size_t authenticated_bytes,
    const iovec *segments,
    int count,
    uint8_t *into,
    const uint8_t *tag,
) noexcept nogil
