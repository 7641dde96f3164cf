"""The driver over io_uring: it accepts, performs effects on files, and leaves connections' bytes to data planes.

Knows: listeners, watches, what data planes tell.  Must not know: SMB, how bytes are moved.

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
from smbd_uring.loop.connection import Connection, Phase
from smbd_uring.loop.planes import (
    DRAINED,
    FLUSHED,
    FRAME,
    PEER_FINISHED,
    SENT,
    VIOLATION,
    Planes,
    violation_text,
)
from smbd_uring.loop.workers import Answer
from smbd_uring.ports import Buffer, Drained, Effect

if TYPE_CHECKING:
    from smbd_uring._native._operation import Operation
    from smbd_uring._native._plane_connection import PlaneConnection

__all__ = ["RingDriver", "RingUnavailable"]

_log = logging.getLogger("smbd.loop")

_CQE_MORE: Final = 1 << 1
_ACCEPT_AGAIN: Final = frozenset({-errno.ECONNABORTED, -errno.EINTR, -errno.EAGAIN})


class RingConnection(Connection):
    """A connection whose bytes a data plane moves."""

    __slots__ = ("is_finishing", "plane")

    def __init__(self, connection_id: int, address: str, plane: PlaneConnection) -> None:
        super().__init__(connection_id, address)
        self.plane = plane
        self.is_finishing = False
        """The plane was asked to tell when everything is sent."""


class RingDriver(DriverBase):
    """`ports.Driver` over a ring.  Made, run and closed in one thread, to which the ring belongs."""

    def __init__(
        self,
        listeners: Sequence[socket.socket] = (),
        companion: Companion | None = None,
        workers: int = limits.WORKER_THREADS,
        rings: int = 0,
    ) -> None:
        """See `DriverBase`.  `rings` data planes get threads of their own; with 0 there is one in this thread.

        Raises RingUnavailable, whose message says what is missing and how to get it.
        """
        if _native.Ring is None:
            raise RingUnavailable(f"the native module is missing: {_native.why_not}")
        from smbd_uring.loop.ring_files import RingFiles

        self.ring = _native.Ring()
        self._completions: deque[tuple[Operation, int, int]] = deque()
        self._accepts: dict[socket.socket, Operation] = {}
        self._polls: dict[int, Operation] = {}
        self._draining: dict[tuple[int, int], list[object]] = {}
        try:
            self.planes = Planes(self.ring, rings)
            super().__init__(listeners, companion, workers)
        except BaseException:
            self.ring.close()
            raise
        if self.planes.wakeup is not None:
            self.watch(self.planes.wakeup, self._planes_call)
        self._files = RingFiles(self.ring, self._answers, self._workers.submit)

    @property
    def operations_in_flight(self) -> int:
        """See `DriverBase`."""
        return super().operations_in_flight + self._files.in_flight

    def _perform_on_files(self, token: object, effect: Effect[Any]) -> None:
        if isinstance(effect, Drained):
            self._draining.setdefault((effect.connection_id, effect.volatile_id), []).append(token)
        else:
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
        self._take_plane_events(now)

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
        accepted.setblocking(False)
        return RingConnection(connection_id, address, self.planes.connect(connection_id, accepted.detach()))

    def plane_connection(self, connection_id: int) -> PlaneConnection | None:
        """See `ports.Driver`."""
        connection = self.connections.get(connection_id)
        return connection.plane if isinstance(connection, RingConnection) else None

    def unacknowledged(self, connection_id: int) -> int:
        """See `ports.Driver`."""
        connection = self.connections.get(connection_id)
        return connection.plane.unacknowledged() if isinstance(connection, RingConnection) else 0

    def served(self) -> tuple[dict[int, int], int, int]:
        """See `ports.Driver`."""
        return self.planes.served()

    def _queue(self, connection: Connection, segments: Sequence[Buffer]) -> None:
        assert isinstance(connection, RingConnection)
        connection.plane.send(segments)

    def _advance(self, connection: Connection, now: float) -> None:
        assert isinstance(connection, RingConnection)
        connection.plane.read_on(connection.wants_bytes, connection.phase is not Phase.OPEN)
        if connection.phase is Phase.FLUSHING and not connection.is_finishing:
            connection.is_finishing = True
            connection.plane.finish()

    def _end_sending(self, connection: Connection) -> None:
        assert isinstance(connection, RingConnection)
        connection.plane.end_sending()

    def _dispose(self, connection: Connection) -> None:
        assert isinstance(connection, RingConnection)
        connection.plane.drop()

    def _release(self) -> None:
        self.planes.close()
        self._files.close()
        self.ring.close()

    def _plane_flushed(self, connection: Connection, now: float) -> None:
        assert isinstance(connection, RingConnection)
        unsent, _ = connection.plane.sending_progress()
        if unsent:  # the engine answered something in between
            connection.plane.finish()
        else:
            self._flushed(connection, now)

    # --- what data planes tell ------------------------------------------------------------------------------

    def _planes_call(self, _now: float) -> None:
        self.planes.heard()

    def _take_plane_events(self, now: float) -> None:
        engine = self.engine
        for kind, connection_id, number, detail, ids_taken, frozen, frame in self.planes.take_events():
            connection = self.connections.get(connection_id)
            if kind == DRAINED:
                for token in self._draining.pop((connection_id, number), ()):
                    self._answers.append((token, None, None))
            elif connection is None:
                continue
            elif kind == FRAME:
                if connection.takes_sends:
                    engine.frame_received(connection_id, frame, number, ids_taken, frozen, now)
            elif kind == SENT:
                self._sent(connection, number, now)
            elif kind == FLUSHED:
                if connection.phase is Phase.FLUSHING:
                    self._plane_flushed(connection, now)
            elif kind == PEER_FINISHED:
                self._received_end(connection, now)
            elif kind == VIOLATION:
                engine.protocol_violated(connection_id, violation_text(number, detail), now)
            else:
                self._lose(connection, now)
        self._inline.be_oneself()
