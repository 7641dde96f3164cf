"""The simulated kernel's tables: the clock, the disk, inodes and open files.

Knows: what the calls share.  Must not know: any call.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from dataclasses import dataclass

from smbd_uring.ports import Credentials, Handle
from tests.sim.change_log import ChangeLog
from tests.sim.nodes import PAGE_BYTES, Node, Space, failure

SERVER = Credentials(0, 0)
"""Who performs an effect without credentials."""

EPOCH_NS = 1_700_000_000_000_000_000


@dataclass(eq=False, slots=True)
class OpenFile:
    """What a handle stands for."""

    node: Node
    flags: int

    @property
    def is_path(self) -> bool:
        return bool(self.flags & os.O_PATH)

    @property
    def reads(self) -> bool:
        return not self.is_path and self.flags & os.O_ACCMODE in (os.O_RDONLY, os.O_RDWR)

    @property
    def writes(self) -> bool:
        return not self.is_path and self.flags & os.O_ACCMODE in (os.O_WRONLY, os.O_RDWR)


class Machine:
    """One machine's files.  `open_files` must be empty again when everything is closed."""

    device = 0x51

    def __init__(self, capacity: int, has_xattrs: bool, has_watches: bool) -> None:
        self.now_ns = EPOCH_NS
        self.space = Space(capacity // PAGE_BYTES)
        self.has_xattrs = has_xattrs
        self.has_watches = has_watches
        self.open_files: dict[Handle, OpenFile] = {}
        self.calls: Counter[str] = Counter()
        self.watches: dict[int, tuple[Node, set[bytes]]] = {}
        """By number: the directory and the names that were told of."""
        self.watches_ended: list[int] = []
        self.next_watch = 1
        self.changes = ChangeLog()
        self.kernel_leases: dict[Handle, bool] = {}
        """By the handle that holds one: whether it is exclusive."""
        self._next_handle = 3
        self._next_inode = 1
        self.root = self.new_node(0o040755, SERVER)
        self.root.link_count = 2

    def new_node(self, mode: int, owner: Credentials) -> Node:
        """A fresh inode that has no name yet."""
        self._next_inode += 1
        return Node(self._next_inode, mode, owner.uid, owner.gid, self.now_ns)

    def new_handle(self, node: Node, flags: int) -> Handle:
        """Open `node`.  Numbers are never used twice, so that a stale handle is always noticed."""
        handle = Handle(self._next_handle)
        self._next_handle += 1
        node.open_count += 1
        self.open_files[handle] = OpenFile(node, flags)
        return handle

    def file(self, handle: Handle) -> OpenFile:
        """The open file behind a handle; EBADF when there is none."""
        opened = self.open_files.get(handle)
        if opened is None:
            raise failure(errno.EBADF)
        return opened

    def directory(self, handle: Handle) -> Node:
        """The directory behind a handle; ENOTDIR when it is something else."""
        node = self.file(handle).node
        if not node.is_directory:
            raise failure(errno.ENOTDIR)
        return node
