"""Given an engine that knows no protocol, every driver carries bytes in order and tells who comes and goes."""

from __future__ import annotations

import hashlib
import os
import resource
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from smbd_uring import _native, limits
from smbd_uring.loop.base import DriverBase
from smbd_uring.loop.epoll_driver import EpollDriver
from smbd_uring.loop.ring_driver import RingDriver
from tests.unit.loop.echo import EchoEngine
from tests.unit.loop.network import connect, framed, listening, receive_all, reset, run_with

MIB = 1 << 20
MakeDriver = Callable[..., DriverBase]


def start(
    make_driver: MakeDriver, engine_class: type[EchoEngine] = EchoEngine
) -> tuple[DriverBase, EchoEngine, Any]:
    listener = listening()
    address = listener.getsockname()
    driver = make_driver([listener])
    engine = engine_class(driver)
    driver.engine = engine
    return driver, engine, address


def test_a_hundred_megabytes_come_back_in_order(make_driver: MakeDriver) -> None:
    driver, engine, address = start(make_driver)
    block = os.urandom(MIB + 13)
    total = 100 * MIB // len(block) * len(framed(block))

    with connect(address) as sock:

        def send() -> bytes:
            digest = hashlib.blake2b()
            for number in range(100 * MIB // len(block)):
                piece = framed(block[number:] + block[:number])
                digest.update(piece)
                sock.sendall(piece)
            sock.shutdown(socket.SHUT_WR)
            return digest.digest()

        def receive() -> tuple[int, bytes]:
            digest, count = hashlib.blake2b(), 0
            while part := sock.recv(MIB):
                digest.update(part)
                count += len(part)
            return count, digest.digest()

        sent, (count, received) = run_with(driver, send, receive)
    assert (count, received) == (total, sent)
    assert (engine.received[1], engine.sent[1]) == (total, total)
    driver.run(lambda: engine.lost == [1])
    assert engine.made == [(1, "127.0.0.1")]


def test_thousands_of_connects(make_driver: MakeDriver) -> None:
    driver, engine, address = start(make_driver)
    each = 500

    def play(seed: int) -> None:
        for number in range(each):
            with connect(address) as sock:
                message = framed(b"%d/%03d" % (seed, number))
                sock.sendall(message)
                assert sock.recv(100) == message
                if number % 3 == 0:
                    reset(sock)

    run_with(driver, *(partial(play, seed) for seed in range(4)), until=lambda: len(engine.lost) == 4 * each)
    assert [connection_id for connection_id, _ in engine.made] == list(range(1, 4 * each + 1))
    assert sorted(engine.lost) == list(range(1, 4 * each + 1))


def test_many_connections_at_once(make_driver: MakeDriver) -> None:
    driver, engine, address = start(make_driver)

    def play() -> list[bytes]:
        socks = [connect(address) for _ in range(400)]
        for number, sock in enumerate(socks):
            sock.sendall(framed(b"%d" % number * 1000))
        answers = []
        for number, sock in enumerate(socks):
            sock.shutdown(socket.SHUT_WR)
            answers.append(receive_all(sock))
            assert answers[-1] == framed(b"%d" % number * 1000)
            sock.close()
        return answers

    run_with(driver, play, until=lambda: len(engine.lost) == 400)


def test_a_paused_connection_is_not_read(make_driver: MakeDriver) -> None:
    class Pausing(EchoEngine):
        def consume(self, connection_id: int, data: memoryview) -> None:
            if self.received[connection_id] == len(data):
                self.driver.pause_reading(connection_id)

    driver, engine, address = start(make_driver, Pausing)
    data = framed(bytes(64 * MIB))
    with connect(address) as sock:

        def play() -> None:
            sock.sendall(data)

        def watch() -> tuple[int, int]:
            time.sleep(0.3)
            early = engine.received[1]
            time.sleep(0.2)
            return early, engine.received[1]

        early: list[tuple[int, int]] = []

        def resume_later() -> None:
            early.append(watch())
            driver.resume_reading(1)
            driver.wake()

        run_with(driver, play, resume_later, until=lambda: engine.received[1] == len(data))
    assert early[0][0] == early[0][1] < len(data) // 16


def test_pausing_and_resuming_at_once_loses_nothing(make_driver: MakeDriver) -> None:
    class Flapping(EchoEngine):
        def consume(self, connection_id: int, data: memoryview) -> None:
            self.driver.pause_reading(connection_id)
            self.driver.send(connection_id, [bytes(data)])

        def data_sent(self, connection_id: int, count: int, now: float) -> None:
            super().data_sent(connection_id, count, now)
            self.driver.resume_reading(connection_id)

    driver, _engine, address = start(make_driver, Flapping)
    data = framed(os.urandom(5 * MIB))
    with connect(address) as sock:

        def send() -> None:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)

        assert run_with(driver, send, lambda: receive_all(sock))[1] == data


def test_a_half_closed_peer_gets_what_it_was_promised(make_driver: MakeDriver) -> None:
    class Late(EchoEngine):
        """Answers the second message with everything."""

        def consume(self, connection_id: int, data: memoryview) -> None:
            self.driver.send(connection_id, [b"x" * (4 * MIB)])

    driver, engine, address = start(make_driver, Late)

    def play() -> int:
        with connect(address) as sock:
            sock.sendall(framed(b"what"))
            sock.shutdown(socket.SHUT_WR)
            time.sleep(0.1)
            return len(receive_all(sock))

    assert run_with(driver, play, until=lambda: engine.lost == [1]) == [4 * MIB]


def test_a_disconnect_comes_after_the_last_byte(make_driver: MakeDriver) -> None:
    """Also when the peer's own bytes lie unread: they must not turn the end into a reset."""

    class Parting(EchoEngine):
        def consume(self, connection_id: int, data: memoryview) -> None:
            self.driver.send(connection_id, [b"y" * (8 * MIB)])
            self.driver.disconnect(connection_id)
            self.driver.disconnect(connection_id)
            self.driver.send(connection_id, [b"too late"])

    driver, engine, address = start(make_driver, Parting)

    def play() -> bytes:
        with connect(address) as sock:
            sock.sendall(framed(b"?" * MIB))
            return receive_all(sock)

    (answer,) = run_with(driver, play, until=lambda: engine.lost == [1])
    assert answer == b"y" * (8 * MIB)
    assert engine.received[1] < MIB


@pytest.mark.parametrize("reads", [False, True])
def test_a_peer_that_does_not_leave_is_left(
    make_driver: MakeDriver, monkeypatch: pytest.MonkeyPatch, reads: bool
) -> None:
    """One takes no byte, the other all of them but keeps its end open: both have so long and no longer."""
    monkeypatch.setattr(limits, "DISCONNECT_FLUSH_S", 0.2)
    monkeypatch.setattr(limits, "DISCONNECT_LINGER_S", 0.2)

    class Parting(EchoEngine):
        def connection_made(self, connection_id: int, address: str, now: float) -> bool:
            super().connection_made(connection_id, address, now)
            self.driver.send(connection_id, [b"z" * (64 * MIB)])
            self.driver.disconnect(connection_id)
            return True

    driver, engine, address = start(make_driver, Parting)
    with connect(address) as sock:
        begun = time.monotonic()
        if reads:
            monkeypatch.setattr(limits, "DISCONNECT_FLUSH_S", 10.0)
            assert len(run_with(driver, lambda: receive_all(sock))[0]) == 64 * MIB
        driver.run(lambda: engine.lost == [1])
        assert time.monotonic() - begun < 5.0


def test_a_reset_is_told_once(make_driver: MakeDriver) -> None:
    driver, engine, address = start(make_driver)

    def play() -> None:
        sock = connect(address)
        sock.sendall(framed(b"x" * 1000))
        sock.recv(1)
        reset(sock)

    run_with(driver, *[play] * 20, until=lambda: len(engine.lost) == 20)
    driver.send(1, [b"to nobody"])
    driver.disconnect(1)
    driver.pause_reading(1)
    driver.resume_reading(1)
    driver.run(lambda: True)
    assert sorted(engine.lost) == list(range(1, 21))


def test_a_refused_connection_is_closed_and_forgotten(make_driver: MakeDriver) -> None:
    driver, engine, address = start(make_driver)
    engine.welcome = False

    def play() -> bytes:
        with connect(address) as sock:
            return receive_all(sock)

    assert run_with(driver, play) == [b""]
    assert len(engine.made) == 1
    assert engine.lost == []
    assert not driver.connections


def test_many_small_segments_keep_their_order(make_driver: MakeDriver) -> None:
    class Splitting(EchoEngine):
        def consume(self, connection_id: int, data: memoryview) -> None:
            copy = bytes(data)
            for begin in range(0, len(copy), 1000):
                piece = memoryview(copy)[begin : begin + 1000]
                self.driver.send(connection_id, [piece[:1], b"", bytearray(piece[1:700]), piece[700:]])

    driver, engine, address = start(make_driver, Splitting)
    data = framed(os.urandom(3 * MIB))
    with connect(address) as sock:

        def send() -> None:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)

        assert run_with(driver, send, lambda: receive_all(sock))[1] == data
    assert engine.sent[1] == len(data)


def test_bytes_out_of_a_socket_are_lent_for_the_call_only() -> None:
    class Keeping(EchoEngine):
        kept: memoryview

        def consume(self, connection_id: int, data: memoryview) -> None:
            self.kept = data

    driver, engine, address = start(EpollDriver, Keeping)

    def play() -> None:
        with connect(address) as sock:
            sock.sendall(b"data")

    run_with(driver, play, until=lambda: engine.lost == [1])
    driver.close()
    assert isinstance(engine, Keeping)
    with pytest.raises(ValueError):
        bytes(engine.kept)


def test_without_descriptors_accepting_pauses_and_goes_on(
    make_driver: MakeDriver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "ACCEPT_PAUSE_S", 0.05)
    driver, engine, address = start(make_driver)
    clients = [socket.socket() for _ in range(5)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    free = len(set(range(highest)) - {int(name) for name in os.listdir("/proc/self/fd")})
    fillers = [os.dup(0) for _ in range(free)]
    begun = time.process_time()
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(clients[-1].fileno(), highest) + 1, hard))
    try:
        for client in clients:
            client.connect(address)
        driver.run(lambda: False, time.monotonic() + 0.3)
        made = len(engine.made)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert made < len(clients)
    assert time.process_time() - begun < 0.25, "the loop spins"
    assert "accepting pauses" in caplog.text
    driver.run(lambda: len(engine.made) == len(clients))
    for client in clients:
        client.close()
    for filler in fillers:
        os.close(filler)
    driver.run(lambda: len(engine.lost) == len(clients))


def test_no_more_connections_after_stopping_but_the_old_ones_live(make_driver: MakeDriver) -> None:
    driver, engine, address = start(make_driver)
    with connect(address) as sock:
        driver.run(lambda: bool(engine.made))
        driver.stop_accepting()
        driver.run(lambda: True)
        with pytest.raises(ConnectionRefusedError):
            connect(address)

        def play() -> bytes:
            sock.sendall(framed(b"still here"))
            return sock.recv(100)

        assert run_with(driver, play) == [framed(b"still here")]


def test_that_an_answer_was_sent_takes_no_turn_of_its_own(make_driver: MakeDriver) -> None:
    """One frame after the other: the loop turns for each that comes, and hears with it that the last one is out."""
    count = 40
    driver, engine, address = start(make_driver)
    turns: list[int] = []

    def over() -> bool:
        turns.append(1)
        return bool(engine.lost)

    def play() -> None:
        with connect(address) as sock:
            for _ in range(count):
                sock.sendall(framed(b"word"))
                assert sock.recv(8, socket.MSG_WAITALL) == framed(b"word")

    thread = threading.Thread(target=play)
    thread.start()
    driver.run(over)
    thread.join()
    assert engine.sent[1] == count * 8
    assert len(turns) < count * 3 // 2


def test_closing_ends_everything(make_driver: MakeDriver) -> None:
    driver, engine, address = start(make_driver)
    with connect(address) as one, connect(address):
        one.sendall(framed(b"x" * 1000, (1000,)))
        driver.run(lambda: len(engine.made) == 2 and engine.sent.get(1, 0) == 1004)
        driver.send(2, [b"never read" * MIB])
        driver.run(lambda: engine.sent[2] > 0)
        driver.close()
        driver.close()
        assert sorted(engine.lost) == [1, 2]
        with pytest.raises(ConnectionRefusedError):
            connect(address)


def test_addresses_are_hosts(make_driver: MakeDriver) -> None:
    six = socket.socket(socket.AF_INET6)
    six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    six.bind(("::", 0))
    six.listen()
    driver = make_driver()
    driver.engine = engine = EchoEngine(driver)
    driver.add_listener(six)
    port = six.getsockname()[1]
    with connect(("127.0.0.1", port)):
        driver.run(lambda: len(engine.made) == 1)
    with connect(("::1", port)):
        driver.run(lambda: len(engine.made) == 2)
    assert [address for _, address in engine.made] == ["127.0.0.1", "::1"]


@pytest.mark.parametrize("rings", [0, 1])
def test_the_ring_goes_on_when_it_runs_out_of_buffers(monkeypatch: pytest.MonkeyPatch, rings: int) -> None:
    assert _native.Ring is not None
    monkeypatch.setattr(_native, "Ring", partial(_native.Ring, 2, 4096))
    driver, engine, address = start(partial(RingDriver, rings=rings))
    assert isinstance(driver, RingDriver)
    data = framed(os.urandom(MIB))

    def play() -> bool:
        with connect(address) as sock:
            sock.settimeout(0.02)
            echoed, sent = bytearray(), 0
            while len(echoed) < len(data):
                try:
                    sent += sock.send(data[sent : sent + 50_000]) if sent < len(data) else 0
                    echoed += sock.recv(MIB)
                except TimeoutError:
                    continue
            return bytes(echoed) == data

    assert run_with(driver, *[play] * 4, until=lambda: len(engine.lost) == 4) == [True] * 4
    driver.close()
    assert driver.ring.in_flight == 0
    assert driver.planes._planes[0].operations == 0
