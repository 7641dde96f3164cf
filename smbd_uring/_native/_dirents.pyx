# cython: language_level=3
"""The names in a directory, read without the GIL.

Knows: getdents64.  Must not know: what becomes of the names.  `smbd_uring.loop.directories` has the Python
twin.
"""

from libc.errno cimport errno
from libc.stdint cimport int64_t, uint16_t, uint64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport strlen

import os

cdef object new_tuple = tuple.__new__

cdef extern from "<unistd.h>" nogil:
    long syscall(long number, ...)

cdef extern from "<sys/syscall.h>":
    enum:
        SYS_getdents64

cdef extern from *:
    """
    struct smbd_dirent {
        unsigned long long inode;
        long long offset;
        unsigned short record_length;
        unsigned char kind;
        char name[];
    };
    """
    cdef struct smbd_dirent:
        # struct linux_dirent64: where the next entry begins, DT_* of this one, its name up to a NUL.
        uint64_t inode
        int64_t offset
        uint16_t record_length
        uint8_t kind
        char name[1]

cdef enum:
    # One call returns about 2,000 entries with short names in this.
    BUFFER_BYTES = 65536


cdef inline bint is_dots(const char *name) noexcept nogil:
    return name[0] == 46 and (name[1] == 0 or (name[1] == 46 and name[2] == 0))


def read_directory(int descriptor, entry_type, Py_ssize_t names_max):
    """All entries from the descriptor's position on but "." and "..", each an `entry_type` made of
    (name, inode, kind); None when there are more than `names_max`.  Raises OSError, MemoryError."""
    cdef char *buffer = <char *>malloc(BUFFER_BYTES)
    cdef long count = 1, position
    cdef int number = 0
    cdef smbd_dirent *entry
    cdef list entries = []
    if buffer is NULL:
        raise MemoryError
    try:
        while count > 0:
            with nogil:
                count = syscall(SYS_getdents64, descriptor, buffer, <unsigned int>BUFFER_BYTES)
                if count < 0:
                    number = errno
            position = 0
            while position < count:
                entry = <smbd_dirent *>(buffer + position)
                if not is_dots(entry.name):
                    name = entry.name[:strlen(entry.name)]
                    entries.append(new_tuple(entry_type, (name, entry.inode, entry.kind)))
                position += entry.record_length
            if len(entries) > names_max:
                return None
        if number:
            raise OSError(number, os.strerror(number))
        return entries
    finally:
        free(buffer)
