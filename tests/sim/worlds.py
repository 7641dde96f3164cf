"""Two worlds to test files in, the simulated and the real, with the same knobs.

Knows: how to prepare and inspect files behind the tested code's back.  Must not know: what is tested.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol, TypeVar

from smbd_uring.loop import syscalls
from smbd_uring.ports import CheckRangeLock, CloseHandle, Credentials, Effect, Handle, OpenAt, RangeLock, SetRangeLock
from tests.sim import lock_calls
from tests.sim.kernel import Kernel, run_effects

Answer = TypeVar("Answer")


class World(Protocol):
    """Paths are relative to the world's top; times do not matter."""

    opens: int
    """Handles that are open now, the top's own included."""

    def perform(self, effect: Effect[Any]) -> Any: ...
    def top(self) -> str: ...
    def add_directory(self, path: str, mode: int = 0o755, uid: int = 0) -> None: ...
    def add_file(self, path: str, data: bytes = b"", mode: int = 0o644, uid: int = 0) -> None: ...
    def add_symlink(self, path: str, target: str) -> None: ...
    def add_link(self, path: str, other: str) -> None: ...
    def set_xattr(self, path: str, name: str, value: bytes) -> None: ...
    def xattr(self, path: str, name: str) -> bytes | None: ...
    def names(self, path: str = "") -> list[str]: ...
    def data(self, path: str) -> bytes: ...
    def mode(self, path: str) -> int: ...
    def owner(self, path: str) -> int: ...
    def hold_range(self, path: str, offset: int, length: int, is_exclusive: bool) -> Callable[[], None]: ...
    def is_range_free(self, path: str, offset: int, length: int, for_writing: bool) -> bool: ...


class CountingOpens:
    """Counts handles as they come and go, by their effects."""

    opens = 0

    def count(self, effect: Effect[Any], result: Any) -> None:
        if isinstance(effect, CloseHandle):
            self.opens -= 1
        elif type(effect).__name__ in ("OpenAt", "LookUp", "CreateFile", "Reopen"):
            self.opens += 1


def run(world: World, coroutine: Coroutine[Any, Any, Answer]) -> Answer:
    """Run a coroutine of the file layer in a world."""
    return run_effects(coroutine, world.perform)


def open_top(world: World) -> Handle:
    """An O_PATH handle on the world's top."""
    handle: Handle = world.perform(OpenAt(None, os.fsencode(world.top()), os.O_PATH | os.O_DIRECTORY))
    return handle


class SimulatedWorld(CountingOpens):
    """The simulated kernel, below its /share, beside which lies /outside.  Names are watched only where a test says
    so: a file layer that is used in several worlds must not remember one in another."""

    def __init__(self, has_xattrs: bool = True, has_watches: bool = False) -> None:
        self.kernel = Kernel(has_xattrs=has_xattrs, has_watches=has_watches)
        self.kernel.add_directory("/share", 0o777)
        self.kernel.add_directory("/outside", 0o777)

    def perform(self, effect: Effect[Any]) -> Any:
        result = self.kernel.perform(effect)
        self.count(effect, result)
        return result

    def top(self) -> str:
        return "/share"

    def give_all_to(self, owner: Credentials) -> None:
        """Make everything belong to one user, as in a real world that an unprivileged process has built."""
        pending = [self.kernel.root]
        while pending:
            node = pending.pop()
            node.uid, node.gid = owner.uid, owner.gid
            pending += node.entries.values()

    def add_directory(self, path: str, mode: int = 0o755, uid: int = 0) -> None:
        self.kernel.add_directory(f"/share/{path}", mode, uid, uid)

    def add_file(self, path: str, data: bytes = b"", mode: int = 0o644, uid: int = 0) -> None:
        self.kernel.add_file(f"/share/{path}", data, mode, uid, uid)

    def add_symlink(self, path: str, target: str) -> None:
        self.kernel.add_symlink(f"/share/{path}", target)

    def add_link(self, path: str, other: str) -> None:
        parent, _, name = f"/share/{path}".rpartition("/")
        node = self.kernel.node(f"/share/{other}")
        self.kernel.node(parent).entries[name.encode()] = node
        node.link_count += 1

    def set_xattr(self, path: str, name: str, value: bytes) -> None:
        self.kernel.node(f"/share/{path}").xattrs[name.encode()] = value

    def xattr(self, path: str, name: str) -> bytes | None:
        return self.kernel.node(f"/share/{path}").xattrs.get(name.encode())

    def names(self, path: str = "") -> list[str]:
        return sorted(os.fsdecode(name) for name in self.kernel.node(f"/share/{path}").entries)

    def data(self, path: str) -> bytes:
        node = self.kernel.node(f"/share/{path}")
        return node.read(0, node.size)

    def mode(self, path: str) -> int:
        return self.kernel.node(f"/share/{path}").mode & 0o7777

    def owner(self, path: str) -> int:
        return self.kernel.node(f"/share/{path}").uid

    def hold_range(self, path: str, offset: int, length: int, is_exclusive: bool) -> Callable[[], None]:
        """Lock bytes as a local program does.  Result: what unlocks them."""
        node, program, kind = self.kernel.node(f"/share/{path}"), object(), _kind(is_exclusive)
        assert lock_calls.hold(node, program, offset, offset + length, kind), "somebody else has it"

        def release() -> None:
            lock_calls.hold(node, program, offset, offset + length, RangeLock.NONE)

        return release

    def is_range_free(self, path: str, offset: int, length: int, for_writing: bool) -> bool:
        """Whether a local program could lock these bytes."""
        node = self.kernel.node(f"/share/{path}")
        return not lock_calls.is_in_the_way(node, None, offset, offset + length, _kind(for_writing))


class RealWorld(CountingOpens):
    """The machine's own kernel, below `base`/share, beside which lies `base`/outside.  Effects run as system calls;
    where the process may not change identity they run as itself."""

    def __init__(self, base: Path) -> None:
        self.share = base / "share"
        for directory in (self.share, base / "outside"):
            directory.mkdir()
            directory.chmod(0o777)

    def perform(self, effect: Effect[Any]) -> Any:
        result = syscalls.perform(effect)
        self.count(effect, result)
        return result

    def top(self) -> str:
        return str(self.share)

    def add_directory(self, path: str, mode: int = 0o755, uid: int = 0) -> None:
        (self.share / path).mkdir()
        self._own(path, mode, uid)

    def add_file(self, path: str, data: bytes = b"", mode: int = 0o644, uid: int = 0) -> None:
        (self.share / path).write_bytes(data)
        self._own(path, mode, uid)

    def add_symlink(self, path: str, target: str) -> None:
        (self.share / path).symlink_to(target)

    def add_link(self, path: str, other: str) -> None:
        (self.share / path).hardlink_to(self.share / other)

    def set_xattr(self, path: str, name: str, value: bytes) -> None:
        os.setxattr(self.share / path, name, value)

    def xattr(self, path: str, name: str) -> bytes | None:
        try:
            return os.getxattr(self.share / path, name)
        except OSError:
            return None

    def names(self, path: str = "") -> list[str]:
        return sorted(os.listdir(self.share / path))

    def data(self, path: str) -> bytes:
        return (self.share / path).read_bytes()

    def mode(self, path: str) -> int:
        return (self.share / path).stat().st_mode & 0o7777

    def owner(self, path: str) -> int:
        return (self.share / path).stat().st_uid

    def hold_range(self, path: str, offset: int, length: int, is_exclusive: bool) -> Callable[[], None]:
        """Lock bytes as a local program does.  Result: what unlocks them."""
        program = Handle(os.open(self.share / path, os.O_RDWR | os.O_CLOEXEC))
        assert syscalls.perform(SetRangeLock(program, offset, length, _kind(is_exclusive))), "somebody else has it"
        return lambda: os.close(program)

    def is_range_free(self, path: str, offset: int, length: int, for_writing: bool) -> bool:
        """Whether a local program could lock these bytes."""
        program = Handle(os.open(self.share / path, os.O_RDWR | os.O_CLOEXEC))
        try:
            return not syscalls.perform(CheckRangeLock(program, offset, length, _kind(for_writing)))
        finally:
            os.close(program)

    def _own(self, path: str, mode: int, uid: int) -> None:
        if os.geteuid() == 0:
            os.chown(self.share / path, uid, uid)
        (self.share / path).chmod(mode)


def _kind(is_exclusive: bool) -> RangeLock:
    return RangeLock.EXCLUSIVE if is_exclusive else RangeLock.SHARED
