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

# getxattrat(2): the length of the value, or -1 with errno set, ENOSYS where the kernel has no such call.
cdef ssize_t xattr_at(
    int directory, const char *path, int flags, const char *xattr, void *value, uint32_t size
) noexcept nogil
