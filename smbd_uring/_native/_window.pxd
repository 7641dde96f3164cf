# Header of _window.pyx.

from libc.stdint cimport uint64_t


cdef struct Window:
    # Ids in [low, high) may be used; `used` has a bit for each, at its number modulo `capacity`.
    uint64_t low
    uint64_t high
    # Ids in [low, high) whose bit is not set.
    uint64_t available
    # A power of two, in ids; owned: capacity / 64 words.
    uint64_t capacity
    uint64_t *used


# A window that holds the id 0 alone and may grow to `span_max` ids.  0, or -1 when there is no memory.
cdef int window_set_up(Window *window, uint64_t span_max) noexcept nogil
cdef void window_tear_down(Window *window) noexcept nogil
# Use `charge` ids from `first` on: 1, or 0 when one of them may not be used.
cdef bint window_take(Window *window, uint64_t first, uint64_t charge) noexcept nogil
# Widen the window as asked, to at most `span_max` ids; result: by how many.
cdef uint64_t window_grant(Window *window, uint64_t requested, uint64_t span_max) noexcept nogil
