# What this project uses of OpenSSL 3's libcrypto.  Declarations only.
#
# The SHA256_ functions are deprecated in favour of EVP, whose contexts cannot start again without memory being
# allocated; the crypto128 functions are public and are not.

from libc.stdint cimport uint64_t

cdef extern from * nogil:
    """
    #define OPENSSL_SUPPRESS_DEPRECATED
    """

cdef extern from "<openssl/crypto.h>" nogil:
    int CRYPTO_memcmp(const void *one, const void *other, size_t length)
    void OPENSSL_cleanse(void *memory, size_t length)
    void *OPENSSL_zalloc(size_t length)
    void OPENSSL_clear_free(void *memory, size_t length)

cdef extern from "<openssl/err.h>" nogil:
    void ERR_clear_error()

cdef extern from "<openssl/sha.h>" nogil:
    ctypedef struct SHA256_CTX:
        pass
    int SHA256_Init(SHA256_CTX *context)
    int SHA256_Update(SHA256_CTX *context, const void *data, size_t length)
    int SHA256_Final(unsigned char *digest, SHA256_CTX *context)

cdef extern from "<openssl/evp.h>" nogil:
    ctypedef struct EVP_CIPHER:
        pass
    ctypedef struct EVP_CIPHER_CTX:
        pass
    ctypedef struct OSSL_LIB_CTX:
        pass
    ctypedef struct ENGINE:
        pass
    int EVP_CTRL_AEAD_SET_IVLEN
    int EVP_CTRL_AEAD_GET_TAG
    int EVP_CTRL_AEAD_SET_TAG

    EVP_CIPHER *EVP_CIPHER_fetch(OSSL_LIB_CTX *library, const char *algorithm, const char *properties)
    EVP_CIPHER_CTX *EVP_CIPHER_CTX_new()
    void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *context)
    int EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX *context, int command, int number, void *pointer)
    int EVP_CIPHER_CTX_set_padding(EVP_CIPHER_CTX *context, int padding)
    # `encrypts`: 1 or 0, -1 leaves it as it is.
    int EVP_CipherInit_ex(
        EVP_CIPHER_CTX *context,
        const EVP_CIPHER *cipher,
        ENGINE *engine,
        const unsigned char *key,
        const unsigned char *nonce,
        int encrypts,
    )
    int EVP_CipherUpdate(
        EVP_CIPHER_CTX *context, unsigned char *into, int *written, const unsigned char *data, int length
    )
    int EVP_CipherFinal_ex(EVP_CIPHER_CTX *context, unsigned char *into, int *written)
    # Whole blocks, without what EVP_CipherUpdate keeps back.
    int EVP_Cipher(
        EVP_CIPHER_CTX *context, unsigned char *into, const unsigned char *data, unsigned int length
    )

cdef extern from "<openssl/modes.h>" nogil:
    ctypedef struct GCM128_CONTEXT:
        pass
    ctypedef void (*block128_f)(const unsigned char *block, unsigned char *into, const void *key) noexcept nogil
    GCM128_CONTEXT *CRYPTO_gcm128_new(void *key, block128_f block)
    void CRYPTO_gcm128_setiv(GCM128_CONTEXT *context, const unsigned char *nonce, size_t length)
    int CRYPTO_gcm128_aad(GCM128_CONTEXT *context, const unsigned char *data, size_t length)
    void CRYPTO_gcm128_tag(GCM128_CONTEXT *context, unsigned char *tag, size_t length)
    void CRYPTO_gcm128_release(GCM128_CONTEXT *context)
