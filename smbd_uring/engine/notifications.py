"""Change notifications: what the commands of this server say of their changes, and the handles that watch.

Knows: watchers, the table of folders, the kernel's word on them.  Must not know: what a command does, how a request is
answered.

While nobody watches, every function here returns at once.  Whoever changes something calls `changed`, `renamed` or
`described` after it, and makes changes to attributes, times and extended attributes inside `own_change`.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from smbd_uring.engine.folder_watching import ADDED, NAME_OF, NEW_NAME, OLD_NAME, REMOVED, FolderWatching
from smbd_uring.engine.folders import Folder, Folders, Path
from smbd_uring.engine.notify_queue import NotifyBudget
from smbd_uring.engine.opens import absolute
from smbd_uring.engine.watcher import WRITTEN, Watcher
from smbd_uring.wire.fscc import NotifyAction

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.opens import Open

MODIFIED = int(NotifyAction.MODIFIED)


class Notifications:
    """All watchers of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._watchers: dict[Watcher, Folder] = {}
        self._folders = Folders()
        self._watching = FolderWatching(engine, self._folders, self._watchers)
        self._budget = NotifyBudget()

    @property
    def watcher_count(self) -> int:
        """Handles that watch."""
        return len(self._watchers)

    @property
    def folder_count(self) -> int:
        """Folders that the kernel watches for them."""
        return len(self._folders.by_watch)

    @property
    def is_settled(self) -> bool:
        """Whether no folder is being read just now."""
        return all(folder.missed is None for folder in self._folders.by_path.values())

    # --- for handles that watch --------------------------------------------------------------------------------------

    def watcher_for(self, opened: Open, completion_filter: int, tree: bool, capacity: int) -> Watcher:
        """What a handle's first request makes it ([MS-FSA] 2.1.5.11); it hears nothing before `catch_up`."""
        path = absolute(opened.tree.share.path, opened.components)
        opened.watcher = Watcher(self._engine, opened, path, completion_filter, tree, capacity, self._budget)
        return opened.watcher

    async def end(self, opened: Open) -> None:
        """The handle is being closed: nothing is to be told any more."""
        watcher, opened.watcher = opened.watcher, None
        if watcher is None:
            return
        watcher.end()
        folder = self._watchers.pop(watcher, None)
        if folder is not None:
            await self._watching.end(self._folders.remove_watcher(folder, watcher))

    async def catch_up(self, watcher: Watcher) -> None:
        """Have it hear of everything that has happened; the first time begin to watch."""
        if watcher.has_begun:
            await self._watching.catch_up_unless_resting()
        else:
            watcher.has_begun = True
            await self._watching.begin(watcher)

    # --- for those who change something ------------------------------------------------------------------------------

    def own_change(self, opened_share: str, components: Path) -> OwnChange:
        """A context in which this server changes what is known of a file; see `folder_watching`."""
        return OwnChange(self, absolute(opened_share, components) if self._watchers else None)

    async def added(self, share_path: str, components: Path, is_directory: bool) -> None:
        """A name was made."""
        await self._named(share_path, components, ADDED, NAME_OF[is_directory])

    async def removed(self, share_path: str, components: Path, is_directory: bool) -> None:
        """A name was taken away."""
        await self._named(share_path, components, REMOVED, NAME_OF[is_directory])

    async def renamed(self, share_path: str, old: Path, new: Path, is_directory: bool) -> None:
        """A name became another one."""
        if not self._watchers:
            return
        await self._watching.catch_up()
        source, target, kind = absolute(share_path, old), absolute(share_path, new), NAME_OF[is_directory]
        if source[:-1] == target[:-1]:
            self._tell(source[:-1], ((OLD_NAME, source[-1]), (NEW_NAME, target[-1])), kind)
        else:
            self._tell(source[:-1], ((REMOVED, source[-1]),), kind)
            self._tell(target[:-1], ((ADDED, target[-1]),), kind)
        folder = self._folders.by_path.get(source)
        if is_directory and folder is not None:  # the kernel was not asked to tell of it
            self._folders.move(folder, target)

    async def written(self, share_path: str, components: Path) -> None:
        """A file's data or size was changed by the engine."""
        if self._watchers:
            path = absolute(share_path, components)
            self._tell(path[:-1], ((MODIFIED, path[-1]),), WRITTEN)

    async def described(self, share_path: str, components: Path, completion: int) -> None:
        """What is known of a file was changed: the kinds `completion` of the completion filter."""
        if not self._watchers or not components or not completion:
            return
        await self._watching.catch_up_unless_resting()
        path = absolute(share_path, components)
        for watcher, relative in self._folders.hearers_of_path(path[:-1]):
            watcher.tell(relative, ((MODIFIED, path[-1]),), completion)

    async def _named(self, share_path: str, components: Path, action: int, kind: int) -> None:
        if not self._watchers:
            return
        path = absolute(share_path, components)
        folder = self._folders.by_path.get(path[:-1])
        if folder is None or not folder.is_told_by_kernel:
            await self._watching.catch_up()  # it may have come just now
        self._tell(path[:-1], ((action, path[-1]),), kind)

    def _tell(self, parent: Path, events: tuple[tuple[int, str], ...], completion: int) -> None:
        """Tell of a change that the kernel tells of where it watches, and only there."""
        folder = self._folders.by_path.get(parent)
        if folder is not None:
            if folder.is_told_by_kernel:
                return
            folder.told.update(name for action, name in events if action in (ADDED, NEW_NAME))
        for watcher, relative in self._folders.hearers_of_path(parent):
            watcher.tell(relative, events, completion)

    async def begin_own(self, path: Path) -> None:
        """See `own_change`."""
        self._watching.own[path] += 1

    async def end_own(self, path: Path) -> None:
        """See `own_change`."""
        await self._watching.end_own(path)


class OwnChange:
    """`async with` this the engine changes a file's attributes; the kernel's word on it is left out."""

    __slots__ = ("_notifications", "_path")

    def __init__(self, notifications: Notifications, path: Path | None) -> None:
        self._notifications = notifications
        self._path = path

    async def __aenter__(self) -> None:
        if self._path is not None:
            await self._notifications.begin_own(self._path)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._path is not None:
            await self._notifications.end_own(self._path)
