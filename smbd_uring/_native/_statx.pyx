# cython: language_level=3
"""statx and one xattr of many names of a directory in one step, without the GIL.

Knows: the two system calls.  Must not know: why a listing is made.  `smbd_uring.loop.directories` has the
Python twin.
"""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.errno cimport EACCES, ELOOP, ENOENT, ENOSYS, ENOTDIR, EOPNOTSUPP, EPERM, ERANGE, ESTALE, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport free, malloc
from libc.time cimport time_t

from smbd_uring._native._values cimport ValueCache, file_clock_ns

import os

cdef object new_tuple = tuple.__new__

cdef extern from *:
    """
    #include <errno.h>
    #define errno_set(number) (errno = (number))
    """
    void errno_set(int number) noexcept nogil

cdef extern from "<errno.h>" nogil:
    enum:
        ENODATA

cdef extern from "<sys/xattr.h>" nogil:
    ssize_t lgetxattr(const char *path, const char *name, void *value, size_t size)

cdef extern from "<unistd.h>" nogil:
    long syscall(long number, ...)

cdef extern from "<time.h>" nogil:
    cdef struct timespec:
        # Seconds and nanoseconds.
        time_t tv_sec
        long tv_nsec
    enum:
        CLOCK_MONOTONIC
    int clock_gettime(int clock, timespec *now)

cdef struct xattr_args:
    # The argument of getxattrat(2): address and size of the room for the value; no flags exist.
    uint64_t value
    uint32_t size, flags

cdef enum:
    # "/proc/self/fd/", a number, "/", a name of 255 bytes, NUL.
    PATH_BYTES = 320
    # Names looked at between two looks at the clock.
    BATCH = 64
    SYS_GETXATTRAT = 464


# Whether the kernel has getxattrat (6.13); found out by asking once.
cdef bint has_getxattrat = True


cdef ssize_t xattr_at(
    int directory, const char *path, int flags, const char *xattr, void *value, uint32_t size
) noexcept nogil:
    """getxattrat; -1 with ENOSYS where the kernel has none."""
    global has_getxattrat
    cdef xattr_args arguments
    cdef ssize_t length
    if not has_getxattrat:
        errno_set(ENOSYS)
        return -1
    arguments.value = <uint64_t><size_t>value
    arguments.size = size
    arguments.flags = 0
    length = syscall(SYS_GETXATTRAT, directory, path, flags, xattr, &arguments, sizeof(arguments))
    if length < 0 and errno == ENOSYS:
        has_getxattrat = False
    return length


cdef void look(
    int directory, const char *name, const char *xattr, uint64_t device, ValueCache cache, bint has_cache,
    uint32_t identity, int64_t began_ns, entry_facts *facts,
) noexcept nogil:
    """`device` is the only one whose files may be asked for more than what the kernel knows of them; 0 is any.
    `cache`, if there is one, may know the value for `identity`; `began_ns` is when this batch began."""
    cdef char path[PATH_BYTES]
    cdef int flags = AT_SYMLINK_NOFOLLOW
    if device:
        flags |= AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC
    facts.error = 0
    facts.value_length = -1
    facts.is_longer = False
    facts.is_foreign = False
    if call_statx(directory, name, flags, STATX_WANTED, &facts.status) < 0:
        facts.error = errno
        return
    if device and makedev(facts.status.stx_dev_major, facts.status.stx_dev_minor) != device:
        facts.is_foreign = True
        return
    if has_cache and cache.find(&facts.status, identity, facts.value, &facts.value_length):
        return
    facts.value_length = xattr_at(directory, name, AT_SYMLINK_NOFOLLOW, xattr, facts.value, VALUE_BYTES)
    if facts.value_length < 0 and errno == ENOSYS:
        if snprintf(path, PATH_BYTES, "/proc/self/fd/%d/%s", directory, name) >= PATH_BYTES:
            return
        facts.value_length = lgetxattr(path, xattr, facts.value, VALUE_BYTES)
    facts.is_longer = facts.value_length < 0 and errno == ERANGE
    if has_cache and (facts.value_length >= 0 or errno in (ENODATA, EOPNOTSUPP, EACCES, EPERM)):
        cache.keep(&facts.status, identity, began_ns, facts.value, facts.value_length)


cdef int64_t now_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * 1000000000 + now.tv_nsec


cdef object long_value(int directory, bytes name, bytes xattr):
    """The value again, with room for any; None when it went meanwhile."""
    try:
        return os.getxattr(b"/proc/self/fd/%d/%s" % (directory, name), xattr, follow_symlinks=False)
    except OSError:
        return None


# Seconds since the epoch of which the nanoseconds fit in 64 bits, either way.
cdef int64_t SECONDS_MAX = 9000000000


cdef object nanoseconds(statx_timestamp *moment):
    if -SECONDS_MAX < moment.tv_sec < SECONDS_MAX:
        return moment.tv_sec * 1000000000 + <int64_t>moment.tv_nsec
    return <int64_t>moment.tv_sec * <object>1_000_000_000 + moment.tv_nsec


cdef tuple fields(statx_buffer *status):
    return (
        makedev(status.stx_dev_major, status.stx_dev_minor),
        status.stx_ino,
        status.stx_mode,
        status.stx_nlink,
        status.stx_uid,
        status.stx_gid,
        status.stx_size,
        status.stx_blocks * 512,
        nanoseconds(&status.stx_atime),
        nanoseconds(&status.stx_mtime),
        nanoseconds(&status.stx_ctime),
        nanoseconds(&status.stx_btime) if status.stx_mask & STATX_BTIME else None,
    )


cdef bint is_absent(int error) noexcept nogil:
    """Whether one name of many may be unseen for this reason: gone, or not for these eyes."""
    return error in (ENOENT, EACCES, EPERM, ELOOP, ENOTDIR, ESTALE)


cdef class EntryTable:
    """What was seen of many names of a directory: a sequence of None for a name that is gone or may not be seen, else
    (status, value or None), made when it is asked for."""

    def __cinit__(self, list names, object status_type):
        self.names = names
        self.count = len(names)
        self.status_type = status_type
        self.long_values = {}
        self.facts = <entry_facts *>malloc(max(self.count, 1) * sizeof(entry_facts))
        if self.facts is NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.facts)

    def __len__(self):
        return self.count

    def __getitem__(self, Py_ssize_t index):
        if not 0 <= index < self.count:
            raise IndexError(index)
        if self.facts[index].error:
            return None
        return (self.status(index), self.value(index))

    cdef object status(self, Py_ssize_t index):
        return new_tuple(self.status_type, fields(&self.facts[index].status))

    cdef object value(self, Py_ssize_t index):
        # Absent, unsupported or not permitted: to a listing all of these mean that there is no value.
        cdef entry_facts *facts = &self.facts[index]
        if facts.is_longer:
            return self.long_values.get(index)
        return facts.value[:facts.value_length] if facts.value_length >= 0 else None


def stat_entries(
    int directory, list names, bytes xattr, status_type, uint64_t device, int64_t budget_ns, ValueCache cache=None,
    uint32_t identity=0,
):
    """An `EntryTable` with `status_type` made of the fields of FileStatus for each of `names` (bytes, single components
    without NUL).  No symlink is followed.

    None when a name is on another device than `device` (0: any may be), or when it takes longer than `budget_ns`.
    `cache` may know values for `identity`, which stands for the thread's.  Raises OSError, MemoryError."""
    cdef const char *pointers[BATCH]
    cdef const char *xattr_name = PyBytes_AS_STRING(xattr)
    cdef EntryTable table = EntryTable(names, status_type)
    cdef entry_facts *facts
    cdef Py_ssize_t start
    cdef int count, index
    cdef bytes name
    cdef int64_t end = now_ns() + budget_ns, began_ns
    cdef bint is_over = False, has_cache = cache is not None and cache.xattr == xattr
    for start in range(0, table.count, BATCH):
        count = <int>min(<Py_ssize_t>BATCH, table.count - start)
        facts = table.facts + start
        for index in range(count):
            name = names[start + index]
            pointers[index] = PyBytes_AS_STRING(name)
        with nogil:
            began_ns = file_clock_ns()
            for index in range(count):
                look(
                    directory, pointers[index], xattr_name, device, cache, has_cache, identity, began_ns,
                    &facts[index],
                )
                is_over = is_over or facts[index].is_foreign
            is_over = is_over or now_ns() > end
        if is_over:
            return None
        for index in range(count):
            if facts[index].error and not is_absent(facts[index].error):
                raise OSError(facts[index].error, os.strerror(facts[index].error))
            if facts[index].is_longer:
                table.long_values[start + index] = long_value(directory, names[start + index], xattr)
    return table
