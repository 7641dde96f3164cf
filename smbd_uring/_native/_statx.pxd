# statx(2) as this package calls it, shared by the modules that look at files.

from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "<sys/stat.h>" nogil:
    """
    #include <sys/sysmacros.h>
    """
    cdef struct statx_timestamp:
        # Seconds since the Unix epoch, and nanoseconds after them.
        int64_t tv_sec
        uint32_t tv_nsec

    cdef struct statx_buffer "statx":
        # Which fields the file system filled; links and owner.
        uint32_t stx_mask, stx_nlink, stx_uid, stx_gid
        # Type and permission bits.
        unsigned short stx_mode
        # `stx_blocks` counts 512 bytes each.
        uint64_t stx_ino, stx_size, stx_blocks
        statx_timestamp stx_atime, stx_btime, stx_ctime, stx_mtime
        # The device of the file system that holds the file.
        uint32_t stx_dev_major, stx_dev_minor

    int call_statx "statx"(int directory, const char *name, int flags, unsigned mask, statx_buffer *buffer)
    uint64_t makedev(unsigned major, unsigned minor)

cdef enum:
    AT_SYMLINK_NOFOLLOW = 0x100
    AT_NO_AUTOMOUNT = 0x800
    AT_EMPTY_PATH = 0x1000
    AT_STATX_DONT_SYNC = 0x4000
    STATX_BTIME = 0x800
    STATX_WANTED = 0xFFF

# The fields of ports.FileStatus in their order.
cdef tuple fields(statx_buffer *status)

# A moment as Python has it, nanoseconds since the epoch.
cdef object nanoseconds(statx_timestamp *moment)

cdef enum:
    # Longer values are fetched again with the room they need.
    VALUE_BYTES = 64

cdef struct entry_facts:
    # 0, or why there is no status; the rest is then without meaning.
    int error
    # Bytes in `value`; -1 for none.
    ssize_t value_length
    # Whether the value is longer than `value` has room for; whether the file is on another device than asked for.
    bint is_longer, is_foreign
    statx_buffer status
    char value[VALUE_BYTES]

cdef class EntryTable:
    # One place a name, owned: allocated with the object and freed with it.
    cdef entry_facts *facts
    cdef Py_ssize_t count
    # The names that were looked at, bytes in the same order; nobody changes the list.
    cdef list names
    # Values that are longer than a place has room for, by position.
    cdef dict long_values
    cdef object status_type
    cdef object status(self, Py_ssize_t index)
    cdef object value(self, Py_ssize_t index)

# getxattrat(2): the length of the value, or -1 with errno set, ENOSYS where the kernel has no such call.
cdef ssize_t xattr_at(
    int directory, const char *path, int flags, const char *xattr, void *value, uint32_t size
) noexcept nogil
