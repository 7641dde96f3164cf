# Header of _pool.pyx.

from libc.stdint cimport uint8_t

cdef enum:
    POOL_CLASSES = 6


cdef struct Block:
    # Memory of a pool.  Owned by whoever took it, who gives it back to the same pool.
    Block *next
    # Bytes at `data`, and into which list it goes back; -1: too large to be kept.
    size_t capacity
    int size_class
    uint8_t *data


cdef struct Pool:
    # One thread's.  Owned: the free blocks.
    Block *free[POOL_CLASSES]
    # Bytes in free blocks, and in blocks that are taken.
    size_t bytes_kept
    size_t bytes_taken


# A block of `bytes` at least, its contents undefined; NULL when there is no memory.
cdef Block *pool_take(Pool *pool, size_t bytes) noexcept nogil
# NULL is fine.
cdef void pool_give(Pool *pool, Block *block) noexcept nogil
# Return to the system what is free.
cdef void pool_trim(Pool *pool) noexcept nogil
