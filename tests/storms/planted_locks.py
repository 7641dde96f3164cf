"""Bugs of locks and of handles that outlive their connection, planted on purpose; see `planted`.

Knows: `byte_range_locks` and the table of handles of the engine.  Must not know: how a storm finds out.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from smbd_uring.engine import durable, durable_waiting, grants
from smbd_uring.engine.byte_range_locks import FileLocks
from smbd_uring.engine.durable_handles import HandleTable
from tests.storms.planting import Planted, now_and_then, replaced


def _answer_no(name: str, every: int = 1) -> AbstractContextManager[None]:
    """A question about locks is answered "no", whatever is held."""
    due = now_and_then(every)
    return replaced(
        FileLocks, name, lambda asked: lambda self, *wanted: False if due() else asked(self, *wanted)
    )


def _forget_locks_at_disconnect() -> AbstractContextManager[None]:
    """A handle waits for its client, and its locks do not."""

    def make(went_away: Any) -> Any:
        def goes(self: HandleTable, opened: Any) -> Any:
            if opened.file.locks is not None:
                opened.file.locks.remove_all_of(opened)
            return went_away(self, opened)

        return goes

    return replaced(HandleTable, "went_away", make)


def _unlock_all() -> AbstractContextManager[None]:
    """An unlock takes everything that the open has locked."""

    def make(remove: Any) -> Any:
        return lambda self, lock: self.remove_all_of(lock.owner)

    return replaced(FileLocks, "remove", make)


def _let_the_plane_pass() -> AbstractContextManager[None]:
    """A data plane reads and writes through locks."""

    def make(allowed: Any) -> Any:
        def allows(granted_access: int, *, is_set_id: bool, **others: bool) -> Any:
            others = {name: known for name, known in others.items() if not name.endswith("locked")}
            return allowed(granted_access, is_set_id=is_set_id, **others)

        return allows

    return replaced(grants, "operations_allowed", make)


def _lose_a_handle() -> AbstractContextManager[None]:
    """A handle that should wait for its client is closed at once."""

    def make(wait_for_client: Any) -> Any:
        def waits(engine: Any, opened: Any) -> None:
            wait_for_client(engine, opened)
            engine.scheduler.start(durable_waiting._expire(engine, opened))

        return waits

    return replaced(durable, "wait_for_client", make)


PLANTED_LOCKS = (
    Planted("a read goes through locks", "locks", lambda: _answer_no("refuses_read")),
    Planted("a write goes through locks", "locks", lambda: _answer_no("refuses_write")),
    Planted("a lock is given beside others", "locks", lambda: _answer_no("conflicts", 3)),
    Planted("an unlock takes more than its range", "locks", _unlock_all),
    Planted("a data plane goes through locks", "locks", _let_the_plane_pass),
    Planted("locks are forgotten at a disconnect", "locks", _forget_locks_at_disconnect),
    Planted("a durable handle does not wait", "answers", _lose_a_handle),
)
