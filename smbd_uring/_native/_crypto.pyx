# cython: language_level=3
"""Signatures and sealing of SMB2 messages over libcrypto, without the GIL.

Knows: the three signing algorithms, the four ciphers, and that a message's header has a signature field.  Must
not know: sessions, transform headers, which messages are signed or sealed.  `smbd_uring.crypto` has the Python
twin, `_message_crypto` what Python calls.

Small messages are most of the traffic, so what costs per message is what counts.  A key is expanded once.  A
signature then starts without a call that allocates, locks or looks up parameters by name, all of which the
EVP_MAC functions do; sealing sets a nonce on a context that keeps its key.
"""

from libc.limits cimport INT_MAX
from libc.string cimport memcpy, memmove, memset
from smbd_uring._native cimport libcrypto

# Numbers of SigningAlgorithm and CipherId in wire.const ([MS-SMB2] 2.2.3.1.7, 2.2.3.1.2).
cdef enum:
    HMAC_SHA256 = 0
    AES_CMAC = 1
    AES_GMAC = 2
    AES_128_CCM = 1
    AES_128_GCM = 2
    AES_256_CCM = 3
    AES_256_GCM = 4

cdef enum:
    BLOCK_BYTES = 16
    HASH_BLOCK_BYTES = 64
    HASH_BYTES = 32
    SIGNING_KEY_BYTES = 16
    GCM_NONCE_BYTES = 12
    CCM_NONCE_BYTES = 11
    # What CBC is let write at once; it is thrown away and should stay in the nearest cache.
    SCRATCH_BYTES = 4096

cdef struct SigningKey:
    int algorithm
    # HMAC-SHA256: the hash after the padded key (RFC 2104), copied to start a message.
    libcrypto.SHA256_CTX inner
    libcrypto.SHA256_CTX outer
    # Owned.  AES-CMAC: AES-CBC that goes on from one message to the next.  AES-GMAC: AES-ECB for `gcm`.
    libcrypto.EVP_CIPHER_CTX *aes
    # Owned.  AES-GMAC; calls back with this structure for single blocks.
    libcrypto.GCM128_CONTEXT *gcm
    # AES-CMAC: the last block that came out of `aes`, which it will mix into the next block.
    uint8_t[BLOCK_BYTES] chain
    # AES-CMAC: K1 for a last block that is whole, K2 for one that is not (RFC 4493 section 2.3).
    uint8_t[BLOCK_BYTES] whole_key
    uint8_t[BLOCK_BYTES] partial_key
    # Set by what has no way to return an error.
    bint failed

cdef struct SealingKey:
    # Owned.
    libcrypto.EVP_CIPHER_CTX *context
    bint is_ccm

# Owned; fetched when the module is imported and kept until the process ends.
cdef libcrypto.EVP_CIPHER *_ecb = libcrypto.EVP_CIPHER_fetch(NULL, b"AES-128-ECB", NULL)
cdef libcrypto.EVP_CIPHER *_cbc = libcrypto.EVP_CIPHER_fetch(NULL, b"AES-128-CBC", NULL)
cdef libcrypto.EVP_CIPHER *_ccm_128 = libcrypto.EVP_CIPHER_fetch(NULL, b"AES-128-CCM", NULL)
cdef libcrypto.EVP_CIPHER *_ccm_256 = libcrypto.EVP_CIPHER_fetch(NULL, b"AES-256-CCM", NULL)
cdef libcrypto.EVP_CIPHER *_gcm_128 = libcrypto.EVP_CIPHER_fetch(NULL, b"AES-128-GCM", NULL)
cdef libcrypto.EVP_CIPHER *_gcm_256 = libcrypto.EVP_CIPHER_fetch(NULL, b"AES-256-GCM", NULL)

if NULL in (_ecb, _cbc, _ccm_128, _ccm_256, _gcm_128, _gcm_256):
    raise ImportError("this libcrypto lacks AES in a mode that SMB3 needs")


# --- signing ------------------------------------------------------------------------------------------------


cdef SigningKey *signing_key_new(int algorithm, const uint8_t *key) noexcept nogil:
    cdef SigningKey *new = <SigningKey *>libcrypto.OPENSSL_zalloc(sizeof(SigningKey))
    cdef bint is_ready = False
    if new is NULL:
        return NULL
    new.algorithm = algorithm
    if algorithm == HMAC_SHA256:
        is_ready = hmac_new(new, key)
    elif algorithm == AES_CMAC:
        is_ready = cmac_new(new, key)
    elif algorithm == AES_GMAC:
        is_ready = gmac_new(new, key)
    if not is_ready:
        libcrypto.ERR_clear_error()
        signing_key_free(new)
        return NULL
    return new


cdef void signing_key_free(SigningKey *key) noexcept nogil:
    if key is NULL:
        return
    libcrypto.CRYPTO_gcm128_release(key.gcm)
    libcrypto.EVP_CIPHER_CTX_free(key.aes)
    libcrypto.OPENSSL_clear_free(key, sizeof(SigningKey))


cdef int sign_message(
    SigningKey *key,
    const iovec *segments,
    int count,
    uint64_t message_id,
    unsigned nonce_bits,
    uint8_t *signature,
) noexcept nogil:
    cdef uint8_t[HEADER_BYTES] header
    cdef bint is_signed
    memcpy(header, segments[0].iov_base, HEADER_BYTES)
    memset(header + SIGNATURE_OFFSET, 0, SIGNATURE_BYTES)
    if key.algorithm == AES_GMAC:
        is_signed = gmac_sign(key, header, segments, count, message_id, nonce_bits, signature)
    elif key.algorithm == AES_CMAC:
        is_signed = cmac_sign(key, header, segments, count, signature)
    else:
        is_signed = hmac_sign(key, header, segments, count, signature)
    if not is_signed:
        libcrypto.ERR_clear_error()
        return -1
    return 0


cdef int verify_message(
    SigningKey *key, const iovec *segments, int count, uint64_t message_id, unsigned nonce_bits
) noexcept nogil:
    cdef uint8_t[SIGNATURE_BYTES] expected
    cdef const uint8_t *found = <const uint8_t *>segments[0].iov_base + SIGNATURE_OFFSET
    if sign_message(key, segments, count, message_id, nonce_bits, expected) < 0:
        return -1
    return libcrypto.CRYPTO_memcmp(expected, found, SIGNATURE_BYTES) == 0


cdef inline const uint8_t *bytes_of(const iovec *segments, int index, size_t *length) noexcept nogil:
    # A segment's memory without the header, which was taken from the first one already.
    cdef size_t taken = HEADER_BYTES if index == 0 else 0
    length[0] = segments[index].iov_len - taken
    return <const uint8_t *>segments[index].iov_base + taken


# HMAC-SHA256 (2.0.2 and 2.1; RFC 2104)


cdef bint hmac_new(SigningKey *new, const uint8_t *key) noexcept nogil:
    cdef uint8_t[HASH_BLOCK_BYTES] inner
    cdef uint8_t[HASH_BLOCK_BYTES] outer
    cdef int index
    memset(inner, 0x36, HASH_BLOCK_BYTES)
    memset(outer, 0x5C, HASH_BLOCK_BYTES)
    for index in range(SIGNING_KEY_BYTES):
        inner[index] ^= key[index]
        outer[index] ^= key[index]
    cdef bint is_ready = (
        libcrypto.SHA256_Init(&new.inner) > 0
        and libcrypto.SHA256_Update(&new.inner, inner, HASH_BLOCK_BYTES) > 0
        and libcrypto.SHA256_Init(&new.outer) > 0
        and libcrypto.SHA256_Update(&new.outer, outer, HASH_BLOCK_BYTES) > 0
    )
    libcrypto.OPENSSL_cleanse(inner, HASH_BLOCK_BYTES)
    libcrypto.OPENSSL_cleanse(outer, HASH_BLOCK_BYTES)
    return is_ready


cdef bint hmac_sign(
    SigningKey *key, const uint8_t *header, const iovec *segments, int count, uint8_t *signature
) noexcept nogil:
    cdef libcrypto.SHA256_CTX hashing = key.inner
    cdef uint8_t[HASH_BYTES] digest
    cdef const uint8_t *data
    cdef size_t length
    cdef int index
    if libcrypto.SHA256_Update(&hashing, header, HEADER_BYTES) <= 0:
        return False
    for index in range(count):
        data = bytes_of(segments, index, &length)
        if libcrypto.SHA256_Update(&hashing, data, length) <= 0:
            return False
    if libcrypto.SHA256_Final(digest, &hashing) <= 0:
        return False
    hashing = key.outer
    if libcrypto.SHA256_Update(&hashing, digest, HASH_BYTES) <= 0:
        return False
    if libcrypto.SHA256_Final(digest, &hashing) <= 0:
        return False
    memcpy(signature, digest, SIGNATURE_BYTES)
    return True


# AES-128-CMAC (3.x; RFC 4493)


cdef bint cmac_new(SigningKey *new, const uint8_t *key) noexcept nogil:
    cdef uint8_t[BLOCK_BYTES] zero
    memset(zero, 0, BLOCK_BYTES)
    new.aes = libcrypto.EVP_CIPHER_CTX_new()
    if (
        new.aes is NULL
        or libcrypto.EVP_CipherInit_ex(new.aes, _cbc, NULL, key, zero, 1) <= 0
        or libcrypto.EVP_CIPHER_CTX_set_padding(new.aes, 0) <= 0
        or libcrypto.EVP_Cipher(new.aes, new.chain, zero, BLOCK_BYTES) <= 0
    ):
        return False
    double_block(new.chain, new.whole_key)
    double_block(new.whole_key, new.partial_key)
    return True


cdef void double_block(const uint8_t *block, uint8_t *into) noexcept nogil:
    # Multiplied by x in GF(2^128), in constant time.
    cdef int index
    for index in range(BLOCK_BYTES - 1):
        into[index] = <uint8_t>(block[index] << 1 | block[index + 1] >> 7)
    into[BLOCK_BYTES - 1] = <uint8_t>(block[BLOCK_BYTES - 1] << 1 ^ (block[0] >> 7) * 0x87)


cdef inline void mix(uint8_t *block, const uint8_t *other) noexcept nogil:
    cdef int index
    for index in range(BLOCK_BYTES):
        block[index] ^= other[index]


cdef bint cmac_sign(
    SigningKey *key, uint8_t *header, const iovec *segments, int count, uint8_t *signature
) noexcept nogil:
    # Starting CBC again costs more than a short message's encryption.  So it is let go on, and what it will mix
    # into the first block is mixed in here beforehand, which leaves the block as it was.
    cdef uint8_t[BLOCK_BYTES] last
    cdef int pending = BLOCK_BYTES
    cdef const uint8_t *data
    cdef size_t length
    cdef int index
    mix(header, key.chain)
    memcpy(last, header + HEADER_BYTES - BLOCK_BYTES, BLOCK_BYTES)
    cdef bint is_done = cbc(key, header, HEADER_BYTES - BLOCK_BYTES)
    for index in range(count):
        data = bytes_of(segments, index, &length)
        is_done = is_done and cmac_take(key, data, length, last, &pending)
    if pending == BLOCK_BYTES:
        mix(last, key.whole_key)
    else:
        memset(last + pending, 0, BLOCK_BYTES - pending)
        last[pending] = 0x80
        mix(last, key.partial_key)
    is_done = is_done and cbc(key, last, BLOCK_BYTES)
    if not is_done:
        # What CBC will mix in is not known any more.
        memset(key.chain, 0, BLOCK_BYTES)
        libcrypto.EVP_CipherInit_ex(key.aes, NULL, NULL, NULL, key.chain, -1)
        return False
    memcpy(signature, key.chain, SIGNATURE_BYTES)
    return True


cdef bint cmac_take(
    SigningKey *key, const uint8_t *data, size_t length, uint8_t *last, int *pending
) noexcept nogil:
    # Encrypts all but the message's last block so far, whole or not, which stays in `last`.
    cdef size_t part = min(<size_t>(BLOCK_BYTES - pending[0]), length)
    memcpy(last + pending[0], data, part)
    pending[0] += <int>part
    data += part
    length -= part
    if length == 0:
        return True
    part = (length - 1) & ~<size_t>(BLOCK_BYTES - 1)
    if not cbc(key, last, BLOCK_BYTES) or not cbc(key, data, part):
        return False
    pending[0] = <int>(length - part)
    memcpy(last, data + part, pending[0])
    return True


cdef bint cbc(SigningKey *key, const uint8_t *data, size_t length) noexcept nogil:
    # Whole blocks; only the last one that comes out is kept.
    cdef uint8_t[SCRATCH_BYTES] scratch
    cdef size_t part = 0
    cdef size_t done = 0
    while done < length:
        part = min(length - done, <size_t>SCRATCH_BYTES)
        if libcrypto.EVP_Cipher(key.aes, scratch, data + done, <unsigned>part) <= 0:
            return False
        done += part
    if length > 0:
        memcpy(key.chain, scratch + part - BLOCK_BYTES, BLOCK_BYTES)
    return True


# AES-128-GMAC (3.1.1; RFC 4543): AES-GCM with nothing to encrypt, the message is additional data


cdef bint gmac_new(SigningKey *new, const uint8_t *key) noexcept nogil:
    new.aes = libcrypto.EVP_CIPHER_CTX_new()
    if (
        new.aes is NULL
        or libcrypto.EVP_CipherInit_ex(new.aes, _ecb, NULL, key, NULL, 1) <= 0
        or libcrypto.EVP_CIPHER_CTX_set_padding(new.aes, 0) <= 0
    ):
        return False
    new.gcm = libcrypto.CRYPTO_gcm128_new(new, encrypt_block)
    return new.gcm is not NULL and not new.failed


cdef void encrypt_block(const unsigned char *block, unsigned char *into, const void *key) noexcept nogil:
    cdef SigningKey *signing = <SigningKey *>key
    if libcrypto.EVP_Cipher(signing.aes, into, block, BLOCK_BYTES) <= 0:
        signing.failed = True


cdef bint gmac_sign(
    SigningKey *key,
    const uint8_t *header,
    const iovec *segments,
    int count,
    uint64_t message_id,
    unsigned nonce_bits,
    uint8_t *signature,
) noexcept nogil:
    # [MS-SMB2] 3.1.4.1: the message id, then 32 bits of which two are used; both little-endian.
    cdef uint8_t[GCM_NONCE_BYTES] nonce
    cdef const uint8_t *data
    cdef size_t length
    cdef int index
    for index in range(8):
        nonce[index] = <uint8_t>(message_id >> 8 * index)
    for index in range(4):
        nonce[8 + index] = <uint8_t>(nonce_bits >> 8 * index)
    key.failed = False
    libcrypto.CRYPTO_gcm128_setiv(key.gcm, nonce, GCM_NONCE_BYTES)
    if libcrypto.CRYPTO_gcm128_aad(key.gcm, header, HEADER_BYTES) != 0:
        return False
    for index in range(count):
        data = bytes_of(segments, index, &length)
        if libcrypto.CRYPTO_gcm128_aad(key.gcm, data, length) != 0:
            return False
    libcrypto.CRYPTO_gcm128_tag(key.gcm, signature, SIGNATURE_BYTES)
    return not key.failed


# --- sealing ------------------------------------------------------------------------------------------------


cdef SealingKey *sealing_key_new(int cipher, const uint8_t *key, bint seals) noexcept nogil:
    cdef libcrypto.EVP_CIPHER *chosen = NULL
    cdef SealingKey *new
    if cipher == AES_128_CCM:
        chosen = _ccm_128
    elif cipher == AES_128_GCM:
        chosen = _gcm_128
    elif cipher == AES_256_CCM:
        chosen = _ccm_256
    elif cipher == AES_256_GCM:
        chosen = _gcm_256
    if chosen is NULL:
        return NULL
    new = <SealingKey *>libcrypto.OPENSSL_zalloc(sizeof(SealingKey))
    if new is NULL:
        return NULL
    new.is_ccm = cipher in (AES_128_CCM, AES_256_CCM)
    new.context = libcrypto.EVP_CIPHER_CTX_new()
    if new.context is NULL or not set_up(new, chosen, key, seals):
        libcrypto.ERR_clear_error()
        sealing_key_free(new)
        return NULL
    return new


cdef bint set_up(
    SealingKey *new, const libcrypto.EVP_CIPHER *chosen, const uint8_t *key, bint seals
) noexcept nogil:
    # CCM wants the sizes of nonce and tag before the key.
    cdef int nonce_bytes = CCM_NONCE_BYTES if new.is_ccm else GCM_NONCE_BYTES
    return (
        libcrypto.EVP_CipherInit_ex(new.context, chosen, NULL, NULL, NULL, seals) > 0
        and libcrypto.EVP_CIPHER_CTX_ctrl(
            new.context, libcrypto.EVP_CTRL_AEAD_SET_IVLEN, nonce_bytes, NULL
        ) > 0
        and (
            not new.is_ccm
            or libcrypto.EVP_CIPHER_CTX_ctrl(
                new.context, libcrypto.EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, NULL
            ) > 0
        )
        and libcrypto.EVP_CipherInit_ex(new.context, NULL, NULL, key, NULL, -1) > 0
    )


cdef void sealing_key_free(SealingKey *key) noexcept nogil:
    if key is NULL:
        return
    libcrypto.EVP_CIPHER_CTX_free(key.context)
    libcrypto.OPENSSL_clear_free(key, sizeof(SealingKey))


cdef int seal_message(
    SealingKey *key,
    const uint8_t *nonce,
    const uint8_t *authenticated,
    size_t authenticated_bytes,
    const iovec *segments,
    int count,
    uint8_t *into,
    uint8_t *tag,
) noexcept nogil:
    cdef int nothing
    cdef size_t total = length_of(segments, count)
    if (
        not start(key, nonce, authenticated, authenticated_bytes, total)
        or not encrypt_or_decrypt(key, segments, count, into, total)
        or libcrypto.EVP_CipherFinal_ex(key.context, into + total, &nothing) <= 0
        or libcrypto.EVP_CIPHER_CTX_ctrl(
            key.context, libcrypto.EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tag
        ) <= 0
    ):
        libcrypto.ERR_clear_error()
        return -1
    return 0


cdef int open_message(
    SealingKey *key,
    const uint8_t *nonce,
    const uint8_t *authenticated,
    size_t authenticated_bytes,
    const iovec *segments,
    int count,
    uint8_t *into,
    const uint8_t *tag,
) noexcept nogil:
    cdef int nothing
    cdef int result
    cdef size_t total = length_of(segments, count)
    if (
        libcrypto.EVP_CIPHER_CTX_ctrl(
            key.context, libcrypto.EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, <void *>tag
        ) <= 0
        or not start(key, nonce, authenticated, authenticated_bytes, total)
    ):
        result = -1
    elif not encrypt_or_decrypt(key, segments, count, into, total):
        # CCM compares the tag here.
        result = 0 if key.is_ccm else -1
    else:
        result = key.is_ccm or libcrypto.EVP_CipherFinal_ex(key.context, into + total, &nothing) > 0
    if result != 1:
        libcrypto.OPENSSL_cleanse(into, total)
        libcrypto.ERR_clear_error()
    return result


cdef size_t length_of(const iovec *segments, int count) noexcept nogil:
    cdef size_t total = 0
    cdef int index
    for index in range(count):
        total += segments[index].iov_len
    return total


cdef bint start(
    SealingKey *key, const uint8_t *nonce, const uint8_t *authenticated, size_t authenticated_bytes, size_t total
) noexcept nogil:
    cdef int nothing
    if total > INT_MAX or authenticated_bytes > INT_MAX:
        return False
    if libcrypto.EVP_CipherInit_ex(key.context, NULL, NULL, NULL, nonce, -1) <= 0:
        return False
    if key.is_ccm and libcrypto.EVP_CipherUpdate(key.context, NULL, &nothing, NULL, <int>total) <= 0:
        return False
    return authenticated_bytes == 0 or libcrypto.EVP_CipherUpdate(
        key.context, NULL, &nothing, authenticated, <int>authenticated_bytes
    ) > 0


cdef bint encrypt_or_decrypt(
    SealingKey *key, const iovec *segments, int count, uint8_t *into, size_t total
) noexcept nogil:
    cdef const uint8_t *data
    cdef size_t done = 0
    cdef int written
    cdef int index
    if key.is_ccm and count == 1 and total > 0:
        data = <const uint8_t *>segments[0].iov_base
        return libcrypto.EVP_CipherUpdate(key.context, into, &written, data, <int>total) > 0
    for index in range(count):
        data = <const uint8_t *>segments[index].iov_base
        # Empty ones are passed over: without memory they would mean the end.
        if segments[index].iov_len == 0:
            continue
        if key.is_ccm:
            # CCM takes a message in one piece only.
            memmove(into + done, data, segments[index].iov_len)
        elif libcrypto.EVP_CipherUpdate(
            key.context, into + done, &written, data, <int>segments[index].iov_len
        ) <= 0:
            return False
        done += segments[index].iov_len
    return not key.is_ccm or libcrypto.EVP_CipherUpdate(key.context, into, &written, into, <int>total) > 0
