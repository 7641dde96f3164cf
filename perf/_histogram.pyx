# cython: language_level=3
"""Counts of durations in buckets whose width grows with the value: percentiles to 1 % for 35 KiB.

Knows: numbers.  Must not know: what takes so long.
"""

from libc.stdint cimport uint64_t
from libc.string cimport memset

from math import ceil

cdef extern from *:
    int leading_zeros "__builtin_clzll"(unsigned long long value) noexcept nogil


cdef inline unsigned bucket_of(uint64_t value) noexcept nogil:
    cdef unsigned shift
    if value < SUB_BUCKETS:
        return <unsigned>value
    if value >> VALUE_BITS_MAX:
        return BUCKETS - 1
    shift = 63 - leading_zeros(value) - SUB_BUCKET_BITS
    # The leading bit, which is always set, counts one group of buckets on.
    return (shift << SUB_BUCKET_BITS) + <unsigned>(value >> shift)


cdef uint64_t highest_of(unsigned bucket) noexcept nogil:
    cdef unsigned shift
    if bucket < SUB_BUCKETS:
        return bucket
    shift = (bucket >> SUB_BUCKET_BITS) - 1
    return ((<uint64_t>(bucket & (SUB_BUCKETS - 1)) + SUB_BUCKETS + 1) << shift) - 1


cdef class Histogram:
    """Durations in ns."""

    cdef void record(self, uint64_t value) noexcept nogil:
        self.counts[bucket_of(value)] += 1
        self.total += 1
        if value > self.maximum:
            self.maximum = value

    def add(self, value):
        """Count one value of 0 or more."""
        self.record(value)

    def clear(self):
        """Forget all values."""
        memset(self.counts, 0, sizeof(self.counts))
        self.total = self.maximum = 0

    def percentile(self, percent):
        """The value that `percent` of all values do not exceed, at most 1 % too high; 0 without values."""
        cdef uint64_t seen = 0
        cdef uint64_t wanted = max(1, ceil(self.total * percent / 100))
        cdef unsigned bucket
        if self.total == 0:
            return 0
        for bucket in range(<unsigned>BUCKETS):
            seen += self.counts[bucket]
            if seen >= wanted:
                return min(highest_of(bucket), self.maximum)
        return self.maximum
