# Values of one xattr of files, remembered as long as the file does not change.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from smbd_uring._native._statx cimport statx_buffer

cdef enum:
    # Longer values are not remembered.
    KEPT_BYTES = 40

cdef struct kept_value:
    # Which file, as which identity (a number the caller gives); all 0 while the place is free.
    uint64_t device, inode
    # When the file had last changed when the value was read.
    int64_t changed_s
    uint32_t changed_ns, identity
    # Bytes in `value`, or -1 for a file without one.
    int length
    char value[KEPT_BYTES]

cdef class ValueCache:
    # The places, owned: allocated with the object and freed with it.
    cdef kept_value *places
    # The xattr whose values are kept.
    cdef readonly bytes xattr
    # How often a value was known.
    cdef uint64_t known
    cdef bint find(self, const statx_buffer *status, uint32_t identity, char *value, ssize_t *length) noexcept nogil
    cdef void keep(
        self, const statx_buffer *status, uint32_t identity, int64_t read_at_ns, const char *value, ssize_t length
    ) noexcept nogil

# The clock that file systems take their times from, in nanoseconds since the epoch; it goes on in ticks.
cdef int64_t file_clock_ns() noexcept nogil
