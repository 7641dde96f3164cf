# cython: language_level=3
"""The message-id window of one connection, as `engine.credits` has it, for the data plane.

Knows: [MS-SMB2] 3.3.1.1, 3.3.1.2 and 3.3.5.2.3.  Must not know: connections, commands.
"""

from libc.stdlib cimport calloc, free


cdef int window_set_up(Window *window, uint64_t span_max) noexcept nogil:
    cdef uint64_t capacity = 64
    while capacity < span_max:
        capacity *= 2
    window.used = <uint64_t *>calloc(capacity // 64, sizeof(uint64_t))
    window.capacity = capacity
    window.low = 0
    window.high = 1
    window.available = 1
    return 0 if window.used is not NULL else -1


cdef void window_tear_down(Window *window) noexcept nogil:
    free(window.used)
    window.used = NULL


cdef inline uint64_t *word_of(Window *window, uint64_t number) noexcept nogil:
    return &window.used[(number & (window.capacity - 1)) // 64]


cdef bint window_take(Window *window, uint64_t first, uint64_t charge) noexcept nogil:
    cdef uint64_t number
    cdef uint64_t *word
    if charge < 1 or first < window.low or first >= window.high or charge > window.high - first:
        return False
    for number in range(first, first + charge):
        if word_of(window, number)[0] >> (number & 63) & 1:
            return False
    for number in range(first, first + charge):
        word_of(window, number)[0] |= <uint64_t>1 << (number & 63)
    window.available -= charge
    while window.low < window.high:
        word = word_of(window, window.low)
        if not word[0] >> (window.low & 63) & 1:
            break
        word[0] &= ~(<uint64_t>1 << (window.low & 63))
        window.low += 1
    return True


cdef uint64_t window_grant(Window *window, uint64_t requested, uint64_t span_max) noexcept nogil:
    cdef uint64_t span = window.high - window.low
    cdef uint64_t granted = requested if requested else 1
    if span_max > window.capacity:
        span_max = window.capacity
    if granted > (span_max - span if span_max > span else 0):
        granted = span_max - span if span_max > span else 0
    # A client without any usable id is always given one, or it could never speak again.
    if granted == 0 and window.available == 0:
        granted = 1
    window.high += granted
    window.available += granted
    return granted


cdef class MessageWindow:
    """The window by itself, with the interface of `engine.credits.CreditWindow`; it never grows beyond `span_max`."""

    cdef Window window

    def __cinit__(self, span_max):
        if window_set_up(&self.window, span_max) < 0:
            raise MemoryError

    def __dealloc__(self):
        window_tear_down(&self.window)

    @property
    def available(self):
        """How many ids the client may still use."""
        return self.window.available

    @property
    def span(self):
        """Distance from the lowest unused id to the end of the window."""
        return self.window.high - self.window.low

    def take(self, uint64_t message_id, uint64_t charge):
        """See `CreditWindow.take`."""
        return window_take(&self.window, message_id, charge)

    def grant(self, uint64_t requested, uint64_t span_max):
        """See `CreditWindow.grant`."""
        return window_grant(&self.window, requested, span_max)
