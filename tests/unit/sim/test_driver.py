"""The simulated driver keeps the contract of `ports.Driver`, in every weather, and the same way for the same seed."""

from __future__ import annotations

import errno
import struct
from typing import Any

import pytest

from smbd_uring import limits
from smbd_uring.config import EngineConfig
from smbd_uring.engine.engine import Engine
from smbd_uring.filesystem import PosixFilesystem
from smbd_uring.ports import (
    AccountFlags,
    AskLogin,
    AskShare,
    AskTree,
    CompanionUnavailable,
    Credentials,
    LoginAnswer,
    OpenAt,
    ReadAt,
    ShareAnswer,
    ShareFlags,
    TellLogout,
    TreeFlags,
    TreeStatus,
)
from tests.sim.companion import ScriptedCompanion
from tests.sim.driver import SimulatedDriver, Weather
from tests.sim.kernel import Kernel

SEEDS = range(8)


class EchoEngine:
    """Sends back what it gets and writes down everything it is told."""

    def __init__(self, driver: SimulatedDriver) -> None:
        self.driver = driver
        self.log: list[tuple[Any, ...]] = []
        self.deadline: float | None = None
        self.kept: list[memoryview] = []
        self.refuses = False
        driver.engine = self

    def connection_made(self, connection_id: int, address: str, now: float) -> bool:
        self.log.append(("made", connection_id, address))
        return not self.refuses

    def data_received(self, connection_id: int, data: memoryview, now: float) -> None:
        self.log.append(("received", connection_id, len(data)))
        self.kept.append(data)
        self.driver.send(connection_id, [bytes(data[:3]), b"", bytes(data[3:])])

    def data_sent(self, connection_id: int, count: int, now: float) -> None:
        self.log.append(("sent", connection_id, count))

    def connection_lost(self, connection_id: int, now: float) -> None:
        self.log.append(("lost", connection_id))

    def completed(self, token: object, result: Any, error: BaseException | None, now: float) -> None:
        self.log.append(("completed", token, result, type(error)))

    def tick(self, now: float) -> None:
        self.log.append(("tick", now))
        if self.deadline is not None and self.deadline <= now:
            self.deadline = None

    def next_deadline(self) -> float | None:
        return self.deadline

    def told(self, kind: str) -> list[tuple[Any, ...]]:
        return [entry for entry in self.log if entry[0] == kind]


def echo(seed: int, weather: Weather | None = None) -> EchoEngine:
    return EchoEngine(SimulatedDriver(seed, weather=weather))


@pytest.mark.parametrize("seed", SEEDS)
def test_bytes_arrive_in_order_in_pieces_on_every_connection(seed: int) -> None:
    engine = echo(seed, Weather(chunk_bytes_max=5000))
    sent = [bytes(range(256)) * 100, bytes(range(255, -1, -1)) * 90]
    sockets = [engine.driver.connect(f"10.0.0.{index}") for index in range(2)]
    for socket, data in zip(sockets, sent, strict=True):
        socket.sendall(data)
    for socket, data in zip(sockets, sent, strict=True):
        assert socket.receive_exactly(len(data)) == data
    engine.driver.run_until_idle()
    assert len(engine.told("received")) > 10
    assert sum(count for _, _, count in engine.told("sent")) == sum(map(len, sent))


def test_the_same_seed_gives_the_same_run_and_another_seed_another() -> None:
    def play(seed: int) -> list[tuple[Any, ...]]:
        engine = echo(seed, Weather(chunk_bytes_max=100, loss_probability=0.001))
        for index in range(3):
            engine.driver.connect().sendall(bytes(1000 + index))
        for token in range(10):
            engine.driver.perform(token, AskShare("x"))
        engine.driver.run_until_idle()
        return engine.log

    assert play(1) == play(1)
    assert play(1) != play(2)


def test_received_bytes_are_gone_after_the_call() -> None:
    engine = echo(1)
    engine.driver.connect().sendall(b"secret")
    engine.driver.run_until_idle()
    assert b"secret" not in b"".join(bytes(view) for view in engine.kept)


def test_a_reply_changed_after_sending_is_noticed() -> None:
    engine = echo(1)
    socket = engine.driver.connect()
    reply = bytearray(b"reply")
    engine.driver.send(socket.connection_id, [reply])
    reply[0] = 0
    with pytest.raises(AssertionError, match="changed"):
        engine.driver.run_until_idle()


def test_effects_complete_once_each_in_another_order() -> None:
    engine = echo(3)
    for token in range(50):
        engine.driver.perform(token, OpenAt(None, b"/no", 0))
    assert engine.driver.in_flight == 50
    engine.driver.run_until_idle()
    tokens = [entry[1] for entry in engine.told("completed")]
    assert sorted(tokens) == list(range(50)) != tokens
    assert {entry[3] for entry in engine.told("completed")} == {FileNotFoundError}
    assert engine.driver.in_flight == 0


def test_faults_reach_the_engine() -> None:
    engine = echo(1)
    kernel = engine.driver.kernel
    kernel.add_file("/file", b"data")
    handle = kernel.perform(OpenAt(None, b"/file", 0))
    kernel.fail(ReadAt, errno.EIO, nth=2)
    for token in ("first", "second"):
        engine.driver.perform(token, ReadAt(handle, 0, 4))
        engine.driver.run_until_idle()
    assert [entry[1:] for entry in engine.told("completed")] == [
        ("first", b"data", type(None)), ("second", None, OSError),
    ]  # fmt: skip


def test_time_jumps_to_the_next_deadline() -> None:
    engine = echo(1)
    start = engine.driver.now
    engine.deadline = start + 45.0
    assert not engine.driver.run_until(lambda: bool(engine.told("tick")), 44.0)
    assert engine.driver.run_until(lambda: bool(engine.told("tick")), 46.0)
    assert engine.driver.now == start + 45.0
    before = engine.driver.wall_clock()
    engine.driver.advance(10.0)
    assert engine.driver.wall_clock() - before == 10 * 10**9


def test_waiting_for_what_never_comes() -> None:
    engine = echo(1)
    socket = engine.driver.connect()
    with pytest.raises(TimeoutError, match="seed 1"):
        socket.receive(1)


@pytest.mark.parametrize("seed", SEEDS)
def test_disconnect_comes_after_what_was_sent(seed: int) -> None:
    engine = echo(seed, Weather(chunk_bytes_max=10))
    socket = engine.driver.connect()
    engine.driver.send(socket.connection_id, [b"last words"])
    engine.driver.disconnect(socket.connection_id)
    assert socket.receive_exactly(10) == b"last words"
    assert socket.receive(1) == b""
    assert engine.told("lost") == [("lost", socket.connection_id)]
    with pytest.raises(ConnectionResetError):
        socket.sendall(b"x")


def test_a_refused_connection_is_closed_and_never_lost() -> None:
    engine = echo(1)
    engine.refuses = True
    socket = engine.driver.connect()
    assert socket.receive(1) == b"" and engine.told("lost") == []


def test_a_client_that_goes_away_is_lost_once() -> None:
    engine = echo(1)
    socket = engine.driver.connect()
    socket.sendall(b"x" * 1000)
    socket.close()
    socket.close()
    engine.driver.run_until_idle()
    assert engine.told("lost") == [("lost", socket.connection_id)]


def test_a_paused_connection_delivers_nothing_until_resumed() -> None:
    engine = echo(1)
    socket = engine.driver.connect()
    engine.driver.pause_reading(socket.connection_id)
    socket.sendall(b"later")
    engine.driver.run_until_idle()
    assert socket.reading_paused and engine.told("received") == []
    engine.driver.resume_reading(socket.connection_id)
    assert socket.receive_exactly(5) == b"later"


def test_in_bad_weather_connections_are_lost_once_each() -> None:
    engine = echo(7, Weather(chunk_bytes_max=10, loss_probability=0.05))
    for _ in range(20):
        engine.driver.connect().sendall(bytes(2000))
    engine.driver.run_until_idle()
    lost = [entry[1] for entry in engine.told("lost")]
    assert len(lost) == len(set(lost)) == 20
    assert engine.driver.wires == {}


# --- the companion -----------------------------------------------------------------------------------------------


ALICE = LoginAnswer("alice", AccountFlags.OK, Credentials(1000, 1000), bytes(16))
DATA = ShareAnswer("Data", "/data", ShareFlags.AVAILABLE | ShareFlags.READONLY, 0o744, 0o755, 0, 0, None, None)


def test_the_companion_answers_from_its_script() -> None:
    companion = ScriptedCompanion({"alice": ALICE}, {"data": DATA})
    assert companion.answer(AskLogin("alice")) is ALICE
    assert companion.answer(AskLogin("bob")) is None
    assert companion.answer(AskShare("DATA")) is DATA
    tree = companion.answer(AskTree("alice", AccountFlags.OK, 1, 1, "data", "::1"))
    assert (tree.status, tree.flags) == (TreeStatus.OK, TreeFlags.READ_ONLY)
    assert companion.answer(AskTree("alice", AccountFlags.OK, 1, 1, "no", "::1")).status == TreeStatus.NO_SHARE
    companion.answer(TellLogout("alice", AccountFlags.OK))
    assert companion.told == [TellLogout("alice", AccountFlags.OK)]


def test_a_companion_that_is_away_lets_questions_time_out() -> None:
    engine = echo(1)
    engine.driver.companion.away = True
    start = engine.driver.now
    engine.driver.perform("question", AskLogin("alice"))
    engine.driver.run_until_idle()
    assert engine.told("completed") == [("completed", "question", None, CompanionUnavailable)]
    assert engine.driver.now - start == limits.COMPANION_ANSWER_TIMEOUT_S


# --- the engine itself ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_the_engine_runs_in_it(seed: int) -> None:
    driver = SimulatedDriver(seed, Kernel(), ScriptedCompanion(), Weather(chunk_bytes_max=7))
    engine = Engine(EngineConfig(bytes(16)), PosixFilesystem(), driver, driver.entropy, driver.wall_clock)
    driver.engine = engine
    socket = driver.connect()
    header = struct.pack("<4sHHIHHIIQIIQ16x", b"\xfeSMB", 64, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
    negotiate = header + struct.pack("<HHHHI16s8xH", 36, 1, 1, 0, 0, bytes(range(16)), 0x0210)
    socket.sendall(struct.pack(">I", len(negotiate)) + negotiate)
    length = struct.unpack(">I", socket.receive_exactly(4))[0]
    reply = socket.receive_exactly(length)
    assert reply[:4] == b"\xfeSMB" and reply[8:12] == bytes(4)
    assert struct.unpack_from("<H", reply, 64 + 4) == (0x0210,)
    # Nobody logs on: the authentication deadline ends the connection.
    assert socket.receive(1, limits.AUTHENTICATION_TIMEOUT_S + 1) == b""
    driver.run_until_idle()
    assert engine.idle and driver.in_flight == 0 and not driver.kernel.open_files
