"""The simulated kernel and the real one, given the same calls, give the same results and the same errnos."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smbd_uring.loop.identity import may_switch
from smbd_uring.ports import (
    Allocate,
    CheckAccess,
    CheckRangeLock,
    CloseHandle,
    CreateFile,
    Credentials,
    Describe,
    DescribeAt,
    DirectoryEntry,
    Effect,
    FileStatus,
    GetXattr,
    Handle,
    Link,
    ListDirectory,
    LookUp,
    MakeDirectory,
    OpenAt,
    RangeLock,
    ReadAt,
    Remove,
    Rename,
    Reopen,
    SetMode,
    SetRangeLock,
    SetTimes,
    SetXattr,
    Stat,
    StatEntries,
    Synchronize,
    Truncate,
    Unlink,
    Visit,
    WriteAt,
)
from tests.sim.worlds import RealWorld, SimulatedWorld, World, open_top

NAMES = [b"a", b"b", b"C", b"link", b"out", b"up", b"loop", b"x" * 255, b"y" * 256]
PATHS = [*NAMES, b".", b"a/b", b"b/a", b"a/b/C", b"../share/a", b"a/..", b"link/a", b"out/a", b"a/../..", b"a/",
         b"dangling", b"/etc", b"up/a"]  # fmt: skip
WHO = [Credentials(0, 0), Credentials(1000, 1000), Credentials(1001, 1001, (1000,)), Credentials(1002, 1002)]
ACCESS = [os.O_RDONLY, os.O_WRONLY, os.O_RDWR]
FLAGS = [0, os.O_DIRECTORY, os.O_NOFOLLOW, os.O_TRUNC, os.O_CREAT, os.O_CREAT | os.O_EXCL,
         os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, os.O_PATH, os.O_PATH | os.O_NOFOLLOW,
         os.O_PATH | os.O_DIRECTORY]  # fmt: skip
RESOLVE = [0x0A, 0x0A, 0x0A, 0x0E]
MODES = [0o777, 0o755, 0o700, 0o070, 0o1777, 0o644, 0o600, 0o000, 0o2775]

slots = st.integers(0, 7)
names = st.sampled_from(NAMES)
MYSELF = Credentials(os.geteuid(), os.getegid(), tuple(os.getgroups()))
credentials = st.sampled_from(WHO) if may_switch() else st.just(MYSELF)
modes = st.sampled_from(MODES)
access_modes = st.sampled_from(ACCESS)
offsets = st.sampled_from([0, 1, 5, 4095, 4096, 10000])
lengths = st.sampled_from([0, 1, 7, 4096, 9000])
writes = st.builds(lambda byte, count: bytes([byte]) * count, st.integers(1, 255), st.sampled_from([1, 7, 4096, 9000]))
times = st.sampled_from([None, 0, 10**18, 1_700_000_000_123_456_789])


@st.composite
def calls(draw: st.DrawFn) -> tuple[Any, ...]:
    """One call: the kind of effect, its arguments with slots (small numbers) in place of handles."""
    who = draw(credentials)
    slot, other = draw(slots), draw(slots)
    choices: dict[type[Effect[Any]], Any] = {
        OpenAt: lambda: (slot, draw(st.sampled_from(PATHS)), draw(access_modes) | draw(st.sampled_from(FLAGS)),
                         draw(modes) & 0o777, draw(st.sampled_from(RESOLVE)), who),
        LookUp: lambda: (slot, draw(st.sampled_from(PATHS)),
                         draw(st.sampled_from([os.O_PATH, os.O_PATH | os.O_NOFOLLOW, os.O_RDONLY | os.O_DIRECTORY])),
                         draw(st.sampled_from(RESOLVE)), draw(st.sampled_from([b"user.t", b""])), who),
        Visit: lambda: (slot, draw(st.sampled_from(PATHS)),
                        draw(st.sampled_from([os.O_PATH | os.O_DIRECTORY, os.O_RDONLY | os.O_DIRECTORY])),
                        draw(st.sampled_from(RESOLVE)), draw(st.integers(0, 7)), who),
        CreateFile: lambda: (slot, draw(st.sampled_from(PATHS)), os.O_RDWR | os.O_NOFOLLOW, draw(modes) & 0o777,
                             draw(st.sampled_from(RESOLVE)), draw(st.sampled_from([b"user.t", b""])), b"v", who),
        Describe: lambda: (slot, draw(st.sampled_from([b"user.t", b""])), who),
        DescribeAt: lambda: (slot, draw(st.sampled_from(PATHS)), draw(st.sampled_from(RESOLVE)),
                             draw(st.sampled_from([b"user.t", b""])), who),
        Remove: lambda: (slot, draw(st.sampled_from([b"", b"a", *PATHS])), draw(st.sampled_from(RESOLVE)), draw(names),
                         draw(names), draw(st.booleans()), who),
        Reopen: lambda: (slot, draw(access_modes) | draw(st.sampled_from(
            [0, 0, os.O_DIRECTORY, os.O_TRUNC, os.O_PATH])), who),
        CloseHandle: lambda: (slot,),
        ReadAt: lambda: (slot, draw(offsets), draw(lengths)),
        WriteAt: lambda: (slot, draw(offsets), draw(writes)),
        Synchronize: lambda: (slot, draw(st.booleans())),
        SetRangeLock: lambda: (slot, draw(offsets), draw(lengths), draw(st.sampled_from(RangeLock))),
        CheckRangeLock: lambda: (slot, draw(offsets), draw(lengths),
                                draw(st.sampled_from([RangeLock.SHARED, RangeLock.EXCLUSIVE]))),
        Stat: lambda: (slot, draw(st.sampled_from([b"", *NAMES])), who),
        CheckAccess: lambda: (slot, draw(st.integers(0, 7)), who),
        Truncate: lambda: (slot, draw(offsets)),
        Allocate: lambda: (slot, draw(st.sampled_from([0, 1, 3])), draw(offsets), draw(lengths)),
        MakeDirectory: lambda: (slot, draw(names), draw(modes), who),
        Unlink: lambda: (slot, draw(names), draw(st.booleans()), who),
        Rename: lambda: (slot, draw(names), other, draw(names), draw(st.sampled_from([0, 1])), who),
        Link: lambda: (slot, draw(names), other, draw(names), who),
        SetTimes: lambda: (slot, draw(times), draw(times), who),
        SetMode: lambda: (slot, draw(modes), who),
        GetXattr: lambda: (slot, b"user.t", who),
        SetXattr: lambda: (slot, b"user.t", draw(st.binary(max_size=8)), who),
        ListDirectory: lambda: (slot,),
        StatEntries: lambda: (slot, tuple(NAMES[:8]), b"user.t", who),
    }  # fmt: skip
    # Opens and names come more often: without them the other calls have little to work on.
    kinds = [*choices, OpenAt, OpenAt, OpenAt, MakeDirectory, MakeDirectory, Rename, Unlink, Link, LookUp, Remove]
    kind = draw(st.sampled_from(kinds))
    return (kind, *choices[kind]())


HANDLE_ARGUMENTS = {Rename: (0, 2), Link: (0, 2)}


class Run:
    """One of the two worlds with the handles of this run."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.handles: list[Handle] = [open_top(world)]
        self.flags: list[int] = [os.O_PATH]

    def do(self, call: tuple[Any, ...]) -> tuple[Any, ...]:
        """Make one call: ("ok", what it said) or ("failed", errno)."""
        kind, *arguments = call
        index = arguments[0] % len(self.handles)
        if kind is CloseHandle and index == 0:
            return ("the top stays open",)
        if kind is ListDirectory and self.flags[index] & os.O_PATH:
            return ("drivers may list it or not: only handles open for reading are promised",)
        for position in HANDLE_ARGUMENTS.get(kind, (0,)):
            arguments[position] = self.handles[arguments[position] % len(self.handles)]
        if kind is Remove:
            arguments[4] = self._identity(arguments[0], arguments[1], arguments[4])
        try:
            result = self.world.perform(kind(*arguments))
        except OSError as error:
            return ("failed", errno.errorcode[error.errno or 0])
        if kind in (LookUp, CreateFile):
            self.handles.append(result.handle)
            self.flags.append(call[3])
            return ("ok", comparable(result[1:]))
        if kind in (OpenAt, Reopen):
            self.handles.append(result)
            self.flags.append(call[3] if kind is OpenAt else call[2])
            return ("ok", "opened")
        if kind is CloseHandle:
            del self.handles[index], self.flags[index]
        if kind is StatEntries:
            return ("ok", comparable(list(result)))
        return ("ok", comparable(result))

    def _identity(self, directory: Handle, path: bytes, name: bytes) -> tuple[int, int]:
        """Of the file with this name there, if there is one."""
        try:
            parent = self.world.perform(OpenAt(directory, path or b".", os.O_PATH | os.O_DIRECTORY))
        except OSError:
            return (0, 0)
        try:
            identity: tuple[int, int] = self.world.perform(Stat(parent, name)).identity
            return identity
        except OSError:
            return (0, 0)
        finally:
            self.world.perform(CloseHandle(parent))

    def close(self) -> None:
        for handle in self.handles:
            self.world.perform(CloseHandle(handle))
        assert self.world.opens == 0


def comparable(result: Any) -> Any:
    """What two kernels must agree on: not inode numbers, block counts, clocks, or how a directory is stored."""
    if isinstance(result, FileStatus):
        is_directory = stat.S_ISDIR(result.mode)
        own = None if is_directory else (result.link_count, result.size)
        return (result.mode, result.uid, result.gid, own)
    if isinstance(result, list):
        return sorted((comparable(item) for item in result), key=repr)
    if isinstance(result, DirectoryEntry):
        return (result.name, result.kind)
    if isinstance(result, tuple):
        return tuple(comparable(item) for item in result)
    return bytes(result) if isinstance(result, bytearray | memoryview) else result


def furnish(world: World) -> None:
    world.add_directory("a", 0o777, 1000)
    world.add_directory("a/b", 0o755, 1000)
    world.add_directory("b", 0o1777, 1001)
    world.add_file("b/a", b"somebody's", 0o640, 1000)
    world.add_file("C", b"contents", 0o644, 1000)
    world.add_symlink("link", "a/b")
    world.add_symlink("a/up", "../C")
    world.add_symlink("up", "a/../b")
    world.add_symlink("out", "../outside")
    world.add_symlink("loop", "loop")
    world.add_symlink("dangling", "nowhere")


def has_xattrs(world: RealWorld) -> bool:
    world.add_file("probe")
    try:
        world.set_xattr("probe", "user.t", b"1")
        return True
    except OSError:
        return False
    finally:
        (world.share / "probe").unlink()


@pytest.fixture
def no_umask() -> Any:
    before = os.umask(0)
    yield
    os.umask(before)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(calls(), min_size=1, max_size=40))
def test_both_kernels_answer_alike(tmp_path: Path, no_umask: None, sequence: list[tuple[Any, ...]]) -> None:
    base = tmp_path / "world"
    base.mkdir()
    try:
        real_world = RealWorld(base)
        simulated_world = SimulatedWorld(has_xattrs(real_world))
        furnish(real_world)
        furnish(simulated_world)
        real, simulated = Run(real_world), Run(simulated_world)
        if not may_switch():
            simulated_world.give_all_to(MYSELF)
        for call in sequence:
            assert simulated.do(call) == real.do(call), call
        real.close()
        simulated.close()
    finally:
        shutil.rmtree(base)
