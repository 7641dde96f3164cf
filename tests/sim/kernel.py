"""An in-memory kernel that performs every file effect of `ports` as Linux does on ext4, errnos included.

Knows: which call an effect is, a clock that only tests move, and faults that tests order.  Must not know: the engine,
the network.  `tests/unit/sim/test_differential.py` compares it with the real kernel.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from smbd_uring.ports import CloseHandle, Credentials, Effect
from tests.sim import combined_calls, data_calls, interface_calls, lease_calls, lock_calls, name_calls, watch_calls
from tests.sim.machine import SERVER, Machine
from tests.sim.nodes import Node, failure
from tests.sim.paths import Walk

CALL_NS = 1_000
"""The clock goes on by this much with each call, so that later is always after."""

Predicate = Callable[[Any], bool]
Answer = TypeVar("Answer")

_ACTIONS = {
    **name_calls.ACTIONS, **data_calls.ACTIONS, **combined_calls.ACTIONS, **watch_calls.ACTIONS, **lock_calls.ACTIONS,
    **interface_calls.ACTIONS,
    **lease_calls.ACTIONS,
}  # fmt: skip


def run_effects(coroutine: Coroutine[Any, Any, Answer], perform: Callable[[Effect[Any]], Any]) -> Answer:
    """Run a coroutine to its end, each effect it awaits performed at once: by a `Kernel.perform`, or by the real
    kernel's (`smbd_uring.loop.syscalls.perform`)."""
    result: Any = None
    error: BaseException | None = None
    while True:
        try:
            effect = coroutine.send(result) if error is None else coroutine.throw(error)
        except StopIteration as stop:
            answer: Answer = stop.value
            return answer
        result, error = None, None
        try:
            result = perform(effect)
        except OSError as refusal:
            error = refusal


@dataclass(slots=True)
class _Fault:
    kind: type[Effect[Any]]
    number: int
    calls_until: int
    matching: Predicate


class Kernel(Machine):
    """One machine's files, and what a test does to them behind everybody's back.

    `capacity` is the disk's size in bytes; `has_xattrs=False` makes every xattr call fail with EOPNOTSUPP,
    `has_watches=False` every watch.  `calls`
    counts effects by kind; `open_files` is what has not been closed.
    """

    def __init__(self, capacity: int = 64 << 20, has_xattrs: bool = True, has_watches: bool = True) -> None:
        super().__init__(capacity, has_xattrs, has_watches)
        self._faults: list[_Fault] = []

    def perform(self, effect: Effect[Any]) -> Any:
        """Perform one effect at once.  Raises OSError as the kernel would, TypeError for what is not about files."""
        action = _ACTIONS.get(type(effect))
        if action is None:
            raise TypeError(f"not an effect on files: {type(effect).__name__}")
        self.calls[type(effect).__name__] += 1
        self.now_ns += CALL_NS
        fault = self._due_fault(effect)
        if fault is None:
            return action(self, effect)
        if isinstance(effect, CloseHandle):
            # However it fails, the handle is gone.
            action(self, effect)
        raise failure(fault.number)

    def fail(
        self, kind: type[Effect[Any]], number: int, nth: int = 1, matching: Predicate = lambda effect: True
    ) -> None:
        """Let the `nth` effect of this kind from now on that is `matching` fail with errno `number`, once."""
        self._faults.append(_Fault(kind, number, nth, matching))

    def add_directory(self, path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> Node:
        """Make a directory at an absolute path whose parent exists."""
        directory, name = self._place(path)
        node = self.new_node(0o040000 | mode, Credentials(uid, gid))
        name_calls.attach_directory(directory, name, node)
        self.changes.added(directory, name)
        return node

    def add_file(self, path: str, data: bytes = b"", mode: int = 0o644, uid: int = 0, gid: int = 0) -> Node:
        """Make a file at an absolute path whose parent exists."""
        directory, name = self._place(path)
        node = self.new_node(0o100000 | mode, Credentials(uid, gid))
        node.write(0, data, self.space)
        directory.entries[name] = node
        self.changes.added(directory, name)
        return node

    def add_symlink(self, path: str, target: str) -> Node:
        """Make a symlink at an absolute path whose parent exists."""
        directory, name = self._place(path)
        node = self.new_node(0o120777, SERVER)
        node.target = os.fsencode(target)
        directory.entries[name] = node
        self.changes.added(directory, name)
        return node

    def node(self, path: str) -> Node:
        """What an absolute path leads to; FileNotFoundError when nothing."""
        resolved = Walk(self.root, self.root, SERVER).run(os.fsencode(path), follow_last=True)
        if resolved.node is None:
            raise FileNotFoundError(path)
        return resolved.node

    def exists(self, path: str) -> bool:
        """Whether an absolute path leads to something."""
        try:
            self.node(path)
        except OSError:
            return False
        return True

    def _place(self, path: str) -> tuple[Node, bytes]:
        parent, _, name = path.rpartition("/")
        directory, encoded = self.node(parent or "/"), os.fsencode(name)
        assert directory.is_directory and encoded not in directory.entries, path
        return directory, encoded

    def _due_fault(self, effect: Effect[Any]) -> _Fault | None:
        for fault in self._faults:
            if type(effect) is fault.kind and fault.matching(effect):
                fault.calls_until -= 1
                if fault.calls_until == 0:
                    self._faults.remove(fault)
                    return fault
        return None
