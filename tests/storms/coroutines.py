"""Coroutines of simulated clients: what they wait for, and how they go on once it is there.

Knows: nothing but coroutines.  Must not know: time, clients, SMB.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class Arrival(Generic[Result]):
    """Something that will be there later: a value or an exception.  Any number of coroutines may wait for it."""

    __slots__ = ("_error", "_value", "_waiting", "is_there")

    def __init__(self) -> None:
        self.is_there = False
        self._value: Result | None = None
        self._error: BaseException | None = None
        self._waiting: list[tuple[Coroutine[Any, Any, Any], Arrival[Any]]] = []

    def arrive(self, value: Result) -> None:
        """It is there; whoever waits goes on at once.  Only the first call counts."""
        if not self.is_there:
            self._value = value
            self._wake()

    def fail(self, error: BaseException) -> None:
        """It will never be there."""
        if not self.is_there:
            self._error = error
            self._wake()

    def hold(self, coroutine: Coroutine[Any, Any, Any], done: Arrival[Any]) -> None:
        """Let a coroutine wait here."""
        self._waiting.append((coroutine, done))

    def result(self) -> Result:
        """What arrived.  Raises what it failed with."""
        assert self.is_there
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]

    def __await__(self) -> Generator[Arrival[Any], None, Result]:
        if not self.is_there:
            yield self
        return self.result()

    def _wake(self) -> None:
        self.is_there = True
        waiting, self._waiting = self._waiting, []
        for coroutine, done in waiting:
            _step(coroutine, done)


def start(coroutine: Coroutine[Any, Any, Result]) -> Arrival[Result]:
    """Run a coroutine up to the first thing it has to wait for.  Result: what it comes to."""
    done: Arrival[Result] = Arrival()
    _step(coroutine, done)
    return done


def _step(coroutine: Coroutine[Any, Any, Any], done: Arrival[Any]) -> None:
    try:
        arrival: Arrival[Any] = coroutine.send(None)
    except StopIteration as stop:
        done.arrive(stop.value)
    except Exception as failure:
        done.fail(failure)
    else:
        arrival.hold(coroutine, done)
