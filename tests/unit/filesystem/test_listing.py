"""Listings: what a client sees of a directory."""

from __future__ import annotations

import errno
import os

import pytest

from smbd_uring.filesystem import PosixFilesystem
from smbd_uring.filesystem.dos_attributes import ARCHIVE, DIRECTORY, HIDDEN, READONLY, encode
from smbd_uring.limits import DIRECTORY_BATCH_ENTRIES
from smbd_uring.ports import (
    CloseHandle,
    Credentials,
    DirectoryEntry,
    Effect,
    ListedEntry,
    OpenAt,
    Reopen,
    ShareRoot,
    Stat,
    StatEntries,
)
from tests.sim.worlds import SimulatedWorld, World, run

filesystem = PosixFilesystem()


def listed(
    world: World, root: ShareRoot, who: Credentials, path: tuple[str, ...] = (), gone: str | None = None
) -> dict[str, ListedEntry]:
    """List a directory as the engine does; `gone` vanishes between names and facts."""
    found = run(world, filesystem.lookup(root, path, who))
    assert found.handle is not None
    directory = world.perform(Reopen(found.handle, os.O_RDONLY | os.O_DIRECTORY, who))
    entries = run(world, filesystem.list_names(directory))
    if gone is not None:
        entries.append(DirectoryEntry(gone.encode(), 1, 8))
    described = run(world, filesystem.describe(root, directory, path, entries, who))
    for handle in (found.handle, directory):
        world.perform(CloseHandle(handle))
    return {entry.name: entry for entry in described}


def test_files_and_directories_with_their_facts(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_file("file", b"12345")
    world.add_file("read-only")
    world.set_xattr("read-only", "user.DOSATTRIB", encode(READONLY, 10**18))
    world.add_directory("dir")
    world.add_file(".dot")
    entries = listed(world, root, owner)
    assert {name: entry.facts.attributes for name, entry in entries.items()} == {
        "file": ARCHIVE, "read-only": READONLY, "dir": DIRECTORY, ".dot": ARCHIVE | HIDDEN,
    }  # fmt: skip
    assert entries["file"].facts.status.size == 5
    assert entries["read-only"].facts.created_ns == 10**18


def test_what_a_listing_says_is_what_a_lookup_says(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_directory("dir")
    world.add_file("dir/a", b"1")
    world.add_file("b", b"22")
    world.add_symlink("dir/c", "../b")
    for name, entry in listed(world, root, owner, ("dir",)).items():
        found = run(world, filesystem.lookup(root, ("dir", name), owner))
        assert found.handle is not None
        assert found.facts == entry.facts
        assert run(world, filesystem.facts(root, found.handle, name, owner)) == entry.facts
        world.perform(CloseHandle(found.handle))


def test_symlinks_are_what_they_lead_to(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_file("file", b"12345")
    world.add_directory("dir")
    world.add_symlink("dir/to file", "../file")
    world.add_symlink("dir/to dir", ".")
    world.add_symlink("dir/out", "/etc/passwd")
    world.add_symlink("dir/dangling", "nowhere")
    world.add_symlink("dir/loop", "loop")
    entries = listed(world, root, owner, ("dir",))
    assert set(entries) == {"to file", "to dir"}
    assert entries["to file"].facts.status.size == 5
    assert entries["to dir"].facts.attributes == DIRECTORY
    root.follow_symlinks = False
    assert listed(world, root, owner, ("dir",)) == {}


def test_names_no_client_could_use_are_left_out(world: World, root: ShareRoot, owner: Credentials) -> None:
    for name in ("good", "back\\slash", "a:b", "what?", os.fsdecode(b"latin\xe9"), "new\nline"):
        world.add_file(name)
    assert set(listed(world, root, owner)) == {"good"}


def test_vetoed_names_are_left_out(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_file("a.tmp")
    world.add_file("b.txt")
    root.veto_list = ("*.TMP",)
    assert set(listed(world, root, owner)) == {"b.txt"}


def test_what_is_gone_meanwhile_is_left_out(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_file("here")
    assert set(listed(world, root, owner, gone="vanished")) == {"here"}


def test_a_large_directory_is_described_in_batches(world: World, root: ShareRoot, owner: Credentials) -> None:
    count = 2 * DIRECTORY_BATCH_ENTRIES + 3
    world.add_directory("many")
    for index in range(count):
        world.add_file(f"many/{index}")
    assert len(listed(world, root, owner, ("many",))) == count
    if isinstance(world, SimulatedWorld):
        assert world.kernel.calls["StatEntries"] == 3


def test_facts_of_what_may_not_be_read_are_computed(world: World, root: ShareRoot, alice: Credentials) -> None:
    world.add_file("private", b"", 0o600)
    world.set_xattr("private", "user.DOSATTRIB", encode(READONLY, 10**18))
    assert listed(world, root, alice)["private"].facts.attributes == ARCHIVE


@pytest.mark.parametrize("kind", [StatEntries, Stat, OpenAt, CloseHandle])
def test_a_failing_disk_leaks_no_handle(kind: type[Effect[object]]) -> None:
    world = SimulatedWorld()
    world.add_file("file")
    world.add_symlink("link", "file")
    root = ShareRoot(world.perform(OpenAt(None, b"/share", os.O_PATH)), True, False, True, True)
    directory = world.perform(OpenAt(None, b"/share", os.O_RDONLY))
    entries = run(world, filesystem.list_names(directory))
    world.kernel.fail(kind, errno.EIO)
    if kind is CloseHandle:
        assert len(run(world, filesystem.describe(root, directory, (), entries, Credentials(0, 0)))) == 2
    else:
        with pytest.raises(OSError):
            run(world, filesystem.describe(root, directory, (), entries, Credentials(0, 0)))
    assert len(world.kernel.open_files) == 2


def test_whether_a_directory_is_empty(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_directory("dir")
    found = run(world, filesystem.lookup(root, ("dir",), owner))
    assert found.handle is not None
    assert run(world, filesystem.directory_is_empty(found.handle, owner))
    world.add_file("dir/a.tmp")
    root.veto_list = ("*.tmp",)
    assert not run(world, filesystem.directory_is_empty(found.handle, owner))
    world.perform(CloseHandle(found.handle))
