"""The processor time of a tree is all of it: threads and children, the living and those that have ended."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from smbd_uring.perf.cpu import CpuTime, ProcessTimes, ProcessTree, Snapshot

BURN = """
import sys, time, threading
def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(10_000))
"""
ONCE_TOLD = BURN + "print('ready', flush=True); sys.stdin.readline()\n"
THEN_WAIT = "print('done', flush=True); sys.stdin.readline()\n"
BURNED_S = 0.15


@contextmanager
def measured(what: str) -> Iterator[tuple[ProcessTree, subprocess.Popen[str]]]:
    """A process that does `what` once it is told to, and then waits until the test is over."""
    process = subprocess.Popen(
        [sys.executable, "-c", ONCE_TOLD + what + THEN_WAIT], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None and process.stdout is not None
    with process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield ProcessTree(process.pid), process
        finally:
            process.kill()


@pytest.mark.parametrize(
    "what",
    [
        f"burn({BURNED_S})\n",
        f"thread = threading.Thread(target=burn, args=({BURNED_S},)); thread.start(); thread.join()\n",
        f"import subprocess; subprocess.run([sys.executable, '-c', {BURN + f'burn({BURNED_S})'!r}])\n",
    ],
    ids=["itself", "a thread that has ended", "a child that has ended"],
)
def test_what_was_used_in_between_counts_wherever_it_was_used(what: str) -> None:
    with measured(what) as (tree, process):
        assert process.stdin is not None and process.stdout is not None
        before = tree.snapshot()
        print(file=process.stdin, flush=True)
        assert process.stdout.readline() == "done\n"
        used = tree.snapshot().since(before)
    # A child starts an interpreter, too; the ticks in which its time is kept are of 10 ms.
    assert BURNED_S - 0.02 <= used.total_ns / 1e9 <= BURNED_S + 0.2
    assert used.user_ns > used.system_ns


def test_a_sleeping_process_uses_nothing() -> None:
    with measured("") as (tree, _):
        before = tree.snapshot()
        time.sleep(0.05)
        assert tree.snapshot().since(before).total_ns < 1_000_000


def test_time_of_a_child_that_ends_is_not_counted_twice() -> None:
    living = Snapshot({1: ProcessTimes(100, 0, 0, 0, 0), 2: ProcessTimes(30_000_000, 0.03, 0, 0, 0)})
    ended = Snapshot({1: ProcessTimes(150, 0, 0, 0.03, 0.01)})
    assert ended.since(living) == CpuTime(user_ns=0, system_ns=10_000_050)


def test_memory_is_that_of_all_processes() -> None:
    with measured("child = __import__('os').fork()\nif not child: time.sleep(60)\n") as (tree, process):
        assert process.stdin is not None and process.stdout is not None
        alone = tree.pss_kib()
        print(file=process.stdin, flush=True)
        process.stdout.readline()
        assert tree.count() == 2
        assert tree.pss_kib() > alone > 1000
