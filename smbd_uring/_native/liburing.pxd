# What this project uses of liburing 2.3 to 2.5 and of <linux/io_uring.h>.  Declarations only.
#
# Widths are the headers' own; an enumeration constant that an older header lacks is not declared here but
# written as a number where it is used, guarded by the kernel's own probe.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from smbd_uring._native.uio cimport iovec

cdef extern from "<sys/types.h>" nogil:
    ctypedef unsigned int mode_t
    ctypedef unsigned int socklen_t

cdef extern from "<sys/socket.h>" nogil:
    cdef struct sockaddr:
        pass
    cdef struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen
    int SOCK_CLOEXEC
    int MSG_NOSIGNAL

cdef extern from "<sys/uio.h>" nogil:
    int RWF_DSYNC

cdef extern from "<poll.h>" nogil:
    int POLLIN, POLLOUT

cdef extern from "<liburing.h>" nogil:
    cdef struct __kernel_timespec:
        int64_t tv_sec
        long long tv_nsec

    cdef struct open_how:
        uint64_t flags
        uint64_t mode
        uint64_t resolve

    cdef struct statx:
        pass

    cdef struct io_uring_sqe:
        uint64_t addr
        uint8_t opcode
        uint8_t flags
        uint16_t buf_group
        uint16_t personality
        int rw_flags
        uint16_t ioprio
        uint64_t user_data

    cdef struct io_uring_cqe:
        uint64_t user_data
        int res
        uint32_t flags

    cdef struct io_uring_params:
        uint32_t cq_entries
        uint32_t flags
        uint32_t features

    cdef struct io_uring:
        int ring_fd

    cdef struct io_uring_probe:
        uint8_t last_op

    cdef struct io_uring_buf_ring:
        pass

    cdef struct io_uring_buf_reg:
        uint64_t ring_addr
        uint32_t ring_entries
        uint16_t bgid

    cdef struct io_uring_buf:
        pass

    unsigned IORING_SETUP_CQSIZE, IORING_SETUP_CLAMP, IORING_SETUP_SUBMIT_ALL
    unsigned IORING_SETUP_COOP_TASKRUN, IORING_SETUP_SINGLE_ISSUER, IORING_SETUP_DEFER_TASKRUN
    unsigned IORING_FEAT_EXT_ARG
    unsigned IORING_CQE_F_BUFFER, IORING_CQE_F_MORE
    int IORING_CQE_BUFFER_SHIFT
    int IORING_ASYNC_CANCEL_ANY, IORING_ASYNC_CANCEL_ALL
    unsigned IOSQE_BUFFER_SELECT, IORING_RECVSEND_POLL_FIRST
    unsigned IORING_FSYNC_DATASYNC

    int IORING_OP_FSYNC, IORING_OP_POLL_ADD, IORING_OP_SENDMSG, IORING_OP_ACCEPT
    int IORING_OP_ASYNC_CANCEL, IORING_OP_FALLOCATE, IORING_OP_CLOSE, IORING_OP_STATX
    int IORING_OP_READ, IORING_OP_WRITE, IORING_OP_RECV, IORING_OP_OPENAT2, IORING_OP_RENAMEAT
    int IORING_OP_UNLINKAT, IORING_OP_MKDIRAT, IORING_OP_LINKAT, IORING_OP_SETXATTR, IORING_OP_GETXATTR

    int io_uring_queue_init_params(unsigned entries, io_uring *ring, io_uring_params *params)
    void io_uring_queue_exit(io_uring *ring)
    io_uring_probe *io_uring_get_probe_ring(io_uring *ring)
    void io_uring_free_probe(io_uring_probe *probe)
    int io_uring_opcode_supported(const io_uring_probe *probe, int op)

    io_uring_sqe *io_uring_get_sqe(io_uring *ring)
    int io_uring_submit(io_uring *ring)
    unsigned io_uring_sq_ready(const io_uring *ring)
    int io_uring_submit_and_get_events(io_uring *ring)
    int io_uring_submit_and_wait_timeout(
        io_uring *ring, io_uring_cqe **cqe, unsigned wait_nr, __kernel_timespec *timeout, void *sigmask
    )
    unsigned io_uring_peek_batch_cqe(io_uring *ring, io_uring_cqe **cqes, unsigned count)
    void io_uring_cq_advance(io_uring *ring, unsigned count)

    int io_uring_register_personality(io_uring *ring)
    int io_uring_unregister_personality(io_uring *ring, int identity)
    int io_uring_register_buf_ring(io_uring *ring, io_uring_buf_reg *registration, unsigned flags)
    int io_uring_unregister_buf_ring(io_uring *ring, int group)
    void io_uring_buf_ring_init(io_uring_buf_ring *buffers)
    int io_uring_buf_ring_mask(uint32_t entries)
    void io_uring_buf_ring_add(
        io_uring_buf_ring *buffers, void *address, unsigned length, unsigned short buffer_id, int mask,
        int offset
    )
    void io_uring_buf_ring_advance(io_uring_buf_ring *buffers, int count)

    void io_uring_prep_rw(
        int op, io_uring_sqe *sqe, int fd, const void *address, unsigned length, uint64_t offset
    )
    void io_uring_prep_read(io_uring_sqe *sqe, int fd, void *buffer, unsigned length, uint64_t offset)
    void io_uring_prep_write(io_uring_sqe *sqe, int fd, const void *buffer, unsigned length, uint64_t offset)
    void io_uring_prep_fsync(io_uring_sqe *sqe, int fd, unsigned flags)
    void io_uring_prep_close(io_uring_sqe *sqe, int fd)
    void io_uring_prep_openat2(io_uring_sqe *sqe, int directory, const char *path, open_how *how)
    void io_uring_prep_statx(
        io_uring_sqe *sqe, int directory, const char *path, int flags, unsigned mask, statx *buffer
    )
    void io_uring_prep_unlinkat(io_uring_sqe *sqe, int directory, const char *path, int flags)
    void io_uring_prep_renameat(
        io_uring_sqe *sqe, int old_directory, const char *old_path, int new_directory, const char *new_path,
        unsigned flags
    )
    void io_uring_prep_mkdirat(io_uring_sqe *sqe, int directory, const char *path, mode_t mode)
    void io_uring_prep_linkat(
        io_uring_sqe *sqe, int old_directory, const char *old_path, int new_directory, const char *new_path,
        int flags
    )
    void io_uring_prep_getxattr(
        io_uring_sqe *sqe, const char *name, char *value, const char *path, unsigned length
    )
    void io_uring_prep_setxattr(
        io_uring_sqe *sqe, const char *name, const char *value, const char *path, int flags, unsigned length
    )
    void io_uring_prep_sendmsg(io_uring_sqe *sqe, int fd, const msghdr *message, unsigned flags)
    void io_uring_prep_send(io_uring_sqe *sqe, int fd, const void *buffer, size_t length, int flags)
    void io_uring_prep_recv(io_uring_sqe *sqe, int fd, void *buffer, size_t length, int flags)
    void io_uring_prep_recv_multishot(io_uring_sqe *sqe, int fd, void *buffer, size_t length, int flags)
    void io_uring_prep_multishot_accept(
        io_uring_sqe *sqe, int fd, sockaddr *address, socklen_t *address_length, int flags
    )
    void io_uring_prep_poll_add(io_uring_sqe *sqe, int fd, unsigned mask)
    void io_uring_prep_cancel64(io_uring_sqe *sqe, uint64_t user_data, int flags)
