# What test files contain: each 64-bit word (in the machine's order) is a function of its place and of a seed, so
# that any piece of a file can be made and checked without a copy of it.

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy


cdef inline uint64_t word_at(uint64_t index, uint64_t seed) noexcept nogil:
    cdef uint64_t mixed = (index + seed) * <uint64_t>0x9E3779B97F4A7C15
    mixed ^= mixed >> 29
    mixed *= <uint64_t>0xBF58476D1CE4E5B9
    return mixed ^ (mixed >> 32)


# `offset` and `length` are multiples of 8 bytes.
cdef inline void fill_content(uint8_t *into, uint64_t offset, size_t length, uint64_t seed) noexcept nogil:
    cdef size_t at
    cdef uint64_t word
    for at in range(0, length, 8):
        word = word_at((offset + at) >> 3, seed)
        memcpy(into + at, &word, 8)


# Whether `length` bytes are what stands at `offset` of such a file.
cdef inline bint is_content(const uint8_t *data, uint64_t offset, size_t length, uint64_t seed) noexcept nogil:
    cdef size_t at
    cdef uint64_t word
    cdef uint64_t difference = 0
    for at in range(0, length, 8):
        memcpy(&word, data + at, 8)
        difference |= word ^ word_at((offset + at) >> 3, seed)
    return difference == 0
