"""Which names a directory has, whatever their case: remembered, so that what is not there costs no reading.

Knows: watches on names, folds.  Must not know: who looks for a name, and whether he may: whoever asks has opened the
directory for reading.

A directory is read once, when a name was not found exactly, and watched from before that on.  Each later question first
takes in what the kernel has taken down meanwhile, so the answer is as good as reading again: a change that anybody has
finished is in it.  Where changes cannot be watched, or one was lost, the directory is read again.  Memory is bounded:
the directories not asked about for longest go first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from smbd_uring.filesystem.names import fold_on_disk
from smbd_uring.limits import DIRECTORIES_INDEXED_MAX, NAMES_INDEXED_MAX
from smbd_uring.ports import Handle, ListDirectory, NameChange, TakeNameChanges, UnwatchNames, WatchNames

Identity = tuple[int, int]


class _Directory:
    """The names of one directory by fold."""

    __slots__ = ("_by_fold", "count", "identity", "missed", "watch")

    def __init__(self, identity: Identity, watch: int) -> None:
        self.identity = identity
        self.watch = watch
        self.count = 0
        self._by_fold: dict[str, tuple[bytes, ...]] = {}
        self.missed: list[NameChange] | None = []
        """Changes that came while the directory was being read; None once it is."""

    def fill(self, names: Iterable[bytes]) -> None:
        """The directory was read; what changed meanwhile may or may not be in it."""
        for name in names:
            self.add(name)
        missed, self.missed = self.missed or [], None
        for change in missed:
            self.change(change)

    def change(self, change: NameChange) -> None:
        """Take in one change; one that is known already changes nothing."""
        if self.missed is not None:
            self.missed.append(change)
        elif change.is_there:
            self.add(change.name)
        else:
            self._remove(change.name)

    def matching(self, folded: str) -> tuple[bytes, ...]:
        """The names with this fold."""
        return self._by_fold.get(folded, ())

    def add(self, name: bytes) -> None:
        folded = fold_on_disk(name)
        if folded is None:
            return
        known = self._by_fold.get(folded, ())
        if name not in known:
            self._by_fold[folded] = (*known, name)
            self.count += 1

    def _remove(self, name: bytes) -> None:
        folded = fold_on_disk(name)
        if folded is None:
            return
        known = self._by_fold.get(folded, ())
        if name in known:
            self.count -= 1
            if len(known) == 1:
                del self._by_fold[folded]
            else:
                self._by_fold[folded] = tuple(other for other in known if other != name)


class NameIndex:
    """The names of the directories that were asked about lately."""

    def __init__(self) -> None:
        self._directories: OrderedDict[Identity, _Directory] = OrderedDict()
        self._by_watch: dict[int, _Directory] = {}
        self._count = 0
        self._taking = 0
        """How many are taking changes in just now."""

    async def known(self, identity: Identity, folded: str) -> Iterable[bytes] | None:
        """Names in the directory `identity`, which whoever asks may read, whose fold is `folded`; None when the
        directory has to be read for that."""
        if not self._by_watch:
            return None
        await self._catch_up()
        directory = self._directories.get(identity)
        if directory is None or directory.missed is not None:
            return None
        self._directories.move_to_end(identity)
        return directory.matching(folded)

    async def matching(self, handle: Handle, identity: Identity, folded: str) -> Iterable[bytes]:
        """Names in the directory `identity`, open for reading as `handle`, whose fold is `folded`.  OSError as
        reading it raises."""
        if self._by_watch:
            await self._catch_up()
        directory = self._directories.get(identity)
        if directory is None:
            return await self._begin(handle, identity, folded)
        if directory.missed is not None:
            # Somebody else is reading it just now.
            return _of_fold([entry.name for entry in await ListDirectory(handle)], folded)
        self._directories.move_to_end(identity)
        return directory.matching(folded)

    async def _begin(self, handle: Handle, identity: Identity, folded: str) -> Iterable[bytes]:
        """Read the directory, and remember it if its changes can be watched."""
        try:
            watch = await WatchNames(handle)
        except OSError:
            return _of_fold([entry.name for entry in await ListDirectory(handle)], folded)
        if identity in self._directories:
            return _of_fold([entry.name for entry in await ListDirectory(handle)], folded)
        directory = _Directory(identity, watch)
        self._directories[identity] = self._by_watch[watch] = directory
        try:
            names = [entry.name for entry in await ListDirectory(handle)]
        except BaseException:
            await self._forget(directory)
            raise
        found = _of_fold(names, folded)
        if self._directories.get(identity) is not directory:
            return found
        if len(names) > NAMES_INDEXED_MAX:
            await self._forget(directory)
            return found
        directory.fill(names)
        self._count += directory.count
        await self._make_room()
        return found

    async def _catch_up(self) -> None:
        self._taking += 1
        try:
            changes = await TakeNameChanges()
        finally:
            self._taking -= 1
        if changes is None or self._taking:
            # Lost, or somebody else holds changes that came before these or after them.
            for directory in list(self._directories.values()):
                await self._forget(directory)
            return
        for change in changes:
            changed = self._by_watch.get(change.watch)
            if changed is None:
                continue
            if not change.name:
                await self._forget(changed)
                continue
            before = changed.count
            changed.change(change)
            self._count += changed.count - before
        if self._count > NAMES_INDEXED_MAX:
            await self._make_room()

    async def _make_room(self) -> None:
        while self._count > NAMES_INDEXED_MAX or len(self._directories) > DIRECTORIES_INDEXED_MAX:
            await self._forget(next(iter(self._directories.values())))

    async def _forget(self, directory: _Directory) -> None:
        if self._directories.get(directory.identity) is directory:
            del self._directories[directory.identity]
            del self._by_watch[directory.watch]
            self._count -= directory.count
            await UnwatchNames(directory.watch)


def _of_fold(names: Iterable[bytes], folded: str) -> list[bytes]:
    return [name for name in names if fold_on_disk(name) == folded]
