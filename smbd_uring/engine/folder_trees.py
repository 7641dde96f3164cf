"""Watched trees: watches each folder below one, reads those that come, and finds out what was missed meanwhile.

Knows: folders, their watches and watchers.  Must not know: what a change is told as, requests.

A folder that comes below a watched tree is watched first and read then.  What is in it by that time and was not told of
was made before the watch stood, and is told now.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

from smbd_uring import limits
from smbd_uring.engine.folders import Folder, Folders
from smbd_uring.engine.watcher import Watcher
from smbd_uring.ports import CloseHandle, DirectoryEntry, Handle, Stat

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.folder_watching import FolderWatching
    from smbd_uring.engine.opens import Open

log = logging.getLogger("smbd.fs")

DT_DIR = 4
CLOCK_STEP_NS = 10_000_000
"""Files' times may be that much behind the clock."""


class Moment(NamedTuple):
    """A time on the engine's clock, which stands still while nothing is waited for, and in files' times."""

    now: float
    wall_ns: int


class TreeWalks:
    """Walks trees for `watching`."""

    def __init__(self, engine: Engine, folders: Folders, watching: FolderWatching) -> None:
        self._engine = engine
        self._folders = folders
        self._watching = watching

    def moment(self) -> Moment:
        """Now."""
        return Moment(self._engine.scheduler.now, self._engine.wall_clock() - CLOCK_STEP_NS)

    async def walk_all(self, watcher: Watcher, folder: Folder, since: Moment) -> None:
        """Watch a whole tree from its top; when something changed before its turn came, the watcher is told so."""
        if await self.walk(folder, False, since):
            watcher.lose()

    async def grow(self, folder: Folder, is_new: bool) -> None:
        """Watch a folder that came below a watched tree, with what is in it.  Of one that was elsewhere before, what is
        in it is for the clients to look at; when it changed after they were told so they have to look again."""
        since = None if is_new else self.moment()
        if await self.walk(folder, is_new, since):
            for watcher, _ in self._folders.hearers(folder):
                if watcher.tree:
                    watcher.lose()

    async def walk(self, top: Folder, is_new: bool, since: Moment | None) -> bool:
        """Watch `top` and what is below it.  `is_new`: what is in it is told of.  Result: whether one of the folders
        may have changed between `since` and when it was watched."""
        pending, count, is_late = deque([top]), 0, False
        while pending:
            folder = pending.popleft()
            below, has_changed = await self._look_into(folder, is_new, since)
            pending += below
            is_late |= has_changed
            count += 1
            if count % limits.FOLDERS_PER_TURN == 0:
                await self._engine.scheduler.sleep(limits.FOLDERS_PAUSE_S)
        return is_late

    async def _look_into(self, folder: Folder, is_new: bool, since: Moment | None) -> tuple[list[Folder], bool]:
        """Watch one folder and read it.  Result: the folders in it; whether it may have changed since then.

        It is found by its path, which somebody may change at that moment: what was found counts when the kernel's word
        up to then does not say so.
        """
        contents = any(one.wants_contents for one, _ in self._folders.hearers(folder))
        if folder.missed is not None or (folder.is_walked and folder.contents >= contents):
            return [], False
        was_watched = folder.watch is not None
        is_new &= not was_watched
        folder.is_walked, folder.missed = True, []
        while not folder.is_gone:
            moves = folder.moves
            found = await self._watch_and_read(folder, contents)
            await self._watching.catch_up()
            if folder.is_gone:
                break
            if folder.moves == moves or folder.watchers:
                if found is not None:
                    below = await self._watching.take_over(folder, found[0], is_new)
                    is_late = folder.watch is not None and not was_watched
                    return below, is_late and self._has_changed(found[1], since)
                if not folder.watchers:
                    await self._watching.end(self._folders.remove_tree(folder))
                break
            folder.missed = []
            await self._watching.end(self._folders.unwatch(folder))
        folder.missed = None
        return [], False

    def _has_changed(self, changed_ns: int, since: Moment | None) -> bool:
        """Whether something waited since then, and the folder changed meanwhile."""
        return since is not None and self._engine.scheduler.now > since.now and changed_ns >= since.wall_ns

    async def _watch_and_read(self, folder: Folder, contents: bool) -> tuple[list[DirectoryEntry], int] | None:
        """Result: what is in a folder, and when that changed, in nanoseconds; None when it cannot be opened."""
        if folder.watchers:
            opened = next(iter(folder.watchers)).opened
            return await self._using(opened, lambda handle: self._read(folder, handle, contents))
        watcher = self._tree_watcher(folder)
        if watcher is None:
            return None
        return await self._using(watcher.opened, lambda top: self._open_and_read(folder, watcher, top, contents))

    async def _using(
        self, opened: Open, use: Callable[[Handle], Awaitable[tuple[list[DirectoryEntry], int]]]
    ) -> tuple[list[DirectoryEntry], int] | None:
        """Use a client's handle, which is not closed meanwhile."""
        if opened.handle is None or opened.closing:
            return None
        opened.busy += 1
        try:
            return await use(opened.handle)
        except OSError as error:
            log.debug("a folder is not watched: %s", error)
            return None
        finally:
            opened.release()

    async def _open_and_read(
        self, folder: Folder, watcher: Watcher, top: Handle, contents: bool
    ) -> tuple[list[DirectoryEntry], int]:
        root = watcher.opened.tree.root
        assert root is not None
        handle = await self._engine.filesystem.open_folder(root, top, folder.path[len(watcher.path) :])
        try:
            return await self._read(folder, handle, contents)
        finally:
            await CloseHandle(handle)

    async def _read(self, folder: Folder, handle: Handle, contents: bool) -> tuple[list[DirectoryEntry], int]:
        await self._watching.watch(folder, handle, contents)
        entries = await self._engine.filesystem.list_names(handle)
        return entries, (await Stat(handle)).modified_ns

    def _tree_watcher(self, folder: Folder) -> Watcher | None:
        """Who watches the tree in which a folder is, and has his handle still."""
        return next(
            (watcher for watcher, _ in self._folders.hearers(folder) if watcher.tree and not watcher.opened.closing),
            None,
        )
