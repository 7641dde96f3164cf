# Header of _histogram.pyx.

from libc.stdint cimport uint64_t


cdef enum:
    # Buckets per power of two: a bucket is at most 1/128 of its value wide.
    SUB_BUCKET_BITS = 7
    SUB_BUCKETS = 128
    # Up to 2^41 ns, 36 minutes; longer counts as that.
    VALUE_BITS_MAX = 41
    BUCKETS = (VALUE_BITS_MAX - SUB_BUCKET_BITS + 1) * SUB_BUCKETS


cdef class Histogram:
    # Values below SUB_BUCKETS have a bucket each; above, each power of two has SUB_BUCKETS of the same width.
    cdef uint64_t counts[BUCKETS]
    cdef readonly uint64_t total
    cdef readonly uint64_t maximum

    cdef void record(self, uint64_t value) noexcept nogil
