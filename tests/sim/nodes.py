"""Inodes of the simulated kernel: their data, their names, and who may do what with them.

Knows: Unix permission rules and how file data takes up space.  Must not know: paths, handles, effects.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field

from smbd_uring.ports import Credentials, FileStatus, RangeLock

PAGE_BYTES = 4096
FILE_BYTES_MAX = 1 << 44
"""ext4's 16 TiB."""


def failure(number: int) -> OSError:
    """What a system call that fails with `number` raises."""
    return OSError(number, os.strerror(number))


@dataclass(eq=False, slots=True)
class Space:
    """The disk's pages and how many of them are taken."""

    pages_total: int
    pages_used: int = 0

    def take(self, pages: int) -> None:
        if pages > self.pages_total - self.pages_used:
            raise failure(errno.ENOSPC)
        self.pages_used += pages

    def give_back(self, pages: int) -> None:
        self.pages_used -= pages
        assert self.pages_used >= 0


@dataclass(slots=True)
class HeldRange:
    """Bytes [start, end) that an open file, or a process, has locked."""

    owner: object
    start: int
    end: int
    kind: RangeLock


@dataclass(eq=False, slots=True)
class Node:
    """One inode.  A directory has `entries`, a symlink `target`, a file sparse `pages` by index and a `size`."""

    inode: int
    mode: int
    uid: int
    gid: int
    now_ns: int
    link_count: int = 1
    entries: dict[bytes, Node] = field(default_factory=dict)
    parent: Node | None = None
    target: bytes = b""
    pages: dict[int, bytearray] = field(default_factory=dict)
    size: int = 0
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    open_count: int = 0
    ranges: list[HeldRange] = field(default_factory=list)
    accessed_ns: int = 0
    modified_ns: int = 0
    changed_ns: int = 0

    def __post_init__(self) -> None:
        self.accessed_ns = self.modified_ns = self.changed_ns = self.now_ns

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_symlink(self) -> bool:
        return stat.S_ISLNK(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    def status(self, device: int) -> FileStatus:
        """As statx tells it."""
        size = PAGE_BYTES if self.is_directory else len(self.target) if self.is_symlink else self.size
        return FileStatus(
            device, self.inode, self.mode, self.link_count, self.uid, self.gid, size,
            len(self.pages) * PAGE_BYTES, self.accessed_ns, self.modified_ns, self.changed_ns, self.now_ns,
        )  # fmt: skip

    def touch(self, now_ns: int) -> None:
        """The contents changed."""
        self.modified_ns = self.changed_ns = now_ns

    # --- data ----------------------------------------------------------------------------------------------------

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of [offset, offset + length) as far as the file goes; holes are zeros."""
        end = min(offset + length, self.size)
        parts: list[bytes] = []
        while offset < end:
            index, start = divmod(offset, PAGE_BYTES)
            count = min(PAGE_BYTES - start, end - offset)
            page = self.pages.get(index)
            parts.append(bytes(count) if page is None else bytes(page[start : start + count]))
            offset += count
        return b"".join(parts)

    def write(self, offset: int, data: bytes, space: Space) -> None:
        """Write at `offset`; pages that fit on the disk are written before ENOSPC is raised."""
        if not 0 <= len(data) <= FILE_BYTES_MAX - offset:
            raise failure(errno.EFBIG)
        done = 0
        while done < len(data):
            index, start = divmod(offset + done, PAGE_BYTES)
            count = min(PAGE_BYTES - start, len(data) - done)
            self._page(index, space)[start : start + count] = data[done : done + count]
            done += count
            self.size = max(self.size, offset + done)

    def resize(self, size: int, space: Space) -> None:
        """Cut or extend by a hole."""
        if size > FILE_BYTES_MAX:
            raise failure(errno.EFBIG)
        if size < self.size:
            self.clear(size, self.size, space)
        self.size = size

    def clear(self, start: int, end: int, space: Space) -> None:
        """Make [start, end) a hole as far as whole pages go, and zeros in the rest."""
        for index in [index for index in self.pages if index * PAGE_BYTES < end]:
            first, last = max(start - index * PAGE_BYTES, 0), min(end - index * PAGE_BYTES, PAGE_BYTES)
            beyond = (index + 1) * PAGE_BYTES >= self.size and end >= self.size
            if first >= PAGE_BYTES:
                continue
            if first == 0 and (last == PAGE_BYTES or beyond):
                del self.pages[index]
                space.give_back(1)
            else:
                self.pages[index][first:last] = bytes(last - first)

    def reserve(self, start: int, end: int, space: Space) -> None:
        """Give every page of [start, end) a place on the disk, or none when they do not all fit."""
        first, last = start // PAGE_BYTES, -(-end // PAGE_BYTES)
        held = sum(1 for index in self.pages if first <= index < last)
        space.take(last - first - held)
        for index in range(first, last):
            self.pages.setdefault(index, bytearray(PAGE_BYTES))

    def free(self, space: Space) -> None:
        """Give the data back once no name and no handle is left."""
        if self.link_count == 0 and self.open_count == 0:
            space.give_back(len(self.pages))
            self.pages.clear()

    def _page(self, index: int, space: Space) -> bytearray:
        page = self.pages.get(index)
        if page is None:
            space.take(1)
            page = self.pages[index] = bytearray(PAGE_BYTES)
        return page

    # --- permissions ---------------------------------------------------------------------------------------------

    def allows(self, who: Credentials, access: int) -> bool:
        """Whether `who` may read, write and/or execute (R_OK | W_OK | X_OK); root may, but executes only what
        somebody could execute."""
        if who.uid == 0:
            return not access & os.X_OK or self.is_directory or bool(self.mode & 0o111)
        if who.uid == self.uid:
            granted = self.mode >> 6
        elif self.gid == who.gid or self.gid in who.groups:
            granted = self.mode >> 3
        else:
            granted = self.mode
        return access & ~granted & 0o7 == 0

    def require(self, who: Credentials, access: int) -> None:
        """EACCES unless `who` is allowed `access`."""
        if not self.allows(who, access):
            raise failure(errno.EACCES)

    def is_owned_by(self, who: Credentials) -> bool:
        return who.uid in (0, self.uid)

    def is_ancestor_of(self, other: Node) -> bool:
        """Whether this directory is `other` or above it."""
        node: Node | None = other
        while node is not None:
            if node is self:
                return True
            node = node.parent
        return False
