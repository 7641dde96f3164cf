"""Creating: modes as the share wants them, names that are free in any case of letters, nothing half made."""

from __future__ import annotations

import errno
import os

import pytest

from smbd_uring.filesystem import PosixFilesystem
from smbd_uring.filesystem.dos_attributes import ARCHIVE, DIRECTORY, HIDDEN, SYSTEM, decode
from smbd_uring.ports import (
    CloseHandle,
    Credentials,
    Effect,
    Handle,
    ListDirectory,
    MakeDirectory,
    OpenAt,
    PathMissing,
    SetXattr,
    ShareRoot,
    Stat,
    WriteAt,
)
from tests.sim.worlds import SimulatedWorld, World, run

filesystem = PosixFilesystem()


def create(world: World, root: ShareRoot, path: str, who: Credentials, attributes: int = ARCHIVE) -> None:
    """Create a file, check that its handle can be written, close it."""
    components = tuple(path.split("/"))
    handle, facts = run(world, filesystem.create_file(root, components, os.O_RDWR, attributes, who))
    assert facts == run(world, filesystem.facts(root, handle, components[-1], who))
    assert world.perform(WriteAt(handle, 0, b"data")) == 4
    world.perform(CloseHandle(handle))


def make_directory(world: World, root: ShareRoot, path: str, who: Credentials, attributes: int = 0) -> None:
    """Create a directory, check that its handle can be listed, close it."""
    handle = run(world, filesystem.create_directory(root, tuple(path.split("/")), attributes, who))
    assert world.perform(ListDirectory(handle)) == []
    world.perform(CloseHandle(handle))


def test_a_file_has_the_modes_samba_gives(world: World, root: ShareRoot, alice: Credentials) -> None:
    create(world, root, "file", alice)
    assert world.mode("file") == 0o744
    assert world.owner("file") == alice.uid
    assert world.data("file") == b"data"


def test_a_directory_has_the_modes_samba_gives(world: World, root: ShareRoot, alice: Credentials) -> None:
    make_directory(world, root, "dir", alice)
    assert world.mode("dir") == 0o755
    assert world.owner("dir") == alice.uid


def test_masks_and_forced_modes(world: World, root: ShareRoot, owner: Credentials) -> None:
    root.create_mask, root.force_create_mode = 0o777, 0o020
    root.directory_mask, root.force_directory_mode = 0o700, 0o050
    create(world, root, "file", owner)
    make_directory(world, root, "dir", owner)
    assert world.mode("file") == 0o766
    assert world.mode("dir") == 0o750
    root.force_create_mode = 0o111
    create(world, root, "program", owner)
    assert world.mode("program") == 0o777


def test_dos_attributes_and_the_creation_time_are_stored(
    world: World, root: ShareRoot, owner: Credentials
) -> None:
    create(world, root, "file", owner, HIDDEN | SYSTEM | ARCHIVE)
    make_directory(world, root, "dir", owner, HIDDEN)
    for name, attributes in (("file", HIDDEN | SYSTEM | ARCHIVE), ("dir", HIDDEN)):
        value = world.xattr(name, "user.DOSATTRIB")
        stored = decode(value or b"")
        assert stored is not None and stored.attributes == attributes
        found = run(world, filesystem.lookup(root, (name,), owner))
        assert found.handle is not None and found.facts is not None
        world.perform(CloseHandle(found.handle))
        assert found.facts.attributes == attributes | (DIRECTORY if name == "dir" else 0)
        assert found.facts.created_ns == stored.created_ns


def test_a_share_that_does_not_store_them_leaves_no_trace(
    world: World, root: ShareRoot, owner: Credentials
) -> None:
    root.store_dos_attributes = False
    create(world, root, "file", owner, HIDDEN)
    assert world.xattr("file", "user.DOSATTRIB") is None


def test_a_name_that_is_taken(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_file("File")
    world.add_directory("Dir")
    world.add_symlink("Dangling", "nowhere")
    for name in ("File", "Dir", "Dangling"):
        for made in (
            filesystem.create_file(root, (name,), os.O_RDWR, 0, owner),
            filesystem.create_directory(root, (name,), 0, owner),
        ):
            with pytest.raises(FileExistsError):
                run(world, made)
    assert world.names() == ["Dangling", "Dir", "File"]


def test_the_root_exists(world: World, root: ShareRoot, owner: Credentials) -> None:
    with pytest.raises(FileExistsError):
        run(world, filesystem.create_directory(root, (), 0, owner))


def test_the_parent_is_found_in_any_case(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_directory("Dir")
    create(world, root, "DIR/New", owner)
    make_directory(world, root, "dir/Sub", owner)
    assert world.names("Dir") == ["New", "Sub"]


def test_the_parent_must_be_there(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_file("file")
    for path, number in ((("no", "x"), errno.ENOENT), (("file", "x"), errno.ENOTDIR)):
        with pytest.raises(PathMissing) as caught:
            run(world, filesystem.create_file(root, path, os.O_RDWR, 0, owner))
        assert caught.value.errno == number


def test_nothing_is_created_through_a_symlink_to_outside(
    world: World, root: ShareRoot, owner: Credentials
) -> None:
    world.add_symlink("out", "../outside")
    with pytest.raises(OSError) as caught:
        run(world, filesystem.create_file(root, ("out", "x"), os.O_RDWR, 0, owner))
    assert caught.value.errno == errno.EXDEV


def test_a_vetoed_name_may_not_be_created(world: World, root: ShareRoot, owner: Credentials) -> None:
    root.veto_list = ("*.exe",)
    for made in (
        filesystem.create_file(root, ("a.EXE",), os.O_RDWR, 0, owner),
        filesystem.create_directory(root, ("a.EXE",), 0, owner),
    ):
        with pytest.raises(PermissionError):
            run(world, made)
    assert world.names() == []


def test_the_kernel_decides_who_may(world: World, root: ShareRoot, alice: Credentials) -> None:
    world.add_directory("closed", 0o755)
    for made in (
        filesystem.create_file(root, ("closed", "x"), os.O_RDWR, 0, alice),
        filesystem.create_directory(root, ("closed", "x"), 0, alice),
    ):
        with pytest.raises(PermissionError):
            run(world, made)


def test_without_xattrs_files_are_created_all_the_same() -> None:
    world = SimulatedWorld(has_xattrs=False)
    root = ShareRoot(world.perform(OpenAt(None, b"/share", os.O_PATH)), True, False, True, True)
    create(world, root, "file", Credentials(1000, 1000), HIDDEN)
    assert world.data("file") == b"data"


@pytest.mark.parametrize("kind", [SetXattr, Stat, MakeDirectory, OpenAt, ListDirectory])
@pytest.mark.parametrize("is_directory", [False, True])
def test_when_the_disk_fails_nothing_is_left_and_nothing_stays_open(
    kind: type[Effect[object]], is_directory: bool
) -> None:
    who = Credentials(1000, 1000)
    for nth in range(1, 5):
        world = SimulatedWorld()
        root = ShareRoot(world.perform(OpenAt(None, b"/share", os.O_PATH)), True, False, True, True)
        world.kernel.fail(kind, errno.ENOSPC, nth)
        handle: Handle | None = None
        try:
            if is_directory:
                handle = run(world, filesystem.create_directory(root, ("new",), 0, who))
            else:
                handle, _ = run(world, filesystem.create_file(root, ("new",), os.O_RDWR, 0, who))
        except OSError as error:
            assert error.errno == errno.ENOSPC
        assert len(world.kernel.open_files) == (1 if handle is None else 2)
        assert world.names() == ([] if handle is None else ["new"])


def test_what_somebody_put_in_the_place_of_a_failed_file_stays() -> None:
    world = SimulatedWorld()
    root = ShareRoot(world.perform(OpenAt(None, b"/share", os.O_PATH)), True, False, True, True)

    def swapped(effect: SetXattr) -> bool:
        del world.kernel.node("/share").entries[b"new"]
        world.add_file("new", b"somebody else's")
        return True

    world.kernel.fail(SetXattr, errno.EIO, matching=swapped)
    with pytest.raises(OSError):
        run(world, filesystem.create_file(root, ("new",), os.O_RDWR, 0, Credentials(0, 0)))
    assert world.data("new") == b"somebody else's"
