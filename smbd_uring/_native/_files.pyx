# cython: language_level=3
"""Reads and writes that need not wait, done at once by the plane's thread.

Knows: which calls can be kept from waiting, and which file systems answer soon.  Must not know: SMB, the ring.

A read out of the page cache takes a microsecond; asking a ring for it costs as much again.  So it is tried at once with
RWF_NOWAIT, which answers EAGAIN where a disk would have to be waited for, and only then goes to the ring.  Buffered
writes have no such flag on most file systems.  They go to memory and wait only when too much of it is dirty; on a local
file system they are made at once, timed, and left to the kernel's workers for a while after one was slow.
"""

from libc.errno cimport EAGAIN, EINTR, EIO, EOPNOTSUPP, errno
from libc.string cimport memset

from smbd_uring._native.uio cimport iovec

cdef extern from "<sys/uio.h>" nogil:
    ssize_t preadv2(int descriptor, const iovec *vectors, int count, int64_t offset, int flags)
    int RWF_NOWAIT

cdef extern from "<unistd.h>" nogil:
    ssize_t pread(int descriptor, void *into, size_t length, int64_t offset)
    ssize_t pwrite(int descriptor, const void *data, size_t length, int64_t offset)
    long syscall(long number, ...)
    long sysconf(int name)
    int _SC_PAGESIZE

cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int CLOCK_MONOTONIC
    int clock_gettime(int clock, timespec *now)

cdef extern from "<sys/stat.h>" nogil:
    struct stat_result "stat":
        int64_t st_size
    int fstat(int descriptor, stat_result *into)

cdef extern from "<sys/vfs.h>" nogil:
    struct statfs_result "statfs":
        long f_type
    int fstatfs(int descriptor, statfs_result *into)

cdef extern from "<fcntl.h>" nogil:
    struct flock:
        short l_type
        short l_whence
        int64_t l_start
        int64_t l_len
        int l_pid
    int fcntl(int descriptor, int command, ...)
    int F_WRLCK
    int F_UNLCK

cdef enum:
    # F_OFD_GETLK, the same on every architecture; the C library hides it without _GNU_SOURCE.
    OFD_GETLK = 36

cdef enum:
    # cachestat, 6.5 and later; the number is the same on every architecture.
    SYS_CACHESTAT = 451

cdef uint64_t PAGE_BYTES = <uint64_t>sysconf(_SC_PAGESIZE)

cdef struct cachestat_range:
    uint64_t offset
    uint64_t length

cdef struct cachestat_counts:
    uint64_t cached
    uint64_t dirty
    uint64_t writeback
    uint64_t evicted
    uint64_t recently_evicted

cdef int64_t SLOW_WRITE_NS = 20000000
cdef int64_t SLOW_FOR_NS = 5000000000

# ext2 to ext4, xfs, btrfs, f2fs, tmpfs, ramfs, overlayfs, bcachefs: their answers come from this machine.
cdef long[9] LOCAL_FILE_SYSTEMS
LOCAL_FILE_SYSTEMS[:] = [
    0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0x01021994, 0x858458F6, 0x794C7630, 0xCA451A4E, 0x2FC12FC1,
]


cdef int64_t monotonic_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * 1000000000 + now.tv_nsec


cdef bint is_on_local_file_system(int descriptor) noexcept nogil:
    cdef statfs_result found
    cdef int index
    if fstatfs(descriptor, &found) < 0:
        return False
    for index in range(9):
        if found.f_type == LOCAL_FILE_SYSTEMS[index]:
            return True
    return False


cdef bint is_locked_elsewhere(int descriptor) noexcept nogil:
    cdef flock wanted
    memset(&wanted, 0, sizeof(wanted))
    wanted.l_type = <short>F_WRLCK
    return fcntl(descriptor, OFD_GETLK, &wanted) == 0 and wanted.l_type != F_UNLCK


cdef int64_t read_now(Grant *grant, uint8_t *into, uint32_t length, uint64_t offset) noexcept nogil:
    cdef uint32_t done = 0
    cdef ssize_t count
    cdef iovec vector
    while done < length:
        if grant.nowait_refused:
            if not grant.device.is_local:
                return -EAGAIN
            count = pread(grant.descriptor, into + done, length - done, <int64_t>(offset + done))
        else:
            vector.iov_base = into + done
            vector.iov_len = length - done
            count = preadv2(grant.descriptor, &vector, 1, <int64_t>(offset + done), RWF_NOWAIT)
        if count == 0:
            break
        if count > 0:
            done += <uint32_t>count
        elif errno == EOPNOTSUPP and not grant.nowait_refused:
            # tmpfs, whose reads wait for nothing but swap.
            grant.nowait_refused = True
        elif errno != EINTR:
            return -errno
    return done


cdef int64_t write_now(Grant *grant, const uint8_t *data, uint32_t length, uint64_t offset) noexcept nogil:
    cdef uint32_t done = 0
    cdef ssize_t count
    cdef int64_t begun, ended
    if not grant.device.is_local:
        return -EAGAIN
    begun = monotonic_ns()
    if begun < grant.device.slow_until:
        return -EAGAIN
    while done < length:
        count = pwrite(grant.descriptor, data + done, length - done, <int64_t>(offset + done))
        if count > 0:
            done += <uint32_t>count
        elif count == 0:
            return -EIO
        elif errno == EAGAIN:
            return -EIO
        elif errno != EINTR:
            return -errno
    ended = monotonic_ns()
    if ended - begun > SLOW_WRITE_NS:
        grant.device.slow_until = ended + SLOW_FOR_NS
    return 0


cdef int64_t bytes_in_memory(Grant *grant, uint32_t length, uint64_t offset) noexcept nogil:
    cdef stat_result found
    cdef cachestat_range wanted
    cdef cachestat_counts counts
    cdef int64_t left
    cdef uint64_t pages
    if fstat(grant.descriptor, &found) < 0:
        return -EAGAIN
    left = found.st_size - <int64_t>offset
    if left <= 0:
        return -EAGAIN
    if left < <int64_t>length:
        length = <uint32_t>left
    wanted.offset = offset
    wanted.length = length
    if syscall(SYS_CACHESTAT, grant.descriptor, &wanted, &counts, 0) < 0:
        return -EAGAIN
    pages = (offset + length - 1) // PAGE_BYTES - offset // PAGE_BYTES + 1
    if counts.cached < pages:
        return -EAGAIN
    return length


cdef void read_or_zero(int descriptor, uint8_t *into, size_t length, uint64_t offset) noexcept nogil:
    cdef size_t done = 0
    cdef ssize_t count
    while done < length:
        count = pread(descriptor, into + done, length - done, <int64_t>(offset + done))
        if count > 0:
            done += <size_t>count
        elif count == 0 or errno != EINTR:
            memset(into + done, 0, length - done)
            return
