"""The cursor of one directory listing: which entries there are, and which the client has seen.

Knows: the file-system port, search expressions.  Must not know: information classes, replies.

The names are taken once, when the listing starts; their facts are asked for in batches as the client goes on.  An
entry that vanishes meanwhile is left out; one that appears is not seen until the client starts again.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import TYPE_CHECKING

from smbd_uring import limits
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.opens import Open
from smbd_uring.ports import CloseHandle, DirectoryEntry, FileFacts, ListedEntry, PathMissing
from smbd_uring.wire.fscc.expression import name_matches
from smbd_uring.wire.ntstatus import NtStatus

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine

WILDCARDS = frozenset('*?<>"')


class Listing:
    """Goes through the entries of `opened` that match `pattern`.

    `has_more` sees to it that the next entries are among `described`, from `position` on; `advance` goes past some of
    them, and one that did not fit in a reply stays the next.  For one request at a time.
    """

    __slots__ = ("_connection", "_opened", "_remaining", "_started", "described", "given", "pattern", "position")

    def __init__(self, opened: Open, pattern: str) -> None:
        assert opened.session is not None, "a listing begins with a request of the handle's client"
        self._opened = opened
        self._connection = opened.session.connection
        """Whose allowance its names count against, to the end."""
        self._remaining: list[DirectoryEntry] = []
        self._started = False
        self.described: Sequence[ListedEntry] = []
        """Entries with their facts; those before `position` were given."""
        self.position = 0
        self.pattern = pattern
        self.given = 0
        """Entries the client was given so far."""

    async def has_more(self, engine: Engine) -> bool:
        """Whether there is a next entry; if so it is at `position` of `described`."""
        if not self._started:
            await self._start(engine)
            self._started = True
        while self.position >= len(self.described):
            if not self._remaining:
                return False
            await self._describe_more(engine)
        return True

    def advance(self, count: int) -> None:
        """So many of the next entries were given."""
        self.position += count
        self.given += count

    def release(self) -> None:
        """Forget what was not given; the listing is over."""
        self._remember(-len(self._remaining))
        self._remaining = []

    def _remember(self, names: int) -> None:
        """Count names against what the connection's listings may remember."""
        connection = self._connection
        if names > limits.DIRECTORY_ENTRIES_MAX - connection.names_listed:
            raise SmbError(NtStatus.INSUFFICIENT_RESOURCES)
        connection.names_listed += names

    async def _start(self, engine: Engine) -> None:
        if not WILDCARDS.intersection(self.pattern):
            await self._find_one(engine)
            return
        handle = self._opened.handle
        assert handle is not None
        entries = await engine.filesystem.list_names(handle)
        self._remember(len(entries))
        entries.reverse()
        self._remaining = entries
        await self._add_dots(engine)

    def _matches(self, name: bytes) -> bool:
        try:
            return name_matches(self.pattern, name.decode("utf-8"))
        except UnicodeDecodeError:
            return False

    async def _add_dots(self, engine: Engine) -> None:
        """"." and ".." come first, as Windows lists them; the share's root is its own parent."""
        dots = [name for name in (".", "..") if name_matches(self.pattern, name)]
        if not dots:
            return
        own, parent = await self._dot_facts(engine)
        self.described = [ListedEntry(name, own if name == "." else parent) for name in dots]

    async def _dot_facts(self, engine: Engine) -> tuple[FileFacts, FileFacts]:
        opened = self._opened
        root, handle = opened.tree.root, opened.handle
        assert root is not None and handle is not None
        own = await engine.filesystem.facts(root, handle, "", opened.credentials)
        if not opened.components:
            return own, own
        found = await engine.filesystem.lookup(root, opened.components[:-1], opened.credentials)
        if found.handle is None or found.facts is None:
            return own, own
        await CloseHandle(found.handle)
        return own, found.facts

    async def _find_one(self, engine: Engine) -> None:
        """A pattern without wildcards names one entry; looking it up does not read the directory."""
        opened = self._opened
        assert opened.tree.root is not None
        if not self.pattern or self.pattern in (".", ".."):
            return
        components = (*opened.components, self.pattern)
        try:
            found = await engine.filesystem.lookup(opened.tree.root, components, opened.credentials)
        except PathMissing:
            return
        except OSError as error:
            if error.errno in (errno.ENAMETOOLONG, errno.EXDEV, errno.ELOOP, errno.EACCES):
                return
            raise
        if found.handle is None or found.facts is None:
            return
        await CloseHandle(found.handle)
        self.described = [ListedEntry(found.components[-1], found.facts)]

    async def _describe_more(self, engine: Engine) -> None:
        opened = self._opened
        root, handle = opened.tree.root, opened.handle
        assert root is not None and handle is not None
        batch = self._remaining[-limits.DIRECTORY_BATCH_ENTRIES :]
        del self._remaining[-limits.DIRECTORY_BATCH_ENTRIES :]
        self._remember(-len(batch))
        batch.reverse()
        if self.pattern != "*":
            batch = [entry for entry in batch if self._matches(entry.name)]
            await engine.scheduler.sleep(0)  # a costly pattern over a large folder keeps nobody else waiting
        self.described = await engine.filesystem.describe(
            root, handle, opened.components, batch, opened.credentials
        )
        self.position = 0
