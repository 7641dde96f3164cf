"""The engine: its tables, its entry points for a driver, and what ties connections to requests.

Knows: everything an SMB server has to remember.  Must not know: sockets, clocks, descriptors, where entropy is from.

A driver calls the entry points one at a time from one thread, each with `now` in seconds; the engine answers through
the `ports.Driver` it was given.  `wall_clock` gives nanoseconds since the epoch for the times that clients see.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from smbd_uring import limits
from smbd_uring.config import EngineConfig
from smbd_uring.engine import durable, local_programs
from smbd_uring.engine.chain import Chain
from smbd_uring.engine.channels import Clients, repeat_what_was_lost
from smbd_uring.engine.closings import Closings
from smbd_uring.engine.commands import COMMANDS
from smbd_uring.engine.complaints import Complaints
from smbd_uring.engine.connection import Connection, WorkInAll
from smbd_uring.engine.dispatch import run_chain
from smbd_uring.engine.durable_handles import HandleTable
from smbd_uring.engine.handle_journal import HandleJournal
from smbd_uring.engine.handle_recovery import recover
from smbd_uring.engine.interfaces import Interfaces
from smbd_uring.engine.leases import LeaseTable
from smbd_uring.engine.logon_delay import LogonDelays
from smbd_uring.engine.name_claims import NameClaims
from smbd_uring.engine.notifications import Notifications
from smbd_uring.engine.opens import File, OpenTable
from smbd_uring.engine.receive import Frame, receive_frame
from smbd_uring.engine.request import Request
from smbd_uring.engine.scheduler import Scheduler
from smbd_uring.engine.session import Session
from smbd_uring.engine.status import describe
from smbd_uring.engine.teardown import lose_channel
from smbd_uring.ports import Driver, Filesystem, Handle
from smbd_uring.wire.errors import ProtocolViolation

log = logging.getLogger("smbd.engine")


class Engine:
    """One server's protocol state."""

    def __init__(
        self,
        config: EngineConfig,
        filesystem: Filesystem,
        driver: Driver,
        entropy: Callable[[int], bytes],
        wall_clock: Callable[[], int],
    ) -> None:
        self.config = config
        self.filesystem = filesystem
        self.entropy = entropy
        self.wall_clock = wall_clock
        self.scheduler = Scheduler(driver)
        self.connections: dict[int, Connection] = {}
        self.sessions: dict[int, Session] = {}
        self.sessions_of: Counter[str] = Counter()
        """Sessions by the network they come from."""
        self.tree_count = 0
        self.opens = OpenTable(entropy)
        self.notifications = Notifications(self)
        self.handles = HandleTable(config.opens_max // 4)
        self.journal: HandleJournal | None = None
        if config.journal_directory is not None:
            self.journal = HandleJournal(self.scheduler, config.journal_directory)
        self.is_ready = False
        """Whether `start` is done."""
        self.clients = Clients()
        self.closings = Closings(self.scheduler)
        self.leases = LeaseTable(durable.give_way)
        self.guarded: dict[Handle, File] = {}
        """Files by the handles on which the kernel tells of local programs."""
        self.name_claims = NameClaims(self.scheduler)
        self.logon_delays = LogonDelays()
        self.interfaces = Interfaces()
        self._complaints = Complaints()
        self.request_counts: Counter[int] = Counter()
        self.bytes_read = 0
        self.bytes_written = 0
        self._driver = driver
        self._connections_of: Counter[str] = Counter()
        self.shutting_down = False
        self._work_in_all = WorkInAll()

    # --- entry points for the driver -----------------------------------------------------------------------------

    def connection_made(self, connection_id: int, address: str, now: float) -> bool:
        """A client connected from `address` (an IP address without port).  False: close it at once."""
        self.scheduler.now = now
        if self.shutting_down:
            return False
        if len(self.connections) >= self.config.connections_max:
            self.complain(log, "%s: refused, %d connections are open", address, len(self.connections))
            return False
        connection = Connection(
            self._driver, connection_id, address, self.config.credits_max, self._work_in_all
        )
        open_already = self._connections_of[connection.network]
        if open_already >= self.config.connections_per_address_max:
            self.complain(log, "%s: refused, it has %d connections already", connection.network, open_already)
            return False
        connection.authentication_timer = self.scheduler.call_at(
            now + limits.AUTHENTICATION_TIMEOUT_S, lambda: self._authentication_timed_out(connection)
        )
        self.connections[connection_id] = connection
        self._watch_sending(connection)
        self._connections_of[connection.network] += 1
        return True

    def data_received(self, connection_id: int, data: memoryview, now: float) -> None:
        """Bytes from a client; `data` is valid only during the call."""
        self.scheduler.now = now
        connection = self.connections.get(connection_id)
        if connection is None or connection.is_closed:
            return
        try:
            connection.backlog.extend(Frame(frame) for frame in connection.frames.feed(data))
        except ProtocolViolation as violation:
            self.violated(connection, str(violation))
        self._work_off(connection)
        self.scheduler.run_ready()

    def frame_received(
        self, connection_id: int, frame: bytes, sealed_by: int, ids_taken: bool, frozen: int, now: float
    ) -> None:
        """A whole frame that a data plane does not answer by itself.

        `sealed_by` is the session whose key opened it, 0 when it is as the client sent it; `ids_taken` tells that its
        message ids are used; `frozen` is the open to thaw when it is answered, 0 for none.
        """
        self.scheduler.now = now
        connection = self.connections.get(connection_id)
        if connection is None or connection.is_closed:
            return
        connection.backlog.append(Frame(memoryview(frame), sealed_by, ids_taken, frozen))
        self._work_off(connection)
        self.scheduler.run_ready()

    def protocol_violated(self, connection_id: int, reason: str, now: float) -> None:
        """A data plane saw the client break the protocol."""
        self.scheduler.now = now
        connection = self.connections.get(connection_id)
        if connection is not None:
            self.violated(connection, reason)

    def data_sent(self, connection_id: int, count: int, now: float) -> None:
        """`count` more bytes of this connection's replies are with the kernel."""
        self.scheduler.now = now
        connection = self.connections.get(connection_id)
        if connection is None:
            return
        connection.bytes_unsent -= count
        connection.bytes_sent += count
        self._work_off(connection)
        self.scheduler.run_ready()

    def connection_lost(self, connection_id: int, now: float) -> None:
        """The connection is gone, by whichever side."""
        self.scheduler.now = now
        connection = self.connections.pop(connection_id, None)
        if connection is None:
            return
        self._connections_of[connection.network] -= 1
        if not self._connections_of[connection.network]:
            del self._connections_of[connection.network]
        self._end(connection)
        self.scheduler.start(self._close_sessions(connection))
        self.scheduler.run_ready()

    def completed(self, token: object, result: Any, error: BaseException | None, now: float) -> None:
        """An effect was performed."""
        self.scheduler.now = now
        self.scheduler.completed(token, result, error)
        self.scheduler.run_ready()

    def kernel_lease_broken(self, handle: Handle, now: float) -> None:
        """A local program waits for the file behind a handle with a lease of the kernel's."""
        self.scheduler.now = now
        local_programs.guard_broken(self, handle)
        self.scheduler.run_ready()

    def tick(self, now: float) -> None:
        """Time passed."""
        self.scheduler.now = now
        self.scheduler.run_timers()
        self.scheduler.run_ready()

    def next_deadline(self) -> float | None:
        """When `tick` wants to be called at the latest, or None."""
        return self.scheduler.next_deadline()

    def shutdown(self, now: float) -> None:
        """Take no further requests; answer those under way, then let every client go.  `idle` tells when it is done."""
        self.scheduler.now = now
        self.shutting_down = True
        for connection in list(self.connections.values()):
            connection.backlog.clear()
            for request in list(connection.async_requests.values()):
                if request.cancel is not None:
                    request.cancel()
            self._disconnect_when_answered(connection)
        self.scheduler.start(durable.close_away(self))
        self.scheduler.run_ready()

    @property
    def gives_persistent_handles(self) -> bool:
        """Whether there may be handles that survive the server."""
        config, journal = self.config, self.journal
        return config.durable_handles and config.persistent_handles and journal is not None and journal.is_writable

    def start(self, now: float) -> None:
        """Take up what an earlier run of the server left; no client may come before `is_ready`."""
        self.scheduler.now = now
        self.scheduler.start(self._recover())
        self.scheduler.run_ready()

    async def _recover(self) -> None:
        try:
            if self.journal is not None:
                await recover(self, self.journal)
        finally:  # whatever it is that is wrong with former handles: new clients are served
            self.is_ready = True

    @property
    def idle(self) -> bool:
        """Whether no connection and no work is left."""
        return not self.connections and not self.scheduler.tasks

    def status(self) -> dict[str, Any]:
        """What the server is doing, for `smbd-uring status`."""
        return describe(self)

    def served(self) -> tuple[Counter[int], int, int]:
        """Requests by command, bytes read and written: the engine's own and the data planes'."""
        by_planes, bytes_read, bytes_written = self._driver.served()
        return (
            self.request_counts + Counter(by_planes),
            self.bytes_read + bytes_read,
            self.bytes_written + bytes_written,
        )

    @property
    def has_descriptors(self) -> bool:
        """Whether one more file or share root may be open."""
        return self.opens.count + self.tree_count < self.config.opens_max

    # --- for requests --------------------------------------------------------------------------------------------

    def settle_guard(self, file: File) -> None:
        """Handles of a file were closed: watch it for local programs as is right now."""
        self.scheduler.start(local_programs.settle(self, file))

    def start_chain(self, requests: list[Request], chain: Chain) -> None:
        """Begin to answer one frame's requests."""
        chain.connection.charge(chain)
        for request in requests:
            self.request_counts[request.header.command] += 1
        self.scheduler.start(run_chain(requests, chain, COMMANDS))

    def chain_finished(self, chain: Chain) -> None:
        """A frame is answered: what it held of the connection's allowance is free again."""
        connection = chain.connection
        connection.refund(chain)
        if self.shutting_down:
            self._disconnect_when_answered(connection)
        elif not connection.is_working_off:
            self._work_off(connection)

    def complain(self, about: logging.Logger, text: str, *arguments: object) -> None:
        """Log what a client did wrong; every line that a client can provoke at will goes through here."""
        self._complaints.warn(self.scheduler.now, about, text, *arguments)

    def violated(self, connection: Connection, reason: str) -> None:
        """The client broke the protocol: say so in the log and end its connection."""
        if connection.is_closed:
            return
        self.complain(log, "%s: connection ended: %s", connection.address, reason)
        self.disconnect(connection)

    def give_up(self, connection: Connection, reason: str) -> None:
        """The client is not there any more: its sessions go on without this connection, those that can."""
        self.violated(connection, reason)
        self.scheduler.start(self._close_sessions(connection))

    def acknowledged(self, connection: Connection) -> int:
        """How many bytes of what was sent on a connection the client's kernel has acknowledged."""
        if connection.is_failing:
            return 0
        _, sent = connection.sending_progress()
        return sent - self._driver.unacknowledged(connection.connection_id)

    def disconnect(self, connection: Connection) -> None:
        """End a connection once what was answered is out."""
        if connection.is_closed:
            return
        self._end(connection)
        self._driver.disconnect(connection.connection_id)

    # --- inner workings ------------------------------------------------------------------------------------------

    def _work_off(self, connection: Connection) -> None:
        """Start the frames that wait, as far as the connection's allowances reach.

        A frame that is answered at once calls this again; the loop that is running already goes on instead.
        """
        if connection.is_working_off or self.shutting_down:
            return
        backlog = connection.backlog
        if not backlog:
            connection.update_reading()
            return
        connection.is_working_off = True
        try:
            while backlog and not connection.is_closed and connection.may_start:
                receive_frame(self, connection, backlog.popleft())
        except ProtocolViolation as violation:
            self.violated(connection, str(violation))
        finally:
            connection.is_working_off = False
        connection.update_reading()

    def _end(self, connection: Connection) -> None:
        """No more bytes in or out; requests under way finish unheard."""
        connection.is_closed = True
        self.clients.went(connection)
        connection.backlog.clear()
        for timer in (connection.authentication_timer, connection.stall_timer, connection.delivery_check):
            if timer is not None:
                timer.cancel()
        for request in list(connection.requests.values()) + list(connection.async_requests.values()):
            if request.cancel is not None and request.is_given_up:
                request.cancel()

    async def _close_sessions(self, connection: Connection) -> None:
        repeat_what_was_lost(connection)
        for session in list(connection.sessions.values()):
            await lose_channel(self, session, connection, leave=durable.leave)

    def _authentication_timed_out(self, connection: Connection) -> None:
        self.violated(connection, f"no session within {limits.AUTHENTICATION_TIMEOUT_S:.0f} s")

    def _watch_sending(self, connection: Connection) -> None:
        """Look once in a while whether a client still takes its replies; one that does not is let go."""
        _, sent_before = connection.sending_progress()

        def look() -> None:
            if connection.is_closed:
                return
            unsent, sent = connection.sending_progress()
            if unsent and sent == sent_before:
                self.violated(connection, f"took none of its replies for {limits.SEND_STALL_TIMEOUT_S:.0f} s")
            else:
                self._watch_sending(connection)

        connection.stall_timer = self.scheduler.call_at(self.scheduler.now + limits.SEND_STALL_TIMEOUT_S, look)

    def _disconnect_when_answered(self, connection: Connection) -> None:
        if not connection.requests:
            self.disconnect(connection)
