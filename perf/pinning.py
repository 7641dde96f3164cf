"""Which core a process tree runs on.

Knows: /proc, affinity masks.  Must not know: what the processes are.

CPU time per operation is measured with client and server on one core: they take turns, and no wake-up of another core
(which costs more than a small request) is in the figure.  Throughput and latency are measured on two cores.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Placement:
    """Where client and server run: sets of core numbers."""

    name: str
    client: frozenset[int]
    server: frozenset[int]


def placements() -> dict[str, Placement]:
    """The placements that this machine offers, by name.

    `same`: both on one core.  `two`: each on its own.  `all`: both wherever the kernel likes.  On a machine with one
    core all three are the same.
    """
    cores = sorted(os.sched_getaffinity(0))
    first, second = frozenset(cores[:1]), frozenset(cores[1:2] or cores[:1])
    everywhere = frozenset(cores)
    return {
        "same": Placement("same", first, first),
        "two": Placement("two", first, second),
        "all": Placement("all", everywhere, everywhere),
    }


def pin_tree(pid: int, cores: Set[int]) -> None:
    """Bind every thread of process `pid` and of its descendants to `cores`; those that end meanwhile are passed over.

    Processes that are started later inherit it.  Raises psutil.NoSuchProcess when `pid` itself is gone.
    """
    process = psutil.Process(pid)
    for member in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess, FileNotFoundError):
            for thread in os.listdir(f"/proc/{member.pid}/task"):
                with suppress(ProcessLookupError):
                    os.sched_setaffinity(int(thread), cores)


@contextmanager
def confined(cores: Set[int] | None) -> Iterator[None]:
    """Processes that the body starts see these cores alone and arrange themselves for them; None: all there are."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def placed(placement: Placement, server_pid: int) -> Iterator[None]:
    """Run the body with this process and the server's tree where `placement` says; this process moves back after."""
    before = os.sched_getaffinity(0)
    pin_tree(server_pid, placement.server)
    os.sched_setaffinity(0, placement.client)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
