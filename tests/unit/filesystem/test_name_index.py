"""Given a directory whose names are remembered, an answer is as good as reading it again, whoever changes it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Protocol

import pytest

from smbd_uring.filesystem import PosixFilesystem, name_index
from smbd_uring.loop import syscalls
from smbd_uring.loop.inline_files import InlineFiles
from smbd_uring.loop.volumes import Volumes
from smbd_uring.ports import (
    NOT_NOW,
    CloseHandle,
    Credentials,
    Effect,
    Found,
    ListDirectory,
    OpenAt,
    ShareRoot,
    TakeNameChanges,
)
from tests.sim.kernel import run_effects
from tests.sim.worlds import SimulatedWorld


class Place(Protocol):
    """A folder that others change too, and how often it was read."""

    listings: int

    def perform(self, effect: Effect[Any]) -> Any: ...
    def top(self) -> str: ...
    def add(self, name: str) -> None: ...
    def remove(self, name: str) -> None: ...
    def rename(self, old: str, new: str) -> None: ...
    def add_folder(self, name: str) -> None: ...
    def remove_folder(self, name: str) -> None: ...


class Simulated:
    """Others act on the simulated kernel behind the file layer's back."""

    def __init__(self) -> None:
        self.world = SimulatedWorld(has_watches=True)
        self.listings = 0

    def perform(self, effect: Effect[Any]) -> Any:
        self.listings += isinstance(effect, ListDirectory)
        return self.world.kernel.perform(effect)

    def top(self) -> str:
        return "/share"

    def add(self, name: str) -> None:
        self.world.add_file(name)

    def remove(self, name: str) -> None:
        parent, _, last = f"/share/{name}".rpartition("/")
        del self.world.kernel.node(parent).entries[last.encode()]

    def rename(self, old: str, new: str) -> None:
        entries = self.world.kernel.node("/share").entries
        entries[new.encode()] = entries.pop(old.encode())

    def add_folder(self, name: str) -> None:
        self.world.add_directory(name)

    def remove_folder(self, name: str) -> None:
        self.world.kernel.node(f"/share/{name}").link_count = 0
        self.remove(name)


class Real:
    """Others are whoever makes system calls on a real folder; effects are performed as a loop does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inline = InlineFiles(Volumes(lambda handle: (1, "ext4", os.fstat(handle).st_dev)))
        self.listings = 0

    def perform(self, effect: Effect[Any]) -> Any:
        self.listings += isinstance(effect, ListDirectory)
        result = self.inline.perform_now(effect)
        return syscalls.perform(effect) if result is NOT_NOW else result

    def top(self) -> str:
        return str(self.folder)

    def add(self, name: str) -> None:
        (self.folder / name).touch()

    def remove(self, name: str) -> None:
        (self.folder / name).unlink()

    def rename(self, old: str, new: str) -> None:
        (self.folder / old).rename(self.folder / new)

    def add_folder(self, name: str) -> None:
        (self.folder / name).mkdir()

    def remove_folder(self, name: str) -> None:
        (self.folder / name).rmdir()


class Share:
    """The file layer on a place."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.filesystem = PosixFilesystem()
        self.who = Credentials(os.geteuid(), os.getegid())
        handle = place.perform(OpenAt(None, os.fsencode(place.top()), os.O_PATH | os.O_DIRECTORY))
        self.root = ShareRoot(handle, True, False, True, True)

    def run(self, coroutine: Any) -> Any:
        return run_effects(coroutine, self.place.perform)

    def find(self, *components: str) -> str | None:
        """The name on disk of what is found, None when there is nothing."""
        found: Found = self.run(self.filesystem.lookup(self.root, components, self.who))
        if found.handle is None:
            return None
        self.place.perform(CloseHandle(found.handle))
        return found.components[-1]

    def create(self, *components: str) -> None:
        handle, _ = self.run(self.filesystem.create_file(self.root, components, os.O_RDWR, 0, self.who))
        self.place.perform(CloseHandle(handle))

    def close(self) -> None:
        self.place.perform(CloseHandle(self.root.handle))


@pytest.fixture(params=["simulated", "real"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "simulated":
        yield Simulated()
        return
    real = Real(tmp_path)
    yield real
    real.inline.close()


@pytest.fixture
def share(place: Place) -> Iterator[Share]:
    made = Share(place)
    yield made
    made.close()


def test_a_directory_is_read_once(place: Place, share: Share) -> None:
    for number in range(50):
        place.add(f"File {number}")
    for number in range(50):
        assert share.find(f"nothing {number}") is None
        assert share.find(f"FILE {number}") == f"File {number}"
    assert place.listings == 1


def test_what_others_do_is_seen_at_once(place: Place, share: Share) -> None:
    """Given changes within one tick of any clock, each is known at the next question."""
    assert share.find("foo") is None
    place.add("Foo")
    assert share.find("foo") == "Foo"
    place.rename("Foo", "fOO")
    assert share.find("FOO") == "fOO"
    place.rename("fOO", "bar")
    assert (share.find("FOO"), share.find("BAR")) == (None, "bar")
    place.remove("bar")
    assert share.find("BAR") is None
    place.add("bar")
    place.remove("bar")
    place.add("Bar")
    assert share.find("bAR") == "Bar"
    assert place.listings == 1


def test_what_the_share_does_itself_is_known_too(place: Place, share: Share) -> None:
    assert share.find("foo") is None
    share.create("Foo")
    found = share.run(share.filesystem.lookup(share.root, ("foo",), share.who))
    assert found.components == ("Foo",)
    place.perform(CloseHandle(found.handle))
    lower, upper = "\N{LATIN SMALL LETTER A WITH DIAERESIS}", "\N{LATIN CAPITAL LETTER A WITH DIAERESIS}"
    identity = found.facts.status.identity
    share.run(share.filesystem.rename(share.root, ("Foo",), (lower,), identity, False, share.who))
    assert share.find(upper) == lower
    assert share.find("foo") is None
    assert place.listings == 1


def test_names_that_differ_in_case_only_come_and_go_one_by_one(place: Place, share: Share) -> None:
    place.add("ab")
    place.add("aB")
    assert share.find("AB") == "aB"
    place.remove("aB")
    assert share.find("AB") == "ab"
    place.remove("ab")
    assert share.find("AB") is None


def test_another_directory_of_the_same_name_is_another(place: Place, share: Share) -> None:
    place.add_folder("folder")
    place.add("folder/Foo")
    assert share.find("folder", "foo") == "Foo"
    place.remove("folder/Foo")
    place.remove_folder("folder")
    for _ in range(3):
        place.add_folder("folder")
        place.add("folder/Bar")
        assert (share.find("folder", "foo"), share.find("folder", "bar")) == (None, "Bar")
        place.remove("folder/Bar")
        place.remove_folder("folder")


def test_only_so_much_is_remembered(place: Place, share: Share, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given room for two directories, a third takes the place of the one not asked about for longest."""
    monkeypatch.setattr(name_index, "DIRECTORIES_INDEXED_MAX", 2)
    for name in "abc":
        place.add_folder(name)
        place.add(f"{name}/Foo")
    for name, listings in (("a", 1), ("b", 2), ("a", 2), ("c", 3), ("a", 3), ("b", 4)):
        assert share.find(name, "foo") == "Foo"
        assert place.listings == listings, name


def test_a_directory_too_large_is_read_each_time(
    place: Place, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name_index, "NAMES_INDEXED_MAX", 3)
    for number in range(3):
        place.add(f"file {number}")
    assert share.find("nothing") is share.find("nothing") is None
    assert place.listings == 1
    place.add("Fourth")
    for listings in (2, 3):
        assert share.find("fourth") == "Fourth"
        assert place.listings == listings


def test_many_changes_at_random(place: Place, share: Share) -> None:
    """Given names that come, go and change in any order, every answer is what reading would say."""
    random, present = Random(1), set[str]()
    for _ in range(400):
        name = random.choice(["ab", "Ab", "aB", "AB", "c", "C"])
        if name in present:
            other = random.choice(["d", "D", "ab", "c"])
            if random.random() < 0.5 or other in present:
                place.remove(name)
            else:
                place.rename(name, other)
                present.add(other)
            present.discard(name)
        else:
            place.add(name)
            present.add(name)
        for asked in ("Ab", "C", "d"):
            same = {each for each in present if each.upper() == asked.upper()}
            expected = asked if asked in same else min(same, default=None)
            assert share.find(asked) == expected, present
    assert place.listings <= 1


def test_changes_that_were_lost_have_the_directory_read_again() -> None:
    place = Simulated()
    share = Share(place)
    assert share.find("foo") is None
    place.add("Foo")
    real = place.perform

    def lose(effect: Effect[Any]) -> Any:
        result = real(effect)
        return None if isinstance(effect, TakeNameChanges) else result

    place.perform = lose  # type: ignore[method-assign]
    assert share.find("foo") == "Foo"
    assert place.listings == 2


def test_a_full_queue_of_the_kernel_is_noticed(tmp_path: Path) -> None:
    place = Real(tmp_path)
    share = Share(place)
    assert share.find("foo") is None
    with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as limit:
        pairs = int(limit.read()) // 2 + 10
    for _ in range(pairs):
        place.add("passing")
        place.remove("passing")
    place.add("Foo")
    assert share.find("foo") == "Foo"
    assert place.listings == 2
    share.close()
    place.inline.close()


def test_two_who_take_changes_at_once_do_not_rely_on_their_order() -> None:
    """Given a driver that takes its time, whoever is overtaken reads the directory."""
    place = Simulated()
    share = Share(place)
    assert share.find("foo") is None
    place.add("Foo")
    place.add("Bar")
    slow = share.filesystem.lookup(share.root, ("foo",), share.who)
    waiting: Any = None
    answer: Any = None
    error: OSError | None = None
    while not isinstance(waiting, TakeNameChanges):
        waiting = slow.throw(error) if error is not None else slow.send(answer)
        answer, error = None, None
        try:
            answer = place.perform(waiting)
        except OSError as failure:
            error = failure
    assert share.find("bar") == "Bar", "its change is with the other one"

    try:
        effect = slow.send(answer)
        while True:
            effect = slow.send(place.perform(effect))
    except StopIteration as stop:
        assert stop.value.components == ("Foo",)
        place.perform(CloseHandle(stop.value.handle))


def test_where_nothing_can_be_watched_names_are_read(tmp_path: Path) -> None:
    for kind in ("nfs4", "fuse"):
        place = Real(tmp_path)
        place.inline = InlineFiles(Volumes(lambda _handle, kind=kind: (1, kind, 0)))  # type: ignore[misc]
        share = Share(place)
        for listings in (1, 2):
            assert share.find("foo") is None
            assert place.listings == listings
        share.close()
        place.inline.close()


def test_a_folder_that_may_not_be_read_tells_nothing(place: Place, share: Share) -> None:
    """Given names remembered for somebody who may read the folder, somebody else learns none of them."""
    if isinstance(place, Real):
        if os.geteuid() != 0:
            pytest.skip("an unprivileged process acts as itself only; the simulated world shows this case")
        place.folder.chmod(0o755)
        for parent in place.folder.parents[:2]:
            parent.chmod(0o755)
    place.add_folder("closed")
    if isinstance(place, Real):
        (place.folder / "closed").chmod(0o711)
    else:
        assert isinstance(place, Simulated)
        place.world.kernel.node("/share/closed").mode = 0o040711
    place.add("closed/Foo")
    share.who = Credentials(0, 0)
    assert share.find("closed", "foo") == "Foo"
    share.who = Credentials(1000, 1000)
    assert share.find("closed", "foo") is None
    assert share.find("closed", "Foo") == "Foo"


def test_a_reading_that_fails_is_not_remembered() -> None:
    place = Simulated()
    share = Share(place)
    place.add("Foo")
    place.world.kernel.fail(ListDirectory, errno.EIO)
    with pytest.raises(OSError):
        share.find("foo")
    assert place.world.kernel.watches == {}
    assert share.find("foo") == "Foo"
