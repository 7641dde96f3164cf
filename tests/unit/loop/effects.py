"""One way to await a file effect, whoever performs it: plain system calls, epoll or the ring."""

from __future__ import annotations

from typing import Any, Protocol

from smbd_uring.loop import syscalls
from smbd_uring.loop.base import DriverBase
from smbd_uring.ports import NOT_NOW, Effect
from tests.unit.loop.echo import EchoEngine


class Performer(Protocol):
    """`performer(effect)` returns the effect's result or raises its OSError."""

    def __call__(self, effect: Effect[Any]) -> Any: ...


class Direct:
    """Plain system calls in this thread."""

    def __call__(self, effect: Effect[Any]) -> Any:
        return syscalls.perform(effect)

    def close(self) -> None:
        """Nothing is held."""


class Through:
    """A driver, turned until the effect's answer is there."""

    def __init__(self, driver: DriverBase, now: bool = False) -> None:
        """`now` has the driver answer at once what it can."""
        self.driver = driver
        self.now = now
        self.engine = EchoEngine(driver)
        driver.engine = self.engine

    def __call__(self, effect: Effect[Any]) -> Any:
        if self.now:
            try:
                result = self.driver.perform_now(effect)
            finally:
                self.driver.run(lambda: True)
            if result is not NOT_NOW:
                return result
        token = object()
        self.driver.perform(token, effect)
        assert token not in self.engine.completions, "an answer came from inside perform"
        self.driver.run(lambda: token in self.engine.completions)
        result, error = self.engine.completions.pop(token)
        if error is not None:
            raise error
        return result

    def close(self) -> None:
        """Everything asked for has been answered; then the driver ends."""
        assert self.driver.operations_in_flight == 0
        self.driver.close()
