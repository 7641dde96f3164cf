# Header of _crew.pyx.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from smbd_uring._native._connection cimport Block, Connection, Crew, Job, Plane, Segment
from smbd_uring._native._steps cimport Step
from smbd_uring._native._smb2 cimport Message, Transform

cdef enum JobKind:
    JOB_OPEN = 1
    JOB_VERIFY = 2
    JOB_ANSWER = 3


cdef struct FrameJob:
    # OPEN or VERIFY a frame that is alone in `owner`.
    Job job
    uint8_t *frame
    size_t bytes
    Block *owner
    Transform opened
    uint64_t message_id


cdef struct AnswerJob:
    # Sign or seal an answer, its `body` bytes being in `segment` where they belong.
    Job job
    Step step
    Segment *segment
    size_t body
    uint32_t status
    uint32_t count
    uint64_t sealed_by


# Whether cryptography of `bytes` is better done by the crew than by the plane's thread.
cdef bint is_for_crew(Connection *connection, Step *step, uint64_t sealed_by, size_t bytes) noexcept nogil
# Have a frame opened or verified.  False: it is none of the crew's business; otherwise `owner` is the crew's now and the
# connection's next frame has to wait.
cdef bint give_frame_to_crew(Connection *connection, uint8_t *frame, size_t bytes, Block *owner) noexcept nogil
# Have an answer signed or sealed and queued.  False: there is no memory for that.
cdef bint give_answer_to_crew(
    Connection *connection, Step *step, Segment *segment, size_t body, uint32_t status, uint32_t count,
    uint64_t sealed_by,
) noexcept nogil
# The jobs that are done, first come first; [plane].
cdef Job *take_done_jobs(Plane *plane) noexcept nogil
# [plane] Let go of a job.
cdef void end_job(Job *job) noexcept nogil


cdef class CryptographyCrew:
    cdef Crew crew
