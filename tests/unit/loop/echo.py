"""Engines for driver tests that know nothing of SMB.

Bytes that come in frames count with the four bytes before them, so that a driver that hands over frames and one that
hands over bytes are told apart by nothing but this module.
"""

from __future__ import annotations

from typing import Any

from smbd_uring.ports import Driver, Handle

FRAME_BYTES_MAX = 0xFFFFFF
QUEUE_BYTES_MAX = 32 << 20


class EchoEngine:
    """Sends back what it receives and writes down everything the driver tells it."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.welcome = True
        self.echo = True
        self.made: list[tuple[int, str]] = []
        self.lost: list[int] = []
        self.received: dict[int, int] = {}
        self.violations: dict[int, str] = {}
        self.sent: dict[int, int] = {}
        self.completions: dict[object, tuple[Any, BaseException | None]] = {}
        self.deadline: float | None = None
        self.ticks: list[float] = []
        self.leases_broken: list[Handle] = []
        self.inside = False

    def connection_made(self, connection_id: int, address: str, now: float) -> bool:
        self.made.append((connection_id, address))
        self.received[connection_id] = self.sent[connection_id] = 0
        plane = self.driver.plane_connection(connection_id)
        if plane is not None:
            plane.bound(FRAME_BYTES_MAX, QUEUE_BYTES_MAX)
        return self.welcome

    def frame_received(
        self, connection_id: int, frame: bytes, sealed_by: int, ids_taken: bool, frozen: int, now: float
    ) -> None:
        assert (sealed_by, ids_taken, frozen) == (0, False, 0)
        self.data_received(connection_id, memoryview(len(frame).to_bytes(4, "big") + frame), now)

    def protocol_violated(self, connection_id: int, reason: str, now: float) -> None:
        assert connection_id not in self.violations
        self.violations[connection_id] = reason
        self.driver.disconnect(connection_id)

    def data_received(self, connection_id: int, data: memoryview, now: float) -> None:
        assert not self.inside
        assert connection_id not in self.lost
        self.inside = True
        self.received[connection_id] += len(data)
        self.consume(connection_id, data)
        self.inside = False

    def consume(self, connection_id: int, data: memoryview) -> None:
        """What to do with bytes; tests override it."""
        if self.echo:
            self.driver.send(connection_id, [bytes(data)])

    def data_sent(self, connection_id: int, count: int, now: float) -> None:
        assert not self.inside
        assert connection_id not in self.lost
        self.sent[connection_id] += count

    def connection_lost(self, connection_id: int, now: float) -> None:
        assert connection_id not in self.lost
        self.lost.append(connection_id)

    def completed(self, token: Any, result: Any, error: BaseException | None, now: float) -> None:
        assert not self.inside
        assert token not in self.completions
        self.completions[token] = (result, error)

    def kernel_lease_broken(self, handle: Handle, now: float) -> None:
        self.leases_broken.append(handle)

    def tick(self, now: float) -> None:
        self.ticks.append(now)
        self.deadline = None

    def next_deadline(self) -> float | None:
        return self.deadline
