"""The journal of persistent handles on disk: nothing is answered before it is there.

Knows: effects on files, and when a journal is written anew.  Must not know: what a record says, SMB.

Requests that change a record wait until it is on disk.  Those that come while one write is under way go together with
the next.  When most of the file is of the past it is written anew beside the old one and takes its place by rename: at
every moment one of the two is whole.  A journal that cannot be written any more says so once and takes no further
handle; those that there are go on, and do not survive the next crash.
"""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING

from smbd_uring import limits
from smbd_uring.engine.journal_entries import MAGIC, EntryKind, JournalContents, encode_entry, read_journal
from smbd_uring.engine.scheduler import Parking
from smbd_uring.ports import CloseHandle, Handle, OpenAt, ReadAt, Rename, Stat, Synchronize, Unlink, WriteAt

if TYPE_CHECKING:
    from smbd_uring.engine.scheduler import Scheduler

log = logging.getLogger("smbd.fs")

NAME = b"handles.journal"
NEW_NAME = b"handles.journal.new"


class HandleJournal:
    """One server's journal.  `open` comes first; `is_writable` tells whether it takes records."""

    def __init__(self, scheduler: Scheduler, directory: str) -> None:
        """`directory` is the server's own state directory."""
        self.is_writable = False
        self._scheduler = scheduler
        self._path = directory
        self._directory: Handle | None = None
        self._file: Handle | None = None
        self._size = 0
        self._live: dict[int, bytes] = {}
        self._live_bytes = 0
        self._queued: list[bytes] = []
        self._waiting: list[Parking] = []
        self._is_writing = False

    def __len__(self) -> int:
        return len(self._live)

    async def open(self) -> dict[int, bytes]:
        """Read what an earlier run of the server left.  Result: the records by persistent id, for whom `restored` tells
        which of them stay.  OSError when there can be no journal."""
        self._directory = await OpenAt(None, os.fsencode(self._path), os.O_RDONLY | os.O_DIRECTORY)
        contents = await self._read()
        if contents.is_damaged:
            log.error(
                "%s/%s is damaged after %d bytes: handles that are recorded behind are lost",
                self._path, os.fsdecode(NAME), contents.bytes_read,
            )  # fmt: skip
        return contents.records

    async def restored(self, kept: dict[int, bytes]) -> None:
        """Begin a new journal with the records that are still good.  OSError when it cannot be written."""
        self._live = dict(kept)
        self._live_bytes = sum(len(encode_entry(EntryKind.PUT, *record)) for record in kept.items())
        await self._write_anew()
        self.is_writable = True

    async def put(self, persistent: int, payload: bytes) -> bool:
        """Record a handle as it is now.  Result: whether that is on disk."""
        if not self.is_writable:
            return False
        if len(payload) > limits.JOURNAL_ENTRY_BYTES_MAX:
            await self.drop(persistent)
            return False
        if self._live.get(persistent) != payload:
            self._forget(persistent)
            entry = encode_entry(EntryKind.PUT, persistent, payload)
            self._live[persistent] = payload
            self._live_bytes += len(entry)
            self._queued.append(entry)
        return await self._flush()

    async def drop(self, persistent: int) -> None:
        """A handle is gone: there is nothing to come back to, whether this is on disk or not."""
        if persistent in self._live and self.is_writable:
            self._forget(persistent)
            self._queued.append(encode_entry(EntryKind.DROP, persistent))
            await self._flush()

    async def close(self) -> None:
        """End it; what is recorded stays for the next run."""
        self.is_writable = False
        for handle in (self._file, self._directory):
            if handle is not None:
                await CloseHandle(handle)
        self._file = self._directory = None

    def _forget(self, persistent: int) -> None:
        former = self._live.pop(persistent, None)
        if former is not None:
            self._live_bytes -= len(encode_entry(EntryKind.PUT, persistent, former))

    async def _flush(self) -> bool:
        """Have everything that is queued on disk: by oneself, or by who writes already."""
        if self._is_writing:
            parking = Parking(self._scheduler)
            self._waiting.append(parking)
            return bool(await parking)
        self._is_writing = True
        is_on_disk = await self._write_queued()
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            others_are = await self._write_queued()
            for parking in waiting:
                parking.wake(others_are)
        self._is_writing = False
        return is_on_disk

    async def _write_queued(self) -> bool:
        if not self._queued:
            return self.is_writable
        queued, self._queued = b"".join(self._queued), []
        try:
            if self._size + len(queued) > max(limits.JOURNAL_BYTES_MIN, 4 * self._live_bytes):
                await self._write_anew()
                return True
            assert self._file is not None
            await WriteAt(self._file, self._size, queued)
            self._size += len(queued)
            await Synchronize(self._file, data_only=True)
        except OSError as error:
            if self.is_writable:
                self.is_writable = False
                log.error("%s: persistent handles are recorded no longer: %s", self._path, error.strerror)
            return False
        return self.is_writable

    async def _read(self) -> JournalContents:
        assert self._directory is not None
        try:
            handle = await OpenAt(self._directory, NAME, os.O_RDONLY)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return JournalContents()
            raise
        try:
            size = (await Stat(handle)).size
            data = bytearray()
            while len(data) < size:
                part = await ReadAt(handle, len(data), min(size - len(data), limits.MIB))
                if not part:
                    break
                data += part
            return read_journal(bytes(data))
        finally:
            await CloseHandle(handle)

    async def _write_anew(self) -> None:
        """Put a journal of nothing but live records in the place of the old one."""
        directory = self._directory
        assert directory is not None
        data = MAGIC + b"".join(encode_entry(EntryKind.PUT, *record) for record in self._live.items())
        try:
            await Unlink(directory, NEW_NAME, is_directory=False)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
        file = await OpenAt(directory, NEW_NAME, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            await WriteAt(file, 0, data)
            await Synchronize(file)
            await Rename(directory, NEW_NAME, directory, NAME)
            await Synchronize(directory)
        except BaseException:
            await CloseHandle(file)
            raise
        former, self._file, self._size = self._file, file, len(data)
        if former is not None:
            await CloseHandle(former)
