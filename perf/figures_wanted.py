"""What this server has to reach: for each workload the largest CPU time per operation, relative to each Samba.

Knows: the table.  Must not know: how it is measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from smbd_uring.perf.samba_configuration import Samba
from smbd_uring.perf.workloads import Workload

KIB = 1024
MIB = 1024 * KIB
PROTECTIONS = ("plain", "gmac", "aes-128-gcm")
"""The columns: nothing, signed, sealed."""
FLOOR_RATIO_MAX = 1.5
"""A 4 KiB read against the same bytes without SMB."""
SESSION_KIB_MAX = 60
"""Memory (PSS) of an idle session over that of the idle server, at 1,000 sessions."""
IDLE_SERVER_MIB_MAX = 60
"""The idle server with its companion."""
HELD_MIN = 10_000
"""Connections that are held."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line: its title, the workload (plain), and for each Samba the ratio at most, in the order of PROTECTIONS."""

    title: str
    workload: Workload
    default: tuple[float, float, float]
    tuned: tuple[float, float, float]
    floor: bool = False
    """Whether the floor does the same."""

    def wanted(self, samba: Samba, protection: str) -> float | None:
        """The ratio at most; None for a protection that the table does not have."""
        if protection not in PROTECTIONS:
            return None
        return (self.default if samba is Samba.DEFAULT else self.tuned)[PROTECTIONS.index(protection)]


def _each(ratio: float) -> tuple[float, float, float]:
    return ratio, ratio, ratio


TABLE = {
    "echo": Row("echo, depth 8", Workload("echo", depth=8), _each(0.40), _each(0.40)),
    "read-4k": Row("read 4 KiB, depth 8", Workload("read", depth=8), _each(0.40), _each(0.85), floor=True),
    "read-4k-1": Row("read 4 KiB, depth 1", Workload("read"), _each(0.40), _each(1.00), floor=True),
    "read-4k-8x8": Row(
        "read 4 KiB, 8 connections, depth 8", Workload("read", connections=8, depth=8), _each(0.40), _each(0.80)
    ),
    "write-4k": Row("write 4 KiB, depth 8", Workload("write", depth=8), _each(0.45), _each(0.85)),
    "read-64k": Row(
        "read 64 KiB, depth 8", Workload("read", size=64 * KIB, depth=8), _each(0.60), (1.10, 0.60, 0.60)
    ),
    "read-1m": Row("read 1 MiB, depth 8", Workload("read", size=MIB, depth=8), _each(0.60), (1.00, 0.60, 0.70)),
    "write-1m": Row("write 1 MiB, depth 8", Workload("write", size=MIB, depth=8), _each(0.70), _each(0.70)),
    "mixed": Row("mixed 70/20/10, depth 8", Workload("mixed", depth=8), _each(0.45), _each(0.80)),
    "open-close": Row("open+close, depth 8", Workload("open_close", depth=8), _each(0.80), _each(0.90)),
    "stat": Row("stat compound, depth 8", Workload("stat", depth=8), _each(0.75), _each(0.90)),
    "create-delete": Row(
        "create+write+close+delete, depth 8", Workload("create_delete", depth=8), _each(0.70), _each(1.00)
    ),
    "list": Row("list 1,000 entries", Workload("list"), _each(0.35), _each(0.80)),
    "connect": Row("connect (negotiate to tree connect, and back)", Workload("connect"), _each(0.20), _each(0.20)),
}
"""The name on the command line, and its line."""
