"""Given an operation that the kernel lists but refuses, the workers take over for good."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smbd_uring._native import _ring
from smbd_uring.loop import libc
from smbd_uring.loop.ring_driver import RingDriver
from smbd_uring.ports import Allocate, CloseHandle, GetXattr, Handle, OpenAt, ReadAt, SetXattr, Stat, WriteAt
from tests.unit.loop.effects import Through

FLAGS_STATX_REFUSES = 0x4000_0000 | libc.AT_EMPTY_PATH


class Stubborn:
    """The driver's ring, but for what a test replaces."""

    def __init__(self, ring: _ring.Ring, **replaced: Any) -> None:
        self._ring = ring
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ring, name)


@pytest.fixture
def driver() -> RingDriver:
    return RingDriver()


@pytest.fixture
def perform(driver: RingDriver) -> Iterator[Through]:
    performer = Through(driver)
    yield performer
    performer.close()
    assert driver.ring.in_flight == 0


@pytest.fixture
def file(perform: Through, tmp_path: Path) -> Iterator[Handle]:
    handle = perform(OpenAt(None, os.fsencode(tmp_path / "file"), os.O_RDWR | os.O_CREAT, 0o600))
    yield handle
    perform(CloseHandle(handle))


def test_a_refused_operation_moves_to_the_workers(
    driver: RingDriver, perform: Through, file: Handle, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []

    def stat(directory: int, name: bytes, flags: int, context: Any, personality: int) -> Any:
        calls.append(directory)
        return driver.ring.stat(directory, name, FLAGS_STATX_REFUSES, context, personality)

    driver._files._ring = Stubborn(driver.ring, stat=stat)  # type: ignore[assignment]
    with caplog.at_level(logging.WARNING, "smbd.loop"):
        assert perform(Stat(file)).size == 0
        assert perform(Stat(file)).size == 0
    assert len(calls) == 1
    assert caplog.text.count("the ring refuses operation") == 1


def test_an_error_that_both_give_is_just_an_error(driver: RingDriver, perform: Through, file: Handle) -> None:
    for _ in range(2):
        with pytest.raises(OSError) as raised:
            perform(Allocate(file, 0x4000, 0, 4096))
        assert raised.value.errno == errno.EOPNOTSUPP
    perform(Allocate(file, 0, 0, 4096))
    assert _ring.OP_FALLOCATE in driver._files._usable
    with pytest.raises(OSError):
        perform(Stat(file, b"x/y"))


def test_a_kernel_without_operations_is_no_obstacle(
    driver: RingDriver, perform: Through, file: Handle
) -> None:
    driver._files._usable.clear()
    assert perform(WriteAt(file, 0, b"text")) == 4
    assert perform(ReadAt(file, 0, 10)) == b"text"
    assert driver.ring.in_flight <= 2, "only the loop's own polls use the ring"


def test_short_reads_and_writes_go_on(driver: RingDriver, perform: Through, file: Handle) -> None:
    """Given a kernel that moves 1000 bytes at a time, as some file systems do."""

    def read(descriptor: int, offset: int, length: int, context: Any) -> Any:
        return driver.ring.read(descriptor, offset, min(length, 1000), context)

    def write(descriptor: int, offset: int, data: memoryview, context: Any, personality: int) -> Any:
        return driver.ring.write(descriptor, offset, data[:1000], context, personality)

    driver._files._ring = Stubborn(driver.ring, read=read, write=write)  # type: ignore[assignment]
    data = os.urandom(4321)
    assert perform(WriteAt(file, 7, data)) == len(data)
    assert perform(ReadAt(file, 7, 4000)) == data[:4000]
    assert perform(ReadAt(file, 7, 9999)) == data


def test_a_value_too_long_for_the_ring_is_fetched_by_a_worker(
    driver: RingDriver, perform: Through, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = os.urandom(_ring.XATTR_BYTES + 1)
    name = b"trusted.long" if os.geteuid() == 0 else b"user.long"
    directory = perform(OpenAt(None, b"/dev/shm", os.O_RDONLY | os.O_TMPFILE | os.O_RDWR, 0o600))
    try:
        perform(SetXattr(directory, name, value))
        assert perform(GetXattr(directory, name)) == value
        assert _ring.OP_GETXATTR in driver._files._usable
    finally:
        perform(CloseHandle(directory))
