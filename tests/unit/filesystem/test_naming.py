"""Deleting, renaming and linking: the file that was meant, or none."""

from __future__ import annotations

import errno
import os

import pytest

from smbd_uring.filesystem import PosixFilesystem
from smbd_uring.ports import (
    CloseHandle,
    Credentials,
    Effect,
    Link,
    OpenAt,
    PathMissing,
    Rename,
    ShareRoot,
    Stat,
    Unlink,
)
from tests.sim.worlds import SimulatedWorld, World, run

filesystem = PosixFilesystem()
Path = tuple[str, ...]


def identity(world: World, root: ShareRoot, path: Path, who: Credentials) -> tuple[int, int]:
    found = run(world, filesystem.lookup(root, path, who))
    assert found.handle is not None and found.facts is not None
    world.perform(CloseHandle(found.handle))
    return found.facts.status.identity


def rename(
    world: World, root: ShareRoot, old: Path, new: Path, who: Credentials, replace: bool = False
) -> Path:
    return run(world, filesystem.rename(root, old, new, identity(world, root, old, who), replace, who))


def link(
    world: World, root: ShareRoot, old: Path, new: Path, who: Credentials, replace: bool = False
) -> None:
    run(world, filesystem.link(root, old, new, identity(world, root, old, who), replace, who))


def refused(number: int) -> pytest.RaisesExc[OSError]:
    return pytest.RaisesExc(OSError, check=lambda error: error.errno == number)


# --- delete --------------------------------------------------------------------------------------------------------


def test_deleting_files_and_directories(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_directory("Dir")
    world.add_file("Dir/file")
    run(world, filesystem.delete(root, ("dir", "file"), identity(world, root, ("dir", "file"), owner), False, owner))
    run(world, filesystem.delete(root, ("Dir",), identity(world, root, ("Dir",), owner), True, owner))
    assert world.names() == []


def test_another_file_of_that_name_is_not_deleted(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_file("meant")
    world.add_file("other")
    meant = identity(world, root, ("meant",), owner)
    with refused(errno.ENOENT):
        run(world, filesystem.delete(root, ("other",), meant, False, owner))
    with refused(errno.ENOENT):
        run(world, filesystem.delete(root, ("gone",), meant, False, owner))
    assert world.names() == ["meant", "other"]


def test_a_directory_with_something_in_it_stays(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_directory("dir")
    world.add_file("dir/file")
    with refused(errno.ENOTEMPTY):
        run(world, filesystem.delete(root, ("dir",), identity(world, root, ("dir",), owner), True, owner))


@pytest.mark.parametrize("target", ["file", "dir"])
def test_of_a_symlink_the_link_goes_not_what_it_leads_to(
    world: World, root: ShareRoot, owner: Credentials, target: str
) -> None:
    world.add_file("file")
    world.add_directory("dir")
    world.add_symlink("link", target)
    meant = identity(world, root, ("link",), owner)
    run(world, filesystem.delete(root, ("link",), meant, target == "dir", owner))
    assert world.names() == ["dir", "file"]


def test_the_root_can_be_neither_deleted_nor_moved(world: World, root: ShareRoot, owner: Credentials) -> None:
    top = identity(world, root, (), owner)
    with refused(errno.EACCES):
        run(world, filesystem.delete(root, (), top, True, owner))
    with refused(errno.EACCES):
        run(world, filesystem.rename(root, (), ("x",), top, False, owner))
    with refused(errno.EACCES):
        run(world, filesystem.rename(root, ("x",), (), top, True, owner))


# --- rename --------------------------------------------------------------------------------------------------------


def test_renaming_and_moving(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_directory("Dir")
    world.add_file("file", b"data")
    assert rename(world, root, ("file",), ("other",), owner) == ("other",)
    assert rename(world, root, ("other",), ("dIR", "Moved"), owner) == ("Dir", "Moved")
    assert world.data("Dir/Moved") == b"data"
    assert rename(world, root, ("Dir",), ("Renamed",), owner) == ("Renamed",)
    assert world.names("Renamed") == ["Moved"]


@pytest.mark.parametrize("replace", [False, True])
def test_the_case_of_letters_can_be_changed(
    world: World, root: ShareRoot, owner: Credentials, replace: bool
) -> None:
    world.add_file("Foo", b"1")
    world.add_directory("Dir")
    assert rename(world, root, ("Foo",), ("fOO",), owner, replace) == ("fOO",)
    assert rename(world, root, ("Dir",), ("DIR",), owner, replace) == ("DIR",)
    assert rename(world, root, ("DIR",), ("DIR",), owner, replace) == ("DIR",)
    assert world.names() == ["DIR", "fOO"]


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("name", ["file", "FILE"])
def test_a_file_is_not_lost_when_its_directory_has_two_paths(
    world: World, root: ShareRoot, owner: Credentials, name: str, replace: bool
) -> None:
    world.add_directory("dir")
    world.add_file("dir/file", b"1")
    world.add_symlink("alias", "dir")
    assert rename(world, root, ("dir", "file"), ("alias", name), owner, replace) == ("alias", name)
    assert world.names("dir") == [name]
    assert world.data(f"dir/{name}") == b"1"


@pytest.mark.parametrize("taken", ["Taken", "tAKEN"])
def test_a_taken_name_is_a_collision_in_any_case(
    world: World, root: ShareRoot, owner: Credentials, taken: str
) -> None:
    world.add_file("file", b"new")
    world.add_file("Taken", b"old")
    with refused(errno.EEXIST):
        rename(world, root, ("file",), (taken,), owner)
    assert rename(world, root, ("file",), (taken,), owner, replace=True) == (taken,)
    assert world.names() == [taken]
    assert world.data(taken) == b"new"


@pytest.mark.parametrize("name", ["Dir", "DIR", "to dir"])
def test_a_directory_is_never_replaced(world: World, root: ShareRoot, owner: Credentials, name: str) -> None:
    world.add_directory("Dir")
    world.add_symlink("to dir", "Dir")
    world.add_file("file")
    world.add_directory("other")
    for source in ("file", "other"):
        with refused(errno.EEXIST):
            rename(world, root, (source,), (name,), owner)
        with refused(errno.EACCES):
            rename(world, root, (source,), (name,), owner, replace=True)


def test_a_dangling_symlink_takes_a_name_too(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_symlink("Dangling", "nowhere")
    world.add_file("file", b"1")
    with refused(errno.EEXIST):
        rename(world, root, ("file",), ("dangling",), owner)
    rename(world, root, ("file",), ("dangling",), owner, replace=True)
    assert world.names() == ["dangling"] and world.data("dangling") == b"1"


@pytest.mark.parametrize("name", ["second", "SECOND"])
def test_one_link_of_a_file_replaces_another(
    world: World, root: ShareRoot, owner: Credentials, name: str
) -> None:
    world.add_file("first", b"1")
    world.add_link("second", "first")
    with refused(errno.EEXIST):
        rename(world, root, ("first",), (name,), owner)
    rename(world, root, ("first",), (name,), owner, replace=True)
    assert world.names() == [name]


def test_another_file_of_that_name_is_not_renamed(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_file("meant")
    world.add_file("other")
    meant = identity(world, root, ("meant",), owner)
    with refused(errno.ENOENT):
        run(world, filesystem.rename(root, ("other",), ("new",), meant, False, owner))
    with refused(errno.ENOENT):
        run(world, filesystem.link(root, ("other",), ("new",), meant, False, owner))
    assert world.names() == ["meant", "other"]


def test_a_directory_does_not_go_into_itself(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_directory("a")
    world.add_directory("a/b")
    with refused(errno.EINVAL):
        rename(world, root, ("a",), ("a", "b", "c"), owner)


def test_nothing_leaves_the_share(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_symlink("out", "../outside")
    world.add_file("file")
    for move in (rename, link):
        with refused(errno.EXDEV):
            move(world, root, ("file",), ("out", "file"), owner)


def test_a_new_name_may_not_be_vetoed_nor_its_parent_missing(
    world: World, root: ShareRoot, owner: Credentials
) -> None:
    world.add_file("file")
    root.veto_list = ("*.exe",)
    for move in (rename, link):
        with refused(errno.EACCES):
            move(world, root, ("file",), ("file.EXE",), owner)
        with pytest.raises(PathMissing):
            move(world, root, ("file",), ("no", "file"), owner)
    assert world.names() == ["file"]


def test_where_the_file_system_cannot_refuse_to_replace_the_name_is_looked_at_again() -> None:
    world = SimulatedWorld()
    root = ShareRoot(world.perform(OpenAt(None, b"/share", os.O_PATH)), True, False, True, True)
    who = Credentials(0, 0)
    world.add_file("file")
    world.kernel.fail(Rename, errno.EINVAL)
    assert rename(world, root, ("file",), ("new",), who) == ("new",)

    def taken_meanwhile(effect: Rename) -> bool:
        world.add_file("late")
        return True

    world.kernel.fail(Rename, errno.EINVAL, matching=taken_meanwhile)
    with refused(errno.EEXIST):
        rename(world, root, ("new",), ("late",), who)
    assert world.names() == ["late", "new"]


# --- link ----------------------------------------------------------------------------------------------------------


def test_linking(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_directory("Dir")
    world.add_file("file", b"1")
    link(world, root, ("file",), ("DIR", "Link"), owner)
    assert identity(world, root, ("Dir", "Link"), owner) == identity(world, root, ("file",), owner)
    with refused(errno.EPERM):
        link(world, root, ("Dir",), ("second",), owner)


@pytest.mark.parametrize("taken", ["Taken", "tAKEN"])
def test_a_link_replaces_only_when_asked(
    world: World, root: ShareRoot, owner: Credentials, taken: str
) -> None:
    world.add_file("file", b"new")
    world.add_file("Taken", b"old")
    world.add_directory("dir")
    with refused(errno.EEXIST):
        link(world, root, ("file",), (taken,), owner)
    with refused(errno.EACCES):
        link(world, root, ("file",), ("DIR",), owner, replace=True)
    link(world, root, ("file",), (taken,), owner, replace=True)
    link(world, root, ("file",), (taken,), owner, replace=True)
    assert world.names() == sorted([taken, "dir", "file"])
    assert world.data(taken) == b"new"


def test_names_left_by_a_crash_do_not_block_a_replacing_link(
    world: World, root: ShareRoot, owner: Credentials
) -> None:
    world.add_file("file", b"new")
    world.add_file("taken", b"old")
    inode = identity(world, root, ("file",), owner)[1]
    leftover = f".smbd-uring-link-{inode:x}-0"
    world.add_file(leftover)
    link(world, root, ("file",), ("taken",), owner, replace=True)
    assert world.names() == [leftover, "file", "taken"]


# --- who may -------------------------------------------------------------------------------------------------------


def may_delete(world: World, root: ShareRoot, path: Path, who: Credentials) -> bool:
    """What is foretold; and it is what then happens."""
    found = run(world, filesystem.lookup(root, path, who))
    assert found.handle is not None and found.facts is not None
    world.perform(CloseHandle(found.handle))
    foretold = run(world, filesystem.may_delete(root, path, found.facts, who))
    try:
        run(world, filesystem.delete(root, path, found.facts.status.identity, False, who))
        assert foretold
    except PermissionError:
        assert not foretold
    return foretold


@pytest.mark.parametrize(
    ("mode", "directory_owner", "file_owner", "allowed"),
    [
        (0o755, 0, 1000, False), (0o777, 0, 0, True), (0o755, 1000, 0, True), (0o500, 1000, 1000, False),
        (0o1777, 0, 1000, True), (0o1777, 0, 1001, False), (0o1777, 1000, 1001, True), (0o333, 0, 0, True),
    ],
)  # fmt: skip
def test_who_may_delete(
    world: World, root: ShareRoot, alice: Credentials, mode: int, directory_owner: int, file_owner: int, allowed: bool
) -> None:
    world.add_directory("dir", mode, directory_owner)
    world.add_file("dir/file", b"", 0o644, file_owner)
    assert may_delete(world, root, ("dir", "file"), alice) is allowed


def test_of_a_symlink_in_a_sticky_directory_its_own_owner_counts(
    world: World, root: ShareRoot, alice: Credentials
) -> None:
    world.add_directory("dir", 0o1777)
    world.add_file("dir/file", b"", 0o644, alice.uid)
    world.add_symlink("dir/link", "file")
    assert may_delete(world, root, ("dir", "link"), alice) is False


def test_nobody_may_delete_the_root(world: World, root: ShareRoot, owner: Credentials) -> None:
    facts = run(world, filesystem.facts(root, root.handle, "", owner))
    assert not run(world, filesystem.may_delete(root, (), facts, owner))


def test_the_kernel_decides_who_may_rename_and_link(
    world: World, root: ShareRoot, alice: Credentials, bob: Credentials
) -> None:
    world.add_directory("alices", 0o755, alice.uid)
    world.add_file("alices/file", b"", 0o644, alice.uid)
    world.add_directory("shared", 0o777)
    rename(world, root, ("alices", "file"), ("alices", "renamed"), alice)
    for move in (rename, link):
        with pytest.raises(PermissionError):
            move(world, root, ("alices", "renamed"), ("shared", "stolen"), bob)


# --- when the disk fails -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Stat, OpenAt, Rename, Link, Unlink, CloseHandle])
def test_no_handle_and_no_temporary_name_is_left(kind: type[Effect[object]]) -> None:
    who = Credentials(0, 0)
    for nth in range(1, 8):
        world = SimulatedWorld()
        world.add_directory("dir")
        world.add_file("dir/file", b"new")
        world.add_file("taken", b"old")
        root = ShareRoot(world.perform(OpenAt(None, b"/share", os.O_PATH)), True, False, True, True)
        meant = identity(world, root, ("dir", "file"), who)
        world.kernel.fail(kind, errno.EIO, nth)
        for work in (
            filesystem.link(root, ("dir", "file"), ("Taken",), meant, True, who),
            filesystem.rename(root, ("dir", "file"), ("dir", "moved"), meant, False, who),
            filesystem.delete(root, ("dir", "moved"), meant, False, who),
        ):
            try:
                run(world, work)
            except OSError as error:
                assert error.errno in (errno.EIO, errno.ENOENT)
        assert len(world.kernel.open_files) == 1
        assert not [name for name in world.names() if name.startswith(".smbd-uring")]
