# cython: language_level=3
"""Memory for frames and replies, used again as soon as it is free.

Knows: sizes.  Must not know: what is kept in it.

A block that was used last is taken first: it is still in the processor's cache, and its pages are there.  Fresh pages
of the system cost a fault each, which for a reply of 1 MiB is more than reading it from the page cache.
"""

from libc.stdlib cimport free, malloc

cdef enum:
    ALIGNMENT = 64
    # Room beside the payload: headers, transform header, bookkeeping.
    OVERHEAD = 1024

cdef size_t CAPACITY[POOL_CLASSES]
CAPACITY[:] = [
    4096 + OVERHEAD, 16384 + OVERHEAD, 65536 + OVERHEAD, 262144 + OVERHEAD, 1048576 + OVERHEAD, 8388608 + OVERHEAD,
]

cdef enum:
    # Free blocks are kept up to this: a client that reads 8 times 1 MiB at once needs 8 of them again and again.
    BYTES_KEPT_MAX = 33554432


cdef Block *pool_take(Pool *pool, size_t bytes) noexcept nogil:
    cdef Block *block
    cdef size_t capacity = bytes
    cdef int size_class = -1, index
    for index in range(POOL_CLASSES):
        if bytes <= CAPACITY[index]:
            size_class, capacity = index, CAPACITY[index]
            break
    if size_class >= 0 and pool.free[size_class] is not NULL:
        block = pool.free[size_class]
        pool.free[size_class] = block.next
        pool.bytes_kept -= capacity
    else:
        block = <Block *>malloc(ALIGNMENT + capacity)
        if block is NULL:
            return NULL
        block.size_class = size_class
        block.capacity = capacity
        block.data = <uint8_t *>block + ALIGNMENT
    block.next = NULL
    pool.bytes_taken += capacity
    return block


cdef void pool_give(Pool *pool, Block *block) noexcept nogil:
    if block is NULL:
        return
    pool.bytes_taken -= block.capacity
    if block.size_class < 0 or pool.bytes_kept + block.capacity > BYTES_KEPT_MAX:
        free(block)
        return
    block.next = pool.free[block.size_class]
    pool.free[block.size_class] = block
    pool.bytes_kept += block.capacity


cdef void pool_trim(Pool *pool) noexcept nogil:
    cdef Block *block
    cdef int index
    for index in range(POOL_CLASSES):
        while pool.free[index] is not NULL:
            block = pool.free[index]
            pool.free[index] = block.next
            free(block)
    pool.bytes_kept = 0
