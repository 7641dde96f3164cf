"""A client that watches a folder, and programs on the server's machine that change what is in it.

Knows: CHANGE_NOTIFY, effects on files.  Must not know: what a test is about.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from smbd_uring.ports import (
    CloseHandle,
    Credentials,
    Handle,
    MakeDirectory,
    OpenAt,
    Rename,
    SetMode,
    Unlink,
    WriteAt,
)
from smbd_uring.wire.const import AccessMask, CreateOptions
from smbd_uring.wire.fscc import NotifyAction, decode_notify_information
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.query import ChangeNotifyResponse
from tests.engine.servers import TestedServer
from tests.support.client_messages import Reply
from tests.support.file_client import FileClient, Messages

EVERYTHING = 0xFFF
NAMES = 0x003
LENGTH = 1 << 16

Event = tuple[str, str]
"""An action's name and a path."""


def events_in(reply: Reply) -> list[Event]:
    """What an answer tells."""
    buffer = reply.expect(ChangeNotifyResponse).buffer
    return [(NotifyAction(action).name, name) for action, name in decode_notify_information(bytes(buffer))]


class Watch:
    """One handle on a folder and its requests, one at a time."""

    def __init__(
        self, client: FileClient, folder: str = "", *, tree: bool = False, completion_filter: int = EVERYTHING,
        size: int = LENGTH,
    ) -> None:  # fmt: skip
        self.client = client
        self.file_id = client.open(
            folder, AccessMask.GENERIC_READ, options=CreateOptions.FILE_DIRECTORY_FILE
        )
        self._tree = tree
        self._filter = completion_filter
        self._size = size
        self._asked: int | None = None
        self.ask()
        self.client.wait_for_interim(self._pending())

    def ask(self, size: int | None = None) -> None:
        """Send the next request."""
        assert self._asked is None
        (self._asked,) = self.client.send(
            Messages.change_notify(
                self.file_id, size=self._size if size is None else size, tree=self._tree,
                completion_filter=self._filter,
            )
        )

    def answer(self) -> Reply:
        """The answer to the request that was sent, which must come."""
        asked, self._asked = self._pending(), None
        return self.client.wait_for(asked)

    def collect(self, count: int) -> list[Event]:
        """The next `count` events, in as many answers as it takes."""
        events: list[Event] = []
        while len(events) < count:
            if self._asked is None:
                self.ask()
            events += events_in(self.answer())
        return events

    def rest(self) -> list[Event] | None:
        """What there is to tell, asked for and cancelled; None for "look for yourself"."""
        first = None
        if self._asked is None:
            self.ask()
            first = self.client.wait_for_first(self._pending())
        if first is None or first.is_interim:
            self.client.cancel(self._pending())
            reply = self.answer()
        else:
            reply, self._asked = first, None
        if reply.status == NtStatus.NOTIFY_ENUM_DIR:
            return None
        return [] if reply.status == NtStatus.CANCELLED else events_in(reply)

    def _pending(self) -> int:
        assert self._asked is not None
        return self._asked


class LocalPrograms:
    """Changes files below the share of a server, as root, without the server."""

    def __init__(self, server: TestedServer) -> None:
        self._perform = server.files.perform
        self._top = os.fsencode(server.files.top())

    def make_file(self, path: str, data: bytes = b"") -> None:
        """Make a file; write to it when there is `data`."""
        with self._open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666) as handle:
            if data:
                self._perform(WriteAt(handle, 0, data))

    def write(self, path: str, data: bytes) -> None:
        """Write to the beginning of a file that is there."""
        with self._open(path, os.O_WRONLY) as handle:
            self._perform(WriteAt(handle, 0, data))

    def set_mode(self, path: str, mode: int) -> None:
        """chmod."""
        with self._open(path, os.O_RDONLY) as handle:
            self._perform(SetMode(handle, mode))

    def make_folder(self, path: str) -> None:
        """mkdir."""
        with self._parent(path) as (parent, name):
            self._perform(MakeDirectory(parent, name, 0o777))

    def remove(self, path: str, *, folder: bool = False) -> None:
        """unlink or rmdir."""
        with self._parent(path) as (parent, name):
            self._perform(Unlink(parent, name, folder))

    def rename(self, old: str, new: str) -> None:
        """rename."""
        with self._parent(old) as (old_parent, old_name), self._parent(new) as (new_parent, new_name):
            self._perform(Rename(old_parent, old_name, new_parent, new_name))

    @contextmanager
    def _open(self, path: str, flags: int, mode: int = 0) -> Iterator[Handle]:
        handle: Handle = self._perform(OpenAt(None, self._top + b"/" + path.encode(), flags, mode, 0, ROOT))
        try:
            yield handle
        finally:
            self._perform(CloseHandle(handle))

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[Handle, bytes]]:
        folder, _, name = path.rpartition("/")
        with self._open(folder or ".", os.O_PATH | os.O_DIRECTORY) as handle:
            yield handle, name.encode()


ROOT = Credentials(0, 0)
