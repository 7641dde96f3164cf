"""Which driver is chosen, and that the reason is said."""

from __future__ import annotations

import pytest

from smbd_uring import _native
from smbd_uring.drivers import choose_driver
from smbd_uring.loop.epoll_driver import EpollDriver
from smbd_uring.ports import CompanionUnavailable


class NoCompanion:
    """A companion that is away for good."""

    def submit(self, token: object, effect: object, now: float) -> None:
        raise CompanionUnavailable

    def fileno(self) -> None:
        return None

    def readable(self, now: float) -> None:
        return

    def tick(self, now: float) -> None:
        return

    def next_deadline(self) -> None:
        return None

    def take_answers(self) -> list[object]:
        return []


def test_epoll_where_the_ring_is_not_wanted() -> None:
    driver, reason = choose_driver(False, NoCompanion())
    assert isinstance(driver, EpollDriver)
    assert "--no-uring" in reason
    driver.close()


def test_epoll_where_the_native_parts_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_native, "Ring", None)
    monkeypatch.setattr(_native, "why_not", "no compiler")
    driver, reason = choose_driver(True, NoCompanion())
    assert isinstance(driver, EpollDriver)
    assert "slower" in reason
    assert "no compiler" in reason
    driver.close()
