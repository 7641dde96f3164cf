# cython: language_level=3
"""statx and one xattr of many names of a directory in one step, without the GIL.

Knows: the two system calls.  Must not know: why a listing is made.  `smbd_uring.loop.syscalls` has the
Python twin.
"""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.errno cimport EACCES, ELOOP, ENOENT, ENOTDIR, EPERM, ERANGE, ESTALE, errno
from libc.stdint cimport int64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport free, malloc

import os

cdef extern from "<sys/xattr.h>" nogil:
    ssize_t lgetxattr(const char *path, const char *name, void *value, size_t size)

cdef enum:
    # "/proc/self/fd/", a number, "/", a name of 255 bytes, NUL.
    PATH_BYTES = 320
    # Longer values are fetched again with the room they need.
    VALUE_BYTES = 1024
    # Names looked at between two looks at Python objects.
    BATCH = 64

cdef struct entry_facts:
    int error
    ssize_t value_length
    bint is_longer
    statx_buffer status
    char value[VALUE_BYTES]


cdef void look(int directory, const char *name, const char *xattr, entry_facts *facts) noexcept nogil:
    cdef char path[PATH_BYTES]
    cdef int length
    facts.error = 0
    facts.value_length = -1
    facts.is_longer = False
    if call_statx(directory, name, AT_SYMLINK_NOFOLLOW, STATX_WANTED, &facts.status) < 0:
        facts.error = errno
        return
    length = snprintf(path, PATH_BYTES, "/proc/self/fd/%d/%s", directory, name)
    if length < PATH_BYTES:
        facts.value_length = lgetxattr(path, xattr, facts.value, VALUE_BYTES)
        facts.is_longer = facts.value_length < 0 and errno == ERANGE


cdef object long_value(int directory, bytes name, bytes xattr):
    """The value again, with room for any; None when it went meanwhile."""
    try:
        return os.getxattr(b"/proc/self/fd/%d/%s" % (directory, name), xattr, follow_symlinks=False)
    except OSError:
        return None


cdef inline object nanoseconds(statx_timestamp *moment):
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


cdef object result_of(int directory, bytes name, bytes xattr, entry_facts *facts):
    if facts.error in (ENOENT, EACCES, EPERM, ELOOP, ENOTDIR, ESTALE):
        return None
    if facts.error:
        raise OSError(facts.error, os.strerror(facts.error))
    if facts.is_longer:
        return (fields(&facts.status), long_value(directory, name, xattr))
    # Absent, unsupported or not permitted: to a listing all of these mean that there is no value.
    return (fields(&facts.status), facts.value[:facts.value_length] if facts.value_length >= 0 else None)


def stat_entries(int directory, list names, bytes xattr):
    """For each of `names` (bytes, single components without NUL): None when it is gone or may not be seen,
    else (fields of FileStatus, value or None).  No symlink is followed.  Raises OSError, MemoryError."""
    cdef const char *pointers[BATCH]
    cdef const char *xattr_name = PyBytes_AS_STRING(xattr)
    cdef entry_facts *facts = <entry_facts *>malloc(BATCH * sizeof(entry_facts))
    cdef Py_ssize_t start
    cdef int count, index
    cdef list results = []
    cdef bytes name
    if facts is NULL:
        raise MemoryError
    try:
        for start in range(0, len(names), BATCH):
            batch = names[start:start + BATCH]
            count = 0
            for name in batch:
                pointers[count] = PyBytes_AS_STRING(name)
                count += 1
            with nogil:
                for index in range(count):
                    look(directory, pointers[index], xattr_name, &facts[index])
            for index in range(count):
                results.append(result_of(directory, batch[index], xattr, &facts[index]))
        return results
    finally:
        free(facts)
