"""Which effects the loop performs in its own thread, and which it leaves to others."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smbd_uring import _native, limits
from smbd_uring.loop import inline_files, syscalls
from smbd_uring.loop.base import DriverBase
from smbd_uring.loop.connection import Connection
from smbd_uring.loop.identity import may_switch
from smbd_uring.loop.inline_files import InlineFiles
from smbd_uring.loop.planes import FRAME
from smbd_uring.loop.ring_driver import RingDriver
from smbd_uring.loop.volumes import Volumes, kept_from_processor_s, read_mount
from smbd_uring.ports import (
    NOT_NOW,
    Allocate,
    CloseHandle,
    Credentials,
    Describe,
    DescribeAt,
    Effect,
    Handle,
    ListDirectory,
    LookUp,
    MakeDirectory,
    OpenAt,
    ReadAt,
    Remove,
    Rename,
    Reopen,
    Stat,
    StatEntries,
    Synchronize,
    Truncate,
    Unlink,
)
from tests.unit.loop.echo import EchoEngine
from tests.unit.loop.test_identity import seen_as

ALICE = Credentials(12345, 12346, (23456,))
LOCAL, REMOTE = (7, "ext4", 0x51), (8, "nfs4", 0x52)


class Clock:
    """Time that only a test moves; `each` goes by with every look at it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.each = 0.0
        self.kept_waiting = 0.0

    def __call__(self) -> float:
        self.now += self.each
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inline(clock: Clock) -> Iterator[InlineFiles]:
    """Whatever the machine's temporary files lie on, it counts as local here."""
    volumes = Volumes(lambda handle: (LOCAL[0], LOCAL[1], os.fstat(handle).st_dev))
    made = InlineFiles(volumes, clock, lambda: clock.kept_waiting)
    yield made
    made.be_oneself()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Handle]:
    handle = syscalls.perform(OpenAt(None, os.fsencode(tmp_path), os.O_PATH | os.O_DIRECTORY))
    yield handle
    os.close(handle)


def test_a_local_file_is_opened_looked_at_and_closed_at_once(
    inline: InlineFiles, folder: Handle, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    found = inline.perform_now(LookUp(folder, b"file", os.O_PATH, 0, b"user.x"))
    reading = inline.perform_now(Reopen(found.handle, os.O_RDONLY))
    assert inline.perform_now(Describe(reading, b""))[0] == found.status
    for handle in (found.handle, reading):
        assert inline.perform_now(CloseHandle(handle)) is None
        with pytest.raises(OSError):
            os.fstat(handle)
    with pytest.raises(FileNotFoundError):
        inline.perform_now(Stat(folder, b"nothing"))


def test_data_and_share_roots_are_left_to_others(inline: InlineFiles, folder: Handle, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    file = inline.perform_now(OpenAt(folder, b"file", os.O_RDWR))
    left: list[Effect[Any]] = [
        ReadAt(file, 0, 5), Synchronize(file), Allocate(file, 0, 0, 4096), OpenAt(None, b"/", os.O_PATH),
    ]  # fmt: skip
    assert [inline.perform_now(effect) for effect in left] == [NOT_NOW] * len(left)
    inline.perform_now(CloseHandle(file))


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "ceph", "9p", "new_kind", ""])
def test_what_is_not_known_to_be_local_is_left_to_others(folder: Handle, kind: str) -> None:
    inline = InlineFiles(Volumes(lambda _handle: (9, kind, 0)))
    for effect in (Stat(folder), LookUp(folder, b".", os.O_PATH, 0, b""), MakeDirectory(folder, b"new", 0o700)):
        assert inline.perform_now(effect) is NOT_NOW
    assert inline.perform_now(CloseHandle(folder)) is NOT_NOW
    assert os.fstat(folder)


def test_the_kernel_says_on_which_mount_a_handle_is() -> None:
    for path, kind in (("/proc", "proc"), ("/sys", "sysfs")):
        handle = os.open(path, os.O_PATH)
        number, found, _device = read_mount(handle)
        assert (number >= 0, found) == (True, kind)
        os.close(handle)
    assert read_mount(handle)[1] == ""


def test_another_mount_below_is_for_others() -> None:
    """Given a share that may cross mounts, what lies on another one is left alone unless the share forbids it."""
    top = Handle(os.open("/", os.O_PATH))
    inline = InlineFiles(Volumes(lambda handle: (LOCAL[0], LOCAL[1], os.fstat(handle).st_dev)))
    crossing: list[Effect[Any]] = [
        LookUp(top, b"proc", os.O_PATH, 0, b""), DescribeAt(top, b"proc", 0, b""),
        OpenAt(top, b"proc/version", os.O_RDONLY), Stat(top, b"proc"),
        Remove(top, b"proc", 0, b"version", (1, 1), False),
    ]  # fmt: skip
    assert [inline.perform_now(effect) for effect in crossing] == [NOT_NOW] * len(crossing)
    with pytest.raises(OSError) as refused:
        inline.perform_now(LookUp(top, b"proc", os.O_PATH, 0x01, b""))
    assert refused.value.errno == errno.EXDEV
    os.close(top)


def test_a_number_used_again_may_be_on_another_mount(folder: Handle) -> None:
    kinds = {folder: REMOTE}
    inline = InlineFiles(Volumes(lambda handle: kinds.get(handle, LOCAL)))
    path = Handle(os.open(f"/proc/self/fd/{folder}", os.O_PATH))
    assert inline.perform_now(Stat(path)) is not NOT_NOW
    inline.perform_now(CloseHandle(path))
    kinds[path] = REMOTE
    again = Handle(os.open(f"/proc/self/fd/{folder}", os.O_PATH))
    assert again == path
    assert inline.perform_now(Stat(again)) is NOT_NOW
    inline.forget(again)
    kinds[again] = LOCAL
    assert inline.perform_now(Stat(again)) is not NOT_NOW
    os.close(again)


def test_a_slow_file_system_is_left_to_others_for_a_while(
    inline: InlineFiles, folder: Handle, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Given calls that take longer than the loop may wait, one may be an accident and two are not."""
    caplog.set_level(logging.WARNING, "smbd.loop")
    clock.each = 2 * limits.INLINE_SLOW_S
    assert inline.perform_now(Stat(folder)) is not NOT_NOW
    assert caplog.messages == []
    assert inline.perform_now(Stat(folder)) is not NOT_NOW
    assert len(caplog.messages) == 1
    clock.each = 0.0
    assert inline.perform_now(Stat(folder)) is NOT_NOW
    clock.now += limits.INLINE_PAUSE_S - 0.01
    assert inline.perform_now(Stat(folder)) is NOT_NOW
    clock.now += 0.02
    assert inline.perform_now(Stat(folder)) is not NOT_NOW
    assert len(caplog.messages) == 1


def test_slow_calls_far_apart_are_accidents(inline: InlineFiles, folder: Handle, clock: Clock) -> None:
    for _ in range(5):
        clock.each = 2 * limits.INLINE_SLOW_S
        assert inline.perform_now(Stat(folder)) is not NOT_NOW
        clock.each = 0.0
        clock.now += limits.INLINE_PAUSE_S + 1


def test_a_busy_machine_is_no_slow_disk(inline: InlineFiles, folder: Handle, clock: Clock) -> None:
    """Given calls that take long because others had the processor, the loop goes on making them."""
    clock.each = 2 * limits.INLINE_SLOW_S
    for _ in range(5):
        clock.kept_waiting += 1.5 * limits.INLINE_SLOW_S
        assert inline.perform_now(Stat(folder)) is not NOT_NOW
    for _ in range(2):
        assert inline.perform_now(Stat(folder)) is not NOT_NOW
    assert inline.perform_now(Stat(folder)) is NOT_NOW


def test_the_kernel_counts_how_long_a_thread_waits() -> None:
    assert 0.0 <= kept_from_processor_s() <= kept_from_processor_s() < 3600.0


def test_a_failing_call_can_be_slow_too(inline: InlineFiles, folder: Handle, clock: Clock) -> None:
    clock.each = 2 * limits.INLINE_SLOW_S
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            inline.perform_now(Stat(folder, b"nothing"))
    assert inline.perform_now(Stat(folder)) is NOT_NOW


def test_what_frees_much_is_left_to_others(
    inline: InlineFiles, folder: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a file whose blocks take long to give back, only its last name and last handle are."""
    monkeypatch.setattr(inline_files, "INLINE_FREED_BYTES_MAX", 1 << 20)
    for name in ("large", "small"):
        (tmp_path / name).write_bytes(bytes((2 << 20) if name == "large" else 10))
    identity = inline.perform_now(Stat(folder, b"large")).identity
    large = inline.perform_now(OpenAt(folder, b"large", os.O_RDWR))
    costly: list[Effect[Any]] = [
        Truncate(large, 0), Unlink(folder, b"large", False), Rename(folder, b"small", folder, b"large"),
        Remove(folder, b"", 0, b"large", identity, False),
    ]  # fmt: skip
    assert [inline.perform_now(effect) for effect in costly] == [NOT_NOW] * len(costly)
    assert (tmp_path / "large").stat().st_size == 2 << 20
    assert inline.perform_now(Truncate(large, 3 << 20)) is None
    assert inline.perform_now(Rename(folder, b"large", folder, b"renamed")) is None
    (tmp_path / "second").hardlink_to(tmp_path / "renamed")
    assert inline.perform_now(Remove(folder, b"", 0, b"second", identity, False)) is None
    os.unlink(tmp_path / "renamed")
    assert inline.perform_now(CloseHandle(large)) is NOT_NOW
    os.close(large)


def test_a_large_folder_is_read_by_others(
    inline: InlineFiles, folder: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {b"%d" % number for number in range(100)}
    for name in names:
        (tmp_path / os.fsdecode(name)).touch()
    reading = inline.perform_now(OpenAt(folder, b".", os.O_RDONLY | os.O_DIRECTORY))
    for _ in range(2):
        assert {entry.name for entry in inline.perform_now(ListDirectory(reading))} == names
    monkeypatch.setattr(inline_files, "INLINE_NAMES_MAX", 99)
    assert inline.perform_now(ListDirectory(reading)) is NOT_NOW
    inline.perform_now(CloseHandle(reading))


def test_the_thread_stays_a_client_until_it_is_told_otherwise(
    inline: InlineFiles, folder: Handle, tmp_path: Path
) -> None:
    tmp_path.chmod(0o777)
    before = seen_as()
    alice = (ALICE.uid, ALICE.gid, ALICE.groups) if may_switch() else before
    inline.perform_now(MakeDirectory(folder, b"alices", 0o755, ALICE))
    assert seen_as() == alice
    path = inline.perform_now(OpenAt(folder, b"alices", os.O_PATH, credentials=ALICE))
    inline.perform_now(Stat(path))
    inline.perform_now(CloseHandle(path))
    assert seen_as() == alice, "looking and closing ask nobody's permission"
    inline.perform_now(MakeDirectory(folder, b"servers", 0o755))
    assert seen_as() == before
    inline.perform_now(MakeDirectory(folder, b"again", 0o755, ALICE))
    inline.be_oneself()
    assert seen_as() == before
    assert (tmp_path / "alices").stat().st_uid == (tmp_path / "again").stat().st_uid == alice[0]
    assert (tmp_path / "servers").stat().st_uid == before[0]


class ActingEngine(EchoEngine):
    """Acts as a client whenever it is called."""

    def act(self) -> None:
        self.driver.perform_now(self.effect)
        self.acted_as.append(seen_as())

    def tick(self, now: float) -> None:
        self.act()
        self.deadline = None

    def next_deadline(self) -> float | None:
        return self.deadline

    def completed(self, token: Any, result: Any, error: BaseException | None, now: float) -> None:
        super().completed(token, result, error, now)
        self.act()

    driver: DriverBase
    effect: Effect[Any]
    deadline: float | None = 0.0
    acted_as: list[Any]


def test_the_loop_is_itself_whenever_the_engine_returns(
    make_driver: Callable[..., DriverBase], tmp_path: Path
) -> None:
    """Given an engine that leaves the thread a client, threads and files made later are the server's."""
    before = seen_as()
    tmp_path.chmod(0o777)
    driver = make_driver()
    engine = ActingEngine(driver)
    engine.driver, engine.acted_as = driver, []
    driver.engine = engine
    folder = syscalls.perform(OpenAt(None, os.fsencode(tmp_path), os.O_PATH))
    engine.effect = Describe(folder, b"", ALICE)
    seen: list[Any] = []

    def look() -> bool:
        seen.append(seen_as())
        return bool(engine.completions)

    engine.act()
    driver.perform("made by a new thread", MakeDirectory(folder, b"servers", 0o755))
    driver.run(look)
    assert set(seen) == {before} and len(engine.acted_as) >= 2
    if may_switch():
        assert set(engine.acted_as) == {(ALICE.uid, ALICE.gid, ALICE.groups)}
    assert (tmp_path / "servers").stat().st_uid == before[0]
    os.close(folder)


def test_a_listing_asks_nothing_of_what_is_mounted_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a mount point among the names, others describe them all."""
    monkeypatch.setattr(inline_files, "INLINE_BUDGET_NS", 1 << 60)
    top = Handle(os.open("/", os.O_PATH))
    inline = InlineFiles(Volumes(lambda handle: (LOCAL[0], LOCAL[1], os.fstat(handle).st_dev)))
    inside = [name for name in os.listdir(b"/") if os.lstat(b"/" + name).st_dev == os.fstat(top).st_dev]
    answers = inline.perform_now(StatEntries(top, inside, b"user.x"))
    assert [answer[0].inode for answer in answers] == [os.lstat(b"/" + name).st_ino for name in inside]
    assert inline.perform_now(StatEntries(top, [*inside, b"proc"], b"user.x")) is NOT_NOW
    os.close(top)


def test_many_names_that_take_long_are_left_to_others(
    inline: InlineFiles, folder: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    names = [b"file"] * 100
    monkeypatch.setattr(inline_files, "INLINE_BUDGET_NS", 1 << 60)
    assert len(inline.perform_now(StatEntries(folder, names, b"user.x"))) == 100
    monkeypatch.setattr(inline_files, "INLINE_BUDGET_NS", 0)
    assert inline.perform_now(StatEntries(folder, names, b"user.x")) is NOT_NOW
    monkeypatch.setattr(_native, "stat_entries", None)
    assert inline.perform_now(StatEntries(folder, names, b"user.x")) is NOT_NOW


def test_the_loop_is_itself_after_frames_from_a_data_plane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given frames of a client, whatever the loop does next in the same turn is done as the server."""
    before, seen = seen_as(), []
    driver = RingDriver()
    engine = EchoEngine(driver)
    driver.engine = engine
    folder = syscalls.perform(OpenAt(None, os.fsencode(tmp_path), os.O_PATH))

    def receive(*_arguments: Any) -> None:
        driver.perform_now(Describe(folder, b"", ALICE))
        seen.append(seen_as())

    monkeypatch.setattr(engine, "frame_received", receive)
    events = [(FRAME, 1, 0, 0, True, 0, b"")] * 2
    with monkeypatch.context() as patched:
        patched.setitem(driver.connections, 1, Connection(1, "127.0.0.1"))
        patched.setattr(driver.planes, "take_events", lambda: events)
        driver._take_plane_events(0.0)
        after = seen_as()
    driver.close()
    assert after == before
    assert seen == [(ALICE.uid, ALICE.gid, ALICE.groups) if may_switch() else before] * 2
    os.close(folder)
