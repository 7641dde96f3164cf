"""Given xattrs that are remembered, what is told is what reading would tell, whoever changes a file, however soon."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smbd_uring.loop import inline_files, syscalls
from smbd_uring.loop.identity import ThreadIdentity, may_switch
from smbd_uring.loop.inline_files import InlineFiles
from smbd_uring.loop.volumes import Volumes
from smbd_uring.ports import (
    CloseHandle,
    Credentials,
    Describe,
    Effect,
    Handle,
    LookUp,
    OpenAt,
    SetMode,
    SetXattr,
    StatEntries,
)

XATTR = b"user.test"
CLOCK_REALTIME_COARSE = 5
ALICE = Credentials(12345, 12346)
Ask = Callable[[InlineFiles, Handle], bytes | None]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Handle]:
    tmp_path.chmod(0o755)
    (tmp_path / "file").touch(0o644)
    handle = syscalls.perform(OpenAt(None, os.fsencode(tmp_path), os.O_PATH | os.O_DIRECTORY))
    yield handle
    os.close(handle)


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> Iterator[InlineFiles]:
    """Nothing is too slow here: a busy machine must not send effects elsewhere."""
    monkeypatch.setattr(inline_files, "INLINE_BUDGET_NS", 1 << 60)
    made = InlineFiles(Volumes(lambda handle: (1, "ext4", os.fstat(handle).st_dev)), lambda: 0.0)
    yield made
    made.close()


def by_looking_up(inline: InlineFiles, folder: Handle, who: Credentials | None = None) -> bytes | None:
    found = inline.perform_now(LookUp(folder, b"file", os.O_PATH, 0, XATTR, who))
    inline.perform_now(CloseHandle(found.handle))
    value: bytes | None = found.value
    return value


def by_describing(inline: InlineFiles, folder: Handle) -> bytes | None:
    handle = inline.perform_now(OpenAt(folder, b"file", os.O_PATH))
    value: bytes | None = inline.perform_now(Describe(handle, XATTR))[1]
    inline.perform_now(CloseHandle(handle))
    return value


def by_listing(inline: InlineFiles, folder: Handle) -> bytes | None:
    value: bytes | None = inline.perform_now(StatEntries(folder, [b"file"], XATTR))[0][1]
    return value


@pytest.fixture(params=[by_looking_up, by_describing, by_listing])
def ask(request: pytest.FixtureRequest) -> Ask:
    asked: Ask = request.param
    return asked


def wait_until_settled(path: Path) -> None:
    """Until the step of the clock in which the file changed is over."""
    while time.clock_gettime_ns(CLOCK_REALTIME_COARSE) <= path.stat().st_ctime_ns + 10_000_000:
        time.sleep(0.002)


def test_every_change_is_seen_at_once(inline: InlineFiles, folder: Handle, tmp_path: Path, ask: Ask) -> None:
    """Given changes one right after the other, many within one step of the clock."""
    path = tmp_path / "file"
    for number in range(300):
        os.setxattr(path, XATTR, b"%d" % number)
        assert ask(inline, folder) == b"%d" % number
        if number % 50 == 0:
            wait_until_settled(path)
            assert ask(inline, folder) == ask(inline, folder) == b"%d" % number
    os.removexattr(path, XATTR)
    assert ask(inline, folder) is None
    wait_until_settled(path)
    assert ask(inline, folder) is ask(inline, folder) is None
    os.setxattr(path, XATTR, b"again")
    assert ask(inline, folder) == b"again"


def test_a_value_is_read_once(
    inline: InlineFiles, folder: Handle, tmp_path: Path, ask: Ask
) -> None:
    path = tmp_path / "file"
    os.setxattr(path, XATTR, b"value")
    wait_until_settled(path)
    for _ in range(2):
        assert ask(inline, folder) == b"value"
    values = next(iter(inline._of_handles.values())).values
    assert values is not None and values.xattr == XATTR
    assert values.hits() > 0


@pytest.mark.parametrize("length", [0, 1, 40, 41, 1024, 1025, 3000])
def test_values_of_any_length(
    inline: InlineFiles, folder: Handle, tmp_path: Path, ask: Ask, length: int
) -> None:
    value = os.urandom(length)
    os.setxattr(tmp_path / "file", XATTR, value)
    wait_until_settled(tmp_path / "file")
    for _ in range(3):
        assert ask(inline, folder) == value


def test_another_file_under_the_name_is_another(
    inline: InlineFiles, folder: Handle, tmp_path: Path, ask: Ask
) -> None:
    for number in range(20):
        (tmp_path / "new").touch()
        os.setxattr(tmp_path / "new", XATTR, b"%d" % number)
        (tmp_path / "new").rename(tmp_path / "file")
        assert ask(inline, folder) == b"%d" % number


def test_who_may_not_read_a_file_is_told_nothing_that_somebody_else_read(
    inline: InlineFiles, folder: Handle, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    os.setxattr(path, XATTR, b"secret")
    path.chmod(0o600)
    wait_until_settled(path)
    for _ in range(3):
        assert by_looking_up(inline, folder) == b"secret"
        inline.be_oneself()
        expected = None if may_switch() else b"secret"
        if may_switch():
            os.chmod(tmp_path, 0o755)
            for parent in tmp_path.parents[:2]:
                parent.chmod(0o755)
        assert by_looking_up(inline, folder, ALICE) == expected
        inline.be_oneself()
    path.chmod(0o644)
    assert by_looking_up(inline, folder, ALICE) == b"secret"
    inline.be_oneself()
    path.chmod(0o600)
    assert by_looking_up(inline, folder, ALICE) == expected


def test_what_the_loop_changes_itself_is_seen_at_once(inline: InlineFiles, folder: Handle, ask: Ask) -> None:
    handle = inline.perform_now(OpenAt(folder, b"file", os.O_RDWR))
    changes: list[Effect[Any]] = [SetXattr(handle, XATTR, b"%d" % number) for number in range(50)]
    for number, change in enumerate(changes):
        inline.perform_now(change)
        assert ask(inline, folder) == b"%d" % number
    inline.perform_now(SetMode(handle, 0o640))
    assert ask(inline, folder) == b"49"
    inline.perform_now(CloseHandle(handle))


def test_file_systems_that_may_keep_a_change_to_themselves_are_asked_each_time(folder: Handle) -> None:
    for kind in ("overlay", "zfs"):
        inline = InlineFiles(Volumes(lambda handle, kind=kind: (1, kind, os.fstat(handle).st_dev)))  # type: ignore[misc]
        assert by_looking_up(inline, folder) is None
        assert inline._of_handles[folder].values is None
        inline.close()


def test_an_identity_keeps_its_number() -> None:
    mine, bob = ThreadIdentity(), Credentials(12347, 12348)
    numbers = []
    for who in (None, ALICE, bob, ALICE, None, bob):
        mine.assume(who)
        numbers.append(mine.number)
    mine.assume(None)
    assert numbers == ([0, 1, 2, 1, 0, 2] if may_switch() else [0] * 6)
