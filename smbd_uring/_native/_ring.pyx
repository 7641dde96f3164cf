# cython: language_level=3
"""The operations of the ring, one method each: the thin surface that Python sees.

Knows: how each operation is prepared and which memory it needs.  Must not know: who wants it and why.

Every method queues one operation and returns it at once; the kernel sees it at the next `wait` or `submit`.
`personality` is a number from `register_personality`, or 0 for the process itself.  Paths and names must be
free of NUL bytes.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint64_t
from smbd_uring._native cimport liburing
from smbd_uring._native._operation cimport Operation

cdef enum:
    # Not in liburing 2.3's header; used only where the kernel's probe reports it.
    OP_FTRUNCATE = 55
    # Linux transfers no more at a time.
    TRANSFER_MAX = 0x7FFFF000
    STATX_WANTED = 0xFFF

XATTR_BYTES = 4096
"""Largest xattr that getxattr of a ring fetches; a longer one ends in -ERANGE."""

OP_FSYNC = liburing.IORING_OP_FSYNC
OP_POLL_ADD = liburing.IORING_OP_POLL_ADD
OP_ACCEPT = liburing.IORING_OP_ACCEPT
OP_FALLOCATE = liburing.IORING_OP_FALLOCATE
OP_CLOSE = liburing.IORING_OP_CLOSE
OP_STATX = liburing.IORING_OP_STATX
OP_READ = liburing.IORING_OP_READ
OP_WRITE = liburing.IORING_OP_WRITE
OP_OPENAT2 = liburing.IORING_OP_OPENAT2
OP_RENAMEAT = liburing.IORING_OP_RENAMEAT
OP_UNLINKAT = liburing.IORING_OP_UNLINKAT
OP_MKDIRAT = liburing.IORING_OP_MKDIRAT
OP_LINKAT = liburing.IORING_OP_LINKAT
OP_SETXATTR = liburing.IORING_OP_SETXATTR
OP_GETXATTR = liburing.IORING_OP_GETXATTR
OP_TRUNCATE = OP_FTRUNCATE
CQE_MORE = liburing.IORING_CQE_F_MORE


cdef inline Operation new_operation(int kind, object context, tuple kept):
    cdef Operation operation = Operation.__new__(Operation)
    operation.kind = kind
    operation.context = context
    operation.kept = kept
    return operation


cdef class Ring(RingCore):
    """A ring with its operations.  See `RingCore` for its life and waiting."""

    # --- sockets --------------------------------------------------------------------------------------------

    def accept(self, int listener, context):
        """Accept connections until cancelled; one completion each, whose result is a blocking descriptor."""
        cdef Operation operation = new_operation(OP_ACCEPT, context, ())
        cdef liburing.io_uring_sqe *sqe = self.entry()
        liburing.io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, liburing.SOCK_CLOEXEC)
        return self.launch(sqe, operation, 0)

    def poll(self, int descriptor, context):
        """One completion when the descriptor is readable."""
        cdef Operation operation = new_operation(OP_POLL_ADD, context, ())
        cdef liburing.io_uring_sqe *sqe = self.entry()
        liburing.io_uring_prep_poll_add(sqe, descriptor, liburing.POLLIN)
        return self.launch(sqe, operation, 0)

    # --- an open file ---------------------------------------------------------------------------------------

    def read(self, int descriptor, uint64_t offset, Py_ssize_t length, context):
        """pread into a fresh object: `operation.data(result)` once it is complete."""
        cdef object buffer = PyBytes_FromStringAndSize(NULL, min(length, TRANSFER_MAX))
        cdef Operation operation = new_operation(OP_READ, context, (buffer,))
        cdef liburing.io_uring_sqe *sqe = self.entry()
        liburing.io_uring_prep_read(
            sqe, descriptor, PyBytes_AS_STRING(buffer), <unsigned>len(buffer), offset
        )
        return self.launch(sqe, operation, 0)

    def write(self, int descriptor, uint64_t offset, data, context, int personality=0):
        """pwrite of one buffer, held until the completion; its result may be short."""
        cdef Operation operation = new_operation(OP_WRITE, context, ())
        cdef liburing.io_uring_sqe *sqe
        operation.hold((data,))
        sqe = self.entry()
        liburing.io_uring_prep_write(
            sqe,
            descriptor,
            operation.vectors[0].iov_base,
            <unsigned>min(operation.vectors[0].iov_len, <size_t>TRANSFER_MAX),
            offset,
        )
        return self.launch(sqe, operation, personality)

    def synchronize(self, int descriptor, bint data_only, context):
        """fsync, or fdatasync."""
        cdef Operation operation = new_operation(OP_FSYNC, context, ())
        cdef liburing.io_uring_sqe *sqe = self.entry()
        liburing.io_uring_prep_fsync(sqe, descriptor, liburing.IORING_FSYNC_DATASYNC if data_only else 0)
        return self.launch(sqe, operation, 0)

    def truncate(self, int descriptor, uint64_t size, context):
        """ftruncate; only where `supported` has OP_TRUNCATE."""
        cdef Operation operation = new_operation(OP_FTRUNCATE, context, ())
        cdef liburing.io_uring_sqe *sqe = self.entry()
        liburing.io_uring_prep_rw(OP_FTRUNCATE, sqe, descriptor, NULL, 0, size)
        return self.launch(sqe, operation, 0)

    def allocate(self, int descriptor, int mode, uint64_t offset, uint64_t length, context):
        """fallocate."""
        cdef Operation operation = new_operation(OP_FALLOCATE, context, ())
        cdef liburing.io_uring_sqe *sqe = self.entry()
        # liburing's own helper takes off_t, which has 32 bits on some machines.
        liburing.io_uring_prep_rw(liburing.IORING_OP_FALLOCATE, sqe, descriptor, <void *>0, <unsigned>mode, offset)
        sqe.addr = length
        return self.launch(sqe, operation, 0)

    def close_descriptor(self, int descriptor, context):
        """close."""
        cdef Operation operation = new_operation(OP_CLOSE, context, ())
        cdef liburing.io_uring_sqe *sqe = self.entry()
        liburing.io_uring_prep_close(sqe, descriptor)
        return self.launch(sqe, operation, 0)

    # --- names ----------------------------------------------------------------------------------------------

    def open(self, int directory, bytes path, uint64_t flags, uint64_t mode, uint64_t resolve, context,
             int personality):
        """openat2; the result is the descriptor."""
        cdef Operation operation = new_operation(OP_OPENAT2, context, (path,))
        cdef liburing.io_uring_sqe *sqe = self.entry()
        operation.memory.how.flags = flags
        operation.memory.how.mode = mode
        operation.memory.how.resolve = resolve
        liburing.io_uring_prep_openat2(sqe, directory, PyBytes_AS_STRING(path), &operation.memory.how)
        return self.launch(sqe, operation, personality)

    def stat(self, int directory, bytes name, int flags, context, int personality):
        """statx with AT_* `flags`: `operation.status()` once it is complete."""
        cdef Operation operation = new_operation(OP_STATX, context, (name,))
        cdef liburing.io_uring_sqe *sqe = self.entry()
        liburing.io_uring_prep_statx(
            sqe,
            directory,
            PyBytes_AS_STRING(name),
            flags,
            STATX_WANTED,
            <liburing.statx *>&operation.memory.status[0],
        )
        return self.launch(sqe, operation, personality)

    def make_directory(self, int directory, bytes name, unsigned mode, context, int personality):
        """mkdirat."""
        cdef Operation operation = new_operation(OP_MKDIRAT, context, (name,))
        cdef liburing.io_uring_sqe *sqe = self.entry()
        liburing.io_uring_prep_mkdirat(sqe, directory, PyBytes_AS_STRING(name), mode)
        return self.launch(sqe, operation, personality)

    def unlink(self, int directory, bytes name, int flags, context, int personality):
        """unlinkat."""
        cdef Operation operation = new_operation(OP_UNLINKAT, context, (name,))
        cdef liburing.io_uring_sqe *sqe = self.entry()
        liburing.io_uring_prep_unlinkat(sqe, directory, PyBytes_AS_STRING(name), flags)
        return self.launch(sqe, operation, personality)

    def rename(self, int old_directory, bytes old_name, int new_directory, bytes new_name, unsigned flags,
               context, int personality):
        """renameat2."""
        cdef Operation operation = new_operation(OP_RENAMEAT, context, (old_name, new_name))
        cdef liburing.io_uring_sqe *sqe = self.entry()
        liburing.io_uring_prep_renameat(
            sqe, old_directory, PyBytes_AS_STRING(old_name), new_directory, PyBytes_AS_STRING(new_name), flags
        )
        return self.launch(sqe, operation, personality)

    def link(self, int old_directory, bytes old_name, int new_directory, bytes new_name, context,
             int personality):
        """linkat."""
        cdef Operation operation = new_operation(OP_LINKAT, context, (old_name, new_name))
        cdef liburing.io_uring_sqe *sqe = self.entry()
        liburing.io_uring_prep_linkat(
            sqe, old_directory, PyBytes_AS_STRING(old_name), new_directory, PyBytes_AS_STRING(new_name), 0
        )
        return self.launch(sqe, operation, personality)

    def get_xattr(self, bytes path, bytes name, context, int personality):
        """getxattr of an absolute path, at most XATTR_BYTES: `operation.data(result)` once it is complete."""
        cdef object buffer = PyBytes_FromStringAndSize(NULL, XATTR_BYTES)
        cdef Operation operation = new_operation(OP_GETXATTR, context, (buffer, path, name))
        cdef liburing.io_uring_sqe *sqe = self.entry()
        liburing.io_uring_prep_getxattr(
            sqe, PyBytes_AS_STRING(name), PyBytes_AS_STRING(buffer), PyBytes_AS_STRING(path),
            <unsigned>len(buffer)
        )
        return self.launch(sqe, operation, personality)

    def set_xattr(self, bytes path, bytes name, bytes value, context, int personality):
        """setxattr of an absolute path."""
        cdef Operation operation = new_operation(OP_SETXATTR, context, (path, name, value))
        cdef liburing.io_uring_sqe *sqe = self.entry()
        liburing.io_uring_prep_setxattr(
            sqe, PyBytes_AS_STRING(name), PyBytes_AS_STRING(value), PyBytes_AS_STRING(path), 0,
            <unsigned>len(value)
        )
        return self.launch(sqe, operation, personality)
