# Flags and counts that one thread writes and another reads without a lock.
#
# Knows: the compiler's atomics.  Must not know: what the flags and counts are about.
#
# Nothing else is published by them: what belongs to a flag is guarded by a lock.  On the usual processors each of these
# is an ordinary load or store.

from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #define SMBD_LOAD(at) __atomic_load_n((at), __ATOMIC_ACQUIRE)
    #define SMBD_STORE(at, value) __atomic_store_n((at), (value), __ATOMIC_RELEASE)
    #define SMBD_ADD(at, more) __atomic_store_n((at), *(at) + (more), __ATOMIC_RELAXED)
    """
    bint load_flag "SMBD_LOAD"(const bint *at) nogil
    void store_flag "SMBD_STORE"(bint *at, bint value) nogil
    uint64_t load_count "SMBD_LOAD"(const uint64_t *at) nogil
    # Only ever called by the one thread that writes the count.
    void add_to_count "SMBD_ADD"(uint64_t *at, uint64_t more) nogil
