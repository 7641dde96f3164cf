"""Descriptors are shared out, signals are kept, the service manager hears when the server is ready."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from smbd_uring import limits
from smbd_uring.process import DESCRIPTORS_WANTED, Signals, notify_service_manager, share_descriptors


def test_with_enough_descriptors_the_limits_hold_as_they_are() -> None:
    assert share_descriptors(DESCRIPTORS_WANTED) == (limits.CONNECTIONS_MAX, limits.OPENS_MAX)


@pytest.mark.parametrize("limit", [1, 256, 1024, 4096, 20000, DESCRIPTORS_WANTED - 1])
def test_with_few_descriptors_connections_and_opens_fit_into_them(limit: int) -> None:
    connections, opens = share_descriptors(limit)
    assert connections >= 1
    assert opens >= 1
    assert connections + opens + limits.DESCRIPTORS_RESERVED <= max(limit, limits.DESCRIPTORS_RESERVED + 4)


def test_ten_thousand_connections_fit_into_twenty_thousand_descriptors() -> None:
    connections, opens = share_descriptors(20000)
    assert connections >= 10000
    assert opens == limits.OPENS_ENOUGH


def test_a_settled_process_keeps_freed_memory_and_its_old_objects_out_of_collections() -> None:
    script = (
        "import gc, os, resource; from smbd_uring.process import settle_memory\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(10): bytes(1 << 23)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "settle_memory(); faults()\n"
        "print(faults() < 1000, gc.get_freeze_count() > 1000, gc.get_threshold()[0] > 700)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True True True"


def test_the_limit_is_raised_to_the_hard_one_where_no_more_is_allowed() -> None:
    script = (
        "import os, resource; from smbd_uring.process import raise_descriptor_limit\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (512, 2048))\n"
        "os.geteuid() or os.setuid(65534)\n"
        "print(raise_descriptor_limit(), resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2048 (2048, 2048)"


def test_signals_wait_until_they_are_asked_for() -> None:
    before = signal.getsignal(signal.SIGHUP)
    signals = Signals((signal.SIGHUP, signal.SIGTERM))
    assert signals.take() is None
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGTERM)
    assert signals.pending
    assert {signals.take(), signals.take()} == {signal.SIGHUP, signal.SIGTERM}
    assert not signals.pending
    signals.close()
    assert signal.getsignal(signal.SIGHUP) is before


def test_the_service_manager_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(5)
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify_service_manager("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_a_service_manager_that_went_away_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    notify_service_manager("READY=1")
