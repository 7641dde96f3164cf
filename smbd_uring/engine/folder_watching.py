"""Has the kernel watch folders, takes in what it tells, and keeps up with folders that come, go and move.

Knows: `ports.changes`, the table of folders.  Must not know: requests, what a client may see.

One rule decides who tells of a change, so that each is told once: of the names in a folder, and of what is written to
its files, the kernel tells where it watches the folder, whoever made the change, this server included; elsewhere the
engine tells what clients do through it.  What the kernel cannot tell apart (which of a file's attributes or times was
changed) the engine tells of its own changes, and the kernel's word is left out while the engine makes them (`own`).
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from smbd_uring import limits
from smbd_uring.engine.folder_trees import DT_DIR, TreeWalks
from smbd_uring.engine.folders import Folder, Folders, Path
from smbd_uring.engine.watcher import DESCRIBED, WRITTEN, Watcher
from smbd_uring.engine.written_names import WrittenNames
from smbd_uring.ports import (
    AwaitChanges,
    Change,
    ChangeKind,
    DirectoryEntry,
    Handle,
    StopAwaitingChanges,
    TakeChanges,
    UnwatchChanges,
    WatchChanges,
)
from smbd_uring.wire.fscc import CompletionFilter, NotifyAction
from smbd_uring.wire.ntstatus import NtStatus

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine

log = logging.getLogger("smbd.fs")

NAME_OF = {False: int(CompletionFilter.FILE_NAME), True: int(CompletionFilter.DIR_NAME)}
ADDED, REMOVED, MODIFIED = int(NotifyAction.ADDED), int(NotifyAction.REMOVED), int(NotifyAction.MODIFIED)
OLD_NAME, NEW_NAME = int(NotifyAction.RENAMED_OLD_NAME), int(NotifyAction.RENAMED_NEW_NAME)
TOO_MANY = (
    "folders cannot be watched: %s; clients hear only of what clients change there (raise fs.inotify.max_user_watches)"
)


class FolderWatching:
    """What the kernel tells about folders, as one stream."""

    def __init__(self, engine: Engine, folders: Folders, watchers: dict[Watcher, Folder]) -> None:
        self._engine = engine
        self._folders = folders
        self._watchers = watchers
        self.own: Counter[Path] = Counter()
        """Files whose attributes the engine is changing just now."""
        self._own_lately: list[Path] = []
        """Those of which the kernel's word is still to be taken in."""
        self.is_resting = False
        """There is so much to take in that it waits for a while."""
        self._trees = TreeWalks(engine, folders, self)
        self._written = WrittenNames(engine.scheduler, self._tell_written)
        self._is_pumping = False
        self._is_rebuilding = False
        self._rebuild_after_s = limits.FOLDERS_REBUILD_S
        self._lost_at = 0.0
        self._has_complained = False

    # --- beginning and ending ----------------------------------------------------------------------------------------

    async def begin(self, watcher: Watcher) -> None:
        """Watch the folder of a handle, and what is below it where it watches a tree.  A large tree goes on being
        walked after this has returned."""
        handle, contents = watcher.opened.handle, watcher.wants_contents
        assert handle is not None
        since = self._trees.moment()
        watch = await self._number(handle, contents)
        if watcher.has_ended:
            await self.end([] if watch is None else [watch])
            return
        folder = self._folders.by_path.get(watcher.path)
        if folder is not None and folder.watch is not None and folder.watch != watch:
            self._folders.displace(folder)
        folder = self._folders.enter(watcher.path)
        if folder is None:  # too many: nothing is heard of it
            watcher.refuse_all(NtStatus.INSUFFICIENT_RESOURCES)
            await self.end([] if watch is None else [watch])
            return
        self._watchers[watcher] = folder
        self._folders.add_watcher(folder, watcher)
        if watch is not None:
            self._watched(folder, watch, contents)
        if watcher.tree:
            self._engine.scheduler.start(self._trees.walk_all(watcher, folder, since))

    async def end(self, watches: list[int]) -> None:
        """The kernel need not watch these any more."""
        for watch in watches:
            if watch not in self._folders.by_watch:
                await UnwatchChanges(watch)
        if self._is_pumping and not self._folders.by_watch:
            while self._own_lately:
                self._disown(self._own_lately.pop())
            await StopAwaitingChanges()

    async def watch(self, folder: Folder, handle: Handle, contents: bool) -> None:
        """Have the kernel watch a folder by a handle on it."""
        watch = await self._number(handle, contents)
        if watch is None:
            return
        if folder.is_gone:
            await self.end([watch])
        else:
            self._watched(folder, watch, contents)

    async def _number(self, handle: Handle, contents: bool) -> int | None:
        """The kernel's watch on a folder; None when there is none to be had."""
        try:
            return await WatchChanges(handle, contents)
        except OSError as error:
            if not self._has_complained:
                self._has_complained = True
                log.warning(TOO_MANY, error)
            return None

    def _watched(self, folder: Folder, watch: int, contents: bool) -> None:
        self._folders.watched(folder, watch, contents)
        if not self._is_pumping:
            self._is_pumping = True
            self._engine.scheduler.start(self._pump())

    async def _pump(self) -> None:
        """Take in what the kernel tells, as long as anything is watched."""
        while self._folders.by_watch:
            if await AwaitChanges():
                count = await self._take(False)
                if count > limits.NOTIFY_REST_FROM:
                    self.is_resting = True
                    await self._engine.scheduler.sleep(count * limits.NOTIFY_REST_PER_CHANGE_S)
                    self.is_resting = False
        self._is_pumping = False

    # --- what the kernel tells ---------------------------------------------------------------------------------------

    async def catch_up(self) -> None:
        """Take in everything that has happened."""
        await self._take(True)

    async def catch_up_unless_resting(self) -> None:
        """The same, but in a storm leave it to the next time."""
        if not self.is_resting:
            await self._take(True)

    async def end_own(self, path: Path) -> None:
        """The engine is through with a file's attributes: what the kernel says of that is taken in first."""
        if self.is_resting:
            self._own_lately.append(path)
            return
        await self._take(True)
        self._disown(path)

    def _disown(self, path: Path) -> None:
        if self.own[path] > 1:
            self.own[path] -= 1
        else:
            del self.own[path]

    async def _take(self, everything: bool) -> int:
        """Result: how much that was."""
        if not self._folders.by_watch:
            return 0
        changes = await TakeChanges(everything)
        if changes is None:
            await self._lose()
            return limits.NOTIFY_REST_FROM
        over: list[int] = []
        new: list[tuple[Folder, bool]] = []
        by_watch = self._folders.by_watch
        for change in changes:
            if change.kind is ChangeKind.ENDED:
                for folder in self._folders.watch_ended(change.watch):
                    if not folder.is_gone:
                        over += self._folders.remove_tree(folder)
            elif change.kind is ChangeKind.RENAMED:
                self._renamed(change, over, new)
            else:
                for folder in tuple(by_watch.get(change.watch, ())):
                    if folder.missed is None:
                        self._happened(folder, change, over, new)
                    else:
                        folder.missed.append(change)
        # Fewer than that are never all that one turn may take.
        while self._own_lately and (everything or len(changes) < limits.NOTIFY_REST_FROM):
            self._disown(self._own_lately.pop())
        await self._follow(over, new)
        return len(changes)

    async def _follow(self, over: list[int], new: list[tuple[Folder, bool]]) -> None:
        """End watches, begin others, as what happened wants it."""
        if over:
            await self.end(over)
        for folder, is_new in new:
            self._engine.scheduler.start(self._trees.grow(folder, is_new))

    def _happened(self, folder: Folder, change: Change, over: list[int], new: list[tuple[Folder, bool]]) -> None:
        name, kind = text_of(change.name), change.kind
        if kind is ChangeKind.WRITTEN:
            if (*folder.path, name) not in self.own and self._written.may_tell(folder, name):
                self._tell_written(folder, name)
        elif kind is ChangeKind.DESCRIBED:
            if (*folder.path, name) not in self.own:
                self._tell(folder, ((MODIFIED, name),), DESCRIBED)
        elif kind is ChangeKind.REMOVED:
            self._written.forget(folder, name)
            self._tell(folder, ((REMOVED, name),), NAME_OF[change.is_directory])
            if change.is_directory:
                self._departed(folder, name, over)
        else:
            self._written.forget(folder, name)
            self._tell(folder, ((ADDED, name),), NAME_OF[change.is_directory])
            if change.is_directory:
                if kind is ChangeKind.MOVED_IN:
                    self._departed(folder, name, over)  # an empty one that was replaced
                self._arrived(folder, name, kind is ChangeKind.ADDED, new)

    def _renamed(self, change: Change, over: list[int], new: list[tuple[Folder, bool]]) -> None:
        """A name became another one, in the same folder or in another one."""
        old, name = text_of(change.name), text_of(change.new_name)
        sources = tuple(self._folders.by_watch.get(change.watch, ()))
        targets = tuple(self._folders.by_watch.get(change.new_watch, ()))
        if any(folder.missed is not None for folder in (*sources, *targets)):
            self._renamed_while_read(change, sources, targets, over, new)
            return
        for folder in sources:
            self._written.settle(folder, old)
        for folder in targets:
            self._written.forget(folder, name)
        kind = NAME_OF[change.is_directory]
        if change.watch == change.new_watch:
            for folder in sources:
                self._tell(folder, ((OLD_NAME, old), (NEW_NAME, name)), kind)
        else:
            for folder in sources:
                self._tell(folder, ((REMOVED, old),), kind)
            for folder in targets:
                self._tell(folder, ((ADDED, name),), kind)
        if not change.is_directory:
            return
        for folder in targets:
            self._departed(folder, name, over)  # an empty one that was replaced
        moved = sources[0].children.get(old) if sources else None
        if moved is not None and targets:
            self._move(moved, targets[0], name, over, new)
            sources, targets = sources[1:], targets[1:]
        for folder in sources:
            self._departed(folder, old, over)
        for folder in targets:
            self._arrived(folder, name, False, new)

    def _move(
        self, folder: Folder, target: Folder, name: str, over: list[int], new: list[tuple[Folder, bool]]
    ) -> None:
        self._folders.move(folder, (*target.path, name))
        if not self._is_wanted(target):
            over += self._folders.prune(folder)
        elif not folder.is_walked:
            new.append((folder, False))

    def _renamed_while_read(
        self, change: Change, sources: tuple[Folder, ...], targets: tuple[Folder, ...], over: list[int],
        new: list[tuple[Folder, bool]],
    ) -> None:  # fmt: skip
        """One of the folders is being read: each end by itself."""
        gone = Change(change.watch, ChangeKind.REMOVED, change.name, change.is_directory)
        come = Change(change.new_watch, ChangeKind.MOVED_IN, change.new_name, change.is_directory)
        for folders, end in ((sources, gone), (targets, come)):
            for folder in folders:
                if folder.missed is None:
                    self._happened(folder, end, over, new)
                else:
                    folder.missed.append(end)

    def _tell(self, folder: Folder, events: tuple[tuple[int, str], ...], completion: int) -> None:
        for watcher, relative in self._folders.hearers(folder):
            watcher.tell(relative, events, completion)

    def _tell_written(self, folder: Folder, name: str) -> None:
        self._tell(folder, ((MODIFIED, name),), WRITTEN)

    def _is_wanted(self, folder: Folder) -> bool:
        """Whether what is below a folder is watched too."""
        return any(watcher.tree for watcher, _ in self._folders.hearers(folder))

    def _arrived(self, folder: Folder, name: str, is_new: bool, new: list[tuple[Folder, bool]]) -> None:
        if folder.is_gone or not self._is_wanted(folder):
            return
        child = self._folders.enter((*folder.path, name))
        if child is not None:
            new.append((child, is_new))

    def _departed(self, folder: Folder, name: str, over: list[int]) -> None:
        child = self._folders.by_path.get((*folder.path, name))
        if child is not None:
            over += self._folders.remove_tree(child)

    async def take_over(self, folder: Folder, entries: list[DirectoryEntry], is_new: bool) -> list[Folder]:
        """A folder was read: tell of what is in it and was not told of if it is new, then of what happened since it is
        watched.  Result: the folders in it."""
        missed, folder.missed = folder.missed or [], None
        below = []
        known = {change.name for change in missed if change.kind in (ChangeKind.ADDED, ChangeKind.MOVED_IN)}
        for entry in entries:
            name, is_directory = text_of(entry.name), entry.kind == DT_DIR
            if is_new and entry.name not in known and name not in folder.told:
                self._tell(folder, ((ADDED, name),), NAME_OF[is_directory])
            child = self._folders.enter((*folder.path, name)) if is_directory else None
            if child is not None:
                below.append(child)
        folder.told.clear()
        over: list[int] = []
        new: list[tuple[Folder, bool]] = []
        for change in missed:
            self._happened(folder, change, over, new)
        await self._follow(over, new)
        return below

    # --- when too much happened --------------------------------------------------------------------------------------

    async def _lose(self) -> None:
        """The kernel's queue overflowed: everybody is told, and what is known of trees may be wrong."""
        now = self._engine.scheduler.now
        again = now - self._lost_at < 2 * self._rebuild_after_s
        after = min(self._rebuild_after_s * 2, limits.FOLDERS_REBUILD_MAX_S) if again else limits.FOLDERS_REBUILD_S
        self._lost_at = now
        over: list[int] = []
        for watcher, folder in list(self._watchers.items()):
            if watcher.tree and not folder.is_gone:
                over += self._folders.remove_below(folder)
            watcher.lose()
        await self.end(over)
        if not self._is_rebuilding:
            self._is_rebuilding = True
            self._rebuild_after_s = after
            self._engine.scheduler.start(self._rebuild())

    async def _rebuild(self) -> None:
        """Walk the watched trees again, and tell that nothing was watched meanwhile."""
        await self._engine.scheduler.sleep(self._rebuild_after_s)
        self._is_rebuilding = False
        for watcher, folder in list(self._watchers.items()):
            if watcher.tree and not watcher.has_ended and not folder.is_gone and not folder.is_walked:
                await self._trees.walk(folder, False, None)
                if folder.children:
                    watcher.lose()


def text_of(name: bytes) -> str:
    """A name from disk; what is no UTF-8 becomes something that no client is told."""
    return name.decode("utf-8", "surrogateescape")
