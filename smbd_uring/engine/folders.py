"""The folders somebody wants to hear about, and who hears of what happens in them.

Knows: absolute paths, which folder is below which, the kernel's watches by number.  Must not know: how changes are
noticed, what a client is told.

A folder is here because a handle watches it, or because it is below a watched tree.  One inode may be here under two
paths (shares that overlap by a symlink): each path hears of it under its own name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smbd_uring import limits

if TYPE_CHECKING:
    from smbd_uring.engine.watcher import Watcher
    from smbd_uring.ports import Change

Path = tuple[str, ...]


class Folder:
    """One folder.  `watch` is the kernel's, None where it does not watch: then the engine tells what it does itself.

    While its contents are being read for the first time, `missed` has what happened meanwhile.
    """

    __slots__ = (
        "_hearers", "_hearers_of", "children", "contents", "is_gone", "is_walked", "missed", "moves", "name", "parent",
        "path", "told", "watch", "watchers",
    )  # fmt: skip

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path[-1] if path else ""
        self.parent: Folder | None = None
        self.children: dict[str, Folder] = {}
        self.watchers: dict[Watcher, None] = {}
        """Handles on this very folder; a dict for its order."""
        self.watch: int | None = None
        self.contents = False
        """The kernel tells of files' contents too."""
        self.is_walked = False
        """What is below it is here as well, or somebody sees to that."""
        self.moves = 0
        """How often its path changed."""
        self.is_gone = False
        """Whatever has its path now, it is not this folder."""
        self.missed: list[Change] | None = None
        self.told: set[str] = set()
        """Names that were told of before the kernel watched."""
        self._hearers: list[tuple[Watcher, Path]] = []
        self._hearers_of = -1

    @property
    def is_told_by_kernel(self) -> bool:
        """Whether the kernel tells of the names in it and of what is written."""
        return self.watch is not None


class Folders:
    """All of them, by path and by the kernel's number."""

    def __init__(self) -> None:
        self.by_path: dict[Path, Folder] = {}
        self.by_watch: dict[int, list[Folder]] = {}
        self._generation = 0

    def enter(self, path: Path) -> Folder | None:
        """The folder of this path, made when it is not here yet; None when there are too many."""
        folder = self.by_path.get(path)
        if folder is not None:
            if folder.parent is None:
                self._link(folder)
            return folder
        if len(self.by_path) >= limits.FOLDERS_WATCHED_MAX:
            return None
        folder = self.by_path[path] = Folder(path)
        self._link(folder)
        return folder

    def _link(self, folder: Folder) -> None:
        """Put a folder below the one it is in."""
        parent = self.by_path.get(folder.path[:-1]) if folder.path else None
        if parent is not None:
            folder.parent = parent
            parent.children[folder.name] = folder
        self._generation += 1

    def watched(self, folder: Folder, watch: int, contents: bool) -> None:
        """The kernel watches it now."""
        folder.contents |= contents
        if folder.watch == watch:
            return
        if folder.watch is not None:
            self._unnumber(folder)
        folder.watch = watch
        self.by_watch.setdefault(watch, []).append(folder)

    def add_watcher(self, folder: Folder, watcher: Watcher) -> None:
        """A handle watches this folder."""
        folder.watchers[watcher] = None
        self._generation += 1

    def remove_watcher(self, folder: Folder, watcher: Watcher) -> list[int]:
        """It does no more.  Result: the kernel's watches that nobody needs now."""
        folder.watchers.pop(watcher, None)
        self._generation += 1
        over: list[int] = []
        if any(other.tree for other, _ in self.hearers(folder)):
            return over
        if watcher.tree:
            for child in list(folder.children.values()):
                self._remove_unwanted(child, over)
            folder.is_walked = False
        if not folder.watchers:
            self._remove(folder, over)
        return over

    def _remove_unwanted(self, folder: Folder, over: list[int]) -> None:
        if any(watcher.tree for watcher in folder.watchers):
            folder.parent = None
            return
        for child in list(folder.children.values()):
            self._remove_unwanted(child, over)
        folder.is_walked = False
        if not folder.watchers:
            self._remove(folder, over)

    def prune(self, folder: Folder) -> list[int]:
        """Forget a folder and what is below it as far as nobody hears of it.  Result: watches that nobody needs now."""
        over: list[int] = []
        if not any(watcher.tree for watcher, _ in self.hearers(folder)):
            self._remove_unwanted(folder, over)
        return over

    def displace(self, folder: Folder) -> None:
        """Another folder has its path by now; handles on it go on hearing of what happens in theirs."""
        del self.by_path[folder.path]
        folder.is_gone = True
        self._unlink(folder)

    def remove_tree(self, folder: Folder) -> list[int]:
        """A folder and what is below it are not there any more, under this path.  Handles on them go on hearing of what
        happens in theirs.  Result: the kernel's watches that nobody needs now."""
        over: list[int] = []
        for gone in self._below(folder):
            if self.by_path.get(gone.path) is gone:
                del self.by_path[gone.path]
            gone.is_gone = True
            if not gone.watchers:
                self._end_watch(gone, over)
        self._unlink(folder)
        return over

    def remove_below(self, folder: Folder) -> list[int]:
        """Forget what is below a folder, as far as no handle is on it.  Result: watches that nobody needs now."""
        over: list[int] = []
        for below in list(self._below(folder)):
            below.is_walked = False
            if below is not folder and not below.watchers:
                self._remove(below, over)
        return over

    def move(self, folder: Folder, path: Path) -> None:
        """A folder has another path now, and all below it."""
        self._unlink(folder)
        moved = list(self._below(folder))
        for one in moved:
            if self.by_path.get(one.path) is one:
                del self.by_path[one.path]
        before = len(folder.path)
        for one in moved:
            one.path = path + one.path[before:]
            one.name = one.path[-1]
            one.moves += 1
            for watcher in one.watchers:
                watcher.path = one.path
            self.by_path[one.path] = one
        self._link(folder)

    def unwatch(self, folder: Folder) -> list[int]:
        """The kernel watches something else under its name.  Result: watches that nobody needs now."""
        over: list[int] = []
        self._end_watch(folder, over)
        return over

    def watch_ended(self, watch: int) -> list[Folder]:
        """The kernel ended a watch.  Result: the folders it was on."""
        folders = self.by_watch.pop(watch, [])
        for folder in folders:
            folder.watch = None
        return folders

    def hearers(self, folder: Folder) -> list[tuple[Watcher, Path]]:
        """Who hears of what happens in a folder, with the folder's path relative to his."""
        if folder._hearers_of != self._generation:
            found: list[tuple[Watcher, Path]] = [(watcher, ()) for watcher in folder.watchers]
            relative: Path = ()
            above: Folder | None = folder
            while above is not None and above.parent is not None:
                relative, above = (above.name, *relative), above.parent
                found += [(watcher, relative) for watcher in above.watchers if watcher.tree]
            folder._hearers, folder._hearers_of = found, self._generation
        return folder._hearers

    def hearers_of_path(self, path: Path) -> list[tuple[Watcher, Path]]:
        """The same for a folder that need not be here."""
        folder = self.by_path.get(path)
        if folder is not None:
            return self.hearers(folder)
        for length in range(len(path) - 1, -1, -1):
            above = self.by_path.get(path[:length])
            if above is not None:
                return [
                    (watcher, relative + path[length:]) for watcher, relative in self.hearers(above) if watcher.tree
                ]
        return []

    # --- inner workings ----------------------------------------------------------------------------------------------

    def _below(self, folder: Folder) -> list[Folder]:
        """A folder and all below it, from the top."""
        found = [folder]
        for one in found:
            found += one.children.values()
        return found

    def _remove(self, folder: Folder, over: list[int]) -> None:
        if self.by_path.get(folder.path) is folder:
            del self.by_path[folder.path]
        folder.is_gone = True
        self._unlink(folder)
        for child in folder.children.values():
            child.parent = None
        self._end_watch(folder, over)

    def _unlink(self, folder: Folder) -> None:
        if folder.parent is not None and folder.parent.children.get(folder.name) is folder:
            del folder.parent.children[folder.name]
        folder.parent = None
        self._generation += 1

    def _end_watch(self, folder: Folder, over: list[int]) -> None:
        watch = folder.watch
        if watch is not None:
            self._unnumber(folder)
            if watch not in self.by_watch:
                over.append(watch)

    def _unnumber(self, folder: Folder) -> None:
        watch, folder.watch = folder.watch, None
        assert watch is not None
        sharing = self.by_watch[watch]
        sharing.remove(folder)
        if not sharing:
            del self.by_watch[watch]
