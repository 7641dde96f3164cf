# cython: language_level=3
"""The calling thread's groups, file system gid and file system uid, set in one step.

Knows: the bare system calls, whose numbers it is given.  Must not know: who the ids belong to.
`smbd_uring.loop.identity` has the Python twin.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.errno cimport EPERM, errno
from libc.stdint cimport uint32_t

cdef extern from "<unistd.h>" nogil:
    long syscall(long number, ...)

cdef enum:
    # (uid_t)-1: setfsuid and setfsgid change nothing and tell the present value.
    NO_ID = 0xFFFFFFFF


def take(long setgroups, long setfsgid, long setfsuid, tuple groups, uint32_t gid, uint32_t uid):
    """Set them and read the ids back, which is how a refusal shows.  Result: 0 or an errno.

    Holds the GIL: no call of these ever waits."""
    cdef Py_ssize_t count = len(groups), index
    cdef uint32_t *ids = <uint32_t *>PyMem_Malloc((count + 1) * sizeof(uint32_t))
    if ids is NULL:
        raise MemoryError
    try:
        for index in range(count):
            ids[index] = groups[index]
        if syscall(setgroups, count, ids) < 0:
            return errno
    finally:
        PyMem_Free(ids)
    syscall(setfsgid, gid)
    syscall(setfsuid, uid)
    if <uint32_t>syscall(setfsgid, <uint32_t>NO_ID) != gid or <uint32_t>syscall(setfsuid, <uint32_t>NO_ID) != uid:
        return EPERM
    return 0
