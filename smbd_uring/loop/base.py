"""What both drivers share: the turn of the loop, the life of connections, the companion, watches and
deadlines.

Knows: the engine's and the companion's entry points, the clock.  Must not know: SMB, and how bytes and file
operations are moved, which is what `RingDriver` and `EpollDriver` add.

One turn: settle everything the last turn left behind (answers to the engine, sends, ends of connections),
work out how long to sleep, wait, hand what happened to the engine.  Methods the engine calls only queue;
they take effect while settling, so the engine is never called from inside itself.
"""

from __future__ import annotations

import heapq
import logging
import os
import signal
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from smbd_uring import limits
from smbd_uring.loop.connection import Connection, Phase, prepare
from smbd_uring.loop.inline_files import InlineFiles
from smbd_uring.loop.workers import Answer, WorkerPool
from smbd_uring.ports import (
    AskLogin,
    AskShare,
    AskTogether,
    AskTree,
    AwaitChanges,
    Buffer,
    CloseHandle,
    CompanionUnavailable,
    Effect,
    Handle,
    PlaneConnection,
    StopAwaitingChanges,
    TellLogout,
    TellTreeDisconnect,
)

_log = logging.getLogger("smbd.loop")

COMPANION_EFFECTS: Final = frozenset({AskLogin, AskShare, AskTree, AskTogether, TellTreeDisconnect, TellLogout})
SETTLING_ROUNDS_MAX: Final = 16
"""An engine that answers each completion with one more effect must not keep the loop from its sockets."""


class Engine(Protocol):
    """What a driver calls; see `ports.Driver` for the rules."""

    def connection_made(self, connection_id: int, address: str, now: float) -> bool: ...
    def data_received(self, connection_id: int, data: memoryview, now: float) -> None: ...
    def frame_received(
        self, connection_id: int, frame: bytes, sealed_by: int, ids_taken: bool, frozen: int, now: float
    ) -> None: ...
    def protocol_violated(self, connection_id: int, reason: str, now: float) -> None: ...
    def data_sent(self, connection_id: int, count: int, now: float) -> None: ...
    def connection_lost(self, connection_id: int, now: float) -> None: ...
    def completed(self, token: Any, result: Any, error: BaseException | None, now: float) -> None: ...
    def kernel_lease_broken(self, handle: Handle, now: float) -> None: ...
    def tick(self, now: float) -> None: ...
    def next_deadline(self) -> float | None: ...


class Companion(Protocol):
    """Where Ask and Tell effects go."""

    def submit(self, token: object, effect: Effect[Any], now: float) -> None: ...
    def fileno(self) -> int | None:
        """Readable when there is something for it; changes in `readable` and `tick` alone."""

    def readable(self, now: float) -> None: ...
    def tick(self, now: float) -> None: ...
    def next_deadline(self) -> float | None: ...
    def take_answers(self) -> Sequence[Answer]: ...


class DriverBase(ABC):
    """The part of `ports.Driver` that does not depend on the kind of kernel interface.

    Made, run and closed in one thread; `wake` alone may be called from others and from signal handlers.
    """

    engine: Engine
    """Set before `run`; engine and driver know each other, so one of them comes later."""

    def __init__(
        self,
        listeners: Sequence[socket.socket] = (),
        companion: Companion | None = None,
        workers: int = limits.WORKER_THREADS,
    ) -> None:
        """`listeners` are bound and listening; the driver owns them from now on."""
        self.companion = companion
        self.connections: dict[int, Connection] = {}
        self._next_connection_id = 1
        self._listeners: list[socket.socket] = []
        self._accept_paused_until: float | None = None
        self._watches: dict[int, Callable[[float], None]] = {}
        self._awaiting_changes: object = None
        """Who waits for changes in directories."""
        self._companion_watched: tuple[int, int] | None = None
        self._marked: deque[Connection] = deque()
        self._endings: list[tuple[float, int]] = []
        self._answers: deque[Answer] = deque()
        self._woken = False
        self._wake_reader, self.wakeup_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._workers = WorkerPool(workers, self.wake)
        self._inline = InlineFiles()
        self._closed = False
        self.watch(self._wake_reader, self._take_wakeup)
        self.watch(self._inline.kernel_leases.fileno(), self._take_kernel_leases)
        for listener in listeners:
            self.add_listener(listener)

    # --- for the server -------------------------------------------------------------------------------------

    def run(self, until: Callable[[], bool], deadline: float | None = None) -> None:
        """Turn until `until()` is true, asked before each sleep and at least every LOOP_WAIT_MAX_S, or until
        `deadline` (monotonic seconds).  Signals end the sleep.  Exceptions of the engine come out of
        here."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        self._follow_companion()
        before = signal.set_wakeup_fd(self.wakeup_fd, warn_on_full_buffer=False) if in_main_thread else -1
        try:
            while True:
                now = time.monotonic()
                self._inline.be_oneself()
                self._settle(now)
                if until() or (deadline is not None and deadline <= now):
                    return
                self._wait(self._sleep_s(now, deadline))
                self._on_deadlines(time.monotonic())
        finally:
            if in_main_thread:
                signal.set_wakeup_fd(before)

    def add_listener(self, listener: socket.socket) -> None:
        """Accept connections of a listening socket, which the driver owns from now on."""
        self._listeners.append(listener)
        self._start_accepting(listener)

    def stop_accepting(self) -> None:
        """Close every listener; connections stay."""
        for listener in self._listeners:
            self._stop_listener(listener)
            listener.close()
        self._listeners.clear()

    def watch(self, descriptor: int, callback: Callable[[float], None]) -> None:
        """Call `callback(now)` whenever the descriptor is readable, until `unwatch`."""
        assert descriptor not in self._watches
        self._watches[descriptor] = callback
        self._start_watching(descriptor)

    def unwatch(self, descriptor: int) -> None:
        """Stop watching; to be called before the descriptor is closed."""
        del self._watches[descriptor]
        self._stop_watching(descriptor)

    def wake(self) -> None:
        """End the loop's sleep.  For any thread and for signal handlers."""
        if not self._woken:
            self._woken = True
            # A full pipe wakes as well as one more byte would; a closed one belongs to a loop that has ended.
            with suppress(OSError):
                os.write(self.wakeup_fd, b"\0")

    @property
    def operations_in_flight(self) -> int:
        """File effects that have been asked for and not been answered."""
        return self._workers.in_flight + len(self._answers)

    def close(self) -> None:
        """Drop what is left: listeners, connections (the engine hears `connection_lost`), threads.
        Idempotent."""
        if self._closed:
            return
        self._closed = True
        now = time.monotonic()
        self.stop_accepting()
        for connection in list(self.connections.values()):
            self._lose(connection, now)
        self._workers.close()
        self._inline.close()
        self._release()
        os.close(self._wake_reader)
        os.close(self.wakeup_fd)

    # --- for the engine: ports.Driver -----------------------------------------------------------------------

    def perform_now(self, effect: Effect[Any]) -> Any:
        """See `ports.Driver`."""
        return self._inline.perform_now(effect)

    def perform(self, token: object, effect: Effect[Any]) -> None:
        """See `ports.Driver`."""
        self._inline.be_oneself()
        if type(effect) is CloseHandle:
            self._inline.forget(effect.handle)
        if type(effect) is AwaitChanges:
            self._await_changes(token)
        elif type(effect) is StopAwaitingChanges:
            self._end_awaiting_changes(False)
            self._inline.changes.close()
            self._answers.append((token, None, None))
        elif type(effect) not in COMPANION_EFFECTS:
            self._perform_on_files(token, effect)
        elif self.companion is None:
            self._answers.append((token, None, CompanionUnavailable("there is no companion")))
        else:
            self.companion.submit(token, effect, time.monotonic())

    def send(self, connection_id: int, segments: Sequence[Buffer]) -> None:
        """See `ports.Driver`."""
        connection = self.connections.get(connection_id)
        if connection is not None and connection.takes_sends:
            self._queue(connection, segments)

    def disconnect(self, connection_id: int) -> None:
        """See `ports.Driver`.  Bounded by DISCONNECT_FLUSH_S and DISCONNECT_LINGER_S."""
        connection = self.connections.get(connection_id)
        if connection is not None and connection.phase is Phase.OPEN:
            self._start_flushing(connection, time.monotonic())

    def pause_reading(self, connection_id: int) -> None:
        """See `ports.Driver`."""
        self._want_reading(connection_id, False)

    def resume_reading(self, connection_id: int) -> None:
        """See `ports.Driver`."""
        self._want_reading(connection_id, True)

    def _want_reading(self, connection_id: int, wanted: bool) -> None:
        connection = self.connections.get(connection_id)
        if connection is not None and connection.reading_wanted is not wanted:
            connection.reading_wanted = wanted
            self._mark(connection)

    # --- one turn -------------------------------------------------------------------------------------------

    def _settle(self, now: float) -> None:
        for _ in range(SETTLING_ROUNDS_MAX):
            self._answers.extend(self._take_worker_answers())
            if self.companion is not None:
                self._answers.extend(self.companion.take_answers())
            if not self._answers and not self._marked:
                return
            for _ in range(len(self._answers)):
                token, result, error = self._answers.popleft()
                self.engine.completed(token, result, error, now)
            self._inline.be_oneself()
            for _ in range(len(self._marked)):
                connection = self._marked.popleft()
                connection.marked = False
                if connection.phase is not Phase.LOST:
                    self._advance(connection, now)

    def _take_worker_answers(self) -> Sequence[Answer]:
        return self._workers.take_completed()

    def _sleep_s(self, now: float, deadline: float | None) -> float:
        if self._answers or self._marked:
            return 0.0
        due = self._next_deadline(now + limits.LOOP_WAIT_MAX_S)
        if deadline is not None and deadline < due:
            due = deadline
        return due - now if due > now else 0.0

    def _next_deadline(self, latest: float) -> float:
        """When `_on_deadlines` has something to do, `latest` when not before then."""
        due = self.engine.next_deadline()
        if due is not None and due < latest:
            latest = due
        if self.companion is not None:
            due = self.companion.next_deadline()
            if due is not None and due < latest:
                latest = due
        if self._endings and self._endings[0][0] < latest:
            latest = self._endings[0][0]
        if self._accept_paused_until is not None and self._accept_paused_until < latest:
            latest = self._accept_paused_until
        return latest

    def _on_deadlines(self, now: float) -> None:
        due = self.engine.next_deadline()
        if due is not None and due <= now:
            self.engine.tick(now)
            self._inline.be_oneself()
        if self.companion is not None:
            due = self.companion.next_deadline()
            if due is not None and due <= now:
                self.companion.tick(now)
                self._follow_companion()
        while self._endings and self._endings[0][0] <= now:
            _, connection_id = heapq.heappop(self._endings)
            connection = self.connections.get(connection_id)
            if connection is not None and connection.deadline <= now:
                self._lose(connection, now)
        if self._accept_paused_until is not None and self._accept_paused_until <= now:
            self._accept_paused_until = None
            for listener in self._listeners:
                self._start_accepting(listener)

    def _take_wakeup(self, _now: float) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake_reader, 4096)
        # Before completions are looked at: one that arrives later writes again.
        self._woken = False

    def _take_kernel_leases(self, now: float) -> None:
        for handle in self._inline.kernel_leases.broken():
            self.engine.kernel_lease_broken(handle, now)

    def _follow_companion(self) -> None:
        """Watch the companion's descriptor, which may be another one after each call of the companion.  A new
        one may get the old one's number, so the inode is compared too."""
        descriptor = self.companion.fileno() if self.companion is not None else None
        present = None if descriptor is None else (descriptor, os.fstat(descriptor).st_ino)
        if present == self._companion_watched:
            return
        if self._companion_watched is not None:
            self.unwatch(self._companion_watched[0])
        self._companion_watched = present
        if present is not None and self.companion is not None:
            self.watch(present[0], self._companion_readable)

    def _companion_readable(self, now: float) -> None:
        assert self.companion is not None
        self.companion.readable(now)
        self._follow_companion()

    # --- changes in directories -----------------------------------------------------------------------------

    def _await_changes(self, token: object) -> None:
        descriptor = self._inline.changes.descriptor
        assert self._awaiting_changes is None and descriptor is not None, "nothing is watched"
        self._awaiting_changes = token
        # Only while somebody waits: what nobody takes keeps the descriptor readable.
        self.watch(descriptor, lambda _now: self._end_awaiting_changes(True))

    def _end_awaiting_changes(self, is_something_there: bool) -> None:
        token, self._awaiting_changes = self._awaiting_changes, None
        if token is None:
            return
        descriptor = self._inline.changes.descriptor
        assert descriptor is not None
        self.unwatch(descriptor)
        self._answers.append((token, is_something_there, None))

    # --- connections ----------------------------------------------------------------------------------------

    def _accepted(self, accepted: socket.socket, now: float) -> None:
        try:
            address = prepare(accepted)
        except OSError:
            accepted.close()
            return
        connection = self._new_connection(self._next_connection_id, accepted, address)
        self._next_connection_id += 1
        self.connections[connection.connection_id] = connection
        if self.engine.connection_made(connection.connection_id, address, now):
            self._mark(connection)
        else:
            connection.phase = Phase.LOST
            del self.connections[connection.connection_id]
            self._dispose(connection)

    def _accept_failed(self, error: OSError, now: float) -> None:
        _log.warning("accepting pauses for %.2f s: %s", limits.ACCEPT_PAUSE_S, error)
        self._accept_paused_until = now + limits.ACCEPT_PAUSE_S
        for listener in self._listeners:
            self._stop_listener(listener)

    def _mark(self, connection: Connection) -> None:
        if not connection.marked:
            connection.marked = True
            self._marked.append(connection)

    def _received(self, connection: Connection, data: memoryview, now: float) -> None:
        """Bytes came; after a disconnect they are read only to find the end behind them."""
        if connection.phase is Phase.OPEN:
            self.engine.data_received(connection.connection_id, data, now)
            self._inline.be_oneself()

    def _received_end(self, connection: Connection, now: float) -> None:
        """The peer sends no more.  What is queued for it may still leave: it may have closed one half
        only."""
        connection.peer_finished = True
        if connection.phase is Phase.LINGERING:
            self._lose(connection, now)
        elif connection.phase is Phase.OPEN:
            self._start_flushing(connection, now)
        else:
            self._mark(connection)

    def _sent(self, connection: Connection, count: int, now: float) -> None:
        self.engine.data_sent(connection.connection_id, count, now)
        self._inline.be_oneself()

    def _start_flushing(self, connection: Connection, now: float) -> None:
        connection.phase = Phase.FLUSHING
        self._end_by(connection, now + limits.DISCONNECT_FLUSH_S)
        self._mark(connection)

    def _flushed(self, connection: Connection, now: float) -> None:
        """The last byte has been taken by the kernel: say so to the peer and wait for its end."""
        if connection.peer_finished:
            self._lose(connection, now)
            return
        connection.phase = Phase.LINGERING
        self._end_by(connection, now + limits.DISCONNECT_LINGER_S)
        self._end_sending(connection)
        self._mark(connection)

    def _end_by(self, connection: Connection, deadline: float) -> None:
        connection.deadline = deadline
        heapq.heappush(self._endings, (deadline, connection.connection_id))

    def _lose(self, connection: Connection, now: float) -> None:
        """The connection is over.  The engine hears it once; the socket goes when nothing uses it any
        more."""
        if connection.phase is Phase.LOST:
            return
        connection.phase = Phase.LOST
        del self.connections[connection.connection_id]
        self._dispose(connection)
        self.engine.connection_lost(connection.connection_id, now)
        self._inline.be_oneself()

    # --- what a driver adds ---------------------------------------------------------------------------------

    @abstractmethod
    def _perform_on_files(self, token: object, effect: Effect[Any]) -> None:
        """Queue a file effect; its answer goes to `_answers` or comes from the workers."""

    @abstractmethod
    def plane_connection(self, connection_id: int) -> PlaneConnection | None:
        """See `ports.Driver`."""

    @abstractmethod
    def unacknowledged(self, connection_id: int) -> int:
        """See `ports.Driver`."""

    @abstractmethod
    def served(self) -> tuple[dict[int, int], int, int]:
        """See `ports.Driver`."""

    @abstractmethod
    def _wait(self, timeout_s: float) -> None:
        """Sleep until something happens, at most so long, and hand it on."""

    @abstractmethod
    def _advance(self, connection: Connection, now: float) -> None:
        """Bring sending and reading of a connection in line with what its fields want."""

    @abstractmethod
    def _new_connection(self, connection_id: int, accepted: socket.socket, address: str) -> Connection:
        """The driver's own kind of connection."""

    @abstractmethod
    def _queue(self, connection: Connection, segments: Sequence[Buffer]) -> None:
        """Send segments after everything queued before."""

    @abstractmethod
    def _end_sending(self, connection: Connection) -> None:
        """Tell the peer that nothing more will come."""

    @abstractmethod
    def _dispose(self, connection: Connection) -> None:
        """Close the socket as soon as nothing in the kernel uses it, and drop what waits to be sent."""

    @abstractmethod
    def _start_accepting(self, listener: socket.socket) -> None:
        """Begin to accept; does nothing when it does so already."""

    @abstractmethod
    def _stop_listener(self, listener: socket.socket) -> None:
        """Stop accepting, before the listener is closed or for a pause."""

    @abstractmethod
    def _start_watching(self, descriptor: int) -> None:
        """Begin to wait for the descriptor to become readable."""

    @abstractmethod
    def _stop_watching(self, descriptor: int) -> None:
        """Stop waiting for it; it may be closed already."""

    @abstractmethod
    def _release(self) -> None:
        """Give back what the driver holds of the kernel."""
