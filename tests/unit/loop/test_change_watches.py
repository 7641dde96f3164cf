"""Given a watched directory, what is taken is what happened, in its order, whoever did it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from smbd_uring.loop import change_watches
from smbd_uring.loop.change_watches import ChangeWatches
from smbd_uring.ports import Change, ChangeKind, Handle

ADDED, MOVED_IN, REMOVED, RENAMED = ChangeKind.ADDED, ChangeKind.MOVED_IN, ChangeKind.REMOVED, ChangeKind.RENAMED


@pytest.fixture
def watches() -> Iterator[ChangeWatches]:
    made = ChangeWatches()
    yield made
    made.close()


def watch(watches: ChangeWatches, path: Path, *, contents: bool = False) -> int:
    """Watch a folder by an O_PATH descriptor."""
    descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY)
    try:
        return watches.watch(Handle(descriptor), contents)
    finally:
        os.close(descriptor)


def taken(watches: ChangeWatches) -> list[Change]:
    changes = watches.take(True)
    assert changes is not None
    return changes


def test_names_are_told_in_the_order_in_which_they_changed(watches: ChangeWatches, tmp_path: Path) -> None:
    number = watch(watches, tmp_path)
    for _ in range(2):
        (tmp_path / "file").touch()
        (tmp_path / "file").unlink()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder").rename(tmp_path / "other")
    assert taken(watches) == [
        Change(number, ADDED, b"file"), Change(number, REMOVED, b"file"), Change(number, ADDED, b"file"),
        Change(number, REMOVED, b"file"), Change(number, ADDED, b"folder", True),
        Change(number, RENAMED, b"folder", True, number, b"other"),
    ]  # fmt: skip
    assert taken(watches) == []


def test_a_rename_is_one_change_where_both_ends_are_watched(watches: ChangeWatches, tmp_path: Path) -> None:
    for name in ("a", "b", "out"):
        (tmp_path / name).mkdir()
    a, b = watch(watches, tmp_path / "a"), watch(watches, tmp_path / "b")
    (tmp_path / "a" / "file").touch()
    (tmp_path / "a" / "file").rename(tmp_path / "b" / "file")
    (tmp_path / "b" / "file").rename(tmp_path / "out" / "file")
    (tmp_path / "out" / "file").rename(tmp_path / "a" / "back")
    assert taken(watches) == [
        Change(a, ADDED, b"file"), Change(a, RENAMED, b"file", False, b, b"file"), Change(b, REMOVED, b"file"),
        Change(a, MOVED_IN, b"back"),
    ]  # fmt: skip


def test_a_rename_that_is_cut_in_two_by_the_end_of_a_turn_is_still_one(
    watches: ChangeWatches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = watch(watches, tmp_path)
    (tmp_path / "old").touch()
    taken(watches)
    (tmp_path / "old").rename(tmp_path / "new")
    monkeypatch.setattr(change_watches, "CHANGES_BYTES_PER_TURN", 32)
    assert watches.take(False) == [Change(number, RENAMED, b"old", False, number, b"new")]


def test_contents_are_told_to_those_who_want_them_and_once(watches: ChangeWatches, tmp_path: Path) -> None:
    for name in ("with", "without"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    number = watch(watches, tmp_path / "with", contents=True)
    watch(watches, tmp_path / "without")
    for name in ("with", "without"):
        for mode in (0o600, 0o644):
            with (tmp_path / name / "file").open("wb", buffering=0) as file:
                file.write(b"data")
            (tmp_path / name / "file").chmod(mode)
    assert taken(watches) == [
        Change(number, ChangeKind.WRITTEN, b"file"), Change(number, ChangeKind.DESCRIBED, b"file")
    ]  # fmt: skip


def test_what_is_said_of_a_new_file_is_said_again(watches: ChangeWatches, tmp_path: Path) -> None:
    number = watch(watches, tmp_path, contents=True)
    for _ in range(2):
        (tmp_path / "file").write_bytes(b"data")
        (tmp_path / "file").unlink()
    kinds = [change.kind for change in taken(watches)]
    assert kinds == [ADDED, ChangeKind.WRITTEN, REMOVED] * 2
    assert number > 0


def test_a_watched_directory_that_goes_ends_its_watch(watches: ChangeWatches, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    a, b = watch(watches, tmp_path / "a"), watch(watches, tmp_path / "b")
    (tmp_path / "a").rmdir()
    watches.unwatch(b)
    assert taken(watches) == [Change(a, ChangeKind.ENDED), Change(b, ChangeKind.ENDED)]


def test_when_too_much_happened_that_is_said(watches: ChangeWatches, tmp_path: Path) -> None:
    number = watch(watches, tmp_path)
    queued_max = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if queued_max > 50_000:
        pytest.skip("the kernel's queue is too large to fill")
    for _ in range(queued_max // 2 + 1):
        (tmp_path / "file").touch()
        (tmp_path / "file").unlink()
    assert watches.take(True) is None
    (tmp_path / "after").touch()
    assert taken(watches) == [Change(number, ADDED, b"after")]


def test_a_second_watch_on_a_directory_adds_to_the_first(watches: ChangeWatches, tmp_path: Path) -> None:
    number = watch(watches, tmp_path, contents=True)
    assert watch(watches, tmp_path) == number
    (tmp_path / "file").write_bytes(b"data")
    assert [change.kind for change in taken(watches)] == [ADDED, ChangeKind.WRITTEN]
