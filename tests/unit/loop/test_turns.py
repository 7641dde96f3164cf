"""Given watches, deadlines, signals and a companion, the loop wakes for each of them and for nothing else."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from smbd_uring.loop.base import DriverBase
from smbd_uring.loop.workers import Answer
from smbd_uring.ports import AskShare, CompanionUnavailable, Effect, OpenAt, ReadAt, StatVolume
from tests.unit.loop.echo import EchoEngine
from tests.unit.loop.network import framed

MakeDriver = Callable[..., DriverBase]


def with_engine(driver: DriverBase) -> tuple[DriverBase, EchoEngine]:
    driver.engine = engine = EchoEngine(driver)
    return driver, engine


class PipeCompanion:
    """A companion at the other end of a pipe, which a test can replace by another one."""

    def __init__(self) -> None:
        self.reader: int | None
        self.reader, self.writer = os.pipe()
        self.tokens: list[object] = []
        self.answers: list[Answer] = []
        self.ticks = 0
        self.deadline: float | None = None

    def submit(self, token: object, effect: Effect[Any], now: float) -> None:
        self.tokens.append(token)

    def fileno(self) -> int | None:
        return self.reader

    def readable(self, now: float) -> None:
        assert self.reader is not None
        word = os.read(self.reader, 100)
        self.answers += [(token, word, None) for token in self.tokens]
        self.tokens.clear()

    def tick(self, now: float) -> None:
        self.ticks += 1
        self.deadline = None

    def next_deadline(self) -> float | None:
        return self.deadline

    def take_answers(self) -> list[Answer]:
        taken, self.answers = self.answers, []
        return taken

    def restart(self) -> None:
        """A new pipe under the same number, as a restarted companion's socket may have."""
        assert self.reader is not None
        reader, writer = os.pipe()
        os.dup2(reader, self.reader)
        os.dup2(writer, self.writer)
        os.close(reader)
        os.close(writer)

    def close(self) -> None:
        assert self.reader is not None
        os.close(self.reader)
        os.close(self.writer)


def test_the_loop_sleeps_until_the_engines_deadline(make_driver: MakeDriver) -> None:
    driver, engine = with_engine(make_driver())
    begun, spent = time.monotonic(), time.process_time()
    engine.deadline = begun + 0.25
    driver.run(lambda: bool(engine.ticks))
    assert 0.25 <= engine.ticks[0] - begun < 0.5
    assert time.process_time() - spent < 0.1
    driver.run(lambda: False, time.monotonic() + 0.2)
    assert len(engine.ticks) == 1
    assert time.monotonic() - begun < 0.9


def test_a_thread_wakes_the_loop(make_driver: MakeDriver) -> None:
    driver, _engine = with_engine(make_driver())
    said: list[int] = []

    def say() -> None:
        time.sleep(0.1)
        said.append(1)
        driver.wake()

    begun = time.monotonic()
    thread = threading.Thread(target=say)
    thread.start()
    driver.run(lambda: bool(said))
    thread.join()
    assert time.monotonic() - begun < 0.5


def test_a_signal_wakes_the_loop(make_driver: MakeDriver) -> None:
    driver, _engine = with_engine(make_driver())
    caught: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _frame: caught.append(number))
    try:
        begun = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        driver.run(lambda: bool(caught))
        assert time.monotonic() - begun < 0.5
    finally:
        signal.signal(signal.SIGALRM, before)
    assert signal.set_wakeup_fd(-1) == -1


def test_watched_descriptors(make_driver: MakeDriver) -> None:
    driver, _engine = with_engine(make_driver())
    reader, writer = os.pipe()
    got: list[bytes] = []
    driver.watch(reader, lambda now: got.append(os.read(reader, 1)))
    os.write(writer, b"abc")
    driver.run(lambda: len(got) == 3)
    assert got == [b"a", b"b", b"c"]
    driver.unwatch(reader)
    os.write(writer, b"d")
    driver.run(lambda: False, time.monotonic() + 0.05)
    assert len(got) == 3

    def read_once(_now: float) -> None:
        got.append(os.read(reader, 1))
        driver.unwatch(reader)

    driver.watch(reader, read_once)
    driver.run(lambda: len(got) == 4)
    os.write(writer, b"e")
    driver.run(lambda: False, time.monotonic() + 0.05)
    assert got[3:] == [b"d"]
    os.close(reader)
    os.close(writer)


def test_the_companion_answers_and_may_be_replaced(make_driver: MakeDriver) -> None:
    companion = PipeCompanion()
    driver, engine = with_engine(make_driver(companion=companion))
    driver.perform("first", AskShare("share"))
    os.write(companion.writer, b"one")
    driver.run(lambda: "first" in engine.completions)
    companion.restart()
    driver.perform("second", AskShare("share"))
    os.write(companion.writer, b"two")
    driver.run(lambda: "second" in engine.completions, time.monotonic() + 0.5)
    assert engine.completions == {"first": (b"one", None), "second": (b"two", None)}
    companion.deadline = time.monotonic() + 0.1
    driver.run(lambda: companion.ticks == 1, time.monotonic() + 0.5)
    assert companion.ticks == 1
    driver.close()
    companion.close()


def test_a_connection_may_get_the_number_of_a_closed_companion(make_driver: MakeDriver) -> None:
    """Given a companion that closed its descriptor, and a connection accepted before the loop looked again."""
    companion = PipeCompanion()
    driver, engine = with_engine(make_driver(companion=companion))
    driver.run(lambda: True)
    number, companion.reader = companion.reader, None
    assert number is not None
    os.close(number)
    ours, theirs = socket.socketpair()
    assert ours.fileno() == number
    with theirs:
        theirs.settimeout(5)
        driver._accepted(ours, time.monotonic())
        theirs.send(framed(b"hello"))
        driver.run(lambda: engine.sent.get(1) == 9)
        assert theirs.recv(10) == framed(b"hello")
    driver.run(lambda: engine.lost == [1])
    os.close(companion.writer)


def test_without_a_companion_nobody_answers(make_driver: MakeDriver) -> None:
    driver, engine = with_engine(make_driver())
    driver.perform("token", AskShare("share"))
    assert engine.completions == {}
    driver.run(lambda: "token" in engine.completions)
    assert isinstance(engine.completions["token"][1], CompanionUnavailable)


def test_more_effects_than_the_rings_queue_holds(make_driver: MakeDriver, tmp_path: os.PathLike[str]) -> None:
    driver, engine = with_engine(make_driver())
    path = os.path.join(tmp_path, "file")
    with open(path, "wb") as file:
        file.write(os.urandom(100_000))
    with open(path, "rb") as file:
        for number in range(5000):
            driver.perform(number, ReadAt(file.fileno(), number, 10))  # type: ignore[arg-type]
        assert driver.operations_in_flight == 5000
        driver.run(lambda: len(engine.completions) == 5000)
        for number in range(5000):
            result, error = engine.completions[number]
            file.seek(number)
            assert error is None and bytes(result) == file.read(10)
    assert driver.operations_in_flight == 0


def test_an_engine_that_always_wants_more_does_not_stop_the_clock(make_driver: MakeDriver) -> None:
    """Given an engine that answers each failure with another effect, deadlines still have their turn."""

    class Greedy(EchoEngine):
        def completed(self, token: Any, result: Any, error: BaseException | None, now: float) -> None:
            self.driver.perform(object(), AskShare("share"))

    driver = make_driver()
    driver.engine = engine = Greedy(driver)
    driver.perform(object(), AskShare("share"))
    engine.deadline = time.monotonic() + 0.05
    driver.run(lambda: bool(engine.ticks), time.monotonic() + 2.0)
    assert engine.ticks


def test_errors_of_the_engine_come_out(make_driver: MakeDriver) -> None:
    class Failing(EchoEngine):
        def completed(self, token: Any, result: Any, error: BaseException | None, now: float) -> None:
            raise ZeroDivisionError

    driver = make_driver()
    driver.engine = Failing(driver)
    driver.perform("token", OpenAt(None, b"/nowhere", os.O_RDONLY))
    with pytest.raises(ZeroDivisionError):
        driver.run(lambda: False)
    driver.engine = engine = EchoEngine(driver)
    driver.perform("next", StatVolume(0))  # type: ignore[arg-type]
    driver.run(lambda: "next" in engine.completions)
