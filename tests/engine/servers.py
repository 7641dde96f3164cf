"""One engine, three drivers: the whole server of a test with its files, its companion and its clock.

Knows: how to compose engine, driver, file system and companion.  Must not know: what a test is about.

Every server ends with the same question: is anything left?  `finish` closes the clients and looks.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from smbd_uring import limits
from smbd_uring.config import EngineConfig
from smbd_uring.engine import Engine
from smbd_uring.filesystem import PosixFilesystem
from smbd_uring.loop.base import DriverBase
from smbd_uring.loop.epoll_driver import EpollDriver
from smbd_uring.loop.listen import listen, parse_address
from smbd_uring.loop.ring_driver import RingDriver
from smbd_uring.loop.workers import Answer
from smbd_uring.ports import CompanionUnavailable, Effect, Handle
from tests.engine.companions import companion_for
from tests.sim.companion import ScriptedCompanion
from tests.sim.driver import SimulatedDriver, Weather
from tests.sim.worlds import RealWorld, SimulatedWorld, World
from tests.support.client_channel import Transport
from tests.support.file_client import FileClient

SERVER_GUID = bytes(range(16))
ADDRESS = "127.0.0.1"
SETTLE_TIMEOUT_S = 10.0
RECEIVE_TIMEOUT_S = 10.0
LONGEST_WAIT_S = max(limits.LOGON_DELAY_MAX_S, limits.DURABLE_TIMEOUT_MAX_S)
"""Answers to failed logons are held back, and handles wait for their clients, no longer than that."""

SILENCE_S = 0.2
"""Real time after which a server that said nothing is taken to have nothing to say."""

Found = TypeVar("Found")


class FailureLog(logging.Handler):
    """Collects what the server logs as its own fault."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.faults: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.faults.append(logging.Formatter().format(record))


class TestedServer(ABC):
    """A server under test.  `inspect` runs a function on the engine where nothing else runs at the same time."""

    __test__ = False
    engine: Engine
    files: World
    companion: ScriptedCompanion

    def __init__(self) -> None:
        self._clients: list[FileClient] = []
        self._log = FailureLog()
        logging.getLogger("smbd").addHandler(self._log)

    def connect(self, address: str = ADDRESS) -> FileClient:
        """A client that has said nothing yet."""
        client = FileClient(self._transport(address))
        self._clients.append(client)
        return client

    def client(self, *, share: str | None = "data", user: str = "anna", **negotiation: Any) -> FileClient:
        """A client that has negotiated, logged on and connected to `share`."""
        client = self.connect()
        assert client.negotiate(**negotiation).status == 0
        assert client.log_on(user, "secret" if user else "").status == 0
        if share is not None:
            assert client.tree_connect(share).status == 0
        return client

    def finish(self) -> None:
        """End the clients, and fail when the server keeps anything of them or made a mistake of its own."""
        try:
            for client in self._clients:
                client.transport.close()
            self.settle(lambda engine: not engine.connections)
            self.settle(lambda engine: not engine.sessions)
            self.advance(LONGEST_WAIT_S)
            self.settle(lambda engine: not engine.scheduler.tasks)
            left = self.inspect(lambda engine: (dict(engine.connections), dict(engine.sessions), engine.opens.count))
            assert left == ({}, {}, 0)
            self._assert_no_handles()
            assert self.mistakes == []
        finally:
            self.end()

    @property
    def mistakes(self) -> list[str]:
        """What the server has logged as its own fault."""
        return self._log.faults

    def end(self) -> None:
        """End the driver, whatever is left."""
        logging.getLogger("smbd").removeHandler(self._log)
        self.stop()

    @abstractmethod
    def inspect(self, look: Callable[[Engine], Found]) -> Found:
        """What `look` finds."""

    @abstractmethod
    def settle(self, until: Callable[[Engine], bool]) -> None:
        """Let the server work until something is true of it; AssertionError when it takes too long."""

    @abstractmethod
    def advance(self, seconds: float) -> None:
        """Let the engine's clock go on by that much."""

    @abstractmethod
    def stop(self) -> None:
        """End the driver."""

    def assert_silent(self, client: FileClient) -> None:
        """The server has nothing to say to this client, and its connection stands."""
        client.assert_silent()

    @abstractmethod
    def _transport(self, address: str) -> Transport: ...

    @abstractmethod
    def _assert_no_handles(self) -> None:
        """No file is open but those that were before the first client."""

    @property
    @abstractmethod
    def now(self) -> float:
        """The engine's clock in seconds."""


class SimulatedServer(TestedServer):
    """The engine in the simulated world."""

    def __init__(
        self, config: EngineConfig, seed: int, weather: Weather | None = None, has_planes: bool = False
    ) -> None:
        super().__init__()
        self.world = SimulatedWorld(has_watches=True)
        self.files = self.world
        self.companion = companion_for(self.world.top())
        self.driver = SimulatedDriver(seed, self.world.kernel, self.companion, weather, has_planes)
        self.engine = Engine(
            config, PosixFilesystem(), self.driver, self.driver.entropy, self.driver.wall_clock
        )
        self.driver.engine = self.engine

    def inspect(self, look: Callable[[Engine], Found]) -> Found:
        return look(self.engine)

    def settle(self, until: Callable[[Engine], bool]) -> None:
        assert self.driver.run_until(lambda: until(self.engine), 60.0), f"seed {self.driver.seed}"

    def advance(self, seconds: float) -> None:
        self.driver.advance(seconds)

    def stop(self) -> None:
        pass

    @property
    def now(self) -> float:
        return self.driver.now

    def _transport(self, address: str) -> Transport:
        return self.driver.connect(address)

    def _assert_no_handles(self) -> None:
        assert self.world.kernel.open_files == {}
        assert self.driver.in_flight == 0


class ShiftedClock:
    """The engine as its driver sees it, living `offset` seconds later than the driver does."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.offset = 0.0

    def connection_made(self, connection_id: int, address: str, now: float) -> bool:
        return self._engine.connection_made(connection_id, address, now + self.offset)

    def data_received(self, connection_id: int, data: memoryview, now: float) -> None:
        self._engine.data_received(connection_id, data, now + self.offset)

    def frame_received(
        self, connection_id: int, frame: bytes, sealed_by: int, ids_taken: bool, frozen: int, now: float
    ) -> None:
        self._engine.frame_received(connection_id, frame, sealed_by, ids_taken, frozen, now + self.offset)

    def protocol_violated(self, connection_id: int, reason: str, now: float) -> None:
        self._engine.protocol_violated(connection_id, reason, now + self.offset)

    def data_sent(self, connection_id: int, count: int, now: float) -> None:
        self._engine.data_sent(connection_id, count, now + self.offset)

    def connection_lost(self, connection_id: int, now: float) -> None:
        self._engine.connection_lost(connection_id, now + self.offset)

    def completed(self, token: Any, result: Any, error: BaseException | None, now: float) -> None:
        self._engine.completed(token, result, error, now + self.offset)

    def kernel_lease_broken(self, handle: Handle, now: float) -> None:
        self._engine.kernel_lease_broken(handle, now + self.offset)

    def tick(self, now: float) -> None:
        self._engine.tick(now + self.offset)

    def next_deadline(self) -> float | None:
        deadline = self._engine.next_deadline()
        return None if deadline is None else deadline - self.offset


class ImmediateCompanion:
    """The scripted companion, answering within the same turn of the loop."""

    def __init__(self, script: ScriptedCompanion) -> None:
        self._script = script
        self._answers: list[Answer] = []

    def submit(self, token: object, effect: Effect[Any], now: float) -> None:
        try:
            self._answers.append((token, self._script.answer(effect), None))
        except CompanionUnavailable as error:
            self._answers.append((token, None, error))

    def take_answers(self) -> Sequence[Answer]:
        answers, self._answers = self._answers, []
        return answers

    def fileno(self) -> int | None:
        return None

    def readable(self, now: float) -> None:
        raise AssertionError("nothing to read from")

    def tick(self, now: float) -> None:
        raise AssertionError("no deadline was given")

    def next_deadline(self) -> float | None:
        return None


class LoopbackTransport:
    """A TCP connection to a driver that runs in another thread."""

    def __init__(self, port: int, address: str) -> None:
        self._socket = socket.create_connection((ADDRESS, port), RECEIVE_TIMEOUT_S, (address, 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout_s = RECEIVE_TIMEOUT_S

    def sendall(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self, size: int) -> bytes:
        self._socket.settimeout(self.timeout_s)
        return self._socket.recv(size)

    def close(self) -> None:
        self._socket.close()


class RealServer(TestedServer):
    """The engine over real files and real sockets, its loop in a thread of its own."""

    def __init__(self, config: EngineConfig, kind: Callable[..., DriverBase], folder: Path) -> None:
        super().__init__()
        self.files = RealWorld(folder)
        self.companion = companion_for(self.files.top())
        self._config = config
        self._kind = kind
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._stopping = False
        self._error: BaseException | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(SETTLE_TIMEOUT_S)
        if self._error is not None:
            raise self._error
        self._descriptors = len(os.listdir("/proc/self/fd"))

    def inspect(self, look: Callable[[Engine], Found]) -> Found:
        found: list[Found] = []
        done = threading.Event()

        def call() -> None:
            try:
                found.append(look(self.engine))
            finally:
                done.set()

        self._calls.put(call)
        self._driver.wake()
        while not done.wait(0.5):
            assert self._error is None and self._thread.is_alive(), f"the loop ended: {self._error!r}"
        return found[0]

    def settle(self, until: Callable[[Engine], bool]) -> None:
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while not self.inspect(until):
            assert time.monotonic() < deadline, "the server does not come to rest"
            time.sleep(0.002)

    def advance(self, seconds: float) -> None:
        def shift(_engine: Engine) -> None:
            self._clock.offset += seconds
            self._clock.tick(time.monotonic())

        self.inspect(shift)

    def assert_silent(self, client: FileClient) -> None:
        assert isinstance(client.transport, LoopbackTransport)
        client.transport.timeout_s = SILENCE_S
        super().assert_silent(client)
        client.transport.timeout_s = RECEIVE_TIMEOUT_S

    def stop(self) -> None:
        self._stopping = True
        self._driver.wake()
        self._thread.join(SETTLE_TIMEOUT_S)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error

    @property
    def now(self) -> float:
        return time.monotonic() + self._clock.offset

    def _run(self) -> None:
        try:
            self._driver = self._kind(companion=ImmediateCompanion(self.companion))
            self.engine = Engine(self._config, PosixFilesystem(), self._driver, os.urandom, time.time_ns)
            self._clock = ShiftedClock(self.engine)
            self._driver.engine = self._clock
            listener = listen(parse_address(f"{ADDRESS}:0"))
            self._port: int = listener.getsockname()[1]
            self._driver.add_listener(listener)
        except BaseException as error:
            self._error = error
            return
        finally:
            self._started.set()
        try:
            self._driver.run(self._should_stop)
        except BaseException as error:
            self._error = error
        finally:
            self._driver.close()

    def _should_stop(self) -> bool:
        while not self._calls.empty():
            self._calls.get()()
        return self._stopping

    def _transport(self, address: str) -> Transport:
        return LoopbackTransport(self._port, address)

    def _assert_no_handles(self) -> None:
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        # worker threads that started meanwhile have no descriptor; the sockets of ended connections may linger
        while len(os.listdir("/proc/self/fd")) > self._descriptors or self._driver.operations_in_flight:
            assert time.monotonic() < deadline, "descriptors are left open"
            time.sleep(0.005)


REAL_DRIVERS: dict[str, Callable[..., DriverBase]] = {
    "ring": RingDriver,
    "ring thread": partial(RingDriver, rings=1),
    "epoll": EpollDriver,
}
