"""Given a lease of the kernel's, the engine hears of the first other process that opens the file, which waits."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smbd_uring.loop.base import DriverBase
from smbd_uring.ports import CloseHandle, EndKernelLease, Handle, KernelLease, TakeKernelLease
from tests.unit.loop.effects import Through

MakeDriver = Callable[..., DriverBase]
OPEN = "import os, sys; os.close(os.open(sys.argv[1], int(sys.argv[2]))); print('opened')"


@pytest.fixture
def through(make_driver: MakeDriver) -> Through:
    return Through(make_driver(), now=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(b"contents")
    return tmp_path / "file"


def opened(path: Path, flags: int) -> Handle:
    return Handle(os.open(path, flags))


def somebody_opens(path: Path, flags: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", OPEN, path, str(flags)], stdout=subprocess.PIPE, text=True)


def hear(through: Through) -> list[Handle]:
    """What the engine is told within a while."""
    through.driver.run(lambda: bool(through.engine.leases_broken))
    told, through.engine.leases_broken = through.engine.leases_broken, []
    return told


def take(through: Through, handle: Handle, exclusive: bool) -> Any:
    return through(TakeKernelLease(handle, exclusive))


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY])
def test_whoever_opens_a_file_waits_until_an_exclusive_lease_is_given_back(
    through: Through, path: Path, flags: int
) -> None:
    handle = opened(path, os.O_RDWR)
    assert take(through, handle, True) is KernelLease.TAKEN
    with somebody_opens(path, flags) as other:
        assert hear(through) == [handle]
        assert other.poll() is None
        through(EndKernelLease(handle))
        assert other.communicate(timeout=20)[0] == "opened\n"
    through(CloseHandle(handle))


def test_a_shared_lease_is_broken_by_writers_alone(through: Through, path: Path) -> None:
    handle = opened(path, os.O_RDONLY)
    assert take(through, handle, False) is KernelLease.TAKEN
    with somebody_opens(path, os.O_RDONLY) as other:
        assert other.communicate(timeout=20)[0] == "opened\n"
    with somebody_opens(path, os.O_WRONLY) as other:
        assert hear(through) == [handle]
        through(CloseHandle(handle))
        assert other.communicate(timeout=20)[0] == "opened\n"


def test_there_is_no_lease_on_what_others_have_open(through: Through, path: Path) -> None:
    handle, other = opened(path, os.O_RDWR), opened(path, os.O_RDONLY)
    assert take(through, handle, True) is KernelLease.IN_USE
    assert take(through, handle, False) is KernelLease.IN_USE
    through(CloseHandle(other))
    assert take(through, handle, True) is KernelLease.TAKEN
    through(CloseHandle(handle))


def test_a_signal_of_a_file_that_is_closed_says_nothing_of_the_next_with_its_number(
    through: Through, path: Path
) -> None:
    handle = opened(path, os.O_RDWR)
    take(through, handle, True)
    with pytest.raises(BlockingIOError):
        os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    through(CloseHandle(handle))
    assert opened(path, os.O_RDWR) == handle
    assert take(through, handle, True) is KernelLease.TAKEN
    through.driver.run(lambda: False, deadline=0)
    assert through.engine.leases_broken == []
    through(CloseHandle(handle))
