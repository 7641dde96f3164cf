# Header of _connection.pyx: what the data plane remembers of a connection, and which thread may touch it.
#
# Two threads meet here: the *plane's*, which receives, serves and sends, and the *engine's*, which hands over replies,
# sessions and grants.  Fields are marked:
#   [fixed]   set before the other thread knows of the structure, never changed
#   [plane]   the plane's thread alone
#   [lock]    either thread, with `connection.lock` held
#   [mail]    either thread, with `plane.lock` held
#   [crew]    a thread of the crew that does a job, see `_crew.pyx`
#   [flag]    either thread, by load_flag and store_flag
#   [count]   written by the plane's thread by add_to_count, read by any by load_count
# Where one thread runs both, the locks are never contended.  `plane.lock` may be taken with `connection.lock` held,
# never the other way round.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from smbd_uring._native cimport liburing
from smbd_uring._native._crypto cimport SealingKey, SigningKey
from smbd_uring._native._pool cimport Block, Pool
from smbd_uring._native._smb2 cimport COMMANDS
from smbd_uring._native._window cimport Window

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    int pthread_mutex_init(pthread_mutex_t *mutex, const void *attributes)
    int pthread_mutex_destroy(pthread_mutex_t *mutex)
    int pthread_mutex_lock(pthread_mutex_t *mutex)
    int pthread_mutex_unlock(pthread_mutex_t *mutex)
    ctypedef struct pthread_cond_t:
        pass
    int pthread_cond_init(pthread_cond_t *condition, const void *attributes)
    int pthread_cond_destroy(pthread_cond_t *condition)
    int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
    int pthread_cond_signal(pthread_cond_t *condition)
    int pthread_cond_broadcast(pthread_cond_t *condition)

cdef extern from "<errno.h>" nogil:
    int ECANCELED

cdef enum:
    GRANT_READ = 1
    GRANT_WRITE = 2
    GRANT_FLUSH = 4
    SEND_VECTORS = 16
    # Where a segment's data begins in its block, behind the structure.
    SEGMENT_HEAD = 128
    # Bytes of frames that the engine has not taken yet; more are not cut from what was received.
    HANDED_BYTES_MAX = 1048576
    # Sent bytes of all connections together that the engine need not know of at once: far below every bound on what a
    # client may leave unread.
    SENT_UNTOLD_MAX = 65536


cdef struct Device:
    # A file system that grants are on.  Owned by the plane, for good.
    Device *next
    # [fixed] st_dev; whether a call that may wait for this file system's disk is made by the plane's own thread.
    uint64_t number
    bint is_local
    # [plane] It answered slowly: until then (monotonic ns) the kernel's workers wait for it instead.
    int64_t slow_until


cdef struct Keys:
    # What one thread signs and seals with at a time.  Owned by the session.
    # `signer` is NULL for guests, `opener` and `sealer` without encryption.
    SigningKey *signer
    SealingKey *opener
    SealingKey *sealer
    uint64_t nonce_counter
    # The second part of every nonce of `sealer`: no other sealer of the same key has the same.
    uint8_t nonce_prefix[4]


cdef struct Session:
    # Keys of one session, as long as the engine knows it.  Owned by the connection; freed by the plane's thread.
    Session *next
    # [fixed]
    uint64_t session_id
    bint signing_required
    bint encrypt_data
    # [plane]
    Keys keys
    # [crew] For large messages, by whichever thread of the crew holds `crew_lock`.  Empty without a crew.
    Keys crew_keys
    pthread_mutex_t crew_lock
    # [plane] Jobs of the crew that use it.
    unsigned jobs
    # [lock] False: requests of this session are the engine's to answer.
    bint is_served


cdef struct Job:
    # Cryptography of a large message, done by a crew.  Lives at the start of a block of the plane's pool.
    Job *next
    # Set by whoever does it: 1 done, 0 the message is not what it should be, -1 failed.
    int result
    int kind
    # Referenced; and counted in `session.jobs`.
    Connection *connection
    Session *session
    Block *block


cdef struct Crew:
    # Threads that do jobs for any number of planes.  Owned by its Python object, which outlives the planes.
    pthread_mutex_t lock
    pthread_cond_t work_is_there
    Job *first
    Job *last
    bint stop_wanted


cdef struct Grant:
    # One open that the plane may serve.  Owned by the connection; freed by the plane's thread.
    Grant *next
    # [fixed] `number` is the engine's name for it.
    uint64_t number
    uint64_t persistent_id
    uint64_t volatile_id
    uint64_t session_id
    uint32_t tree_id
    int descriptor
    unsigned operations
    bint write_through
    bint needs_sealing
    # The one that is served; negative where the dialect knows none.
    int channel_sequence
    Device *device
    # [plane] The file system knows no RWF_NOWAIT.
    bint nowait_refused
    # [lock] Operations that use the descriptor.
    unsigned in_flight
    # [lock] Frames with the engine that name this open: until they are answered it answers the others too.
    unsigned frozen
    # [lock] No operation may begin; `drained_wanted`: the engine waits to hear that none is left.
    bint revoked
    bint drained_wanted
    # [lock] Where the last READ ended, and when the first WRITE did, in ns since 1970; 0 before it.
    uint64_t position
    uint64_t written_ns


cdef struct Segment:
    # Bytes on their way out: [start, end) of `data`, or of a file (then `grant` is set and `data` is NULL).
    Segment *next
    uint8_t *data
    size_t start
    size_t end
    # How far `data` reaches; 0 for a segment that nothing may be appended to.
    size_t capacity
    # Owned: the block that holds this structure and its data; NULL when malloc gave both as one.
    Block *block
    # A file's bytes: which grant counts them as in flight, and where they are.
    Grant *grant
    uint64_t offset
    # Whether the engine counts these bytes.
    bint is_engines


cdef enum EventKind:
    # A whole frame for the engine; `number` is the session that sealed it, 0 for none.
    EVENT_FRAME = 1
    # The peer sends no more.
    EVENT_PEER_FINISHED = 2
    # The connection is broken; `number` is an errno.
    EVENT_FAILED = 3
    # `number` more of the engine's bytes are with the kernel; `detail` is not 0 when the engine has to know soon.
    EVENT_SENT = 4
    # Everything is sent, as `finish` asked to hear.
    EVENT_FLUSHED = 5
    # No operation uses grant `number` any more.
    EVENT_DRAINED = 6
    # The peer broke the protocol; `number` is a Violation, `detail` what it is about.
    EVENT_VIOLATION = 7

cdef enum Violation:
    VIOLATION_FRAME_TYPE = 1
    VIOLATION_FRAME_LENGTH = 2
    VIOLATION_NOT_OPENED = 3
    VIOLATION_MESSAGE_ID = 4


cdef struct Event:
    # Something for the engine.  Owned by the plane's queue, then by whoever takes it.
    Event *next
    EventKind kind
    Connection *connection
    uint64_t number
    uint64_t detail
    # FRAME: the message ids are taken already; the open (volatile id) that waits for the answer, 0 for none, all bits
    # for every one of the connection's.
    bint ids_taken
    uint64_t frozen_open
    # FRAME: the bytes, which follow the structure.
    size_t bytes


cdef struct Connection:
    # [fixed]
    uint64_t number
    int descriptor
    Plane *plane
    pthread_mutex_t lock
    # [mail] Who knows it: the handle, the plane, events, operations.
    int references

    # --- [lock] what the engine decides
    size_t frame_bytes_max
    size_t queue_bytes_max
    uint32_t read_bytes_max
    uint32_t write_bytes_max
    uint64_t span_max
    bint multi_credit
    bint reading_wanted
    # EVENT_FLUSHED is wanted once nothing is left to send.
    bint is_finishing
    Window window
    Session *sessions
    # Grants by volatile id: `bucket_count` lists, a power of two or 0.
    Grant **buckets
    size_t bucket_count
    size_t grant_count
    # Frames with the engine that change several opens: until they are answered none is served.
    unsigned frozen
    # The queue of bytes on their way out.  Only the plane's thread takes segments off its front.
    Segment *first
    Segment *last
    size_t bytes_queued
    uint64_t bytes_sent
    # Frames handed to the engine that it has not taken yet.
    size_t bytes_handed

    # --- [flag] what the engine decides and the plane has to notice soon
    # Bytes are received only to find the end behind them.
    bint is_discarding
    bint is_dropped

    # --- [plane]
    Connection *next_dirty
    bint is_dirty
    bint is_receiving
    bint is_sending
    bint is_polling
    bint is_cancelled
    bint peer_finished
    # A frame of it is with the crew; the next one waits.
    bint is_with_crew
    # Payload that was served since it was last looked at; others come first when it is much.
    size_t turn_bytes
    # The peer broke the protocol: nothing it sends counts any more.
    bint is_broken
    bint is_closed
    # READ, WRITE and FLUSH under way in the kernel, and the bytes they hold.
    unsigned works
    size_t bytes_in_work
    # The next frame is probably a large one: receive only its beginning, then the rest to where it belongs.
    bint expects_large
    # SO_RCVLOWAT as it is set.
    int waking_bytes
    uint8_t prefix[4]
    unsigned prefix_filled
    # Owned: a frame that has begun to arrive.
    Block *frame
    size_t frame_bytes
    size_t frame_filled
    # Owned: received bytes that wait for an allowance: [held_start, held_end).
    Block *held
    size_t held_start
    size_t held_end
    # What a send under way covers.
    liburing.iovec vectors[SEND_VECTORS]
    liburing.msghdr message

    # --- [mail]
    Connection *next_mail
    bint has_mail


cdef struct Plane:
    # [fixed] Borrowed from the ring's object, which outlives the plane.
    liburing.io_uring *ring
    liburing.io_uring_buf_ring *buffer_table
    uint8_t *buffer_memory
    unsigned buffer_bytes
    unsigned buffer_count
    unsigned short buffer_group
    # [fixed] Whether the engine runs in another thread; how either wakes the other (-1: need not).
    bint is_threaded
    int engine_wakeup
    int plane_wakeup
    size_t bytes_max
    # NULL without one.
    Crew *crew
    # Owned; the engine's thread alone follows and extends the list.
    Device *devices
    # [plane]
    Pool pool
    Connection *first_dirty
    Connection *last_dirty
    unsigned operations
    bint wakeup_armed
    uint64_t wakeup_value
    # [mail]
    pthread_mutex_t lock
    Event *first_event
    Event *last_event
    # Some event is to be told now; one that only says what was sent goes with the next that is.
    bint has_news
    # Bytes sent, of events that are not taken yet; so many are news.
    size_t sent_untold
    bint engine_told
    Connection *first_mail
    # Jobs that the crew has done.
    Job *done_jobs
    # [flag] There is mail; set and cleared with the lock held.
    bint mail_waits
    # Connections whose sockets are not closed yet.
    unsigned open_connections
    bint is_asleep
    # [flag]
    bint stop_wanted
    # What nobody knows any more, for the plane's thread to free.  [flag] Whether there is any; set with the lock held.
    bint something_is_dead
    Session *dead_sessions
    Grant *dead_grants
    Connection *dead_connections
    # [count] What was served: requests by command, and payload.
    uint64_t served[COMMANDS]
    uint64_t bytes_read
    uint64_t bytes_written


# --- life ---

# NULL when there is no memory.  The caller holds the first reference; the descriptor is the connection's from now on.
cdef Connection *connection_new(Plane *plane, uint64_t number, int descriptor, uint64_t span_max) noexcept nogil
cdef void connection_hold(Connection *connection) noexcept nogil
cdef void connection_release(Connection *connection) noexcept nogil
# [plane] Free what is dead: to be called where no request is being served.
cdef void free_dead(Plane *plane) noexcept nogil

# --- between the threads ---

# Queue an event, `bytes` of `data` with it.  False when there is no memory.
cdef bint post_event(
    Connection *connection, EventKind kind, uint64_t number, uint64_t detail, const uint8_t *data, size_t bytes,
    bint ids_taken, uint64_t frozen_open,
) noexcept nogil
# Have the plane's thread look at the connection.
cdef void post_mail(Connection *connection) noexcept nogil
# [plane] Mark the connections that mail was posted for.
cdef void take_mail(Plane *plane) noexcept nogil
# The plane's thread shall look at the connection before it sleeps.
cdef void mark_dirty(Connection *connection) noexcept nogil

# --- sessions and grants; `connection.lock` held ---

cdef Session *find_session(Connection *connection, uint64_t session_id) noexcept nogil
cdef void session_free(Session *session) noexcept nogil
# Wake the plane's thread if it sleeps.
cdef void wake_plane(Plane *plane) noexcept nogil
# Out of the connection's table; the plane's thread frees it.
cdef void bury_session(Connection *connection, Session *session) noexcept nogil
cdef Grant *find_grant(Connection *connection, uint64_t volatile_id) noexcept nogil
# False when there is no memory.
cdef bint add_grant(Connection *connection, Grant *grant) noexcept nogil
cdef void bury_grant(Connection *connection, Grant *grant) noexcept nogil
# One operation less uses the grant; tells the engine when it waits for that.
cdef void grant_done(Connection *connection, Grant *grant) noexcept nogil

# --- the queue of outgoing bytes ---

# [plane] `bytes` of contiguous room at the queue's end, NULL when there is no memory; `commit` makes the first part of
# it part of the queue.  Nothing may be reserved in between.
cdef uint8_t *reserve(Connection *connection, size_t bytes, Segment **segment) noexcept nogil
# `connection.lock` held.
cdef void commit(Connection *connection, Segment *segment, size_t bytes) noexcept nogil
# `connection.lock` held: append a segment that holds bytes already.
cdef void append_segment(Connection *connection, Segment *segment) noexcept nogil
cdef void segment_free(Connection *connection, Segment *segment) noexcept nogil
