# cython: language_level=3
"""What opening, describing and removing one file take, each in one step without the GIL.

Knows: openat2, statx, the xattr calls, unlinkat.  Must not know: why, and for whom: the calling thread's
identity decides.  `smbd_uring.loop.paths` has the Python twins.

A descriptor of this process is reached through /proc/self/fd, kept open: one step of the path instead of four.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.errno cimport E2BIG, EACCES, EBADF, ELOOP, ENOENT, ENOSYS, EOPNOTSUPP, EPERM, ERANGE, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy

from smbd_uring._native._statx cimport (
    AT_EMPTY_PATH,
    AT_NO_AUTOMOUNT,
    AT_STATX_DONT_SYNC,
    AT_SYMLINK_NOFOLLOW,
    STATX_BTIME,
    STATX_WANTED,
    call_statx,
    fields,
    makedev,
    statx_buffer,
    statx_timestamp,
    xattr_at,
)
from smbd_uring._native._values cimport ValueCache, file_clock_ns

import os

cdef extern from "<errno.h>" nogil:
    enum:
        ENODATA

cdef extern from "<sys/xattr.h>" nogil:
    ssize_t getxattr(const char *path, const char *name, void *value, size_t size)
    ssize_t fgetxattr(int descriptor, const char *name, void *value, size_t size)
    int fsetxattr(int descriptor, const char *name, const void *value, size_t size, int flags)

cdef extern from "<endian.h>" nogil:
    uint64_t htole64(uint64_t value)

cdef extern from "<fcntl.h>" nogil:
    enum:
        O_CLOEXEC
        O_CREAT
        O_EXCL
        O_DIRECTORY
        O_PATH
    int open(const char *path, int flags)

cdef extern from "<unistd.h>" nogil:
    ctypedef int pid_t
    int close(int descriptor)
    pid_t getpid()
    long syscall(long number, ...)
    int unlinkat(int directory, const char *name, int flags)

cdef extern from "<sys/stat.h>" nogil:
    bint S_ISLNK(int mode)

cdef struct open_how:
    # The argument of openat2(2): open flags, permission bits, RESOLVE_* bits.
    uint64_t flags, mode, resolve

cdef enum:
    SYS_OPENAT2 = 437
    SYS_FACCESSAT2 = 439
    AT_EACCESS = 0x200
    AT_REMOVEDIR = 0x200
    # "/proc/self/fd/", a number, NUL.
    PATH_BYTES = 32
    # Longer values are fetched again with the room they need.
    VALUE_BYTES = 1024
    # What `value_of` answers when it is to be fetched again.
    LONGER = -2

cdef int64_t SECONDS_1601_TO_1970 = 11644473600

# /proc/self/fd of the process `own_descriptors_of`; -1 while it is not open.  Never closed: a fork opens its own,
# since the kernel would show it its parent's.
cdef int own_descriptors = -1
cdef pid_t own_descriptors_of = 0


cdef int own_descriptors_now() noexcept nogil:
    """The descriptor of /proc/self/fd, or -1.  Two threads at once may open it twice; both serve."""
    global own_descriptors, own_descriptors_of
    if own_descriptors_of != getpid():
        own_descriptors = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC)
        own_descriptors_of = getpid()
    return own_descriptors


cdef ssize_t value_of_path_handle(int descriptor, const char *xattr, char *value) noexcept nogil:
    """getxattr of what an O_PATH descriptor stands for; sets errno."""
    cdef char path[PATH_BYTES]
    cdef ssize_t length
    cdef int base = own_descriptors_now()
    if base >= 0:
        snprintf(path, PATH_BYTES, "%d", descriptor)
        length = xattr_at(base, path, 0, xattr, value, VALUE_BYTES)
        if length >= 0 or errno != ENOSYS:
            return length
    snprintf(path, PATH_BYTES, "/proc/self/fd/%d", descriptor)
    return getxattr(path, xattr, value, VALUE_BYTES)


cdef ssize_t value_of(int descriptor, bint is_path, const char *xattr, char *value) noexcept nogil:
    """The value's length, -1 when there is none for this thread, LONGER, or an errno below LONGER, negative
    and one less than it is."""
    cdef ssize_t length = -1
    if xattr[0] == 0:
        return -1
    if not is_path:
        length = fgetxattr(descriptor, xattr, value, VALUE_BYTES)
    if is_path or (length < 0 and errno == EBADF):
        length = value_of_path_handle(descriptor, xattr, value)
    if length >= 0:
        return length
    if errno == ERANGE:
        return LONGER
    if errno in (ENODATA, EOPNOTSUPP, EACCES, EPERM, ENOSYS):
        return -1
    return LONGER - 1 - errno


cdef ssize_t value_now(
    int descriptor, bint is_path, const char *xattr, char *value, const statx_buffer *status, ValueCache cache,
    bint has_cache, uint32_t identity, int64_t began_ns,
) noexcept nogil:
    """As `value_of`, from the cache where it knows; `status` is the file's, taken after `began_ns`."""
    cdef ssize_t length = -1
    if has_cache and cache.find(status, identity, value, &length):
        return length
    length = value_of(descriptor, is_path, xattr, value)
    if has_cache:
        cache.keep(status, identity, began_ns, value, length)
    return length


cdef object failure(int number):
    return OSError(number, os.strerror(number))


cdef object value_object(int descriptor, bytes xattr, ssize_t length, char *value):
    """The value as bytes, or None.  Raises OSError."""
    if length >= 0:
        return value[:length]
    if length == -1:
        return None
    if length < LONGER:
        raise failure(<int>(LONGER - 1 - length))
    try:
        return os.getxattr(b"/proc/self/fd/%d" % descriptor, xattr)
    except OSError as error:
        # It went while it was fetched again.
        if error.errno == ENODATA:
            return None
        raise


def look_up(
    int directory, bytes path, uint64_t flags, uint64_t resolve, bytes xattr, ValueCache cache=None,
    uint32_t identity=0,
):
    """openat2, statx and getxattr.  `path` and `xattr` have no NUL; an empty `xattr` asks for none.
    `cache` may know the value for `identity`, which stands for the thread's.

    Result: (descriptor, fields of FileStatus, value or None).  Raises OSError; then nothing stays open."""
    cdef const char *c_path = PyBytes_AS_STRING(path)
    cdef const char *c_xattr = PyBytes_AS_STRING(xattr)
    cdef open_how how
    cdef statx_buffer status
    cdef char value[VALUE_BYTES]
    cdef ssize_t length = -1
    cdef int descriptor, number = 0
    cdef int64_t began_ns = 0
    cdef bint has_cache = cache is not None and cache.xattr == xattr
    how.flags = flags | O_CLOEXEC
    how.mode = 0
    how.resolve = resolve
    with nogil:
        if has_cache:
            began_ns = file_clock_ns()
        descriptor = <int>syscall(SYS_OPENAT2, directory, c_path, &how, sizeof(how))
        if descriptor < 0:
            number = errno
        elif call_statx(descriptor, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_WANTED, &status) < 0:
            number = errno
        else:
            length = value_now(
                descriptor, flags & O_PATH != 0, c_xattr, value, &status, cache, has_cache, identity, began_ns
            )
    if descriptor < 0:
        raise failure(number)
    try:
        if number:
            raise failure(number)
        return (descriptor, fields(&status), value_object(descriptor, xattr, length, value))
    except BaseException:
        close(descriptor)
        raise


def visit(int directory, bytes path, uint64_t flags, uint64_t resolve, int mode):
    """openat2, statx, faccessat2 as the thread's effective identity unless `mode` is 0, and close.  `path` has no NUL.
    Result: fields of FileStatus.  Raises OSError."""
    cdef const char *c_path = PyBytes_AS_STRING(path)
    cdef open_how how
    cdef statx_buffer status
    cdef int descriptor, number = 0
    how.flags = flags | O_CLOEXEC
    how.mode = 0
    how.resolve = resolve
    with nogil:
        descriptor = <int>syscall(SYS_OPENAT2, directory, c_path, &how, sizeof(how))
        if descriptor < 0:
            number = errno
        else:
            if (
                call_statx(descriptor, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_WANTED, &status) < 0
                or (mode and syscall(SYS_FACCESSAT2, descriptor, "", mode, AT_EMPTY_PATH | AT_EACCESS) < 0)
            ):
                number = errno
            close(descriptor)
    if number:
        raise failure(number)
    return fields(&status)


cdef uint64_t created_of(const statx_buffer *status) noexcept nogil:
    """When a file was made, in 100 ns since 1601."""
    cdef const statx_timestamp *moment = &status.stx_btime
    if not status.stx_mask & STATX_BTIME:
        moment = &status.stx_mtime
        if (
            status.stx_ctime.tv_sec < moment.tv_sec
            or (status.stx_ctime.tv_sec == moment.tv_sec and status.stx_ctime.tv_nsec < moment.tv_nsec)
        ):
            moment = &status.stx_ctime
    return <uint64_t>((moment.tv_sec + SECONDS_1601_TO_1970) * 10000000 + moment.tv_nsec // 100)


cdef int set_value(int descriptor, const char *xattr, char *value, size_t length, statx_buffer *status) noexcept nogil:
    """Set the xattr to `value`, of which the last 8 bytes are to be the creation time.  An errno, or 0 and the status
    after that."""
    cdef uint64_t created = htole64(created_of(status))
    memcpy(value + length - sizeof(created), &created, sizeof(created))
    if fsetxattr(descriptor, xattr, value, length, 0) < 0:
        return errno
    # The file has changed by that; where the kernel does not say how, the status before is true enough.
    call_statx(descriptor, "", AT_EMPTY_PATH, STATX_WANTED, status)
    return 0


def create_file(
    int directory, bytes path, uint64_t flags, uint64_t mode, uint64_t resolve, bytes xattr, bytes value
):
    """openat2 with O_CREAT and O_EXCL, statx, fsetxattr of `value` and the creation time behind it, unless `xattr` is
    empty, and statx.  `path` and `xattr` have no NUL.

    Result: (descriptor, fields of FileStatus or None, errno or 0) as `ports.Created`.  Raises OSError when no file was
    made."""
    cdef const char *c_path = PyBytes_AS_STRING(path)
    cdef const char *c_xattr = PyBytes_AS_STRING(xattr)
    cdef const char *c_value = PyBytes_AS_STRING(value)
    cdef size_t length = PyBytes_GET_SIZE(value)
    cdef char whole[VALUE_BYTES]
    cdef open_how how
    cdef statx_buffer status
    cdef int descriptor, number = 0
    cdef bint is_known = False
    if length > VALUE_BYTES - sizeof(uint64_t):
        raise failure(E2BIG)
    how.flags = flags | O_CREAT | O_EXCL | O_CLOEXEC
    how.mode = mode
    how.resolve = resolve
    with nogil:
        descriptor = <int>syscall(SYS_OPENAT2, directory, c_path, &how, sizeof(how))
        if descriptor < 0:
            number = errno
        elif call_statx(descriptor, "", AT_EMPTY_PATH, STATX_WANTED, &status) < 0:
            number = errno
        else:
            is_known = True
            if c_xattr[0]:
                memcpy(whole, c_value, length)
                number = set_value(descriptor, c_xattr, whole, length + sizeof(uint64_t), &status)
    if descriptor < 0:
        raise failure(number)
    return (descriptor, fields(&status) if is_known else None, number)


def describe(int descriptor, bytes xattr, ValueCache cache=None, uint32_t identity=0):
    """statx and fgetxattr of any descriptor; `cache` as in `look_up`.  Result: (fields of FileStatus, value or None).  Raises OSError."""
    cdef const char *c_xattr = PyBytes_AS_STRING(xattr)
    cdef statx_buffer status
    cdef char value[VALUE_BYTES]
    cdef ssize_t length = -1
    cdef int number = 0
    cdef int64_t began_ns = 0
    cdef bint has_cache = cache is not None and cache.xattr == xattr
    with nogil:
        if has_cache:
            began_ns = file_clock_ns()
        if call_statx(descriptor, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_WANTED, &status) < 0:
            number = errno
        else:
            length = value_now(
                descriptor, False, c_xattr, value, &status, cache, has_cache, identity, began_ns
            )
    if number:
        raise failure(number)
    return (fields(&status), value_object(descriptor, xattr, length, value))


def describe_at(
    int directory, bytes path, uint64_t resolve, bytes xattr, ValueCache cache=None, uint32_t identity=0
):
    """What `look_up` finds, with nothing left open.  Result: (fields of FileStatus, value or None).  Raises OSError."""
    cdef const char *c_path = PyBytes_AS_STRING(path)
    cdef const char *c_xattr = PyBytes_AS_STRING(xattr)
    cdef open_how how
    cdef statx_buffer status
    cdef char value[VALUE_BYTES]
    cdef ssize_t length = -1
    cdef int descriptor, number = 0
    cdef int64_t began_ns = 0
    cdef bint has_cache = cache is not None and cache.xattr == xattr
    how.flags = O_PATH | O_CLOEXEC
    how.mode = 0
    how.resolve = resolve
    with nogil:
        if has_cache:
            began_ns = file_clock_ns()
        descriptor = <int>syscall(SYS_OPENAT2, directory, c_path, &how, sizeof(how))
        if descriptor < 0:
            number = errno
        else:
            if call_statx(descriptor, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_WANTED, &status) < 0:
                number = errno
            else:
                length = value_now(descriptor, True, c_xattr, value, &status, cache, has_cache, identity, began_ns)
            if length != LONGER:
                close(descriptor)
    if number:
        raise failure(number)
    if length != LONGER:
        return (fields(&status), value_object(descriptor, xattr, length, value))
    try:
        return (fields(&status), value_object(descriptor, xattr, length, value))
    finally:
        close(descriptor)


def stat(int directory, bytes name, int flags):
    """statx of `name`, or of the descriptor itself when it is empty; no symlink is followed.  `flags` are more
    AT_* flags.  Result: fields of FileStatus.  Raises OSError."""
    cdef const char *c_name = PyBytes_AS_STRING(name)
    cdef statx_buffer status
    cdef int number = 0
    with nogil:
        if call_statx(directory, c_name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | flags, STATX_WANTED, &status) < 0:
            number = errno
    if number:
        raise failure(number)
    return fields(&status)


def open_at(int directory, bytes path, uint64_t flags, uint64_t mode, uint64_t resolve):
    """openat2.  Result: a descriptor.  Raises OSError."""
    cdef const char *c_path = PyBytes_AS_STRING(path)
    cdef open_how how
    cdef int descriptor, number = 0
    how.flags = flags
    how.mode = mode
    how.resolve = resolve
    with nogil:
        descriptor = <int>syscall(SYS_OPENAT2, directory, c_path, &how, sizeof(how))
        if descriptor < 0:
            number = errno
    if number:
        raise failure(number)
    return descriptor


def reopen(int descriptor, uint64_t flags):
    """Open the file behind a descriptor again, as openat2.  Result: a descriptor.  Raises OSError."""
    cdef char path[PATH_BYTES]
    cdef open_how how
    cdef int base, opened, number = 0
    how.flags = flags
    how.mode = how.resolve = 0
    with nogil:
        base = own_descriptors_now()
        snprintf(path, PATH_BYTES, "%d", descriptor)
        opened = <int>syscall(SYS_OPENAT2, base, path, &how, sizeof(how)) if base >= 0 else -1
        if opened < 0:
            number = errno
    if number:
        raise failure(number)
    return opened


def check_access(int descriptor, int mode):
    """faccessat2 of the file behind any descriptor, as the thread's effective identity.  Raises OSError."""
    cdef int number = 0
    with nogil:
        if syscall(SYS_FACCESSAT2, descriptor, "", mode, AT_EMPTY_PATH | AT_EACCESS) < 0:
            number = errno
    if number:
        raise failure(number)


def close_small(int descriptor, int64_t bytes_max):
    """Close a descriptor, unless that may free more than `bytes_max` of a file without a name, which takes long.
    Result: whether it was closed.  Raises OSError; closed it is all the same."""
    cdef statx_buffer status
    cdef int number = 0
    cdef bint is_small
    with nogil:
        is_small = (
            call_statx(descriptor, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_WANTED, &status) < 0
            or status.stx_nlink > 0
            or <int64_t>status.stx_blocks * 512 <= bytes_max
        )
        if is_small and close(descriptor) < 0:
            number = errno
    if number:
        raise failure(number)
    return is_small


def remove(
    int directory, bytes path, uint64_t resolve, bytes name, uint64_t device, uint64_t inode, bint is_directory,
    int64_t bytes_max,
):
    """Open the directory `path` (empty: `directory` itself) and unlink `name` in it when it is the file
    (`device`, `inode`).

    Result: True, or False and nothing done when it holds more than `bytes_max` and this is its last name.
    Raises OSError: ENOENT when the name is another file's, ELOOP when it is a symlink's, else the kernel's.
    """
    cdef const char *c_path = PyBytes_AS_STRING(path)
    cdef const char *c_name = PyBytes_AS_STRING(name)
    cdef bint is_elsewhere = PyBytes_GET_SIZE(path) > 0
    cdef bint is_large = False
    cdef int parent = directory, number = 0
    cdef open_how how
    how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC
    how.mode = 0
    how.resolve = resolve
    with nogil:
        if is_elsewhere:
            parent = <int>syscall(SYS_OPENAT2, directory, c_path, &how, sizeof(how))
        if parent < 0:
            number = errno
        else:
            number = remove_from(parent, c_name, device, inode, is_directory, bytes_max, &is_large)
            if is_elsewhere:
                close(parent)
    if number:
        raise failure(number)
    return not is_large


cdef int remove_from(
    int parent, const char *name, uint64_t device, uint64_t inode, bint is_directory, int64_t bytes_max,
    bint *is_large,
) noexcept nogil:
    """An errno, or 0."""
    cdef statx_buffer status
    # A name may be a mount point of another machine's files, which must not be asked.
    cdef int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC
    if call_statx(parent, name, flags, STATX_WANTED, &status) < 0:
        return errno
    if S_ISLNK(status.stx_mode):
        return ELOOP
    if status.stx_ino != inode or makedev(status.stx_dev_major, status.stx_dev_minor) != device:
        return ENOENT
    if not is_directory and status.stx_nlink == 1 and <int64_t>status.stx_blocks * 512 > bytes_max:
        is_large[0] = True
        return 0
    return errno if unlinkat(parent, name, AT_REMOVEDIR if is_directory else 0) < 0 else 0


# Opened with the module, so that a process's descriptors are the same before its first file and after it.
own_descriptors_now()
