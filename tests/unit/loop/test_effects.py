"""Given a directory, every file effect does what its docstring in `ports` says, whoever performs it."""

from __future__ import annotations

import errno
import os
import resource
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smbd_uring.ports import (
    Allocate,
    CheckAccess,
    CheckRangeLock,
    CloseHandle,
    CreateFile,
    Describe,
    DescribeAt,
    Effect,
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
    StatVolume,
    Synchronize,
    Truncate,
    Unlink,
    Visit,
    WriteAt,
)
from tests.unit.loop.effects import Performer

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_BENEATH = 0x08
RENAME_NOREPLACE = 1
FALLOC_FL_KEEP_SIZE = 1


@pytest.fixture
def root(perform: Performer, tmp_path: Path) -> Iterator[Handle]:
    handle = perform(OpenAt(None, os.fsencode(tmp_path), os.O_PATH | os.O_DIRECTORY))
    yield handle
    perform(CloseHandle(handle))


@pytest.fixture
def file(perform: Performer, root: Handle) -> Iterator[Handle]:
    handle = perform(OpenAt(root, b"file", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640, RESOLVE_BENEATH))
    yield handle
    perform(CloseHandle(handle))


def error_of(perform: Performer, effect: Effect[Any]) -> int:
    with pytest.raises(OSError) as raised:
        perform(effect)
    assert raised.value.errno is not None
    return raised.value.errno


def test_a_new_file_gets_the_mode_asked_for(perform: Performer, root: Handle, file: Handle) -> None:
    before = os.umask(0)
    try:
        handle = perform(OpenAt(root, b"new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o627, RESOLVE_BENEATH))
    finally:
        os.umask(before)
    assert stat.S_IMODE(perform(Stat(handle)).mode) == 0o627
    perform(CloseHandle(handle))
    assert error_of(perform, CloseHandle(handle)) == errno.EBADF
    assert error_of(perform, OpenAt(root, b"new", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)) == errno.EEXIST


def test_descriptors_are_not_inherited(file: Handle) -> None:
    assert not os.get_inheritable(file)


def test_what_was_written_is_read(perform: Performer, file: Handle) -> None:
    data = os.urandom(3 * 1024 * 1024 + 17)
    assert perform(WriteAt(file, 5, data)) == len(data)
    assert bytes(perform(ReadAt(file, 5, len(data)))) == data
    assert bytes(perform(ReadAt(file, 0, 7))) == b"\0" * 5 + data[:2]


def test_only_the_end_of_the_file_shortens_a_read(perform: Performer, file: Handle) -> None:
    perform(WriteAt(file, 0, b"0123456789"))
    assert bytes(perform(ReadAt(file, 4, 100))) == b"456789"
    assert bytes(perform(ReadAt(file, 9, 2))) == b"9"
    assert bytes(perform(ReadAt(file, 10, 5))) == b""
    assert bytes(perform(ReadAt(file, 1 << 40, 5))) == b""
    assert bytes(perform(ReadAt(file, 0, 0))) == b""


def test_buffers_of_every_kind_are_written(perform: Performer, file: Handle) -> None:
    perform(WriteAt(file, 0, bytearray(b"abc")))
    perform(WriteAt(file, 3, memoryview(b"__def__")[2:5]))
    assert perform(WriteAt(file, 6, b"")) == 0
    assert bytes(perform(ReadAt(file, 0, 10))) == b"abcdef"


@pytest.mark.parametrize("offset", [-1, 1 << 63, 1 << 64, (1 << 63) - 2])
def test_offsets_a_file_cannot_have_are_refused(perform: Performer, file: Handle, offset: int) -> None:
    assert error_of(perform, ReadAt(file, offset, 16)) == errno.EINVAL
    assert error_of(perform, WriteAt(file, offset, b"x" * 16)) == errno.EINVAL
    assert error_of(perform, Allocate(file, 0, offset, 16)) == errno.EINVAL


def test_a_full_disk_is_an_error_not_a_short_write(perform: Performer) -> None:
    full = perform(OpenAt(None, b"/dev/full", os.O_WRONLY))
    assert error_of(perform, WriteAt(full, 0, b"x" * 8192)) == errno.ENOSPC
    perform(CloseHandle(full))


def test_a_write_that_fits_in_part_is_an_error(perform: Performer, file: Handle) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        assert error_of(perform, WriteAt(file, 8_000, b"x" * 4_000)) == errno.EFBIG
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert perform(Stat(file)).size == 10_000


def test_synchronizing_and_sizes(perform: Performer, file: Handle) -> None:
    perform(WriteAt(file, 0, b"x" * 5000))
    perform(Synchronize(file))
    perform(Synchronize(file, data_only=True))
    perform(Truncate(file, 1234))
    assert perform(Stat(file)).size == 1234
    perform(Truncate(file, 1 << 33))
    assert perform(Stat(file)).size == 1 << 33
    assert error_of(perform, Truncate(file, 1 << 63)) == errno.EINVAL


def test_locks_of_two_open_files_are_in_each_others_way_and_go_when_one_is_closed(
    perform: Performer, file: Handle
) -> None:
    end = 1 << 63
    other = perform(Reopen(file, os.O_RDWR))
    assert perform(SetRangeLock(file, 10, 10, RangeLock.EXCLUSIVE))
    assert perform(SetRangeLock(file, 30, end - 30, RangeLock.SHARED))
    for handle in (file, other):
        in_the_way = handle == other
        assert perform(CheckRangeLock(handle, 19, 1, RangeLock.SHARED)) == in_the_way
        assert perform(CheckRangeLock(handle, end - 1, 1, RangeLock.EXCLUSIVE)) == in_the_way
        assert not perform(CheckRangeLock(handle, 20, 10, RangeLock.EXCLUSIVE))
    assert not perform(SetRangeLock(other, 15, 1, RangeLock.SHARED))
    assert perform(SetRangeLock(file, 15, 1, RangeLock.SHARED)), "it comes down to sharing what it had for itself"
    assert perform(SetRangeLock(other, 15, 1, RangeLock.SHARED))
    perform(CloseHandle(other))
    assert perform(SetRangeLock(file, 0, end, RangeLock.EXCLUSIVE))
    assert perform(SetRangeLock(file, 0, end, RangeLock.NONE))


@pytest.mark.parametrize(("offset", "length"), [(0, 0), (-1, 1), (1, 1 << 63), (1 << 63, 1)])
def test_a_lock_has_bytes_whose_offsets_the_kernel_knows(
    perform: Performer, file: Handle, offset: int, length: int
) -> None:
    assert error_of(perform, SetRangeLock(file, offset, length, RangeLock.SHARED)) == errno.EINVAL
    assert error_of(perform, CheckRangeLock(file, offset, length, RangeLock.SHARED)) == errno.EINVAL


def test_an_open_file_locks_as_it_was_opened(perform: Performer, file: Handle) -> None:
    for flags, kind in ((os.O_RDONLY, RangeLock.EXCLUSIVE), (os.O_WRONLY, RangeLock.SHARED)):
        limited = perform(Reopen(file, flags))
        assert error_of(perform, SetRangeLock(limited, 0, 1, kind)) == errno.EBADF
        perform(CloseHandle(limited))


def test_allocation_takes_blocks_and_keeps_the_size(perform: Performer, file: Handle) -> None:
    perform(Allocate(file, FALLOC_FL_KEEP_SIZE, 0, 1 << 20))
    status = perform(Stat(file))
    assert status.size == 0
    assert status.allocated >= 1 << 20
    perform(Allocate(file, 0, 0, 4096))
    assert perform(Stat(file)).size == 4096


def test_status_is_what_the_kernel_says(
    perform: Performer, root: Handle, file: Handle, tmp_path: Path
) -> None:
    perform(WriteAt(file, 0, b"x" * 5000))
    status, kernel = perform(Stat(root, b"file")), (tmp_path / "file").stat()
    assert status.identity == (kernel.st_dev, kernel.st_ino)
    assert (status.mode, status.link_count) == (kernel.st_mode, kernel.st_nlink)
    assert (status.uid, status.gid) == (kernel.st_uid, kernel.st_gid)
    assert (status.size, status.allocated) == (5000, kernel.st_blocks * 512)
    assert (status.accessed_ns, status.modified_ns) == (kernel.st_atime_ns, kernel.st_mtime_ns)
    assert status.changed_ns == kernel.st_ctime_ns
    assert status.born_ns is None or abs(status.born_ns - time.time_ns()) < 60_000_000_000
    assert perform(Stat(file)) == status
    assert error_of(perform, Stat(root, b"nothing")) == errno.ENOENT


def test_a_symlink_is_never_followed(perform: Performer, root: Handle, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert stat.S_ISLNK(perform(Stat(root, b"link")).mode)
    handle = perform(OpenAt(root, b"link", os.O_PATH | os.O_NOFOLLOW))
    assert stat.S_ISLNK(perform(Stat(handle)).mode)
    perform(CloseHandle(handle))
    perform(Link(root, b"link", root, b"second"))
    assert (tmp_path / "second").is_symlink()


@pytest.mark.parametrize("path", [b"../escape", b"/etc/passwd", b"out", b"inside/../../up", b"out/passwd"])
def test_nothing_outside_is_opened(
    perform: Performer, root: Handle, tmp_path: Path, path: bytes
) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "out").symlink_to("/etc")
    flags, resolve = os.O_RDONLY, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS
    assert error_of(perform, OpenAt(root, path, flags, 0, resolve)) == errno.EXDEV


def test_hostile_names_do_not_reach_the_kernel(perform: Performer, root: Handle, file: Handle) -> None:
    for name in (b"", b".", b"..", b"a/b", b"/etc", b"a\0b"):
        assert error_of(perform, MakeDirectory(root, name, 0o755)) == errno.EINVAL
        assert error_of(perform, Unlink(root, name, False)) == errno.EINVAL
        assert error_of(perform, Rename(root, b"file", root, name)) == errno.EINVAL
        assert error_of(perform, Rename(root, name, root, b"x")) == errno.EINVAL
        assert error_of(perform, Link(root, b"file", root, name)) == errno.EINVAL
        assert error_of(perform, StatEntries(root, [name], b"user.x")) == errno.EINVAL
    assert error_of(perform, OpenAt(root, b"file\0", os.O_RDONLY)) == errno.EINVAL
    assert error_of(perform, OpenAt(None, b"etc", os.O_RDONLY)) == errno.EINVAL
    assert error_of(perform, GetXattr(file, b"user.a\0b")) == errno.EINVAL


def test_a_path_handle_is_reopened_for_reading(perform: Performer, root: Handle, file: Handle) -> None:
    perform(WriteAt(file, 0, b"text"))
    path = perform(OpenAt(root, b"file", os.O_PATH))
    assert error_of(perform, ReadAt(path, 0, 4)) == errno.EBADF
    reading = perform(Reopen(path, os.O_RDONLY))
    assert bytes(perform(ReadAt(reading, 0, 4))) == b"text"
    assert error_of(perform, Reopen(path, os.O_RDONLY | os.O_DIRECTORY)) == errno.ENOTDIR
    for handle in (path, reading):
        perform(CloseHandle(handle))


def test_names_come_and_go(perform: Performer, root: Handle, file: Handle, tmp_path: Path) -> None:
    perform(MakeDirectory(root, b"folder", 0o750))
    folder = perform(OpenAt(root, b"folder", os.O_PATH | os.O_DIRECTORY))
    perform(Rename(root, b"file", folder, b"moved"))
    assert error_of(perform, Unlink(root, b"folder", True)) == errno.ENOTEMPTY
    assert error_of(perform, Unlink(folder, b"moved", True)) == errno.ENOTDIR
    perform(Link(folder, b"moved", root, b"again"))
    assert perform(Stat(root, b"again")).link_count == 2
    (tmp_path / "taken").touch()
    assert error_of(perform, Rename(root, b"again", root, b"taken", RENAME_NOREPLACE)) == errno.EEXIST
    perform(Rename(root, b"again", root, b"taken"))
    perform(Unlink(folder, b"moved", False))
    perform(Unlink(root, b"folder", True))
    assert sorted(os.listdir(tmp_path)) == ["taken"]
    perform(CloseHandle(folder))


def test_extended_attributes(perform: Performer, root: Handle, file: Handle) -> None:
    assert error_of(perform, GetXattr(file, b"user.none")) == errno.ENODATA
    path = perform(OpenAt(root, b"file", os.O_PATH))
    for value in (b"", b"v", os.urandom(3000)):
        perform(SetXattr(path, b"user.test", value))
        assert perform(GetXattr(file, b"user.test")) == value
        assert perform(GetXattr(path, b"user.test")) == value
    perform(CloseHandle(path))


def test_a_long_extended_attribute(perform: Performer) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        value = os.urandom(20_000)
        handle = perform(OpenAt(None, os.fsencode(directory), os.O_RDONLY | os.O_DIRECTORY))
        perform(SetXattr(handle, b"trusted.test" if os.geteuid() == 0 else b"user.test", value))
        assert perform(GetXattr(handle, b"trusted.test" if os.geteuid() == 0 else b"user.test")) == value
        perform(CloseHandle(handle))


def test_times_before_and_after_the_epoch(perform: Performer, root: Handle, file: Handle) -> None:
    perform(SetTimes(file, 1_234_567_890_123_456_789, -1))
    status = perform(Stat(file))
    assert (status.accessed_ns, status.modified_ns) == (1_234_567_890_123_456_789, -1)
    path = perform(OpenAt(root, b"file", os.O_PATH))
    perform(SetTimes(path, None, 42))
    status = perform(Stat(file))
    assert (status.accessed_ns, status.modified_ns) == (1_234_567_890_123_456_789, 42)
    perform(CloseHandle(path))


def test_modes_change_through_path_handles(perform: Performer, root: Handle, file: Handle) -> None:
    path = perform(OpenAt(root, b"file", os.O_PATH))
    perform(SetMode(path, 0o4711))
    assert stat.S_IMODE(perform(Stat(file)).mode) == 0o4711
    perform(CheckAccess(path, os.R_OK | os.W_OK))
    perform(CloseHandle(path))


def test_the_volume(perform: Performer, root: Handle, tmp_path: Path) -> None:
    volume, kernel = perform(StatVolume(root)), os.statvfs(tmp_path)
    assert volume.block_size == kernel.f_frsize
    assert (volume.total_blocks, volume.total_files) == (kernel.f_blocks, kernel.f_files)
    assert volume.name_length_max == 255
    assert volume.file_system_type > 0
    assert volume.available_blocks <= volume.free_blocks <= volume.total_blocks


def test_a_listing_starts_at_the_beginning_every_time(
    perform: Performer, root: Handle, tmp_path: Path
) -> None:
    names = {os.fsencode(f"name-{number}-\N{SNOWMAN}") for number in range(3000)} | {b"bad-\xff-utf8"}
    for name in names:
        os.close(os.open(os.fsencode(tmp_path) + b"/" + name, os.O_CREAT, 0o600))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sym").symlink_to("x")
    directory = perform(OpenAt(root, b".", os.O_RDONLY | os.O_DIRECTORY))
    first, second = perform(ListDirectory(directory)), perform(ListDirectory(directory))
    assert first == second
    assert {entry.name for entry in first} == names | {b"sub", b"sym"}
    kinds = {entry.name: entry.kind for entry in first}
    assert (kinds[b"sub"], kinds[b"sym"], kinds[b"bad-\xff-utf8"]) == (4, 10, 8)
    inodes = {entry.name: entry.inode for entry in first}
    assert inodes[b"sub"] == (tmp_path / "sub").stat().st_ino
    perform(CloseHandle(directory))


def test_many_entries_are_described_in_one_step(perform: Performer, root: Handle, tmp_path: Path) -> None:
    names = [b"entry-%d" % number for number in range(150)]
    for index, name in enumerate(names):
        path = os.fsencode(tmp_path) + b"/" + name
        os.close(os.open(path, os.O_CREAT, 0o600))
        if index % 2:
            os.setxattr(path, b"user.test", b"v" * (index * 10))
    (tmp_path / "sym").symlink_to("entry-1")
    asked = [*names, b"gone", b"sym", b"x" * 255]
    answers = perform(StatEntries(root, asked, b"user.test"))
    assert len(answers) == len(asked)
    for index, name in enumerate(names):
        status, value = answers[index]
        assert status == perform(Stat(root, name))
        assert value == (b"v" * (index * 10) if index % 2 else None)
    assert answers[150] is None and answers[152] is None
    assert stat.S_ISLNK(answers[151][0].mode) and answers[151][1] is None


def test_a_listing_of_a_handle_that_is_no_directory(perform: Performer, file: Handle) -> None:
    assert error_of(perform, ListDirectory(file)) == errno.ENOTDIR
    assert list(perform(StatEntries(file, [b"x"], b"user.test"))) == [None]


XATTR = b"user.test"


def test_looking_up_opens_and_describes_in_one_step(perform: Performer, root: Handle, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"12345")
    os.setxattr(tmp_path / "folder" / "file", XATTR, b"value")
    found = perform(LookUp(root, b"folder/file", os.O_PATH, RESOLVE_BENEATH, XATTR))
    assert (found.status, found.value) == (perform(Stat(found.handle)), b"value")
    assert found.status.size == 5
    assert error_of(perform, ReadAt(found.handle, 0, 1)) == errno.EBADF
    assert perform(Describe(found.handle, XATTR)) == (found.status, b"value")
    assert perform(Describe(found.handle, b"user.none")) == (found.status, None)
    assert perform(Describe(found.handle, b"")) == (found.status, None)
    reading = perform(Reopen(found.handle, os.O_RDONLY))
    assert perform(Describe(reading, XATTR)) == (found.status, b"value")
    opened = perform(LookUp(root, b"folder/file", os.O_RDONLY, RESOLVE_BENEATH, XATTR))
    assert opened[1:] == found[1:] and bytes(perform(ReadAt(opened.handle, 0, 9))) == b"12345"
    for handle in (found.handle, reading, opened.handle):
        perform(CloseHandle(handle))
    before = len(os.listdir("/proc/self/fd"))
    for path, number in ((b"nothing", errno.ENOENT), (b"../x", errno.EXDEV), (b"a\0b", errno.EINVAL)):
        assert error_of(perform, LookUp(root, path, os.O_PATH, RESOLVE_BENEATH, XATTR)) == number
    assert error_of(perform, LookUp(root, b"folder/file", os.O_PATH | os.O_DIRECTORY, 0, XATTR)) == errno.ENOTDIR
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_is_described_by_its_path_is_not_left_open(perform: Performer, root: Handle, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name, value in (("file", b"value"), ("other", os.urandom(3000))):
        (tmp_path / "folder" / name).write_bytes(b"12345")
        os.setxattr(tmp_path / "folder" / name, XATTR, value)
        found = perform(LookUp(root, b"folder/" + name.encode(), os.O_PATH, RESOLVE_BENEATH, XATTR))
        before = len(os.listdir("/proc/self/fd"))
        described = perform(DescribeAt(root, b"folder/" + name.encode(), RESOLVE_BENEATH, XATTR))
        assert described == found[1:] == (found.status, value)
        assert perform(DescribeAt(root, b"folder/" + name.encode(), RESOLVE_BENEATH, b"")) == (found.status, None)
        for path, number in ((b"nothing", errno.ENOENT), (b"../x", errno.EXDEV), (b"a\0b", errno.EINVAL)):
            assert error_of(perform, DescribeAt(root, path, RESOLVE_BENEATH, XATTR)) == number
        assert len(os.listdir("/proc/self/fd")) == before
        perform(CloseHandle(found.handle))


def test_a_symlink_looked_up_is_followed_within_the_share_or_shown(
    perform: Performer, root: Handle, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    followed = perform(LookUp(root, b"link", os.O_PATH, RESOLVE_BENEATH, XATTR))
    shown = perform(LookUp(root, b"link", os.O_PATH | os.O_NOFOLLOW, RESOLVE_BENEATH, b""))
    assert followed.status.size == 5 and stat.S_ISLNK(shown.status.mode)
    for found in (followed, shown):
        perform(CloseHandle(found.handle))


def test_visiting_tells_of_a_directory_and_who_may_change_it(perform: Performer, root: Handle, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/")
    flags = os.O_PATH | os.O_DIRECTORY
    seen = perform(Visit(root, b"folder", flags, RESOLVE_BENEATH, os.W_OK | os.X_OK))
    assert seen == perform(Stat(root, b"folder"))
    assert perform(Visit(root, b".", os.O_RDONLY | os.O_DIRECTORY, RESOLVE_BENEATH, 0)) == perform(Stat(root))
    refused = ((b"no", errno.ENOENT), (b"file", errno.ENOTDIR), (b"link", errno.EXDEV), (b"a\0", errno.EINVAL))
    for path, number in refused:
        assert error_of(perform, Visit(root, path, flags, RESOLVE_BENEATH, 0)) == number
    before = len(os.listdir("/proc/self/fd"))
    assert error_of(perform, Visit(root, b"file", os.O_PATH, RESOLVE_BENEATH, os.X_OK)) == errno.EACCES
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_is_created_with_its_creation_time(perform: Performer, root: Handle, tmp_path: Path) -> None:
    made = perform(CreateFile(root, b"new", os.O_RDWR, 0o640, RESOLVE_BENEATH, XATTR, b"value"))
    assert made.error == 0 and made.status == perform(Stat(made.handle)) == perform(Stat(root, b"new"))
    value = perform(GetXattr(made.handle, XATTR))
    born_ns = made.status.modified_ns if made.status.born_ns is None else made.status.born_ns
    assert value[:-8] == b"value"
    assert int.from_bytes(value[-8:], "little") == born_ns // 100 + 116_444_736_000_000_000
    assert perform(WriteAt(made.handle, 0, b"text")) == 4
    plain = perform(CreateFile(root, b"plain", os.O_RDWR, 0o600, RESOLVE_BENEATH, b"", b""))
    assert plain.error == 0 and error_of(perform, GetXattr(plain.handle, XATTR)) == errno.ENODATA
    # The file is there although its value cannot be.
    odd = perform(CreateFile(root, b"odd", os.O_RDWR, 0o600, RESOLVE_BENEATH, b"nowhere.x", b""))
    assert odd.error == errno.EOPNOTSUPP and odd.status.inode == os.stat(tmp_path / "odd").st_ino
    for handle in (made.handle, plain.handle, odd.handle):
        perform(CloseHandle(handle))
    for path, number in ((b"new", errno.EEXIST), (b"no/file", errno.ENOENT), (b"../file", errno.EXDEV)):
        assert error_of(perform, CreateFile(root, path, os.O_RDWR, 0o600, RESOLVE_BENEATH, XATTR, b"")) == number


def test_a_long_value_is_described_whole(perform: Performer, root: Handle, tmp_path: Path) -> None:
    value = os.urandom(3000)
    (tmp_path / "file").touch()
    os.setxattr(tmp_path / "file", XATTR, value)
    found = perform(LookUp(root, b"file", os.O_PATH, 0, XATTR))
    assert found.value == value == perform(Describe(found.handle, XATTR))[1]
    perform(CloseHandle(found.handle))


def test_only_the_file_that_was_meant_is_removed(perform: Performer, root: Handle, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("file", "folder/file", "folder/other"):
        (tmp_path / name).touch()
    (tmp_path / "folder" / "link").symlink_to("file")
    identity = perform(Stat(root, b"file")).identity
    inside = ((tmp_path / "folder" / "file").stat().st_dev, (tmp_path / "folder" / "file").stat().st_ino)
    for path, name, number in (
        (b"folder", b"file", errno.ENOENT), (b"folder", b"none", errno.ENOENT), (b"folder", b"link", errno.ELOOP),
        (b"gone", b"file", errno.ENOENT), (b"..", b"file", errno.EXDEV), (b"file", b"x", errno.ENOTDIR),
        (b"folder", b"a/b", errno.EINVAL), (b"", b"..", errno.EINVAL),
    ):  # fmt: skip
        assert error_of(perform, Remove(root, path, RESOLVE_BENEATH, name, identity, False)) == number, (path, name)
    assert error_of(perform, Remove(root, b"", 0, b"file", identity, True)) == errno.ENOTDIR
    perform(Remove(root, b"", 0, b"file", identity, False))
    perform(Remove(root, b"folder", RESOLVE_BENEATH, b"file", inside, False))
    assert sorted(os.listdir(tmp_path / "folder")) == ["link", "other"]
    folder = perform(Stat(root, b"folder")).identity
    assert error_of(perform, Remove(root, b"", 0, b"folder", folder, True)) == errno.ENOTEMPTY
    for name in ("link", "other"):
        (tmp_path / "folder" / name).unlink()
    perform(Remove(root, b"", 0, b"folder", folder, True))
    assert os.listdir(tmp_path) == []
