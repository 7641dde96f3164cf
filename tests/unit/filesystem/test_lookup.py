"""Finding files: exactly, without case, through symlinks, and never outside the share."""

from __future__ import annotations

import errno
import os

import pytest

from smbd_uring.filesystem import PosixFilesystem
from smbd_uring.ports import (
    CloseHandle,
    Credentials,
    Found,
    GetXattr,
    ListDirectory,
    OpenAt,
    PathMissing,
    ShareRoot,
    Stat,
)
from tests.sim.worlds import SimulatedWorld, World, run

filesystem = PosixFilesystem()


def look_up(world: World, root: ShareRoot, path: str, who: Credentials) -> Found:
    """Look up and close; the handle in the result only tells that there was one."""
    found = run(world, filesystem.lookup(root, tuple(path.split("/")) if path else (), who))
    if found.handle is not None:
        status = world.perform(Stat(found.handle))
        assert found.facts is not None and found.facts.status.identity == status.identity
        world.perform(CloseHandle(found.handle))
    return found


def test_the_empty_path_is_the_root(world: World, root: ShareRoot, owner: Credentials) -> None:
    found = look_up(world, root, "", owner)
    assert found.components == () and found.handle is not None


def test_an_exact_path_takes_one_step(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_directory("dir")
    world.add_file("dir/file")
    found = look_up(world, root, "dir/file", owner)
    assert found.components == ("dir", "file") and found.handle is not None
    if isinstance(world, SimulatedWorld):
        assert world.kernel.calls["OpenAt"] == 2  # the top, and this one
        assert not world.kernel.calls["ListDirectory"]


def test_case_does_not_matter_but_is_told_as_on_disk(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_directory("Some Dir")
    world.add_directory("Some Dir/Ünter")
    world.add_file("Some Dir/Ünter/File.TXT")
    found = look_up(world, root, "SOME dir/üNTER/file.txt", owner)
    assert found.components == ("Some Dir", "Ünter", "File.TXT") and found.handle is not None


def test_the_exact_name_goes_before_others(world: World, root: ShareRoot, owner: Credentials) -> None:
    for name in ("file", "File", "FILE"):
        world.add_file(name)
    assert look_up(world, root, "File", owner).components == ("File",)
    assert look_up(world, root, "fILE", owner).components == ("FILE",)


def test_a_new_name_keeps_its_case_below_directories_as_on_disk(
    world: World, root: ShareRoot, owner: Credentials
) -> None:
    world.add_directory("Dir")
    found = look_up(world, root, "dIR/New File", owner)
    assert found == Found(("Dir", "New File"), None, None)


@pytest.mark.parametrize("path", ["no/file", "dir/no/file", "no/no/no/file", "DIR/no/file"])
def test_a_missing_parent(world: World, root: ShareRoot, owner: Credentials, path: str) -> None:
    world.add_directory("dir")
    with pytest.raises(PathMissing) as caught:
        look_up(world, root, path, owner)
    assert caught.value.errno == errno.ENOENT


@pytest.mark.parametrize("path", ["file/x", "FILE/x", "file/x/y", "FILE/x/y"])
def test_a_parent_that_is_a_file(world: World, root: ShareRoot, owner: Credentials, path: str) -> None:
    world.add_file("file")
    with pytest.raises(PathMissing) as caught:
        look_up(world, root, path, owner)
    assert caught.value.errno == errno.ENOTDIR


def test_symlinks_lead_anywhere_inside(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_directory("a")
    world.add_directory("b")
    world.add_file("b/file", b"12345")
    world.add_symlink("a/link", "../b/file")
    world.add_symlink("Back", "a/../b")
    found = look_up(world, root, "a/link", owner)
    assert found.facts is not None and found.facts.status.size == 5
    assert look_up(world, root, "bACK/FILE", owner).components == ("Back", "file")


@pytest.mark.parametrize("target", ["../outside", "/etc", "/", "a/../../outside", "../share/a"])
def test_symlinks_never_lead_outside(world: World, root: ShareRoot, owner: Credentials, target: str) -> None:
    world.add_directory("a")
    world.add_symlink("link", target)
    for path in ("link", "LINK", "link/x"):
        with pytest.raises(OSError) as caught:
            look_up(world, root, path, owner)
        assert caught.value.errno == errno.EXDEV


def test_symlinks_are_refused_where_the_share_does_not_follow_them(
    world: World, root: ShareRoot, owner: Credentials
) -> None:
    world.add_file("file")
    world.add_symlink("link", "file")
    root.follow_symlinks = False
    with pytest.raises(OSError) as caught:
        look_up(world, root, "link", owner)
    assert caught.value.errno == errno.ELOOP


def test_a_symlink_in_a_circle(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_symlink("loop", "loop")
    with pytest.raises(OSError) as caught:
        look_up(world, root, "loop", owner)
    assert caught.value.errno == errno.ELOOP


@pytest.mark.parametrize("path", ["dangling", "DANGLING"])
def test_a_dangling_symlink_is_no_file(world: World, root: ShareRoot, owner: Credentials, path: str) -> None:
    world.add_symlink("dangling", "nowhere")
    assert look_up(world, root, path, owner) == Found(("dangling",), None, None)
    with pytest.raises(PathMissing):
        look_up(world, root, path + "/x", owner)


def test_vetoed_names_are_not_there(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_directory("Secret")
    world.add_file("Secret/file")
    world.add_file("a.tmp")
    root.veto_list = ("secret", "*.TMP")
    assert look_up(world, root, "A.tmp", owner) == Found(("A.tmp",), None, None)
    assert look_up(world, root, "Secret", owner).handle is None
    for path in ("Secret/file", "Secret/no", "SECRET/a.tmp", "no/a.tmp"):
        with pytest.raises(PathMissing):
            look_up(world, root, path, owner)


@pytest.mark.parametrize(
    ("path", "number"),
    [("x" * 256, errno.ENAMETOOLONG), ("ü" * 128, errno.ENAMETOOLONG), ("\udc80", errno.EILSEQ), ("..", errno.EINVAL),
     ("a/../b", errno.EINVAL), ("/".join(["d" * 200] * 21), errno.ENAMETOOLONG)],
)  # fmt: skip
def test_names_that_cannot_be(
    world: World, root: ShareRoot, owner: Credentials, path: str, number: int
) -> None:
    with pytest.raises(OSError) as caught:
        look_up(world, root, path, owner)
    assert caught.value.errno == number


def test_a_directory_that_may_not_be_searched(world: World, root: ShareRoot, alice: Credentials) -> None:
    world.add_directory("closed", 0o700)
    world.add_file("closed/file")
    for path in ("closed/file", "CLOSED/file"):
        with pytest.raises(OSError) as caught:
            look_up(world, root, path, alice)
        assert caught.value.errno == errno.EACCES


def test_a_directory_that_may_only_be_searched(world: World, root: ShareRoot, alice: Credentials) -> None:
    world.add_directory("dropbox", 0o711)
    world.add_file("dropbox/file")
    assert look_up(world, root, "dropbox/file", alice).handle is not None
    assert look_up(world, root, "dropbox/FILE", alice) == Found(("dropbox", "FILE"), None, None)


def test_names_that_are_not_unicode_do_not_disturb(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_file(os.fsdecode(b"fil\xe9"))
    world.add_file("filé")
    assert look_up(world, root, "FILÉ", owner).components == ("filé",)


def test_a_rename_elsewhere_makes_the_kernel_ask_again_but_not_for_ever(owner: Credentials) -> None:
    world = SimulatedWorld()
    world.add_file("file")
    handle = world.perform(OpenAt(None, b"/share", os.O_PATH))
    root = ShareRoot(handle, True, False, True, True)
    world.kernel.fail(OpenAt, errno.EAGAIN)
    assert look_up(world, root, "file", Credentials(0, 0)).handle is not None
    for _ in range(40):
        world.kernel.fail(OpenAt, errno.EAGAIN)
    with pytest.raises(OSError) as caught:
        look_up(world, root, "file", Credentials(0, 0))
    assert caught.value.errno == errno.EAGAIN


@pytest.mark.parametrize("kind", [Stat, GetXattr, ListDirectory, OpenAt, CloseHandle])
def test_nothing_stays_open_when_the_disk_fails(kind: type[Stat]) -> None:
    for nth in range(1, 6):
        world = SimulatedWorld()
        world.add_directory("Dir")
        world.add_file("Dir/File")
        root = ShareRoot(world.perform(OpenAt(None, b"/share", os.O_PATH)), True, False, True, True)
        world.kernel.fail(kind, errno.EIO, nth)
        try:
            found = run(world, filesystem.lookup(root, ("dir", "file"), Credentials(0, 0)))
        except OSError as error:
            assert error.errno == errno.EIO
            found = None
        assert len(world.kernel.open_files) == (2 if found else 1)


def test_the_root_of_a_share_must_be_a_directory(world: World) -> None:
    world.add_file("file")
    handle = run(world, filesystem.open_root(world.top()))
    world.perform(CloseHandle(handle))
    for name, number in (("file", errno.ENOTDIR), ("no", errno.ENOENT)):
        with pytest.raises(OSError) as caught:
            run(world, filesystem.open_root(f"{world.top()}/{name}"))
        assert caught.value.errno == number
