"""Given a ring of its own, every operation ends with one last completion, and all memory comes back."""

from __future__ import annotations

import errno
import gc
import os
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from smbd_uring._native import _ring
from smbd_uring._native._ring import CQE_MORE, Ring


@pytest.fixture
def ring() -> Iterator[Ring]:
    ring = Ring(4, 4096)
    yield ring
    ring.close()
    assert ring.in_flight == 0


def completions(ring: Ring, count: int) -> list[tuple[object, int, int]]:
    """Exactly `count` completions as (context, result, flags)."""
    got: list[tuple[object, int, int]] = []
    ends = time.monotonic() + 5
    while len(got) < count and time.monotonic() < ends:
        got += [(operation.context, result, flags) for operation, result, flags in ring.wait(0.5)]
    assert len(got) == count
    return got


def test_waiting_takes_as_long_as_said(ring: Ring) -> None:
    begun = time.monotonic()
    assert ring.wait(0.1) == []
    assert 0.1 <= time.monotonic() - begun < 0.3
    assert ring.wait(0.0) == []
    assert time.monotonic() - begun < 0.3


def test_waiting_leaves_the_interpreter_to_others(ring: Ring) -> None:
    counted = [0]

    def count() -> None:
        ends = time.monotonic() + 0.2
        while time.monotonic() < ends:
            counted[0] += 1

    thread = threading.Thread(target=count)
    thread.start()
    ring.wait(0.25)
    thread.join()
    assert counted[0] > 1000


def test_more_operations_than_the_queue_holds(ring: Ring) -> None:
    reader, writer = os.pipe()
    for number in range(3000):
        ring.write(writer, 0, memoryview(b"%04d" % number), number)
    assert 0 < ring.in_flight <= 3000
    got = completions(ring, 3000)
    assert sorted(context for context, _, _ in got) == list(range(3000))  # type: ignore[type-var]
    assert {result for _, result, _ in got} == {4}
    assert ring.in_flight == 0
    os.close(reader)
    os.close(writer)


def test_a_read_gives_what_was_there(ring: Ring, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(200)))
    with open(tmp_path / "file", "rb") as file:
        for length in (10, 150, 200, 300, 100_000):
            operation = ring.read(file.fileno(), 0, length, None)
            with pytest.raises(ValueError):
                operation.data(1)
            ((_, result, _),) = completions(ring, 1)
            assert result == min(length, 200)
            assert bytes(operation.data(result)) == bytes(range(result))
            with pytest.raises(ValueError):
                operation.data(length + 1)


def test_a_cancelled_poll_says_so(ring: Ring) -> None:
    reader, writer = os.pipe()
    operation = ring.poll(reader, "poll")
    ring.wait(0.0)
    assert operation.in_flight
    ring.cancel(operation)
    assert completions(ring, 1) == [("poll", -errno.ECANCELED, 0)]
    assert not operation.in_flight
    ring.cancel(operation)
    assert ring.wait(0.01) == []
    os.close(reader)
    os.close(writer)


def test_an_operation_holds_its_memory(ring: Ring) -> None:
    """Given a write that waits for room in a pipe, its buffer stays referenced and locked until it is gone."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, bytes(65536))
    os.set_blocking(writer, True)
    data = bytearray(65536)
    before = sys.getrefcount(data)
    operation = ring.write(writer, 0, memoryview(data), "write")
    assert ring.wait(0.0) == []
    with pytest.raises(BufferError):
        data.append(1)
    os.close(reader)
    ((_, result, _),) = completions(ring, 1)
    assert result == -errno.EPIPE
    del operation
    gc.collect()
    data.append(1)
    assert sys.getrefcount(data) == before
    os.close(writer)


def test_accepting_goes_on_until_cancelled(ring: Ring) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        operation = ring.accept(listener.fileno(), "accept")
        clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
        got = completions(ring, 3)
        assert all(flags & CQE_MORE for _, _, flags in got)
        for _, descriptor, _ in got:
            assert not os.get_inheritable(descriptor)
            os.close(descriptor)
        ring.cancel(operation)
        assert completions(ring, 1)[0][1] == -errno.ECANCELED
        for client in clients:
            client.close()


def test_closing_cancels_and_drops_what_comes() -> None:
    ring = Ring(4, 4096)
    before = set(os.listdir("/proc/self/fd"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        reader, writer = os.pipe()
        ring.accept(listener.fileno(), None)
        ring.poll(reader, None)
        ring.read(reader, 0, 10, None)
        ring.open(-100, b"/", os.O_PATH, 0, 0, None, 0)
        client = socket.create_connection(listener.getsockname())
        ring.close()
        ring.close()
        client.close()
        os.close(reader)
        os.close(writer)
    assert ring.in_flight == 0
    assert set(os.listdir("/proc/self/fd")) <= before
    for use in (lambda: ring.wait(0.0), ring.submit, lambda: ring.poll(0, None)):
        with pytest.raises(RuntimeError):
            use()


def test_a_ring_dropped_open_is_reported() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Ring(4, 4096)
        gc.collect()
    assert any("dropped open" in str(each.message) for each in caught)


@pytest.mark.parametrize("buffers", [0, 3, 65536])
def test_the_number_of_buffers_must_suit_the_kernel(buffers: int) -> None:
    with pytest.raises(ValueError):
        Ring(buffers, 4096)


def test_errors_come_as_numbers(ring: Ring) -> None:
    ring.stat(-100, b"/nowhere", 0, "stat", 0)
    ring.close_descriptor(999_999, "close")
    ring.truncate(999_999, 0, "truncate")
    ring.open(-100, b"/", os.O_RDONLY, 0, 0xFFFF, "open", 0)
    ring.stat(-100, b"/", 0, "personality", 60_000)
    results = {context: result for context, result, _ in completions(ring, 5)}
    assert results == {
        "stat": -errno.ENOENT,
        "close": -errno.EBADF,
        "truncate": -errno.EBADF if _ring.OP_TRUNCATE in ring.supported else -errno.EINVAL,
        "open": -errno.EINVAL,
        "personality": -errno.EINVAL,
    }


def test_the_probe_lists_what_the_driver_uses(ring: Ring) -> None:
    wanted = {getattr(_ring, name) for name in dir(_ring) if name.startswith("OP_")} - {_ring.OP_TRUNCATE}
    assert wanted <= ring.supported
