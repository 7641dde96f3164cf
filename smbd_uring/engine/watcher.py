"""One handle's watch on its folder: what it wants to hear, its waiting requests, what it may hear of.

Knows: [MS-SMB2] 3.3.5.19, [MS-FSA] 2.1.5.11.  Must not know: how changes are noticed, which other watchers there are.

The filter and the tree flag are those of the handle's first request.  Requests are answered in their order, each as
soon as there is something to tell.  Of a folder below the watched one a client hears when it may list that folder, by
the kernel's word, which is remembered for a moment; of names that the share hides it hears nothing.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from smbd_uring import limits
from smbd_uring.engine.notify_queue import NotifyBudget, NotifyQueue
from smbd_uring.engine.scheduler import Parking
from smbd_uring.wire.fscc import CompletionFilter, NotifyAction, NotifyInformation
from smbd_uring.wire.ntstatus import NtStatus

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.opens import Open

Path = tuple[str, ...]
Event = tuple[int, str]
"""An action and a name."""

WRITTEN = int(CompletionFilter.SIZE | CompletionFilter.LAST_WRITE)
DESCRIBED = int(
    CompletionFilter.ATTRIBUTES | CompletionFilter.LAST_WRITE | CompletionFilter.LAST_ACCESS
    | CompletionFilter.CREATION | CompletionFilter.EA | CompletionFilter.SECURITY
)  # fmt: skip
"""Kinds of changes to which the kernel's word on a file belongs: that it was written to, or anything else."""

ALONE = {
    int(NotifyAction.RENAMED_OLD_NAME): int(NotifyAction.REMOVED),
    int(NotifyAction.RENAMED_NEW_NAME): int(NotifyAction.ADDED),
}
"""What one end of a rename is to a client that may not hear of the other one."""


class _Waiting(NamedTuple):
    parking: Parking
    length: int


class Watcher:
    """What a handle hears.  `path` is its folder's, absolute."""

    __slots__ = (
        "_engine", "_may_list", "_queue", "_unchecked", "_waiting", "completion_filter", "has_begun", "has_ended",
        "opened", "path", "tree",
    )  # fmt: skip

    def __init__(
        self, engine: Engine, opened: Open, path: Path, completion_filter: int, tree: bool, capacity: int,
        budget: NotifyBudget,
    ) -> None:  # fmt: skip
        self.opened = opened
        self.path = path
        self.completion_filter = completion_filter
        self.tree = tree
        self.has_begun = False
        """Whether its folder is watched, or somebody sees to that."""
        self.has_ended = False
        self._engine = engine
        self._queue = NotifyQueue(capacity, budget)
        self._waiting: deque[_Waiting] = deque()
        self._may_list: dict[Path, tuple[bool, float]] = {}
        """For folders below: whether they may be listed, and until when that is believed."""
        self._unchecked: deque[tuple[Path, Sequence[Event]]] = deque()
        """Events in folders of which that is not known yet, and all that came after them."""

    @property
    def wants_contents(self) -> bool:
        """Whether it wants to hear of more than names."""
        return bool(self.completion_filter & (WRITTEN | DESCRIBED))

    # --- for the request ---------------------------------------------------------------------------------------------

    def wait(self, parking: Parking, length: int) -> None:
        """Wake `parking` with the answer, bytes or a status, when its turn has come."""
        self._waiting.append(_Waiting(parking, length))

    def answer_waiting(self) -> None:
        """Answer requests in their order, as far as there is something to tell."""
        while self._waiting and self._queue.has_something:
            parking, length = self._waiting.popleft()
            if not parking.woken:
                encoded = self._queue.take(length)
                parking.wake(NtStatus.NOTIFY_ENUM_DIR if encoded is None else encoded)

    def refuse_all(self, status: NtStatus) -> None:
        """Answer every waiting request with this status."""
        while self._waiting:
            self._waiting.popleft().parking.wake(status)

    def stop_waiting(self, parking: Parking) -> None:
        """That request was cancelled, or is answered."""
        self._waiting = deque(waiting for waiting in self._waiting if waiting.parking is not parking)

    def clean_up(self) -> None:
        """The client is away, or closes the handle: its requests end."""
        self.refuse_all(NtStatus.NOTIFY_CLEANUP)

    def end(self) -> None:
        """Its handle is closed."""
        self.has_ended = True
        self.clean_up()
        self._unchecked.clear()
        self._queue.clear()

    # --- for those who notice changes --------------------------------------------------------------------------------

    def tell(self, parent: Path, events: Sequence[Event], completion: int) -> None:
        """`events` of the kinds `completion` happened in the folder `parent`, relative to the watched one."""
        if not completion & self.completion_filter or self._queue.is_overflown or self.has_ended:
            return
        if not self._unchecked:
            if not parent or self._is_known(parent):
                self._keep(parent, events)
                return
            self._unchecked.append((parent, events))
            self._engine.scheduler.start(self._check())
        elif len(self._unchecked) < limits.NOTIFY_UNCHECKED_MAX:
            self._unchecked.append((parent, events))
        else:
            self.lose()

    def lose(self) -> None:
        """Something happened that cannot be told."""
        if self.has_ended:
            return
        self._unchecked = deque()
        self._queue.overflow()
        self.answer_waiting()

    # --- inner workings ----------------------------------------------------------------------------------------------

    def _is_known(self, parent: Path) -> bool:
        known = self._may_list.get(parent)
        return known is not None and known[1] > self._engine.scheduler.now

    def _keep(self, parent: Path, events: Sequence[Event]) -> None:
        if parent and not self._may_list[parent][0]:
            return
        root, is_visible = self.opened.tree.root, self._engine.filesystem.is_visible
        assert root is not None
        visible = [event for event in events if is_visible(root, (*parent, event[1]))]
        if len(visible) != len(events):
            visible = [(ALONE.get(action, action), name) for action, name in visible]
        told = [NotifyInformation(action, "\\".join((*parent, name))) for action, name in visible]
        if told:
            self._queue.add(told)
            self.answer_waiting()

    async def _check(self) -> None:
        """Ask the kernel about the folders of events that wait for it, in their order."""
        waiting = self._unchecked
        while waiting and waiting is self._unchecked:
            parent, events = waiting[0]
            if parent and not self._is_known(parent):
                verdict = await self._may_hear_of(parent)
                if self.has_ended or waiting is not self._unchecked:
                    return
                if len(self._may_list) >= limits.NOTIFY_FOLDERS_KNOWN_MAX:
                    self._may_list.clear()
                self._may_list[parent] = (verdict, self._engine.scheduler.now + limits.NOTIFY_FOLDER_KNOWN_S)
            waiting.popleft()
            self._keep(parent, events)

    async def _may_hear_of(self, folder: Path) -> bool:
        """Whether the client may list a folder; of one that is gone, the nearest one above it that is there."""
        opened, root = self.opened, self.opened.tree.root
        assert root is not None
        opened.busy += 1
        try:
            while folder and opened.handle is not None:
                try:
                    return await self._engine.filesystem.may_list(root, opened.handle, folder, opened.credentials)
                except OSError as error:
                    if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                        return False
                folder = folder[:-1]
            return True
        finally:
            opened.release()
