# Header of _connection.pyx.
#
# A connection and what is on its way on it; plain C that one thread at a time uses.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from smbd_uring._native._crypto cimport SealingKey, SigningKey
from smbd_uring.perf._template cimport message_template, operation_template, step_template


cdef enum:
    # Everything before the first message of a frame that is sealed: length, transform header.
    PREFIX_BYTES = 4
    TRANSFORM_BYTES = 52
    # From here on a payload that is the same for all is not copied into the queue but sent from where it is.
    PAYLOAD_SENT_APART = 32768
    # Places of WRITEs that are remembered, for reading some of them again afterwards.
    WRITTEN_KEPT = 64


# Why an operation failed.  From ENDED on the connection is of no more use.
cdef enum complaint:
    NONE
    # A status that is not the one wanted.
    STATUS
    # An answer that is too short, or whose lengths contradict each other.
    MALFORMED
    # Not as many bytes or entries as were asked for.
    COUNT
    # Other contents than the file must have.
    CONTENT
    # No signature, or a wrong one.
    SIGNATURE
    ENDED
    # Not a frame, or not an answer to anything that was sent.
    NOT_A_REPLY
    # A frame that is not sealed or cannot be opened.
    SEAL
    # libcrypto failed.
    CRYPTO
    # No answer in time.
    TIMEOUT


# One operation under way.
cdef struct slot:
    # Indices of the operation, and of its step that is to be sent or answered next.
    uint32_t operation
    uint32_t step
    # Answers that this step still waits for.
    uint32_t awaiting
    bint failed
    # The step is to be sent once more: a listing that goes on.
    bint again
    # Place in the file of this operation's READ or WRITE, in bytes.
    uint64_t offset
    # Number in names.
    uint64_t number
    # Entries listed so far.
    uint64_t entries
    uint64_t started_ns
    uint8_t file_id[16]


# A request that waits for its answer; in a table where its message id says.
cdef struct request:
    uint64_t message_id
    uint32_t slot
    # Index in its frame.
    uint16_t message
    bint is_pending


cdef struct connection:
    # Lent by its Python socket.
    int socket
    # Why it is of no more use, or NONE.
    complaint dead
    # The send buffer was full: somebody has to wait until there is room.
    bint is_blocked
    uint64_t session_id
    uint64_t next_message_id
    int64_t credits
    # More credits are asked for while there are fewer.
    int64_t credits_wanted
    # Owned; NULL when nothing is signed or sealed.  The first `counter` that has not been a nonce yet.
    SigningKey *signing
    SealingKey *sealing
    SealingKey *opening
    uint64_t counter
    # Owned.  `sequence` says in which order the operations come, over and over.
    operation_template *operations
    uint32_t operation_count
    uint8_t *sequence
    uint32_t sequence_length
    uint32_t sequence_at
    # Owned: one slot for each operation in flight, and the ring of those whose next step can be sent.
    slot *slots
    uint32_t depth
    uint32_t busy
    uint32_t *ready
    uint32_t ready_first
    uint32_t ready_count
    # Owned: requests by message id; a power of two of them.
    request *requests
    uint32_t requests_mask
    # Owned: the queue of bytes to send, after which `payload_left` bytes of the common payload follow.
    uint8_t *out
    size_t out_capacity
    size_t out_first
    size_t out_end
    size_t payload_left
    # Owned: received bytes that are not used yet.
    uint8_t *received
    size_t received_capacity
    size_t received_first
    size_t received_end
    # State of the random generator; the block that comes next in sequence; the number that comes next in names.
    uint64_t random
    uint64_t block
    uint64_t number
    # The last WRITEs that were answered.
    uint64_t written[WRITTEN_KEPT]
    uint64_t written_count


# What all connections have in common.
cdef struct common:
    # Check contents of READs and send contents that can be checked.
    bint verify
    # Seeds of the contents of the file that is read and of the one that is written.
    uint64_t read_seed
    uint64_t write_seed
    # Owned by the generator: what is written when nobody verifies, as much as the largest WRITE.
    const uint8_t *payload
    uint64_t payload_bytes


# Take the next operation for a slot and put the slot among the ready ones.
cdef void begin_operation(connection *on, uint32_t index) noexcept nogil
cdef void make_ready(connection *on, uint32_t index) noexcept nogil
# Send what is ready and has credits and room, and what is queued.  Sets `is_blocked`, or `dead`.
cdef void pump(connection *on, const common *shared) noexcept nogil
cdef uint64_t now_ns() noexcept nogil
# Everything that `connection` owns, not the socket.
cdef void free_connection(connection *on) noexcept nogil
