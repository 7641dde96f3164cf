"""Bugs of caching and of grants, planted on purpose; see `planted`.

Knows: `breaks`, `leases` and `grants` of the engine.  Must not know: how a storm finds out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from smbd_uring.engine import breaks, grants, leases
from smbd_uring.engine.oplock_states import Operation, Surroundings
from tests.storms.planting import Planted, now_and_then, replaced

NOBODY_THERE = Surroundings()


def _break_nobody(operation: Operation) -> AbstractContextManager[None]:
    """What an operation should break stays as it is."""

    def make(break_others: Any) -> Any:
        return lambda engine, file, own, doing: [] if doing is operation else break_others(engine, file, own, doing)

    return replaced(breaks, "break_others", make)


@contextmanager
def _break_only_before_the_write() -> Iterator[None]:
    """Who asks for a cache while a write is under way gets it, and is not told of the write."""
    with (
        replaced(breaks, "after", lambda after: _nothing),
        replaced(leases, "_is_being_written", lambda is_being_written: _nothing),
    ):
        yield


def _do_not_wait() -> AbstractContextManager[None]:
    """A break is sent, and nobody waits for its acknowledgment."""
    due = now_and_then(2)

    def make(break_one: Any) -> Any:
        return lambda engine, holder, operation: break_one(engine, holder, operation) and due()

    return replaced(breaks, "_break", make)


def _see_nobody_else() -> AbstractContextManager[None]:
    """A lease is given as if nobody else had the file open."""
    due = now_and_then(2)

    def make(surroundings: Any) -> Any:
        return lambda *asked: NOBODY_THERE if due() else surroundings(*asked)

    return replaced(leases, "_surroundings", make)


def _keep_what_is_granted() -> AbstractContextManager[None]:
    """A data plane goes on with what it was granted when a cache has come in the way."""

    def make(allowed: Any) -> Any:
        def allows(granted_access: int, *, is_set_id: bool, **others: bool) -> Any:
            others = {name: known for name, known in others.items() if not name.startswith("others_cache")}
            return allowed(granted_access, is_set_id=is_set_id, **others)

        return allows

    return replaced(grants, "operations_allowed", make)


PLANTED_CACHING = (
    Planted("an open breaks no cache", "caches", lambda: replaced(breaks, "make_room", lambda _: _nothing)),
    Planted("a write breaks no cache", "contents", lambda: _break_nobody(Operation.CHANGE_DATA)),
    Planted("caches that come during a write are left", "contents", _break_only_before_the_write),
    Planted("an acknowledgment is not waited for", "caches", _do_not_wait),
    Planted("a lease is given beside others", "caches", _see_nobody_else),
    Planted("a data plane is not stopped", "contents", _keep_what_is_granted),
)


def _nothing(*arguments: Any) -> None:
    """In the place of something that should be done."""
