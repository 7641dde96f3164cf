# Header of _steps.pyx.

from libc.stdint cimport uint8_t, uint64_t
from smbd_uring._native._connection cimport Connection, Grant, Session
from smbd_uring._native._smb2 cimport FileOperation, Message, Transform


cdef struct Step:
    # One request of a frame that the plane may serve, checked.  `message.start` leads into the frame.
    Message message
    FileOperation operation
    # Borrowed: stays until the plane next settles, or as long as a grant of it is in flight.
    Session *session
    # Counted as in flight; NULL for ECHO.
    Grant *grant
    # Whether the answer is signed.
    bint signs


# Open a sealed frame in place.  False: it is not for the plane; `opened.session_id` is 0 when the engine shall see it.
cdef bint open_frame(Connection *connection, uint8_t *frame, size_t bytes, Transform *opened) noexcept nogil
# Check a frame's requests and begin them: their ids are taken, their grants in flight.  Result: how many there are; 0
# when nothing was begun and the engine has to see to the frame, or the connection is broken.
cdef int begin_steps(
    Connection *connection, uint8_t *frame, size_t bytes, uint64_t sealed_by, bint is_verified, Step *steps
) noexcept nogil
# Give a frame to the engine.
cdef void hand_over(
    Connection *connection, uint8_t *frame, size_t bytes, uint64_t sealed_by, bint ids_taken
) noexcept nogil
# The plane cannot succeed after all: the engine answers, the message ids being taken.
cdef void give_up(
    Connection *connection, Step *steps, int count, uint8_t *frame, size_t bytes, uint64_t sealed_by
) noexcept nogil
