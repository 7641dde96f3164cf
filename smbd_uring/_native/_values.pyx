# cython: language_level=3
"""Values of one xattr of files, remembered as long as the file does not change.

Knows: that every change of a file, its xattrs and its permissions included, sets its change time (ctime), which nobody
can set otherwise.  Must not know: what the values mean, on which file systems that is so.

Times go on in steps: two changes within one have the same time, and the second would not be noticed.  So a value is
kept only when it was read after the step of the change was over: whatever comes later has a later time.  How large a
step is shows in the time itself: a time of whole seconds, say, may come from a file system that counts in seconds.

One object is for one thread.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy
from libc.time cimport time_t

from smbd_uring._native._statx cimport makedev, statx_buffer

cdef extern from "<time.h>" nogil:
    cdef struct timespec:
        # Seconds and nanoseconds.
        time_t tv_sec
        long tv_nsec
    enum:
        CLOCK_REALTIME_COARSE
    int clock_gettime(int clock, timespec *now)

cdef enum:
    # 1.3 MiB in all; a power of two.
    PLACES = 16384
    SECOND_NS = 1000000000


cdef int64_t file_clock_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_REALTIME_COARSE, &now)
    return <int64_t>now.tv_sec * SECOND_NS + now.tv_nsec


cdef int64_t step_of(uint32_t nanoseconds) noexcept nogil:
    """The largest step, in nanoseconds, in which a clock may count that shows these nanoseconds of a second."""
    cdef int64_t step = 1
    if nanoseconds == 0:
        # FAT counts in steps of two seconds.
        return 2 * <int64_t>SECOND_NS
    while nanoseconds % 10 == 0:
        nanoseconds //= 10
        step *= 10
    return step


cdef class ValueCache:
    """Remembers values of the xattr `xattr`; a new file takes the place of another one."""

    def __cinit__(self, bytes xattr):
        self.xattr = xattr
        self.places = <kept_value *>calloc(PLACES, sizeof(kept_value))
        if self.places is NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.places)

    def hits(self):
        """How often a value was known."""
        return self.known

    cdef bint find(self, const statx_buffer *status, uint32_t identity, char *value, ssize_t *length) noexcept nogil:
        """Whether the value of this file as it is now is known; `value` (KEPT_BYTES) and `length` get it."""
        cdef kept_value *place = &self.places[place_of(status, identity)]
        if (
            place.inode != status.stx_ino
            or place.changed_ns != status.stx_ctime.tv_nsec
            or place.changed_s != status.stx_ctime.tv_sec
            or place.identity != identity
            or place.device != makedev(status.stx_dev_major, status.stx_dev_minor)
            or place.inode == 0
        ):
            return False
        self.known += 1
        length[0] = place.length
        if place.length > 0:
            memcpy(value, place.value, place.length)
        return True

    cdef void keep(
        self, const statx_buffer *status, uint32_t identity, int64_t read_at_ns, const char *value, ssize_t length
    ) noexcept nogil:
        """Remember what was read after `status` was taken, which was after `read_at_ns` of `file_clock_ns`."""
        cdef kept_value *place
        cdef int64_t changed_ns
        if length < -1 or length > KEPT_BYTES or not 0 <= status.stx_ctime.tv_sec < <int64_t>SECOND_NS * 8:
            return
        changed_ns = status.stx_ctime.tv_sec * SECOND_NS + status.stx_ctime.tv_nsec
        if changed_ns + step_of(status.stx_ctime.tv_nsec) > read_at_ns:
            return
        place = &self.places[place_of(status, identity)]
        place.device = makedev(status.stx_dev_major, status.stx_dev_minor)
        place.inode = status.stx_ino
        place.changed_s = status.stx_ctime.tv_sec
        place.changed_ns = status.stx_ctime.tv_nsec
        place.identity = identity
        place.length = <int>length
        if length > 0:
            memcpy(place.value, value, length)


cdef inline uint32_t place_of(const statx_buffer *status, uint32_t identity) noexcept nogil:
    cdef uint64_t mixed = (status.stx_ino ^ <uint64_t>identity << 40 ^ <uint64_t>status.stx_dev_minor << 20)
    mixed *= <uint64_t>0x9E3779B97F4A7C15
    return <uint32_t>(mixed >> 50)
