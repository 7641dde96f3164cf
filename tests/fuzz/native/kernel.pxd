# What stands in for io_uring while a fuzzer drives the data plane: operations are taken from the submission queue and
# done by ordinary system calls, when and as badly as the fuzzer says.
#
# Knows: submission entries.  Must not know: SMB, the plane's structures.

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from smbd_uring._native cimport liburing

cdef extern from *:
    """
    #include <errno.h>
    #include <liburing.h>
    #include <poll.h>
    #include <string.h>
    #include <sys/socket.h>
    #include <unistd.h>

    #define STAGE_ENTRIES 1024

    static struct io_uring_sqe stage_entries[STAGE_ENTRIES];
    static unsigned stage_head, stage_tail, stage_flags, stage_dropped, stage_array[STAGE_ENTRIES];

    static void stage_ring(struct io_uring *ring)
    {
        memset(ring, 0, sizeof(*ring));
        stage_head = stage_tail = 0;
        ring->sq.khead = &stage_head;
        ring->sq.ktail = &stage_tail;
        ring->sq.kflags = &stage_flags;
        ring->sq.kdropped = &stage_dropped;
        ring->sq.array = stage_array;
        ring->sq.sqes = stage_entries;
        ring->sq.ring_entries = STAGE_ENTRIES;
        ring->sq.ring_mask = STAGE_ENTRIES - 1;
        ring->ring_fd = ring->enter_ring_fd = -1;
    }

    /* The next entry that was queued; NULL when there is none. */
    static struct io_uring_sqe *stage_take(struct io_uring *ring)
    {
        if (stage_head == ring->sq.sqe_tail)
            return NULL;
        return &stage_entries[stage_head++ & (STAGE_ENTRIES - 1)];
    }

    /* What the kernel would do at once; if `is_short`, less of it than was asked for. */
    static int stage_perform(const struct io_uring_sqe *sqe, int is_short)
    {
        size_t bytes = is_short && sqe->len > 1 ? sqe->len / 2 + 1 : sqe->len;
        struct pollfd polled = {.fd = sqe->fd, .events = POLLOUT};
        struct msghdr message;
        struct iovec first;
        ssize_t result = -1;
        void *memory = (void *)(uintptr_t)sqe->addr;

        if (sqe->opcode == IORING_OP_READ)
            result = pread(sqe->fd, memory, bytes, sqe->off);
        else if (sqe->opcode == IORING_OP_WRITE)
            result = pwrite(sqe->fd, memory, bytes, sqe->off);
        else if (sqe->opcode == IORING_OP_FSYNC)
            result = fsync(sqe->fd);
        else if (sqe->opcode == IORING_OP_SEND)
            result = send(sqe->fd, memory, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        else if (sqe->opcode == IORING_OP_SENDMSG) {
            message = *(struct msghdr *)memory;
            if (is_short) {
                first = message.msg_iov[0];
                if (first.iov_len > 1)
                    first.iov_len /= 2;
                message.msg_iov = &first;
                message.msg_iovlen = 1;
            }
            result = sendmsg(sqe->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        } else if (sqe->opcode == IORING_OP_POLL_ADD) {
            if (poll(&polled, 1, 0) != 1)
                return -EAGAIN;
            return polled.revents;
        } else
            return -EINVAL;
        return result < 0 ? -errno : (int)result;
    }
    """
    cdef struct queued "io_uring_sqe":
        uint8_t opcode
        uint8_t flags
        int32_t fd
        uint64_t addr
        uint32_t len
        uint64_t off
        uint64_t user_data

    void stage_ring(liburing.io_uring *ring) noexcept nogil
    queued *stage_take(liburing.io_uring *ring) noexcept nogil
    int stage_perform(const queued *sqe, bint is_short) noexcept nogil

    int IORING_OP_RECV, IORING_OP_SEND, IORING_OP_SENDMSG, IORING_OP_ASYNC_CANCEL, IORING_OP_POLL_ADD
    int EAGAIN, ECANCELED, EIO, ENOSPC, EINTR, ECONNRESET, ENOBUFS, ENOENT
