"""Workloads have names that a table can show, and nonsense is refused before a server is bothered."""

from __future__ import annotations

from typing import Any

import pytest

from smbd_uring.perf.workloads import Workload


@pytest.mark.parametrize(
    ("workload", "label"),
    [
        (Workload("echo", depth=8), "echo, depth 8"),
        (Workload("read", depth=8, protection="gmac"), "read 4 KiB, depth 8, gmac"),
        (Workload("read", 1 << 20, "sequential", connections=8), "read 1 MiB, sequential, 8 connections, depth 1"),
        (Workload("open_close"), "open+close, depth 1"),
        (Workload("connect"), "connect"),
        (Workload("write", 520), "write 520 bytes, depth 1"),
    ],
)
def test_the_label_says_what_is_not_as_usual(workload: Workload, label: str) -> None:
    assert workload.label == label


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "dance"}, {"name": "read", "pattern": "backwards"}, {"name": "read", "protection": "rot13"},
        {"name": "read", "size": 0}, {"name": "read", "size": 4095}, {"name": "read", "size": 16 << 20},
        {"name": "read", "depth": 0}, {"name": "read", "connections": 0},
    ],
)  # fmt: skip
def test_nonsense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Workload(**fields)
