"""The driver over io_uring: multishot accept and receive, ordered batched sends, file operations on the ring.

Knows: the ring's operations on sockets and what their completions mean.  Must not know: SMB.

Importing this module needs no native code; making a RingDriver does.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from smbd_uring import _native, limits
from smbd_uring._native.remedies import RingUnavailable
from smbd_uring.loop.base import Companion, DriverBase
from smbd_uring.loop.connection import Connection, Phase, shut
from smbd_uring.loop.workers import Answer
from smbd_uring.ports import Effect

if TYPE_CHECKING:
    from smbd_uring._native._operation import Operation

__all__ = ["RingDriver", "RingUnavailable"]

_log = logging.getLogger("smbd.loop")

_CQE_BUFFER: Final = 1 << 0
_CQE_MORE: Final = 1 << 1
_AGAIN: Final = frozenset({-errno.ECANCELED, -errno.ENOBUFS, -errno.EINTR, -errno.EAGAIN})
"""A receive or send that ended with one of these is started again if it is still wanted."""
_ACCEPT_AGAIN: Final = frozenset({-errno.ECONNABORTED, -errno.EINTR, -errno.EAGAIN})


class RingConnection(Connection):
    """A connection and its operations in flight: at most one of each."""

    __slots__ = ("receive_cancelled", "receive_operation", "send_operation")

    def __init__(self, connection_id: int, accepted: socket.socket, address: str) -> None:
        super().__init__(connection_id, accepted, address)
        self.receive_operation: Operation | None = None
        self.receive_cancelled = False
        self.send_operation: Operation | None = None


class RingDriver(DriverBase):
    """`ports.Driver` over a ring.  Made, run and closed in one thread, to which the ring belongs."""

    def __init__(
        self,
        listeners: Sequence[socket.socket] = (),
        companion: Companion | None = None,
        workers: int = limits.WORKER_THREADS,
    ) -> None:
        """See `DriverBase`.  Raises RingUnavailable, whose message says what is missing and how to get it."""
        if _native.Ring is None:
            raise RingUnavailable(f"the native module is missing: {_native.why_not}")
        from smbd_uring.loop.ring_files import RingFiles

        self.ring = _native.Ring()
        self._completions: deque[tuple[Operation, int, int]] = deque()
        self._accepts: dict[socket.socket, Operation] = {}
        self._polls: dict[int, Operation] = {}
        self._ending: set[RingConnection] = set()
        try:
            super().__init__(listeners, companion, workers)
        except BaseException:
            self.ring.close()
            raise
        self._files = RingFiles(self.ring, self._answers, self._workers.submit)

    @property
    def operations_in_flight(self) -> int:
        """See `DriverBase`."""
        return super().operations_in_flight + self._files.in_flight

    def _perform_on_files(self, token: object, effect: Effect[Any]) -> None:
        self._files.start(token, effect)

    def _take_worker_answers(self) -> Sequence[Answer]:
        return [self._files.unwrap(answer) for answer in self._workers.take_completed()]

    def _wait(self, timeout_s: float) -> None:
        self._completions.extend(self.ring.wait(0.0 if self._completions else timeout_s))
        now = time.monotonic()
        while self._completions:
            operation, result, flags = self._completions.popleft()
            context = operation.context
            if type(context) is tuple:
                handler, subject = context
                handler(subject, operation, result, flags, now)
            else:
                self._files.completed(context, operation, result)

    # --- listeners and watches ------------------------------------------------------------------------------

    def _start_accepting(self, listener: socket.socket) -> None:
        if listener not in self._accepts:
            # A non-blocking one would answer EAGAIN instead of waiting.
            listener.setblocking(True)
            self._accepts[listener] = self.ring.accept(listener.fileno(), (self._on_accept, listener))

    def _on_accept(
        self, listener: socket.socket, operation: Operation, result: int, flags: int, now: float
    ) -> None:
        is_current = self._accepts.get(listener) is operation
        if result >= 0:
            accepted = socket.socket(listener.family, listener.type, listener.proto, fileno=result)
            if listener in self._listeners:
                self._accepted(accepted, now)
            else:
                accepted.close()
        if flags & _CQE_MORE or not is_current:
            return
        del self._accepts[listener]
        if result >= 0 or result in _ACCEPT_AGAIN:
            self._start_accepting(listener)
        elif result != -errno.ECANCELED:
            self._accept_failed(OSError(-result, os.strerror(-result)), now)

    def _stop_listener(self, listener: socket.socket) -> None:
        operation = self._accepts.pop(listener, None)
        if operation is not None:
            self.ring.cancel(operation)
            # The operation keeps the socket listening until the kernel has seen its end.
            self.ring.submit()

    def _start_watching(self, descriptor: int) -> None:
        self._polls[descriptor] = self.ring.poll(descriptor, (self._on_readable, descriptor))

    def _on_readable(
        self, descriptor: int, operation: Operation, result: int, _flags: int, now: float
    ) -> None:
        if self._polls.get(descriptor) is not operation:
            return
        if result < 0:
            _log.error("cannot watch descriptor %d: %s", descriptor, os.strerror(-result))
            return
        self._watches[descriptor](now)
        # The callback may have ended the watch, or begun another one under the same number.
        if self._polls.get(descriptor) is operation:
            self._start_watching(descriptor)

    def _stop_watching(self, descriptor: int) -> None:
        self.ring.cancel(self._polls.pop(descriptor))

    # --- connections ----------------------------------------------------------------------------------------

    def _new_connection(self, connection_id: int, accepted: socket.socket, address: str) -> RingConnection:
        return RingConnection(connection_id, accepted, address)

    def _advance(self, connection: Connection, now: float) -> None:
        assert isinstance(connection, RingConnection)
        if connection.send_operation is None:
            if connection.sending.queued:
                connection.send_operation = self.ring.send(
                    connection.socket.fileno(), connection.sending.batch(), (self._on_sent, connection)
                )
            elif connection.phase is Phase.FLUSHING:
                self._flushed(connection, now)
        if connection.wants_bytes:
            if connection.receive_operation is None:
                connection.receive_operation = self.ring.receive(
                    connection.socket.fileno(), (self._on_received, connection)
                )
        elif connection.receive_operation is not None and not connection.receive_cancelled:
            connection.receive_cancelled = True
            self.ring.cancel(connection.receive_operation)

    def _on_received(
        self, connection: RingConnection, _operation: Operation, result: int, flags: int, now: float
    ) -> None:
        if flags & _CQE_BUFFER:
            self._hand_over(connection, result, flags, now)
        if not flags & _CQE_MORE:
            connection.receive_operation = None
            connection.receive_cancelled = False
        if connection.phase is Phase.LOST:
            self._finish(connection)
        elif result == 0:
            self._received_end(connection, now)
        elif result < 0 and result not in _AGAIN:
            self._lose(connection, now)
        elif connection.receive_operation is None:
            self._mark(connection)

    def _hand_over(self, connection: RingConnection, count: int, flags: int, now: float) -> None:
        try:
            if count > 0:
                with self.ring.received(flags, count) as data:
                    self._received(connection, data, now)
        finally:
            self.ring.release(flags)

    def _on_sent(
        self, connection: RingConnection, _operation: Operation, result: int, _flags: int, now: float
    ) -> None:
        connection.send_operation = None
        if connection.phase is Phase.LOST:
            self._finish(connection)
        elif result >= 0:
            self._mark(connection)
            self._sent(connection, result, now)
        elif result in _AGAIN:
            self._mark(connection)
        else:
            self._lose(connection, now)

    def _dispose(self, connection: Connection) -> None:
        assert isinstance(connection, RingConnection)
        self._ending.add(connection)
        for operation in (connection.receive_operation, connection.send_operation):
            if operation is not None:
                self.ring.cancel(operation)
        shut(connection.socket, socket.SHUT_RDWR)
        self._finish(connection)

    def _finish(self, connection: RingConnection) -> None:
        """Close the socket of a lost connection once no operation holds it."""
        if connection.receive_operation is None and connection.send_operation is None:
            self._ending.discard(connection)
            connection.socket.close()

    def _release(self) -> None:
        self._files.close()
        self.ring.close()
        for connection in self._ending:
            connection.socket.close()
        self._ending.clear()
