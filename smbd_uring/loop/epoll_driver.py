"""The driver where io_uring is refused: readiness from epoll, file operations in worker threads.

Knows: epoll, non-blocking sockets.  Must not know: SMB.  Slower than the ring, the same to the engine.
"""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import termios
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from smbd_uring import limits
from smbd_uring.loop.base import Companion, DriverBase
from smbd_uring.loop.connection import Connection, Phase
from smbd_uring.loop.send_queue import SendQueue
from smbd_uring.ports import Buffer, Effect

RECEIVE_BYTES: Final = 256 * limits.KIB
"""One recv.  A 1 MiB WRITE arrives in a few calls; other connections wait no longer than one takes."""

ACCEPTS_PER_TURN: Final = 64
SENDS_PER_TURN: Final = 16
"""sendmsg calls of one connection before others have their turn."""

_COUNT: Final = struct.Struct("i")
_GONE: Final = select.EPOLLERR | select.EPOLLHUP


class EpollConnection(Connection):
    """A connection, its socket, what waits to be sent, and the events it is registered for."""

    __slots__ = ("blocked", "registered", "sending", "socket")

    def __init__(self, connection_id: int, accepted: socket.socket, address: str) -> None:
        super().__init__(connection_id, address)
        self.socket = accepted
        self.sending = SendQueue()
        self.registered: int | None = None
        """The events asked for; None before the first time."""
        self.blocked = False
        """The socket takes no more bytes until EPOLLOUT."""


class EpollDriver(DriverBase):
    """`ports.Driver` over epoll and threads."""

    def __init__(
        self,
        listeners: Sequence[socket.socket] = (),
        companion: Companion | None = None,
        workers: int = limits.WORKER_THREADS,
    ) -> None:
        """See `DriverBase`."""
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int, float], None]] = {}
        self._watch_handlers: dict[int, Callable[[int, float], None]] = {}
        self._buffer = bytearray(RECEIVE_BYTES)
        self._view = memoryview(self._buffer)
        super().__init__(listeners, companion, workers)

    def _perform_on_files(self, token: object, effect: Effect[Any]) -> None:
        self._workers.submit(token, effect)

    def _wait(self, timeout_s: float) -> None:
        events = self._epoll.poll(timeout_s)
        now = time.monotonic()
        for descriptor, mask in events:
            # An earlier event of this batch may have ended the one that this descriptor belonged to.
            handler = self._handlers.get(descriptor)
            if handler is not None:
                handler(mask, now)

    # --- listeners and watches ------------------------------------------------------------------------------

    def _start_accepting(self, listener: socket.socket) -> None:
        if listener.fileno() not in self._handlers:
            listener.setblocking(False)
            self._register(
                listener.fileno(), select.EPOLLIN, lambda _mask, now: self._accept_some(listener, now)
            )

    def _accept_some(self, listener: socket.socket, now: float) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            if listener.fileno() < 0:
                return
            try:
                accepted, _address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError as error:
                self._accept_failed(error, now)
                return
            accepted.setblocking(False)
            self._accepted(accepted, now)

    def _stop_listener(self, listener: socket.socket) -> None:
        self._unregister(listener.fileno())

    def _start_watching(self, descriptor: int) -> None:
        callback = self._watches[descriptor]
        self._watch_handlers[descriptor] = lambda _mask, now: callback(now)
        self._register(descriptor, select.EPOLLIN, self._watch_handlers[descriptor])

    def _stop_watching(self, descriptor: int) -> None:
        # The owner may have closed it already, and a connection may have got its number.
        if self._handlers.get(descriptor) is self._watch_handlers.pop(descriptor):
            self._unregister(descriptor)

    def _register(self, descriptor: int, events: int, handler: Callable[[int, float], None]) -> None:
        self._epoll.register(descriptor, events)
        self._handlers[descriptor] = handler

    def _unregister(self, descriptor: int) -> None:
        if self._handlers.pop(descriptor, None) is not None:
            # A descriptor closed by its owner has left the epoll set by itself.
            with suppress(OSError):
                self._epoll.unregister(descriptor)

    # --- connections ----------------------------------------------------------------------------------------

    def _new_connection(self, connection_id: int, accepted: socket.socket, address: str) -> EpollConnection:
        return EpollConnection(connection_id, accepted, address)

    def _advance(self, connection: Connection, now: float) -> None:
        assert isinstance(connection, EpollConnection)
        if not connection.blocked:
            self._send_some(connection, now)
        if connection.phase is Phase.FLUSHING and not connection.sending.queued:
            self._flushed(connection, now)
        if connection.phase is not Phase.LOST:
            self._update(connection)

    def _update(self, connection: EpollConnection) -> None:
        wanted = (select.EPOLLIN if connection.wants_bytes else 0) | (
            select.EPOLLOUT if connection.blocked else 0
        )
        descriptor = connection.socket.fileno()
        if connection.registered is None:
            self._register(descriptor, wanted, lambda mask, now: self._on_events(connection, mask, now))
        elif wanted != connection.registered:
            self._epoll.modify(descriptor, wanted)
        connection.registered = wanted

    def _on_events(self, connection: EpollConnection, mask: int, now: float) -> None:
        if mask & select.EPOLLOUT or mask & _GONE:
            connection.blocked = False
            self._mark(connection)
        if mask & _GONE and not connection.wants_bytes:
            # Reported whether asked for or not: nothing that could still be read or sent matters to anybody.
            self._lose(connection, now)
        elif connection.wants_bytes and mask & (select.EPOLLIN | _GONE):
            self._receive(connection, now)

    def _receive(self, connection: EpollConnection, now: float) -> None:
        try:
            count = connection.socket.recv_into(self._buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._lose(connection, now)
            return
        if count:
            with self._view[:count] as data:
                self._received(connection, data, now)
        else:
            self._received_end(connection, now)

    def _send_some(self, connection: EpollConnection, now: float) -> None:
        for _ in range(SENDS_PER_TURN):
            if not connection.sending.queued:
                return
            try:
                count = connection.socket.sendmsg(connection.sending.batch(), (), socket.MSG_NOSIGNAL)
            except (BlockingIOError, InterruptedError):
                connection.blocked = True
                return
            except OSError:
                self._lose(connection, now)
                return
            connection.sending.advance(count)
            self._sent(connection, count, now)
            if connection.phase is Phase.LOST:
                return
        self._mark(connection)

    def _queue(self, connection: Connection, segments: Sequence[Buffer]) -> None:
        assert isinstance(connection, EpollConnection)
        connection.sending.append(segments)
        self._mark(connection)

    def _end_sending(self, connection: Connection) -> None:
        assert isinstance(connection, EpollConnection)
        with suppress(OSError):  # the peer may be gone already
            connection.socket.shutdown(socket.SHUT_WR)

    def plane_connection(self, connection_id: int) -> None:
        """See `ports.Driver`: there is no data plane here."""

    def unacknowledged(self, connection_id: int) -> int:
        """See `ports.Driver`."""
        connection = self.connections.get(connection_id)
        if not isinstance(connection, EpollConnection):
            return 0
        try:
            told = fcntl.ioctl(connection.socket, termios.TIOCOUTQ, bytes(_COUNT.size))
        except OSError:
            return 0
        count: int = _COUNT.unpack(told)[0]
        return count

    def served(self) -> tuple[dict[int, int], int, int]:
        """See `ports.Driver`."""
        return {}, 0, 0

    def _dispose(self, connection: Connection) -> None:
        assert isinstance(connection, EpollConnection)
        connection.sending.clear()
        self._unregister(connection.socket.fileno())
        connection.socket.close()

    def _release(self) -> None:
        self._epoll.close()
