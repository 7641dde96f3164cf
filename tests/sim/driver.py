"""A driver of the engine in which nothing is real and everything follows from a seed.

Knows: the engine's entry points, and that a driver may do anything its contract allows: complete effects in any order
and after any delay, deliver bytes in any pieces, lose connections.  Must not know: SMB.

Time is simulated: it jumps to whatever comes next.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

from smbd_uring import limits
from smbd_uring.ports import (
    NOT_NOW,
    AskLogin,
    AskShare,
    AskTogether,
    AskTree,
    AwaitChanges,
    Buffer,
    CheckRangeLock,
    CompanionUnavailable,
    Drained,
    Effect,
    EndKernelLease,
    Handle,
    RangeLock,
    ReadAt,
    StopAwaitingChanges,
    Synchronize,
    TakeKernelLease,
    TellLogout,
    TellTreeDisconnect,
    Truncate,
    WriteAt,
)
from tests.sim.companion import ScriptedCompanion
from tests.sim.kernel import Kernel
from tests.sim.network import SimulatedSocket, Wire
from tests.sim.plane import SimulatedPlane, World

STEPS_MAX = 5_000_000
"""Steps of one run; more means that the engine goes round in circles."""

POISON = 0xDD
"""What received bytes become once the engine may no longer look at them."""

_FOR_THE_COMPANION = (AskLogin, AskShare, AskTree, AskTogether, TellLogout, TellTreeDisconnect)
_ON_DATA = (ReadAt, WriteAt, Truncate, Synchronize)
_NEVER_AT_ONCE = (*_FOR_THE_COMPANION, AwaitChanges, Drained, StopAwaitingChanges)


class DrivenEngine(Protocol):
    """The engine's entry points."""

    def connection_made(self, connection_id: int, address: str, now: float) -> bool: ...
    def data_received(self, connection_id: int, data: memoryview, now: float) -> None: ...
    def frame_received(
        self, connection_id: int, frame: bytes, sealed_by: int, ids_taken: bool, frozen: int, now: float
    ) -> None: ...
    def data_sent(self, connection_id: int, count: int, now: float) -> None: ...
    def connection_lost(self, connection_id: int, now: float) -> None: ...
    def completed(self, token: object, result: Any, error: BaseException | None, now: float) -> None: ...
    def tick(self, now: float) -> None: ...
    def next_deadline(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Weather:
    """How rough the world is.  Times in seconds, sizes in bytes, probabilities from 0 to 1."""

    effect_delay_max_s: float = 0.005
    effect_now_probability: float = 0.3
    """Of an effect on files that is answered before the engine has finished asking."""

    data_delay_max_s: float | None = None
    """Of effects on a file's data, where they take another time than others."""

    late_completion_probability: float = 0.0
    """Of an effect that has happened before the engine hears of it: others see what it did meanwhile."""

    network_delay_max_s: float = 0.002
    chunk_bytes_max: int = 1 << 16
    small_chunk_probability: float = 0.2
    """Of a piece of at most 16 bytes."""

    loss_probability: float = 0.0
    """Of losing the connection at each piece in either direction."""


class SimulatedDriver:
    """`ports.Driver` for tests.  Set `engine` before the first `connect`.  The same seed and the same calls give the
    same run.

    `kernel` performs effects on files; `companion` answers questions.  `in_flight` counts effects the engine waits
    for.
    """

    def __init__(
        self,
        seed: int,
        kernel: Kernel | None = None,
        companion: ScriptedCompanion | None = None,
        weather: Weather | None = None,
        has_planes: bool = False,
    ) -> None:
        """With `has_planes` each connection has a data plane that serves what it is granted."""
        self.engine: DrivenEngine | None = None
        self.on_send: Callable[[int, Sequence[Buffer]], None] | None = None
        """Told of every frame the engine sends, the moment it does."""
        self.seed = seed
        self.kernel = kernel if kernel is not None else Kernel()
        self.companion = companion if companion is not None else ScriptedCompanion()
        self.weather = weather if weather is not None else Weather()
        self.now = 1000.0
        self.in_flight = 0
        self.wires: dict[int, Wire] = {}
        self._random = Random(seed)
        self._events: list[tuple[float, float, int, Callable[[], None]]] = []
        self._event_count = 0
        self._next_connection_id = 1
        self._in_engine = False
        self._has_planes = has_planes
        self._draining: dict[tuple[int, int], list[tuple[object, Effect[Any]]]] = {}
        self._awaiting_changes: object = None
        self.kernel.changes.on_change = lambda: self._end_awaiting_changes(True)

    def plane_connection(self, connection_id: int) -> SimulatedPlane | None:
        """`ports.Driver.plane_connection`."""
        wire = self.wires.get(connection_id)
        return None if wire is None else wire.plane

    def unacknowledged(self, connection_id: int) -> int:
        """`ports.Driver.unacknowledged`."""
        wire = self.wires.get(connection_id)
        return 0 if wire is None or wire.unplugged_at is None else wire.bytes_sent - wire.unplugged_at

    def served(self) -> tuple[dict[int, int], int, int]:
        """`ports.Driver.served`."""
        return {}, 0, 0

    # --- for the engine ------------------------------------------------------------------------------------------

    def perform_now(self, effect: Effect[Any]) -> Any:
        """`ports.Driver.perform_now`."""
        if isinstance(effect, TakeKernelLease | EndKernelLease):
            return self.kernel.perform(effect)
        if isinstance(effect, _NEVER_AT_ONCE) or self._random.random() >= self.weather.effect_now_probability:
            return NOT_NOW
        return self.kernel.perform(effect)

    def perform(self, token: object, effect: Effect[Any]) -> None:
        """`ports.Driver.perform`.  The effect happens when its time has come, not before."""
        if isinstance(effect, AwaitChanges):
            assert self._awaiting_changes is None
            self._awaiting_changes = token
            if self.kernel.changes.has_something:
                self._end_awaiting_changes(True)
            return
        self.in_flight += 1
        if isinstance(effect, Drained):
            self._draining.setdefault((effect.connection_id, effect.volatile_id), []).append((token, effect))
            return
        delay = self._delay_of(effect)
        if isinstance(effect, AskLogin | AskShare | AskTree | AskTogether) and self.companion.away:
            delay = limits.COMPANION_ANSWER_TIMEOUT_S
        self._after(delay, lambda: self._happen(token, effect))

    def send(self, connection_id: int, segments: Sequence[Buffer]) -> None:
        """`ports.Driver.send`."""
        wire = self.wires.get(connection_id)
        if wire is not None:
            assert not wire.closing, "sent after disconnect"
            if self.on_send is not None:
                self.on_send(connection_id, segments)
            wire.queue(segments)
            self._plan_sending(wire)

    def disconnect(self, connection_id: int) -> None:
        """`ports.Driver.disconnect`."""
        wire = self.wires.get(connection_id)
        if wire is not None:
            wire.closing = True
            self._plan_sending(wire)

    def pause_reading(self, connection_id: int) -> None:
        """`ports.Driver.pause_reading`."""
        wire = self.wires.get(connection_id)
        if wire is not None:
            wire.reading_paused = True

    def resume_reading(self, connection_id: int) -> None:
        """`ports.Driver.resume_reading`."""
        wire = self.wires.get(connection_id)
        if wire is not None:
            wire.reading_paused = False
            self._plan_delivery(wire)

    # --- for tests -----------------------------------------------------------------------------------------------

    def connect(self, address: str = "127.0.0.1") -> SimulatedSocket:
        """Connect to the engine.  When it refuses, the socket is closed already."""
        wire = Wire(self._next_connection_id, address)
        self._next_connection_id += 1
        self.wires[wire.connection_id] = wire
        if self._has_planes:
            wire.plane = SimulatedPlane(self._plane_world(wire))
        if not self._enter(lambda engine: engine.connection_made(wire.connection_id, address, self.now)):
            del self.wires[wire.connection_id]
            wire.drop()
        return SimulatedSocket(self, wire)

    def call_later(self, delay: float, action: Callable[[], None]) -> None:
        """Do something of a client's or a test's in `delay` seconds."""
        self._after(delay, action)

    def wall_clock(self) -> int:
        """Nanoseconds since the epoch, in step with the kernel's files."""
        return self.kernel.now_ns

    def entropy(self, count: int) -> bytes:
        """`count` bytes that follow from the seed."""
        return self._random.randbytes(count)

    def run_until(self, predicate: Callable[[], bool], timeout_s: float) -> bool:
        """Let the world go on until `predicate`, for at most `timeout_s` simulated seconds.  Result: whether it came
        true."""
        end = self.now + timeout_s
        for _ in range(STEPS_MAX):
            if predicate():
                return True
            if not self._step(end):
                return predicate()
        raise AssertionError(f"{STEPS_MAX} steps and no end (seed {self.seed})")

    def run_until_idle(self) -> None:
        """Until nothing is under way; deadlines of the engine are not waited for."""
        for _ in range(STEPS_MAX):
            if not self._events:
                return
            self._step(float("inf"))
        raise AssertionError(f"{STEPS_MAX} steps and no end (seed {self.seed})")

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Let something happen outside of the server after that much time, whatever is under way then."""
        self._after(seconds, action)

    def advance(self, seconds: float) -> None:
        """Let exactly that much time pass, and everything happen that happens in it."""
        end = self.now + seconds
        self.run_until(lambda: False, seconds)
        self._move_clock(end)
        self._enter(lambda engine: engine.tick(self.now))

    # --- for clients' ends ---------------------------------------------------------------------------------------

    def client_sent(self, wire: Wire) -> None:
        """`network.World.client_sent`."""
        self._plan_delivery(wire)

    def client_closed(self, wire: Wire) -> None:
        """`network.World.client_closed`."""
        self._after(self._random.uniform(0, self.weather.network_delay_max_s), lambda: self._lose(wire))

    def run_while_waiting(self, wire: Wire, timeout_s: float) -> None:
        """`network.World.run_while_waiting`."""
        if not self.run_until(lambda: bool(wire.received) or wire.lost, timeout_s):
            raise TimeoutError(f"nothing came within {timeout_s} simulated seconds (seed {self.seed})")

    # --- the world -----------------------------------------------------------------------------------------------

    def _after(self, delay_s: float, action: Callable[[], None]) -> None:
        self._event_count += 1
        # The second field decides between events of one moment: by chance, not by who came first.
        heapq.heappush(self._events, (self.now + delay_s, self._random.random(), self._event_count, action))

    def _step(self, end: float) -> bool:
        """Let the next thing happen unless that is after `end`.  Result: whether something did."""
        assert self.engine is not None
        deadline = self.engine.next_deadline()
        event_at = self._events[0][0] if self._events else None
        if deadline is not None and (event_at is None or deadline <= event_at):
            if deadline > end:
                return False
            self._move_clock(deadline)
            self._enter(lambda engine: engine.tick(self.now))
            return True
        if event_at is None or event_at > end:
            return False
        _, _, _, action = heapq.heappop(self._events)
        self._move_clock(event_at)
        action()
        return True

    def _move_clock(self, to: float) -> None:
        if to > self.now:
            self.kernel.now_ns += int((to - self.now) * 1e9)
            self.now = to

    def _enter(self, call: Callable[[DrivenEngine], Any]) -> Any:
        assert self.engine is not None
        assert not self._in_engine, "a driver called the engine from inside the engine"
        self._in_engine = True
        try:
            return call(self.engine)
        finally:
            self._in_engine = False

    def _end_awaiting_changes(self, is_something_there: bool) -> None:
        token, self._awaiting_changes = self._awaiting_changes, None
        if token is not None:
            delay = self._random.uniform(0, self.weather.effect_delay_max_s)
            self._after(
                delay, lambda: self._enter(lambda engine: engine.completed(token, is_something_there, None, self.now))
            )

    def _delay_of(self, effect: Effect[Any]) -> float:
        slowest = self.weather.effect_delay_max_s
        if self.weather.data_delay_max_s is not None and isinstance(effect, _ON_DATA):
            slowest = self.weather.data_delay_max_s
        return self._random.uniform(0, slowest)

    def _happen(self, token: object, effect: Effect[Any]) -> None:
        """Perform an effect; the engine hears of it now or later."""
        result: Any = None
        error: BaseException | None = None
        try:
            if isinstance(effect, _FOR_THE_COMPANION):
                result = self.companion.answer(effect)
            elif isinstance(effect, StopAwaitingChanges):
                self._end_awaiting_changes(False)
            else:
                result = self.kernel.perform(effect)
        except (OSError, CompanionUnavailable) as refusal:
            error = refusal
        late = self.weather.late_completion_probability
        if late and self._random.random() < late:
            self._after(self._delay_of(effect), lambda: self._complete(token, result, error))
        else:
            self._complete(token, result, error)

    def _complete(self, token: object, result: Any, error: BaseException | None) -> None:
        self.in_flight -= 1
        self._enter(lambda engine: engine.completed(token, result, error, self.now))

    # --- for data planes -----------------------------------------------------------------------------------------

    def _plane_world(self, wire: Wire) -> World:
        """What the plane of one connection may do."""
        number = wire.connection_id

        def send(segments: list[bytes]) -> None:
            if not wire.lost and not wire.closing:
                wire.queue_served(segments)
                self._plan_sending(wire)

        def hand_over(frame: bytes, ids_taken: bool, frozen: int) -> None:
            if not wire.lost and not wire.closing:
                self._enter(lambda engine: engine.frame_received(number, frame, 0, ids_taken, frozen, self.now))

        def unsent() -> tuple[int, int]:
            waiting = sum(len(segment.view) - segment.sent for segment in wire.to_client)
            return waiting, wire.bytes_sent

        def is_locked(handle: Handle) -> bool:
            return bool(self.kernel.perform(CheckRangeLock(handle, 0, 1 << 63, RangeLock.EXCLUSIVE)))

        return World(
            self._perform_for_plane, send, hand_over, lambda volatile: self._drained(number, volatile), unsent,
            is_locked,
        )  # fmt: skip

    def _perform_for_plane(self, effect: Effect[Any], then: Callable[[Any, OSError | None], None]) -> None:
        def perform() -> None:
            result, error = None, None
            try:
                result = self.kernel.perform(effect)
            except OSError as refusal:
                error = refusal
            late = self._random.random() < self.weather.late_completion_probability
            self._after(self._delay_of(effect) if late else 0.0, lambda: then(result, error))

        self._after(self._delay_of(effect), perform)

    def _drained(self, connection_id: int, volatile_id: int) -> None:
        for token, _ in self._draining.pop((connection_id, volatile_id), ()):
            self._after(0, lambda token=token: self._tell_drained(token))  # type: ignore[misc]

    def _tell_drained(self, token: object) -> None:
        self.in_flight -= 1
        self._enter(lambda engine: engine.completed(token, None, None, self.now))

    def _plan_delivery(self, wire: Wire) -> None:
        if not wire.delivery_due and wire.to_server:
            wire.delivery_due = True
            self._after(self._random.uniform(0, self.weather.network_delay_max_s), lambda: self._deliver(wire))

    def _deliver(self, wire: Wire) -> None:
        wire.delivery_due = False
        if wire.lost or wire.closing or wire.reading_paused or not wire.to_server or self._strikes(wire):
            return
        count = self._chunk(len(wire.to_server))
        chunk = wire.to_server[:count]
        del wire.to_server[:count]
        view = memoryview(chunk).toreadonly()
        if wire.plane is not None:
            wire.plane.received(view)
        else:
            self._enter(lambda engine: engine.data_received(wire.connection_id, view, self.now))
        chunk[:] = bytes([POISON]) * count
        self._plan_delivery(wire)

    def _plan_sending(self, wire: Wire) -> None:
        if not wire.sending_due:
            wire.sending_due = True
            self._after(self._random.uniform(0, self.weather.network_delay_max_s), lambda: self._send(wire))

    def _send(self, wire: Wire) -> None:
        wire.sending_due = False
        if wire.lost or self._strikes(wire):
            return
        if not wire.to_client:
            if wire.closing:
                self._lose(wire)
            return
        budget = count = self._chunk(sum(len(segment.view) - segment.sent for segment in wire.to_client))
        while budget:
            segment = wire.to_client[0]
            part = segment.view[segment.sent : segment.sent + budget]
            wire.received += part
            segment.sent += len(part)
            budget -= len(part)
            if segment.sent == len(segment.view):
                segment.check()
                wire.to_client.popleft()
        wire.bytes_sent += count
        served = min(count, wire.served_bytes)
        wire.served_bytes -= served
        self._enter(lambda engine: engine.data_sent(wire.connection_id, count - served, self.now))
        if wire.to_client or wire.closing:
            self._plan_sending(wire)
        if wire.listener is not None:
            wire.listener()

    def _chunk(self, available: int) -> int:
        small = self._random.random() < self.weather.small_chunk_probability
        return self._random.randint(1, min(available, 16 if small else self.weather.chunk_bytes_max))

    def _strikes(self, wire: Wire) -> bool:
        """Whether the connection is lost at this very moment."""
        if self._random.random() >= self.weather.loss_probability:
            return False
        self._lose(wire)
        return True

    def _lose(self, wire: Wire) -> None:
        if wire.lost:
            return
        wire.drop()
        del self.wires[wire.connection_id]
        self._enter(lambda engine: engine.connection_lost(wire.connection_id, self.now))
        if wire.listener is not None:
            wire.listener()
