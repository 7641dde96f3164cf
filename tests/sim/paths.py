"""Path resolution of the simulated kernel, as openat2(2) with RESOLVE_BENEATH and its relatives does it.

Knows: components, symlinks, permission to search.  Must not know: handles, what is done at the end of the path.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from smbd_uring.ports import Credentials
from tests.sim.nodes import Node, failure

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_KNOWN = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH

PATH_BYTES_MAX = 4095
NAME_BYTES_MAX = 255
SYMLINKS_MAX = 40


@dataclass(slots=True)
class Resolved:
    """Where a path ends: the directory, the last name in it ("" when the path ends in a directory by itself, as "."
    does) and what has that name."""

    directory: Node
    name: bytes
    node: Node | None
    must_be_directory: bool


class Walk:
    """One resolution from `start` on behalf of `who`; `root` is where absolute paths begin, `creates` says
    that a file shall be made at the end."""

    def __init__(self, start: Node, root: Node, who: Credentials, resolve: int = 0, creates: bool = False) -> None:
        if resolve & ~RESOLVE_KNOWN:
            raise failure(errno.EINVAL)
        self._start = start
        self._root = root
        self._who = who
        self._beneath = bool(resolve & RESOLVE_BENEATH)
        self._no_symlinks = bool(resolve & RESOLVE_NO_SYMLINKS)
        self._creates = creates
        self._symlinks = 0

    def run(self, path: bytes, follow_last: bool) -> Resolved:
        """Resolve `path`; the last component need not exist."""
        if not path:
            raise failure(errno.ENOENT)
        if len(path) > PATH_BYTES_MAX:
            raise failure(errno.ENAMETOOLONG)
        return self._from(self._start, path, follow_last)

    def _from(self, directory: Node, path: bytes, follow_last: bool) -> Resolved:
        if path.startswith(b"/"):
            if self._beneath:
                raise failure(errno.EXDEV)
            directory = self._root
        pending = [component for component in path.split(b"/") if component]
        trailing_slash = path.endswith(b"/")
        while pending:
            component = pending.pop(0)
            if not directory.is_directory:
                raise failure(errno.ENOTDIR)
            directory.require(self._who, os.X_OK)
            if component == b"..":
                directory = self._up(directory)
                continue
            if component == b".":
                continue
            last = not pending
            if last and trailing_slash and self._creates:
                raise failure(errno.EISDIR)
            node = lookup(directory, component)
            if node is not None and node.is_symlink and (not last or follow_last or trailing_slash):
                self._count_symlink()
                if node.target.startswith(b"/"):
                    if self._beneath:
                        raise failure(errno.EXDEV)
                    directory = self._root
                pending = [part for part in node.target.split(b"/") if part] + pending
                trailing_slash = trailing_slash or (last and node.target.endswith(b"/"))
                continue
            if last:
                return Resolved(directory, component, node, trailing_slash)
            if node is None:
                raise failure(errno.ENOENT)
            directory = node
        return Resolved(directory, b"", directory, trailing_slash)

    def _up(self, directory: Node) -> Node:
        if self._beneath and directory is self._start:
            raise failure(errno.EXDEV)
        return directory.parent or directory

    def _count_symlink(self) -> None:
        self._symlinks += 1
        if self._no_symlinks or self._symlinks > SYMLINKS_MAX:
            raise failure(errno.ELOOP)


def lookup(directory: Node, name: bytes) -> Node | None:
    """The entry of one name; ENAMETOOLONG when no entry could have it."""
    if len(name) > NAME_BYTES_MAX:
        raise failure(errno.ENAMETOOLONG)
    return directory.entries.get(name)
