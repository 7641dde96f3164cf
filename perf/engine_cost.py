"""What one operation costs between the arrival of its frames and the reply bytes: the engine alone, no socket, no loop.

Knows: the engine's entry points and the tests' client.  Must not know: how the engine does its work.

    python -m perf.engine_cost [--only NAME]... [--profile NAME] [--count N]

The driver performs effects inside `perform_now` by system calls on a temporary folder; the time they take is kept
apart, and so is the rest of the file system's, so that what remains is decoding, deciding and encoding.  Microseconds,
of each part the lowest tenth: neighbours on the machine only ever make it longer.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

from smbd_uring.config import EngineConfig
from smbd_uring.engine import Engine
from smbd_uring.filesystem import PosixFilesystem
from smbd_uring.loop import syscalls
from smbd_uring.loop.identity import ThreadIdentity
from smbd_uring.ports import NOT_NOW, AskLogin, AskTogether, Buffer, Effect, TellLogout, TellTreeDisconnect
from smbd_uring.process import settle_memory
from smbd_uring.wire.const import AccessMask, CreateDisposition, CreateOptions, FileInfoClass
from smbd_uring.wire.create import CreateResponse
from smbd_uring.wire.framing import frame_prefix
from smbd_uring.wire.pdu import FileId
from tests.engine.companions import companion_for
from tests.support.client_messages import Message, Reply
from tests.support.file_client import FileClient, Messages

CONNECTION_ID = 1
COMPANION_EFFECTS = (AskLogin, AskTogether, TellLogout, TellTreeDisconnect)
DEPTH = 8
"""Requests that arrive together; alone, each would find the caches full of the client's doings."""

LISTED_FILES = 1000
WARM_UP = 0.1
"""Part of the operations that is not counted."""


@dataclass
class Stopwatch:
    """Nanoseconds of the operation under way: in all, in the file system without its effects, in effects."""

    total: int = 0
    filesystem: int = 0
    effects: int = 0
    effect_count: int = 0
    samples: list[tuple[int, int, int, int]] = field(default_factory=list)

    def lap(self) -> None:
        """The operation is over."""
        self.samples.append((self.total, self.filesystem, self.effects, self.effect_count))
        self.total = self.filesystem = self.effects = self.effect_count = 0


class TimedFilesystem:
    """`ports.Filesystem` whose methods tell a stopwatch how long they ran."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        filesystem = PosixFilesystem()
        for name in dir(filesystem):
            if not name.startswith("_"):
                setattr(self, name, self._timed(getattr(filesystem, name), stopwatch))

    @staticmethod
    def _timed(method: Callable[..., Any], stopwatch: Stopwatch) -> Callable[..., Any]:
        async def timed(*arguments: Any) -> Any:
            started = time.perf_counter_ns() - stopwatch.effects
            try:
                return await method(*arguments)
            finally:
                stopwatch.filesystem += time.perf_counter_ns() - stopwatch.effects - started

        return timed


class ImmediateDriver:
    """`ports.Driver` that performs every effect at once and keeps what is sent."""

    def __init__(self, folder: str, stopwatch: Stopwatch) -> None:
        self.sent = bytearray()
        self.closed = False
        self._companion = companion_for(folder)
        self._identity = ThreadIdentity()
        self._stopwatch = stopwatch

    def perform_now(self, effect: Effect[Any]) -> Any:
        started = time.perf_counter_ns()
        try:
            if isinstance(effect, COMPANION_EFFECTS):
                return self._companion.answer(effect)
            return syscalls.perform(effect, self._identity)
        finally:
            self._stopwatch.effects += time.perf_counter_ns() - started
            self._stopwatch.effect_count += 1

    def perform(self, token: object, effect: Effect[Any]) -> None:
        raise AssertionError(f"{NOT_NOW} was never answered")

    def send(self, connection_id: int, segments: Sequence[Buffer]) -> None:
        for segment in segments:
            self.sent += segment

    def plane_connection(self, connection_id: int) -> None:
        """The engine answers everything: its own cost is what is measured."""

    def unacknowledged(self, connection_id: int) -> int:
        return 0

    def served(self) -> tuple[dict[int, int], int, int]:
        return {}, 0, 0

    def disconnect(self, connection_id: int) -> None:
        self.closed = True

    def pause_reading(self, connection_id: int) -> None:
        pass

    resume_reading = pause_reading


class MemoryTransport:
    """The tests' client on one side, the engine's entry points on the other; `profile` watches the engine only."""

    def __init__(self, engine: Engine, driver: ImmediateDriver, stopwatch: Stopwatch, connection_id: int) -> None:
        self._engine = engine
        self._driver = driver
        self._stopwatch = stopwatch
        self._connection_id = connection_id
        self.profile: cProfile.Profile | None = None

    def sendall(self, data: bytes) -> None:
        engine, connection_id, view = self._engine, self._connection_id, memoryview(data)
        if self.profile is not None:
            self.profile.enable()
        started = time.perf_counter_ns()
        engine.data_received(connection_id, view, 1000.0)
        engine.data_sent(connection_id, len(self._driver.sent), 1000.0)
        self._stopwatch.total += time.perf_counter_ns() - started
        if self.profile is not None:
            self.profile.disable()

    def receive(self, size: int) -> bytes:
        data = bytes(self._driver.sent[:size])
        del self._driver.sent[:size]
        return data

    def close(self) -> None:
        self._engine.connection_lost(self._connection_id, 1000.0)


class Bench:
    """An engine over a folder and one client in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stopwatch = Stopwatch()
        self._driver = ImmediateDriver(str(folder), self.stopwatch)
        config = EngineConfig(bytes(range(16)))
        filesystem: Any = TimedFilesystem(self.stopwatch)
        self.engine = Engine(config, filesystem, self._driver, os.urandom, time.time_ns)
        self.engine.connection_made(CONNECTION_ID, "127.0.0.1", 1000.0)
        self.transport = MemoryTransport(self.engine, self._driver, self.stopwatch, CONNECTION_ID)
        self.client = FileClient(self.transport)
        self._connections = CONNECTION_ID
        self.negotiate_and_log_on(self.client)

    def negotiate_and_log_on(self, client: FileClient) -> None:
        """From the first byte to a tree connect."""
        assert client.negotiate().status == 0
        assert client.log_on("anna", "secret").status == 0
        assert client.tree_connect("data").status == 0

    def ask(self, *frames: Sequence[Message]) -> list[list[Reply]]:
        """Send frames, one after the other, in one piece, and take the answers to each."""
        encoded = [self.client.frame(*frame) for frame in frames]
        self.transport.sendall(b"".join(frame_prefix(len(frame)) + frame for frame in encoded))
        return [[self.client.wait_for(message.message_id or 0) for message in frame] for frame in frames]

    def connect(self) -> None:
        """One whole visit: negotiate to tree connect, and back."""
        self._connections += 1
        self.engine.connection_made(self._connections, "127.0.0.1", 1000.0)
        transport = MemoryTransport(self.engine, self._driver, self.stopwatch, self._connections)
        transport.profile = self.transport.profile
        client = FileClient(transport)
        self.negotiate_and_log_on(client)
        assert client.log_off().status == 0
        transport.close()


def echo(bench: Bench) -> Callable[[], object]:
    """ECHO."""
    return lambda: bench.ask(*([Messages.echo()] for _ in range(DEPTH)))


def read(bench: Bench) -> Callable[[], object]:
    """READ of 4 KiB."""
    file_id = bench.client.open("file")
    return lambda: bench.ask(*([Messages.read(file_id, 0, 4096)] for _ in range(DEPTH)))


def open_close(bench: Bench) -> Callable[[], object]:
    """CREATE and CLOSE of a file that exists."""

    def once() -> None:
        answers = bench.ask(*([Messages.create("file", AccessMask.GENERIC_READ)] for _ in range(DEPTH)))
        bench.ask(*([Messages.close(answer.expect(CreateResponse).file_id)] for [answer] in answers))

    return once


def stat(bench: Bench) -> Callable[[], object]:
    """CREATE, QUERY_INFO and CLOSE in one compound."""

    def compound() -> list[Message]:
        return [
            Messages.create("file", AccessMask.FILE_READ_ATTRIBUTES),
            Messages.query_info(Messages.ANY, FileInfoClass.ALL, size=4096).related(),
            Messages.close().related(),
        ]

    return lambda: bench.ask(*(compound() for _ in range(DEPTH)))


def cycle(bench: Bench) -> Callable[[], object]:
    """CREATE a new file, WRITE 4 KiB, CLOSE; open it to DELETE it with its handle."""
    data = bytes(4096)
    names = [f"new-{number}" for number in range(DEPTH)]

    def opened(
        access: int, *, disposition: int = CreateDisposition.OPEN, options: int = 0
    ) -> list[FileId]:
        answers = bench.ask(
            *([Messages.create(name, access, disposition=disposition, options=options)] for name in names)
        )
        return [answer.expect(CreateResponse).file_id for [answer] in answers]

    def once() -> None:
        file_ids = opened(AccessMask.FILE_ALL_ACCESS, disposition=CreateDisposition.OVERWRITE_IF)
        bench.ask(*([Messages.write(file_id, 0, data)] for file_id in file_ids))
        bench.ask(*([Messages.close(file_id)] for file_id in file_ids))
        file_ids = opened(AccessMask.DELETE, options=CreateOptions.FILE_DELETE_ON_CLOSE)
        bench.ask(*([Messages.close(file_id)] for file_id in file_ids))

    return once


def listing(bench: Bench) -> Callable[[], object]:
    """Opening a folder of 1,000 files, listing it to the end, closing it."""
    client = bench.client

    def once() -> None:
        file_id = client.open("folder", AccessMask.GENERIC_READ)
        while client.query_directory(file_id).status == 0:
            pass
        client.close(file_id)

    return once


def connect(bench: Bench) -> Callable[[], object]:
    """NEGOTIATE, two SESSION_SETUPs, TREE_CONNECT, LOGOFF; the companion answers from a table."""
    return bench.connect


WORKLOADS: dict[str, tuple[Callable[[Bench], Callable[[], object]], int, int]] = {
    "echo": (echo, DEPTH, 2_000),
    "read": (read, DEPTH, 1_000),
    "open+close": (open_close, DEPTH, 600),
    "stat": (stat, DEPTH, 600),
    "cycle": (cycle, DEPTH, 200),
    "list": (listing, 1, 60),
    "connect": (connect, 1, 300),
}
"""What is measured: operations at a time, and how often."""


def prepare(folder: Path) -> None:
    """The files that workloads use."""
    (folder / "file").write_bytes(bytes(65536))
    (folder / "folder").mkdir()
    for number in range(LISTED_FILES):
        (folder / "folder" / f"file-{number:06d}").touch()


def measure(bench: Bench, name: str, count: int) -> None:
    """Run one workload and print its line."""
    make, depth, usual = WORKLOADS[name]
    once = make(bench)
    stopwatch = bench.stopwatch
    stopwatch.lap()
    stopwatch.samples.clear()
    for _ in range(count or usual):
        once()
        stopwatch.lap()
    counted = stopwatch.samples[int(len(stopwatch.samples) * WARM_UP):]
    total, filesystem, effects, number = (quantiles(column, n=10)[0] for column in zip(*counted, strict=True))
    engine = total - filesystem - effects
    times = (engine, filesystem, effects, total)
    figures = " ".join(f"{nanoseconds / 1000 / depth:10.1f}" for nanoseconds in times)
    print(f"{name:12} {figures} {number / depth:8.0f}", flush=True)


def main() -> None:
    """Measure, or profile one workload."""
    parser = argparse.ArgumentParser(description="what the engine's own part of an operation costs")
    parser.add_argument("--only", action="append", choices=WORKLOADS, help="measure this (again for more)")
    parser.add_argument("--profile", choices=WORKLOADS, help="profile this instead of measuring")
    parser.add_argument("--count", type=int, default=0, help="operations of each")
    arguments = parser.parse_args()
    settle_memory()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        prepare(Path(folder))
        bench = Bench(Path(folder))
        if arguments.profile:
            once = WORKLOADS[arguments.profile][0](bench)
            bench.transport.profile = profile = cProfile.Profile()
            for _ in range(arguments.count or 2000):
                once()
            pstats.Stats(profile).sort_stats("tottime").print_stats(80)
            return
        print(f"{'microseconds':12} {'engine':>10} {'filesystem':>10} {'effects':>10} {'total':>10} {'effects':>8}")
        for name in arguments.only or WORKLOADS:
            measure(bench, name, arguments.count)


if __name__ == "__main__":
    main()
