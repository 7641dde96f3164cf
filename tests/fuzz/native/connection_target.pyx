# cython: language_level=3
"""libFuzzer's target over a whole connection of the data plane: its bytes, its grants, what the engine wants of it.

Knows: the plane's structures, and what the engine's thread does to them.  Must not know: a real ring; `kernel.pxd`
stands in for one, and completes operations late, short or not at all as the input says.

The input is a byte of circumstances, then actions of a byte and its arguments: see `act`.  Message ids and session ids of
frames are put right, and frames are signed and sealed here, unless an action says otherwise: a fuzzer cannot find these.
At the end everything is completed, every byte that was sent is looked at, and nothing may be left of the connection.
"""

from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from posix.unistd cimport close, ftruncate, pwrite, read
from kernel cimport *
from replies cimport COMMAND_OF_THE_ENGINE, check_stream, require
from smbd_uring._native cimport liburing
from smbd_uring._native._connection cimport *
from smbd_uring._native._crypto cimport sealing_key_new, signing_key_new
from smbd_uring._native._pool cimport pool_trim
from smbd_uring._native._smb2 cimport *
from smbd_uring._native._transport cimport completed, settle
from smbd_uring._native._window cimport window_grant
from world cimport *

cdef extern from "<Python.h>" nogil:
    void Py_Initialize()
    void *PyImport_ImportModule(const char *name)
    void PyErr_Print()

cdef extern from *:
    """
    #define _GNU_SOURCE
    #include <sys/mman.h>
    PyMODINIT_FUNC PyInit_connection_target(void);
    static void stage_module(void) { PyImport_AppendInittab("connection_target", PyInit_connection_target); }
    """
    void stage_module() noexcept nogil
    int memfd_create(const char *name, unsigned flags) noexcept nogil

cdef extern from "<sys/socket.h>" nogil:
    int socketpair(int domain, int kind, int protocol, int *pair)
    int setsockopt(int descriptor, int level, int option, const void *value, unsigned length)
    int AF_UNIX, SOCK_STREAM, SOCK_NONBLOCK, SOL_SOCKET, SO_SNDBUF

cdef enum:
    SPAN_MAX = 8192
    FILE_BYTES = 131072
    IO_BYTES_MAX = 98304
    OUTPUT_BYTES_MAX = 16777216

    # How `kernel_turn` completes what it finds.
    KERNEL_FAILS = 1
    KERNEL_IS_SHORT = 2
    KERNEL_HESITATES = 4
    KERNEL_IS_BACKWARDS = 8
    KERNEL_WAITS_WITH_FILES = 16

    FOR_MANUAL_KERNEL = 1
    WITH_REMOTE_FILES = 2
    WITH_SMALL_QUEUE = 4
    WITH_WRITE_THROUGH = 8
    WITHOUT_MULTI_CREDIT = 16

cdef World world
cdef const uint8_t *KEY = <const uint8_t *>b"0123456789abcdef"


# --- input ----------------------------------------------------------------------------------------------------------


cdef unsigned next_byte() noexcept nogil:
    cdef unsigned value
    if world.left == 0:
        return 0
    value = world.data[0]
    world.data += 1
    world.left -= 1
    return value


# --- the kernel -----------------------------------------------------------------------------------------------------


cdef bint is_on_file(const queued *sqe) noexcept nogil:
    return sqe.fd == world.files[0] or sqe.fd == world.files[1]


cdef bint receive(const queued *sqe) noexcept nogil:
    # Deliver what the client has sent, in memory of exactly the size.  False: there is nothing.
    cdef size_t bytes = world.stream_end - world.stream_start
    cdef uint8_t *memory
    if world.connection.is_cancelled:
        completed(&world.plane, sqe.user_data, -ECANCELED, 0)
        return True
    if bytes == 0:
        return False
    bytes = min(min(bytes, <size_t>sqe.len), world.chunk_bytes)
    if sqe.flags & liburing.IOSQE_BUFFER_SELECT:
        memory = <uint8_t *>malloc(bytes)
        require(memory is not NULL)
        memcpy(memory, world.stream + world.stream_start, bytes)
        world.stream_start += bytes
        world.plane.buffer_memory = memory
        completed(&world.plane, sqe.user_data, <int>bytes, liburing.IORING_CQE_F_BUFFER)
        free(memory)
    else:
        memcpy(<uint8_t *>sqe.addr, world.stream + world.stream_start, bytes)
        world.stream_start += bytes
        completed(&world.plane, sqe.user_data, <int>bytes, 0)
    return True


cdef bint complete(const queued *sqe, unsigned how) noexcept nogil:
    # Complete one operation.  False: not yet.
    cdef int result
    if sqe.opcode == IORING_OP_ASYNC_CANCEL:
        completed(&world.plane, sqe.user_data, -ENOENT, 0)
        return True
    if sqe.opcode == IORING_OP_RECV:
        return receive(sqe)
    if is_on_file(sqe) and how & KERNEL_WAITS_WITH_FILES:
        return False
    if how & KERNEL_HESITATES:
        result = -EAGAIN if sqe.opcode != IORING_OP_POLL_ADD else 0
    elif how & KERNEL_FAILS:
        result = -EIO if is_on_file(sqe) else -ECONNRESET
        world.is_astray = world.is_astray or not is_on_file(sqe)
    else:
        result = stage_perform(sqe, how & KERNEL_IS_SHORT != 0)
        if result == -EAGAIN and not world.connection.is_cancelled:
            return False
        if result == -EAGAIN:
            result = -ECANCELED
    completed(&world.plane, sqe.user_data, result, 0)
    return True


cdef void kernel_turn(unsigned how) noexcept nogil:
    # Let the plane queue what it wants, then complete what can be.
    cdef queued *sqe
    cdef queued taken[PENDING_MAX]
    cdef unsigned count, index
    settle(&world.plane)
    while True:
        sqe = stage_take(&world.ring)
        if sqe is NULL:
            break
        require(world.pending_count < PENDING_MAX)
        world.pending[world.pending_count] = sqe[0]
        world.pending_count += 1
    count = world.pending_count
    memcpy(taken, world.pending, count * sizeof(queued))
    world.pending_count = 0
    for index in range(count):
        sqe = &taken[count - 1 - index if how & KERNEL_IS_BACKWARDS else index]
        if not complete(sqe, how):
            world.pending[world.pending_count] = sqe[0]
            world.pending_count += 1
    take_events()
    client_reads()


cdef void client_reads() noexcept nogil:
    cdef ssize_t count = 1
    while world.peer_reads and count > 0:
        require(world.output_bytes < OUTPUT_BYTES_MAX)
        count = read(world.peer, world.output + world.output_bytes, OUTPUT_BYTES_MAX - world.output_bytes)
        if count > 0:
            world.output_bytes += count


# --- the engine -----------------------------------------------------------------------------------------------------


cdef void take_events() noexcept nogil:
    # As DataPlane.take_events does.
    cdef Event *event = world.plane.first_event
    cdef Event *following
    world.plane.first_event = NULL
    world.plane.last_event = NULL
    while event is not NULL:
        following = event.next
        if event.kind == EVENT_FRAME:
            world.handed += 1
            world.connection.bytes_handed -= event.bytes
            if event.frozen_open and world.frozen_count < FROZEN_MAX:
                world.frozen[world.frozen_count] = event.frozen_open
                world.frozen_count += 1
        elif event.kind == EVENT_DRAINED:
            require(world.drains_wanted > 0)
            world.drains_wanted -= 1
        elif event.kind in (EVENT_FAILED, EVENT_VIOLATION):
            world.is_astray = True
        connection_release(event.connection)
        free(event)
        event = following
    mark_dirty(world.connection)


cdef void thaw() noexcept nogil:
    # As PlaneConnection.thaw does, for everything that is frozen.
    cdef Grant *grant
    while world.frozen_count:
        world.frozen_count -= 1
        grant = find_grant(world.connection, world.frozen[world.frozen_count])
        if world.frozen[world.frozen_count] == <uint64_t>-1:
            require(world.connection.frozen > 0)
            world.connection.frozen -= 1
        elif grant is not NULL and grant.frozen:
            grant.frozen -= 1


cdef void grant_open(int index, bint write_through) noexcept nogil:
    cdef Grant *grant
    if world.is_granted[index] or world.is_dropped or world.drains_wanted:
        return
    grant = <Grant *>calloc(1, sizeof(Grant))
    require(grant is not NULL)
    grant.number = grant.persistent_id = grant.volatile_id = grant.session_id = index + 1
    grant.tree_id = TREE
    grant.descriptor = world.files[index]
    grant.operations = GRANT_READ | GRANT_WRITE | GRANT_FLUSH
    grant.write_through = write_through
    grant.device = &world.devices[index]
    require(add_grant(world.connection, grant))
    world.is_granted[index] = True


cdef void revoke(int index) noexcept nogil:
    # As PlaneConnection.revoke does.
    cdef Grant *grant = find_grant(world.connection, index + 1)
    if not world.is_granted[index]:
        return
    world.is_granted[index] = False
    require(grant is not NULL and not grant.revoked)
    grant.revoked = True
    if grant.in_flight == 0:
        bury_grant(world.connection, grant)
    else:
        grant.drained_wanted = True
        world.drains_wanted += 1
        mark_dirty(world.connection)


cdef void engine_sends(size_t bytes) noexcept nogil:
    # As PlaneConnection.send does: a frame that no answer of the plane's can be taken for.
    cdef Segment *segment
    cdef Message message
    if world.is_dropped:
        return
    segment = <Segment *>calloc(1, sizeof(Segment) + PREFIX_BYTES + HEADER_BYTES + bytes)
    require(segment is not NULL)
    memset(&message, 0, sizeof(message))
    message.command = COMMAND_OF_THE_ENGINE
    segment.data = <uint8_t *>segment + sizeof(Segment)
    segment.end = PREFIX_BYTES + HEADER_BYTES + bytes
    segment.is_engines = True
    store_prefix(segment.data, HEADER_BYTES + bytes)
    store_header(segment.data + PREFIX_BYTES, &message, STATUS_SUCCESS, 0, FLAG_SERVER_TO_REDIR)
    append_segment(world.connection, segment)
    mark_dirty(world.connection)


cdef void drop() noexcept nogil:
    world.is_astray = world.is_dropped = True
    world.connection.is_dropped = True
    mark_dirty(world.connection)


# --- one input ------------------------------------------------------------------------------------------------------


cdef void act(unsigned action, unsigned circumstances) noexcept nogil:
    cdef unsigned how, option
    cdef size_t bytes
    action = action % 16
    if action < 8:
        how = next_byte()
        bytes = next_byte()
        bytes |= next_byte() << 8
        bytes = min(bytes, world.left)
        client_sends(&world, world.data, bytes, how)
        world.data += bytes
        world.left -= bytes
    elif action == 8:
        kernel_turn(next_byte())
    elif action == 9:
        revoke(next_byte() & 1)
    elif action == 10:
        grant_open(next_byte() & 1, circumstances & WITH_WRITE_THROUGH)
    elif action == 11:
        thaw()
    elif action == 12:
        engine_sends(<size_t>next_byte() * 64)
    elif action == 13:
        option = next_byte()
        world.connection.reading_wanted = not option & 1
        world.connection.is_discarding = option & 2 != 0
        world.peer_reads = not option & 4
        find_session(world.connection, SESSION_SEALED).is_served = not option & 8
        world.connection.is_finishing = option & 16 != 0
        world.is_astray = world.is_astray or option & 2
        if option & 32:
            world.is_cut = True
            require(ftruncate(world.files[option >> 6 & 1], 1000) == 0)
        mark_dirty(world.connection)
    elif action == 14:
        world.chunk_bytes = 1 + <size_t>next_byte() * next_byte()
    else:
        drop()
    if not world.is_manual:
        kernel_turn(0)


cdef void fill_files() noexcept nogil:
    cdef uint8_t *contents = <uint8_t *>malloc(FILE_BYTES)
    cdef int index
    require(contents is not NULL)
    memset(contents, 7, FILE_BYTES)
    for index in range(2):
        require(pwrite(world.files[index], contents, FILE_BYTES, 0) == FILE_BYTES)
    free(contents)
    world.is_cut = False


cdef void set_up(unsigned circumstances) noexcept nogil:
    cdef Connection *connection
    cdef Session *session
    cdef uint64_t number
    cdef int pair[2]
    cdef int index, buffer_bytes = 16384
    memset(&world.plane, 0, sizeof(Plane))
    pthread_mutex_init(&world.plane.lock, NULL)
    stage_ring(&world.ring)
    world.plane.ring = &world.ring
    world.plane.buffer_bytes = 65536
    world.plane.buffer_count = 1
    world.plane.bytes_max = 1048576
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0)
    world.peer = pair[1]
    # Little, so that it is often full.
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof(buffer_bytes))
    connection = world.connection = connection_new(&world.plane, 1, pair[0], SPAN_MAX)
    require(connection is not NULL)
    connection_hold(connection)
    world.plane.open_connections = 1
    connection.frame_bytes_max = 131072
    connection.queue_bytes_max = 4096 if circumstances & WITH_SMALL_QUEUE else 8388608
    connection.read_bytes_max = connection.write_bytes_max = IO_BYTES_MAX
    connection.span_max = SPAN_MAX
    connection.multi_credit = not circumstances & WITHOUT_MULTI_CREDIT
    window_grant(&connection.window, SPAN_MAX - 1, SPAN_MAX)
    for number in range(SESSION_PLAIN, SESSION_SEALED + 1):
        session = <Session *>calloc(1, sizeof(Session))
        require(session is not NULL)
        session.session_id = number
        pthread_mutex_init(&session.crew_lock, NULL)
        session.is_served = True
        if number == SESSION_SEALED:
            session.keys.signer = signing_key_new(0, KEY)
            session.keys.opener = sealing_key_new(2, KEY, False)
            session.keys.sealer = sealing_key_new(2, KEY, True)
            memcpy(session.keys.nonce_prefix, b"plan", 4)
        session.next = connection.sessions
        connection.sessions = session
    for index in range(2):
        world.devices[index].is_local = not circumstances & WITH_REMOTE_FILES
        world.devices[index].slow_until = 0
        require(ftruncate(world.files[index], FILE_BYTES) == 0)
        world.is_granted[index] = False
        grant_open(index, circumstances & WITH_WRITE_THROUGH)
    if world.is_cut:
        fill_files()


cdef void finish() noexcept nogil:
    # Everything is completed and looked at; then the connection goes.
    cdef unsigned turns = 0
    cdef size_t before
    world.connection.reading_wanted = True
    world.peer_reads = True
    world.chunk_bytes = 65536
    while turns < 8 and not world.is_dropped:
        before = world.output_bytes + world.handed + world.stream_start + world.plane.operations * 16777216
        kernel_turn(0)
        if before == world.output_bytes + world.handed + world.stream_start + world.plane.operations * 16777216:
            turns += 1
        else:
            turns = 0
    before = check_stream(world.output, world.output_bytes, world.signer, world.opener, &world.answered)
    if not world.is_astray:
        require(before == world.output_bytes and world.stream_start == world.stream_end)
        require(world.answered + world.handed == world.sent)
    revoke(0)
    revoke(1)
    drop()
    for turns in range(64):
        kernel_turn(0)
    require(world.drains_wanted == 0 and world.plane.open_connections == 0)
    require(world.plane.operations == 0 and world.pending_count == 0 and world.connection.references == 1)
    connection_release(world.connection)
    free_dead(&world.plane)
    require(world.plane.pool.bytes_taken == 0)
    pool_trim(&world.plane.pool)
    close(world.peer)


cdef public int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) noexcept nogil:
    """Act out the input on a connection of its own."""
    cdef unsigned circumstances
    cdef uint8_t table[4096]
    memset(table, 0, sizeof(table))
    world.data = data
    world.left = size
    world.stream_start = world.stream_end = world.output_bytes = 0
    world.sent = world.handed = world.answered = 0
    world.pending_count = world.frozen_count = world.drains_wanted = 0
    world.is_astray = world.is_dropped = False
    world.peer_reads = True
    world.chunk_bytes = 65536
    world.next_id = 0
    circumstances = next_byte()
    world.is_manual = circumstances & FOR_MANUAL_KERNEL
    set_up(circumstances)
    world.plane.buffer_table = <liburing.io_uring_buf_ring *>table
    while world.left and not world.is_dropped:
        act(next_byte(), circumstances)
    finish()
    return 0


cdef public int LLVMFuzzerInitialize(int *count, char ***arguments) noexcept nogil:
    """Load the plane's modules, which the functions above come from, and what all inputs share."""
    cdef int index
    stage_module()
    Py_Initialize()
    if PyImport_ImportModule(b"connection_target") is NULL:
        PyErr_Print()
        require(False)
    world.signer = signing_key_new(0, KEY)
    world.sealer = sealing_key_new(2, KEY, True)
    world.opener = sealing_key_new(2, KEY, False)
    world.stream = <uint8_t *>malloc(STREAM_BYTES_MAX)
    world.output = <uint8_t *>malloc(OUTPUT_BYTES_MAX)
    require(world.stream is not NULL and world.output is not NULL)
    for index in range(2):
        world.files[index] = memfd_create(b"fuzzed", 0)
        require(world.files[index] >= 0)
    fill_files()
    return 0
