"""One simulated connection: two directions of bytes, and the client's end of it.

Knows: what is under way in each direction.  Must not know: when it arrives; the driver decides that.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from smbd_uring.ports import Buffer
from tests.sim.plane import SimulatedPlane

RECEIVE_TIMEOUT_S = 30.0
"""In simulated seconds: longer than anything the server makes a client wait for, except on purpose."""


class World(Protocol):
    """What a client's end needs of the simulation."""

    def client_sent(self, wire: Wire) -> None:
        """Bytes for the server are waiting in `wire.to_server`."""

    def client_closed(self, wire: Wire) -> None:
        """The client went away."""

    def run_while_waiting(self, wire: Wire, timeout_s: float) -> None:
        """Let the world go on until `wire` has something for the client or ended; TimeoutError when nothing comes."""


@dataclass(eq=False, slots=True)
class Segment:
    """A piece of a reply on its way.  The engine promised not to change it; the checksum finds out."""

    view: memoryview
    checksum: int
    sent: int = 0

    @classmethod
    def of(cls, data: Buffer) -> Segment:
        view = memoryview(data).cast("B")
        return cls(view, zlib.crc32(view))

    def check(self) -> None:
        """Called once all of it is out."""
        assert zlib.crc32(self.view) == self.checksum, "a reply was changed after it was sent"


@dataclass(eq=False, slots=True)
class Wire:
    """State of one connection."""

    connection_id: int
    address: str
    to_server: bytearray = field(default_factory=bytearray)
    to_client: deque[Segment] = field(default_factory=deque)
    received: bytearray = field(default_factory=bytearray)
    """What has reached the client and was not taken yet."""

    reading_paused: bool = False
    closing: bool = False
    """The engine asked for the end; it comes when everything is out."""

    client_closed: bool = False
    lost: bool = False
    listener: Callable[[], None] | None = None
    """Called whenever something reached the client or the connection ended."""

    plane: SimulatedPlane | None = None
    """What serves the connection before the engine does."""

    bytes_sent: int = 0
    unplugged_at: int | None = None
    """`bytes_sent` when the cable was pulled, None while it is in: what was sent since is acknowledged by nobody."""

    served_bytes: int = 0
    """Bytes in `to_client` that the plane has put there: the engine hears nothing of them."""

    delivery_due: bool = False
    sending_due: bool = False

    def queue_served(self, segments: Sequence[Buffer]) -> None:
        """As `queue`, by the plane."""
        self.served_bytes += sum(len(segment) for segment in segments)
        self.queue(segments)

    def queue(self, segments: Sequence[Buffer]) -> None:
        """More for the client, in order."""
        self.to_client.extend(Segment.of(segment) for segment in segments if len(segment))

    def drop(self) -> None:
        """The connection is gone and with it what was under way."""
        self.lost = True
        self.to_client.clear()
        self.to_server.clear()


class SimulatedSocket:
    """The client's end, used like a blocking socket: waiting lets the simulation run."""

    def __init__(self, world: World, wire: Wire) -> None:
        self._world = world
        self._wire = wire

    @property
    def connection_id(self) -> int:
        return self._wire.connection_id

    @property
    def is_closed(self) -> bool:
        """Whether the server ended the connection (bytes may still wait to be received)."""
        return self._wire.lost

    @property
    def reading_paused(self) -> bool:
        """Whether the server takes no more bytes for now."""
        return self._wire.reading_paused

    def unplug(self) -> None:
        """Pull the cable: neither side hears of the other any more, nor that it does not."""
        self._wire.unplugged_at = self._wire.bytes_sent

    def sendall(self, data: Buffer) -> None:
        """Send; never waits.  Raises ConnectionResetError when the connection is gone."""
        if self._wire.lost or self._wire.client_closed:
            raise ConnectionResetError
        self._wire.to_server += data
        self._world.client_sent(self._wire)

    def receive(self, count: int, timeout_s: float = RECEIVE_TIMEOUT_S) -> bytes:
        """Up to `count` bytes as they arrive, b"" once the connection is closed.

        Raises TimeoutError when the world is idle, or `timeout_s` simulated seconds passed, and nothing came.
        """
        if not self._wire.received and not self._wire.lost:
            self._world.run_while_waiting(self._wire, timeout_s)
        data = bytes(self._wire.received[:count])
        del self._wire.received[:count]
        return data

    def receive_exactly(self, count: int, timeout_s: float = RECEIVE_TIMEOUT_S) -> bytes:
        """Exactly `count` bytes.  Raises ConnectionResetError when the connection ends before, TimeoutError as
        `receive` does."""
        data = b""
        while len(data) < count:
            part = self.receive(count - len(data), timeout_s)
            if not part:
                raise ConnectionResetError
            data += part
        return data

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever something arrives, and at the end: for a client that does not block."""
        self._wire.listener = listener

    def take(self) -> bytes:
        """All that has arrived and was not taken yet."""
        data = bytes(self._wire.received)
        self._wire.received.clear()
        return data

    def close(self) -> None:
        """Go away at once, whatever is under way."""
        self._wire.listener = None
        if not self._wire.client_closed:
            self._wire.client_closed = True
            self._world.client_closed(self._wire)
