# cython: language_level=3
"""Keeps connections busy: one thread that sends requests as soon as answers allow, without the GIL.

Knows: sockets, time, which operations are to be kept in flight.  Must not know: what they are; how a session
came about.

One connection is served by blocking receives, which cost the least; several by epoll.  In each turn everything that
has arrived is used before anything is sent, so that requests that became possible together go out together.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset
from posix.unistd cimport close
from smbd_uring._native._crypto cimport sealing_key_new, signing_key_new
from smbd_uring.perf._connection cimport (
    ENDED,
    NONE,
    TIMEOUT,
    WRITTEN_KEPT,
    begin_operation,
    common,
    complaint,
    connection,
    free_connection,
    now_ns,
    pump,
    request,
    slot,
)
from smbd_uring.perf._content cimport fill_content
from smbd_uring.perf._histogram cimport Histogram
from smbd_uring.perf._replies cimport complain, handle_received, tally
from smbd_uring.perf._template cimport fill_operation, operation_template

import os

cdef extern from "<sys/socket.h>" nogil:
    ssize_t recv(int socket, void *into, size_t length, int flags)
    int MSG_DONTWAIT

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data:
        uint32_t u32

    cdef struct epoll_event:
        uint32_t events
        epoll_data data

    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int operation, int descriptor, epoll_event *event)
    int epoll_wait(int epoll, epoll_event *events, int count, int timeout_ms)
    int EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLIN, EPOLLOUT

cdef enum:
    EVENTS_BATCH = 64
    # How long one wait may last: the deadline and signals are looked at in between.
    WAIT_MS = 50
    RECEIVE_BYTES_MIN = 65536
    SEND_BYTES_MIN = 65536
    # Headers, transform header and prefix around a payload, generously.
    FRAME_OVERHEAD = 1024
    CREDITS_SPARE = 32
    REQUESTS_MIN = 64

cdef uint64_t SLICE_NS = 200 * 1000 * 1000
PATIENCE_S = 20.0


def content(uint64_t offset, Py_ssize_t length, uint64_t seed):
    """`length` bytes from `offset` on of the test file that `seed` makes; multiples of 8."""
    if offset % 8 or length % 8 or length < 0:
        raise ValueError("contents are made of whole words of 8 bytes")
    cdef bytes made = PyBytes_FromStringAndSize(NULL, length)
    fill_content(<uint8_t *>PyBytes_AS_STRING(made), offset, length, seed)
    return made


cdef class Generator:
    """Connections, and what is kept in flight on them."""

    # Owned; the sockets belong to whoever lent them and stay open for as long as `run` is used.
    cdef connection *connections
    cdef unsigned count
    cdef int epoll
    cdef common shared
    cdef tally counted
    cdef uint64_t patience_ns
    # Keeps `shared.payload` alive.
    cdef bytes payload
    cdef readonly Histogram latencies

    def __cinit__(self):
        self.epoll = -1

    def __init__(self, *, bint verify=False, uint64_t read_seed=0, uint64_t write_seed=0, bytes payload=b"",
                 double patience=PATIENCE_S):
        """`payload` is what every WRITE carries unless `verify`; both seeds make contents, see `content`.

        Answers that are not there `patience` seconds after the end of a run count as lost.
        """
        self.patience_ns = <uint64_t>(patience * 1e9)
        self.payload = payload
        self.shared.verify = verify
        self.shared.read_seed = read_seed
        self.shared.write_seed = write_seed
        self.shared.payload = <const uint8_t *>PyBytes_AS_STRING(payload)
        self.shared.payload_bytes = len(payload)
        self.latencies = Histogram()
        self.epoll = epoll_create1(EPOLL_CLOEXEC)
        if self.epoll < 0:
            raise OSError(errno, os.strerror(errno))

    def __dealloc__(self):
        cdef unsigned index
        for index in range(self.count):
            free_connection(&self.connections[index])
        free(self.connections)
        if self.epoll >= 0:
            close(self.epoll)

    def add_connection(
        self, int socket, uint64_t session_id, uint64_t next_message_id, int64_t credits, operations, bytes sequence,
        unsigned depth, *, size_t reply_bytes_max, signing_algorithm=None, bytes signing_key=b"", cipher=None,
        bytes sealing_key=b"", bytes opening_key=b"",
    ):
        """Take a connection over whose session and tree are there; nothing may be on its way on it.

        `operations` come in the order in which `sequence` has their indices, over and over, `depth` at a time.
        `socket` blocks, with a receive timeout.  No answer has more than `reply_bytes_max` of payload.  With a
        `signing_algorithm` all is signed, with a `cipher` all is sealed.  Raises ValueError, MemoryError, OSError.
        """
        cdef connection *on
        cdef connection *moved
        cdef epoll_event event
        moved = <connection *>realloc(self.connections, (self.count + 1) * sizeof(connection))
        if moved is NULL:
            raise MemoryError
        self.connections = moved
        on = &moved[self.count]
        memset(on, 0, sizeof(connection))
        self.count += 1
        try:
            on.socket = socket
            on.session_id = session_id
            on.next_message_id = next_message_id
            on.credits = credits
            on.random = (self.count * <uint64_t>0x9E3779B97F4A7C15) | 1
            fill_operations(on, operations, sequence)
            fill_slots(on, depth)
            make_buffers(on, reply_bytes_max)
            take_keys(on, signing_algorithm, signing_key, cipher, sealing_key, opening_key)
            memset(&event, 0, sizeof(event))
            event.events = EPOLLIN
            event.data.u32 = self.count - 1
            if epoll_ctl(self.epoll, EPOLL_CTL_ADD, socket, &event) < 0:
                raise OSError(errno, os.strerror(errno))
        except Exception:
            free_connection(on)
            self.count -= 1
            raise

    def run(self, double seconds):
        """Keep all slots busy for `seconds`, then let what is under way finish.  Result: how long it took, in s.

        Answers that do not come, and whatever is wrong with those that do, count as errors.
        """
        cdef uint64_t started = now_ns()
        cdef uint64_t end = started + <uint64_t>(seconds * 1e9)
        cdef bint is_done = False
        self.counted.is_ending = False
        self.begin()
        while not is_done:
            with nogil:
                is_done = self.turns(end, now_ns() + SLICE_NS)
            PyErr_CheckSignals()
        return (now_ns() - started) / 1e9

    def clear(self):
        """Forget what was counted."""
        memset(&self.counted, 0, sizeof(tally))
        self.latencies.clear()

    @property
    def operations(self):
        """Operations that went well."""
        return self.counted.operations

    @property
    def transferred(self):
        """Payload they moved."""
        return self.counted.bytes

    @property
    def errors(self):
        """Operations that went wrong."""
        return self.counted.errors

    def complaint(self):
        """The first thing that was wrong: a number of `complaint`, and the answer's status and command."""
        return self.counted.first, self.counted.first_status, self.counted.first_command

    def channel_state(self, unsigned index):
        """The next message id and the credits of a connection, for whoever takes it back."""
        if index >= self.count:
            raise IndexError(index)
        return self.connections[index].next_message_id, self.connections[index].credits

    def written(self, unsigned index):
        """Where the last WRITEs of a connection went, in bytes."""
        if index >= self.count:
            raise IndexError(index)
        kept = min(self.connections[index].written_count, <uint64_t>WRITTEN_KEPT)
        return [self.connections[index].written[place] for place in range(kept)]

    cdef void begin(self) noexcept nogil:
        cdef unsigned index
        cdef uint32_t taken
        cdef connection *on
        for index in range(self.count):
            on = &self.connections[index]
            if on.dead:
                continue
            on.busy = on.depth
            for taken in range(on.depth):
                begin_operation(on, taken)
            self.send(index)

    cdef bint turns(self, uint64_t end, uint64_t slice_end) noexcept nogil:
        """Work until all is finished (True) or the slice of time is over."""
        cdef uint64_t now
        while self.busy():
            now = now_ns()
            if now >= end:
                self.counted.is_ending = True
                if now > end + self.patience_ns:
                    self.give_up()
            if now >= slice_end:
                return False
            if self.count == 1 and not self.connections[0].is_blocked:
                self.receive(0, 0)
            else:
                self.wait()
        return True

    cdef bint busy(self) noexcept nogil:
        cdef unsigned index
        for index in range(self.count):
            if self.connections[index].busy and not self.connections[index].dead:
                return True
        return False

    cdef void wait(self) noexcept nogil:
        cdef epoll_event events[EVENTS_BATCH]
        cdef int count = epoll_wait(self.epoll, events, EVENTS_BATCH, WAIT_MS)
        cdef int index
        for index in range(count):
            if events[index].events & ~<uint32_t>EPOLLOUT:
                self.receive(events[index].data.u32, MSG_DONTWAIT)
            else:
                self.send(events[index].data.u32)

    cdef void receive(self, unsigned index, int flags) noexcept nogil:
        """Take what has arrived, and send what that allows."""
        cdef connection *on = &self.connections[index]
        cdef ssize_t count
        if on.dead:
            return
        count = recv(
            on.socket, on.received + on.received_end, on.received_capacity - on.received_end, flags
        )
        if count < 0 and errno in (EAGAIN, EINTR):
            return
        if count <= 0:
            on.dead = ENDED
        else:
            on.received_end += count
            handle_received(on, &self.shared, &self.counted, self.latencies, now_ns())
        self.send(index)

    cdef void send(self, unsigned index) noexcept nogil:
        cdef connection *on = &self.connections[index]
        cdef bint was_blocked = on.is_blocked
        cdef epoll_event event
        pump(on, &self.shared)
        if on.dead:
            self.bury(on, on.dead)
        elif was_blocked != on.is_blocked:
            memset(&event, 0, sizeof(event))
            event.events = EPOLLIN | (EPOLLOUT if on.is_blocked else 0)
            event.data.u32 = index
            epoll_ctl(self.epoll, EPOLL_CTL_MOD, on.socket, &event)

    cdef void bury(self, connection *on, complaint why) noexcept nogil:
        """A connection is of no more use: what was under way on it has failed."""
        cdef epoll_event unused
        on.dead = why
        # A connection that has ended would be ready for ever.
        epoll_ctl(self.epoll, EPOLL_CTL_DEL, on.socket, &unused)
        complain(&self.counted, why, 0, 0)
        self.counted.errors += on.busy
        on.busy = 0

    cdef void give_up(self) noexcept nogil:
        cdef unsigned index
        for index in range(self.count):
            if self.connections[index].busy:
                self.bury(&self.connections[index], TIMEOUT)


cdef int fill_operations(connection *on, operations, bytes sequence) except -1:
    if not operations or not sequence or max(sequence) >= len(operations):
        raise ValueError("a sequence of operations that are not there")
    on.operations = <operation_template *>calloc(len(operations), sizeof(operation_template))
    on.sequence = <uint8_t *>malloc(len(sequence))
    if on.operations is NULL or on.sequence is NULL:
        raise MemoryError
    memcpy(on.sequence, PyBytes_AS_STRING(sequence), len(sequence))
    on.sequence_length = len(sequence)
    for operation in operations:
        fill_operation(&on.operations[on.operation_count], operation)
        on.operation_count += 1
    return 0


cdef int fill_slots(connection *on, unsigned depth) except -1:
    """Slots, and the table of requests: as large as message ids can be apart when answers come in order, twice."""
    cdef uint32_t index, step
    cdef uint64_t charge = 1
    cdef uint64_t entries = REQUESTS_MIN
    if depth == 0:
        raise ValueError("nothing in flight")
    for index in range(on.operation_count):
        for step in range(on.operations[index].count):
            charge = max(charge, on.operations[index].steps[step].charge)
    while entries < 2 * depth * charge:
        entries *= 2
    on.credits_wanted = depth * charge + CREDITS_SPARE
    on.requests_mask = entries - 1
    on.depth = depth
    on.slots = <slot *>calloc(depth, sizeof(slot))
    on.ready = <uint32_t *>calloc(depth, sizeof(uint32_t))
    on.requests = <request *>calloc(entries, sizeof(request))
    if on.slots is NULL or on.ready is NULL or on.requests is NULL:
        raise MemoryError
    return 0


cdef int make_buffers(connection *on, size_t reply_bytes_max) except -1:
    cdef size_t largest = 0
    cdef uint32_t index, step
    for index in range(on.operation_count):
        for step in range(on.operations[index].count):
            largest = max(
                largest, <size_t>on.operations[index].steps[step].length + on.operations[index].steps[step].payload
            )
    on.out_capacity = max(<size_t>SEND_BYTES_MIN, 2 * (largest + FRAME_OVERHEAD))
    on.received_capacity = max(<size_t>RECEIVE_BYTES_MIN, 2 * (reply_bytes_max + FRAME_OVERHEAD))
    on.out = <uint8_t *>malloc(on.out_capacity)
    on.received = <uint8_t *>malloc(on.received_capacity)
    if on.out is NULL or on.received is NULL:
        raise MemoryError
    return 0


cdef int take_keys(
    connection *on, signing_algorithm, bytes signing_key, cipher, bytes sealing_key, bytes opening_key
) except -1:
    if signing_algorithm is not None:
        if len(signing_key) != 16:
            raise ValueError("a signing key has 16 bytes")
        on.signing = signing_key_new(signing_algorithm, <const uint8_t *>PyBytes_AS_STRING(signing_key))
        if on.signing is NULL:
            raise ValueError(f"no signing algorithm {signing_algorithm}")
    if cipher is not None:
        if len(sealing_key) not in (16, 32) or len(opening_key) != len(sealing_key):
            raise ValueError("a cipher's key has 16 or 32 bytes")
        on.sealing = sealing_key_new(cipher, <const uint8_t *>PyBytes_AS_STRING(sealing_key), True)
        on.opening = sealing_key_new(cipher, <const uint8_t *>PyBytes_AS_STRING(opening_key), False)
        if on.sealing is NULL or on.opening is NULL:
            raise ValueError(f"no cipher {cipher}")
    return 0
