"""Facts of one file, and changing what is stored about it."""

from __future__ import annotations

import errno
import os

import pytest

from smbd_uring.filesystem import PosixFilesystem
from smbd_uring.filesystem.attributes import facts_of
from smbd_uring.filesystem.dos_attributes import ARCHIVE, DIRECTORY, HIDDEN, READONLY, SYSTEM, decode, encode
from smbd_uring.ports import (
    CloseHandle,
    Credentials,
    FileFacts,
    FileStatus,
    GetXattr,
    Handle,
    OpenAt,
    SetXattr,
    ShareRoot,
)
from tests.sim.worlds import SimulatedWorld, World, run

filesystem = PosixFilesystem()


def opened(world: World, root: ShareRoot, name: str, who: Credentials) -> tuple[Handle, FileFacts]:
    found = run(world, filesystem.lookup(root, (name,), who))
    assert found.handle is not None and found.facts is not None
    return found.handle, found.facts


def test_stored_attributes_decide_except_about_directories_and_dots(
    world: World, root: ShareRoot, owner: Credentials
) -> None:
    world.add_file(".file")
    world.add_directory("dir")
    world.set_xattr(".file", "user.DOSATTRIB", encode(SYSTEM | DIRECTORY, 0))
    world.set_xattr("dir", "user.DOSATTRIB", encode(HIDDEN, 0))
    for name, attributes in ((".file", SYSTEM | HIDDEN), ("dir", HIDDEN | DIRECTORY)):
        handle, facts = opened(world, root, name, owner)
        assert facts.attributes == attributes
        world.perform(CloseHandle(handle))
    root.hide_dot_files = False
    handle, facts = opened(world, root, ".file", owner)
    assert facts.attributes == SYSTEM
    world.perform(CloseHandle(handle))


@pytest.mark.parametrize("value", [b"", b"nonsense", bytes(64), b"\xff" * 64])
def test_a_corrupt_value_counts_as_absent(
    world: World, root: ShareRoot, owner: Credentials, value: bytes
) -> None:
    world.add_file("file")
    world.set_xattr("file", "user.DOSATTRIB", value)
    handle, facts = opened(world, root, "file", owner)
    assert facts.attributes == ARCHIVE
    world.perform(CloseHandle(handle))


def test_what_is_set_is_found_again_and_the_rest_is_kept(
    world: World, root: ShareRoot, owner: Credentials
) -> None:
    world.add_file("file")
    handle, before = opened(world, root, "file", owner)
    run(world, filesystem.set_attributes(root, handle, before, HIDDEN | READONLY, None, owner))
    after = run(world, filesystem.facts(root, handle, "file", owner))
    assert after.attributes == HIDDEN | READONLY
    assert after.created_ns == before.created_ns // 100 * 100
    run(world, filesystem.set_attributes(root, handle, after, None, 10**18, owner))
    last = run(world, filesystem.facts(root, handle, "file", owner))
    assert (last.attributes, last.created_ns) == (HIDDEN | READONLY, 10**18)
    world.perform(CloseHandle(handle))


def test_a_directory_is_stored_as_one_as_samba_does(world: World, root: ShareRoot, owner: Credentials) -> None:
    world.add_directory("dir")
    handle, facts = opened(world, root, "dir", owner)
    run(world, filesystem.set_attributes(root, handle, facts, HIDDEN, 10**18, owner))
    assert world.xattr("dir", "user.DOSATTRIB") == encode(HIDDEN | DIRECTORY, 10**18)
    run(world, filesystem.set_attributes(root, handle, facts, 0, 10**18, owner))
    assert decode(world.xattr("dir", "user.DOSATTRIB") or b"") is not None
    world.perform(CloseHandle(handle))


def test_who_may_not_write_may_not_set(world: World, root: ShareRoot, alice: Credentials) -> None:
    world.add_file("file", b"", 0o644)
    handle, facts = opened(world, root, "file", alice)
    with pytest.raises(OSError) as caught:
        run(world, filesystem.set_attributes(root, handle, facts, HIDDEN, None, alice))
    assert caught.value.errno == errno.EACCES
    world.perform(CloseHandle(handle))


def test_a_share_that_stores_none_forgets_and_does_not_look(
    world: World, root: ShareRoot, owner: Credentials
) -> None:
    world.add_file("file")
    world.set_xattr("file", "user.DOSATTRIB", encode(SYSTEM, 0))
    root.store_dos_attributes = False
    handle, facts = opened(world, root, "file", owner)
    assert facts.attributes == ARCHIVE
    run(world, filesystem.set_attributes(root, handle, facts, HIDDEN, None, owner))
    assert world.xattr("file", "user.DOSATTRIB") == encode(SYSTEM, 0)
    world.perform(CloseHandle(handle))


def test_without_xattrs_reading_goes_on_and_writing_says_so() -> None:
    world = SimulatedWorld(has_xattrs=False)
    world.add_file("file")
    root = ShareRoot(world.perform(OpenAt(None, b"/share", os.O_PATH)), True, False, True, True)
    handle, facts = opened(world, root, "file", Credentials(0, 0))
    assert facts.attributes == ARCHIVE
    with pytest.raises(OSError) as caught:
        run(world, filesystem.set_attributes(root, handle, facts, HIDDEN, None, Credentials(0, 0)))
    assert caught.value.errno == errno.EOPNOTSUPP


@pytest.mark.parametrize("kind", [GetXattr, SetXattr])
def test_a_failing_disk_is_not_an_absent_attribute(kind: type[GetXattr]) -> None:
    world = SimulatedWorld()
    world.add_file("file")
    root = ShareRoot(world.perform(OpenAt(None, b"/share", os.O_PATH)), True, False, True, True)
    handle, facts = opened(world, root, "file", Credentials(0, 0))
    world.kernel.fail(kind, errno.EIO)
    with pytest.raises(OSError) as caught:
        run(world, filesystem.facts(root, handle, "file", Credentials(0, 0)))
        run(world, filesystem.set_attributes(root, handle, facts, HIDDEN, None, Credentials(0, 0)))
    assert caught.value.errno == errno.EIO


def test_the_creation_time_is_the_best_there_is() -> None:
    root = ShareRoot(Handle(3), True, False, True, True)
    status = FileStatus(1, 2, 0o100644, 1, 0, 0, 0, 0, 10, 30, 20, None)
    assert facts_of(root, status, "file", None).created_ns == 20
    status = status._replace(born_ns=40)
    assert facts_of(root, status, "file", None).created_ns == 40
    assert facts_of(root, status, "file", encode(0, 700)).created_ns == 700
