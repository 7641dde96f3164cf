# cython: language_level=3
"""One operation of the ring and all the memory that the kernel may touch for it.

Knows: which memory belongs to which kind.  Must not know: the ring, which keeps a reference while the
operation is in flight, so that nothing of this is freed under the kernel's hands.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_GET_SIZE
from libc.stdlib cimport calloc, free


cdef class Operation:
    """`kind` is the IORING_OP_* number, `context` whatever the caller wants to find again."""

    def __dealloc__(self):
        cdef int index
        for index in range(self.views_count):
            PyBuffer_Release(&self.views[index])
        free(self.views)
        free(self.vectors)

    cdef int hold(self, object segments) except -1:
        cdef Py_ssize_t count = len(segments)
        self.views = <Py_buffer *>calloc(count, sizeof(Py_buffer))
        self.vectors = <liburing.iovec *>calloc(count, sizeof(liburing.iovec))
        if count and (self.views is NULL or self.vectors is NULL):
            raise MemoryError
        for segment in segments:
            PyObject_GetBuffer(segment, &self.views[self.views_count], PyBUF_SIMPLE)
            self.vectors[self.views_count].iov_base = self.views[self.views_count].buf
            self.vectors[self.views_count].iov_len = self.views[self.views_count].len
            self.views_count += 1
        return 0

    @property
    def in_flight(self):
        """Whether the kernel may still use the operation's memory."""
        return self.user_data != 0

    def data(self, Py_ssize_t count):
        """The first `count` bytes of what a read (or getxattr) filled; without copying when that is most of
        it."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(self.kept[0])
        if not 0 <= count <= size or self.user_data:
            raise ValueError("not that many bytes were read")
        if count == size:
            return self.kept[0]
        # A view would hold on to the whole buffer, so a small rest is copied out of it.
        return memoryview(self.kept[0])[:count] if count > size // 2 else self.kept[0][:count]

    def status(self):
        """The 256 bytes of struct statx."""
        return self.memory.status[:256]
