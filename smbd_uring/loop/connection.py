"""One accepted connection as both drivers keep it.

Knows: in which phase of life it is.  Must not know: how bytes are moved.

    OPEN ──disconnect──► FLUSHING ──queue empty──► LINGERING ──peer closes, or time is up──► LOST
      │                     │  ▲                                                              ▲
      └──peer closes────────┼──┘ (then FLUSHING ends in LOST: there is nobody to wait for)    │
      └──error──────────────┴──error or time is up────────────────────────────────────────────┘
"""

from __future__ import annotations

import socket
from enum import Enum, auto

from smbd_uring import limits


class Phase(Enum):
    """See the picture in the module's docstring."""

    OPEN = auto()
    FLUSHING = auto()
    LINGERING = auto()
    LOST = auto()


class Connection:
    """State of one connection; the driver that made it is the only one to change it."""

    __slots__ = (
        "address", "connection_id", "deadline", "marked", "peer_finished", "phase", "reading_wanted",
    )  # fmt: skip

    def __init__(self, connection_id: int, address: str) -> None:
        self.connection_id = connection_id
        self.address = address
        """The peer's host, without port."""
        self.phase = Phase.OPEN
        self.reading_wanted = True
        self.peer_finished = False
        """The peer has sent its last byte."""
        self.deadline = 0.0
        """When FLUSHING or LINGERING ends at the latest (monotonic seconds)."""
        self.marked = False
        """Already among the connections that the loop looks at before it sleeps."""

    @property
    def takes_sends(self) -> bool:
        """Whether the engine may still queue bytes: after its own disconnect it may not, after the peer's it
        may."""
        return self.phase is Phase.OPEN or (self.phase is Phase.FLUSHING and self.peer_finished)

    @property
    def wants_bytes(self) -> bool:
        """Whether to read from the socket now: for the engine, or to notice the peer's end."""
        if self.peer_finished or self.phase is Phase.LOST:
            return False
        return self.reading_wanted or self.phase is not Phase.OPEN


def prepare(accepted: socket.socket) -> str:
    """Set the options every connection gets and return the peer's host ("local" for an AF_UNIX one).

    Raises OSError when the peer is gone already.
    """
    if accepted.family == socket.AF_UNIX:
        return "local"
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, limits.KEEPALIVE_IDLE_S)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, limits.KEEPALIVE_INTERVAL_S)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, limits.KEEPALIVE_PROBES)
    host = str(accepted.getpeername()[0])
    return host.removeprefix("::ffff:")
