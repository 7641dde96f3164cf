# Header of _files.pyx.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from smbd_uring._native._connection cimport Device, Grant

# Monotonic time in nanoseconds.
cdef int64_t monotonic_ns() noexcept nogil
# Whether calls on the descriptor's file system may be made by the plane's own thread.
cdef bint is_on_local_file_system(int descriptor) noexcept nogil
# Whether somebody holds a lock on a range of the file through another open file.
cdef bint is_locked_elsewhere(int descriptor) noexcept nogil
# Up to `length` bytes at `offset`, fewer only at the file's end.  -EAGAIN: this would have to wait for a device.
cdef int64_t read_now(Grant *grant, uint8_t *into, uint32_t length, uint64_t offset) noexcept nogil
# 0 once all of it is written.  -EAGAIN: this might have to wait.
cdef int64_t write_now(Grant *grant, const uint8_t *data, uint32_t length, uint64_t offset) noexcept nogil
# How many of the bytes asked for there are, if all of them are in memory; else -EAGAIN.
cdef int64_t bytes_in_memory(Grant *grant, uint32_t length, uint64_t offset) noexcept nogil
# Exactly `length` bytes, with zeros for what the file no longer has.
cdef void read_or_zero(int descriptor, uint8_t *into, size_t length, uint64_t offset) noexcept nogil
