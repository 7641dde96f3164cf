"""Bugs planted on purpose, at least one for each rule: a checker that finds none of them is no checker.

Knows: where in the engine each rule is kept.  Must not know: how it is checked.

Each bug is a context in which the engine makes one mistake, now and then, as real bugs do.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from smbd_uring.engine import teardown
from smbd_uring.engine.chain import Chain
from smbd_uring.engine.connection import Connection
from smbd_uring.engine.opens import File, OpenTable
from smbd_uring.ports import CloseHandle, WriteAt
from tests.sim.kernel import Kernel
from tests.storms.planted_caching import PLANTED_CACHING
from tests.storms.planted_locks import PLANTED_LOCKS
from tests.storms.planting import Planted, now_and_then, replaced


def _drop_an_answer() -> AbstractContextManager[None]:
    due = now_and_then()

    def make(send: Any) -> Any:
        return lambda self, request, response: None if due() else send(self, request, response)

    return replaced(Chain, "_send_alone", make)


def _answer_twice() -> AbstractContextManager[None]:
    due = now_and_then()

    def make(send: Any) -> Any:
        def sends(self: Connection, segments: Any, length: int) -> None:
            for _ in range(1 + due()):
                send(self, segments, length)

        return sends

    return replaced(Connection, "send", make)


def _forget_share_modes() -> AbstractContextManager[None]:
    due = now_and_then()
    return replaced(
        File, "refuses", lambda refuses: lambda self, *masks, **besides: not due() and refuses(self, *masks, **besides)
    )


def _lose_a_write() -> AbstractContextManager[None]:
    due = now_and_then()

    def make(perform: Any) -> Any:
        return lambda self, effect: (
            len(effect.data) if isinstance(effect, WriteAt) and due() else perform(self, effect)
        )

    return replaced(Kernel, "perform", make)


def _write_elsewhere_too() -> AbstractContextManager[None]:
    """A write reaches what comes after its range."""
    due = now_and_then()

    def make(perform: Any) -> Any:
        def performs(self: Kernel, effect: Any) -> Any:
            if isinstance(effect, WriteAt) and due():
                perform(self, WriteAt(effect.handle, effect.offset, bytes(effect.data) + bytes(16)))
                return len(effect.data)
            return perform(self, effect)

        return performs

    return replaced(Kernel, "perform", make)


def _leave_a_descriptor_open() -> AbstractContextManager[None]:
    due = now_and_then()

    def make(perform: Any) -> Any:
        return lambda self, effect: None if isinstance(effect, CloseHandle) and due() else perform(self, effect)

    return replaced(Kernel, "perform", make)


def _leave_a_file_in_the_table() -> AbstractContextManager[None]:
    due = now_and_then()

    def make(remove: Any) -> Any:
        def removes(self: OpenTable, opened: Any) -> None:
            file = opened.file
            remove(self, opened)
            if due() and not file.opens:
                self._files[file.identity] = file

        return removes

    return replaced(OpenTable, "remove", make)


def _forget_a_handle_at_disconnect() -> AbstractContextManager[None]:
    """A session that ends leaves a tree behind."""
    due = now_and_then()

    def make(close_tree: Any) -> Any:
        async def closes(engine: Any, tree: Any, own_use: int = 0) -> None:
            if not due():
                await close_tree(engine, tree, own_use)

        return closes

    return replaced(teardown, "close_tree", make)


PLANTED = (
    Planted("an answer is not sent", "answers", _drop_an_answer),
    Planted("a frame of answers is sent twice", "answers", _answer_twice),
    Planted("share modes are not looked at", "sharing", _forget_share_modes),
    Planted("a write is acknowledged and not made", "contents", _lose_a_write),
    Planted("a write goes beyond its range", "contents", _write_elsewhere_too),
    Planted("a descriptor stays open", "leaks", _leave_a_descriptor_open),
    Planted("a file stays in the table", "leaks", _leave_a_file_in_the_table),
    Planted("what a session opened outlives it", "leaks", _forget_a_handle_at_disconnect),
    *PLANTED_CACHING,
    *PLANTED_LOCKS,
)
