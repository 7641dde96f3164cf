"""Engines for driver tests that know nothing of SMB."""

from __future__ import annotations

from typing import Any

from smbd_uring.ports import Driver


class EchoEngine:
    """Sends back what it receives and writes down everything the driver tells it."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.welcome = True
        self.echo = True
        self.made: list[tuple[int, str]] = []
        self.lost: list[int] = []
        self.received: dict[int, int] = {}
        self.sent: dict[int, int] = {}
        self.completions: dict[object, tuple[Any, BaseException | None]] = {}
        self.deadline: float | None = None
        self.ticks: list[float] = []
        self.inside = False

    def connection_made(self, connection_id: int, address: str, now: float) -> bool:
        self.made.append((connection_id, address))
        self.received[connection_id] = self.sent[connection_id] = 0
        return self.welcome

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

    def tick(self, now: float) -> None:
        self.ticks.append(now)
        self.deadline = None

    def next_deadline(self) -> float | None:
        return self.deadline
