"""What a mounted share must do, seen through the Linux kernel: a list of checks on a folder of the mount.

Knows: ordinary file calls.  Must not know: SMB, mount options, which server is behind the mount.

Each check gets an empty folder of its own on the mount and the same folder as the server sees it, and raises
AssertionError or OSError when something is wrong.  Everything runs in one process: starting programs is slow
in an emulated machine.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

MIB = 1 << 20
LARGE_FOLDER_ENTRIES = 2000
BIG_FILE_BYTES = 64 * MIB
ATTRIBUTES_CACHED_S = 1.0
"""The client's `actimeo`: for so long it tells of a file what it knows."""

Check = Callable[[Path, Path], None]
"""check(folder on the mount, the same folder behind the share)."""


def write_and_read(mounted: Path, behind: Path) -> None:
    data = random.Random(1).randbytes(3 * MIB + 17)
    (mounted / "file").write_bytes(data)
    assert (behind / "file").read_bytes() == data
    drop_cache(mounted / "file")
    assert (mounted / "file").read_bytes() == data


def big_file(mounted: Path, behind: Path) -> None:
    source = random.Random(2)
    written = hashlib.sha256()
    with (mounted / "big").open("wb") as file:
        for _ in range(BIG_FILE_BYTES // MIB):
            block = source.randbytes(MIB)
            written.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    for path in (mounted / "big", behind / "big"):
        drop_cache(path)
        with path.open("rb") as file:
            assert hashlib.file_digest(file, "sha256").digest() == written.digest(), path
    (mounted / "big").unlink()


def listing(mounted: Path, behind: Path) -> None:
    for number in range(50):
        (behind / f"file {number}").write_bytes(b"x" * number)
    (behind / "folder").mkdir()
    found = {entry.name: entry for entry in os.scandir(mounted)}
    assert set(found) == {f"file {number}" for number in range(50)} | {"folder"}
    assert found["folder"].is_dir() and found["file 7"].is_file()
    assert found["file 49"].stat().st_size == 49


def large_folder(mounted: Path, behind: Path) -> None:
    for number in range(LARGE_FOLDER_ENTRIES):
        (behind / f"entry {number:06}").touch()
    names = os.listdir(mounted)
    assert len(names) == LARGE_FOLDER_ENTRIES
    assert set(names) == {f"entry {number:06}" for number in range(LARGE_FOLDER_ENTRIES)}


def rename_file(mounted: Path, behind: Path) -> None:
    (mounted / "old").write_bytes(b"content")
    (mounted / "old").rename(mounted / "new")
    assert os.listdir(behind) == ["new"]
    (mounted / "other").write_bytes(b"other")
    (mounted / "other").rename(mounted / "new")
    assert (behind / "new").read_bytes() == b"other"
    assert os.listdir(behind) == ["new"]


def rename_folder(mounted: Path, behind: Path) -> None:
    (mounted / "old").mkdir()
    (mounted / "old" / "file").write_bytes(b"content")
    (mounted / "old").rename(mounted / "new")
    assert (mounted / "new" / "file").read_bytes() == b"content"
    assert os.listdir(behind) == ["new"]


def unlink(mounted: Path, behind: Path) -> None:
    (mounted / "file").write_bytes(b"content")
    (mounted / "file").unlink()
    assert os.listdir(behind) == []
    refuses(FileNotFoundError, lambda: (mounted / "file").unlink())


def unlink_while_open(mounted: Path, behind: Path) -> None:
    with (mounted / "file").open("wb+") as file:
        file.write(b"content")
        file.flush()
        # Until it is closed the client may keep the name, or another one, for it.
        (mounted / "file").unlink()
        file.seek(0)
        assert file.read() == b"content"
    assert os.listdir(behind) == []


def folders(mounted: Path, behind: Path) -> None:
    (mounted / "a" / "b" / "c").mkdir(parents=True)
    assert (behind / "a" / "b" / "c").is_dir()
    refuses(FileExistsError, lambda: (mounted / "a").mkdir())
    refuses(OSError, lambda: (mounted / "a").rmdir())
    for path in ("a/b/c", "a/b", "a"):
        (mounted / path).rmdir()
    assert os.listdir(behind) == []


def missing(mounted: Path, behind: Path) -> None:
    refuses(FileNotFoundError, lambda: (mounted / "nothing").read_bytes())
    refuses(FileNotFoundError, lambda: (mounted / "nothing" / "file").read_bytes())
    (behind / "file").write_bytes(b"content")
    refuses(NotADirectoryError, lambda: (mounted / "file" / "more").read_bytes())
    refuses(IsADirectoryError, lambda: mounted.read_bytes())


def exclusive_creation(mounted: Path, behind: Path) -> None:
    with (mounted / "file").open("xb") as file:
        file.write(b"first")
    refuses(FileExistsError, lambda: (mounted / "file").open("xb"))
    assert (behind / "file").read_bytes() == b"first"


def truncate(mounted: Path, behind: Path) -> None:
    (mounted / "file").write_bytes(b"x" * 100_000)
    os.truncate(mounted / "file", 777)
    assert (behind / "file").stat().st_size == 777
    os.truncate(mounted / "file", 200_000)
    assert (mounted / "file").read_bytes() == b"x" * 777 + bytes(200_000 - 777)
    (mounted / "file").write_bytes(b"")
    assert (behind / "file").stat().st_size == 0


def append(mounted: Path, behind: Path) -> None:
    for part in (b"one,", b"two,", b"three"):
        with (mounted / "file").open("ab") as file:
            file.write(part)
    assert (behind / "file").read_bytes() == b"one,two,three"


def write_in_the_middle(mounted: Path, behind: Path) -> None:
    (mounted / "file").write_bytes(bytes(300_000))
    with (mounted / "file").open("rb+") as file:
        for offset in (0, 65_530, 123_456, 299_990):
            file.seek(offset)
            file.write(b"0123456789")
    expected = bytearray(300_000)
    for offset in (0, 65_530, 123_456, 299_990):
        expected[offset : offset + 10] = b"0123456789"
    assert (behind / "file").read_bytes() == expected


def sparse(mounted: Path, behind: Path) -> None:
    with (mounted / "file").open("wb") as file:
        file.seek(5_000_000_000)
        file.write(b"end")
    facts = (behind / "file").stat()
    assert facts.st_size == 5_000_000_003
    assert facts.st_blocks * 512 < 100 * MIB
    with (mounted / "file").open("rb") as file:
        file.seek(4_999_999_999)
        assert file.read() == b"\0end"


def unicode_names(mounted: Path, behind: Path) -> None:
    names = [
        "Ünïcödé straße", "日本語", "emoji 🐟 👩‍🚀", "ä" * 127, "x" * 255, "dots...in.it", " blank first",
    ]
    for name in names:
        (mounted / name).write_bytes(name.encode())
    assert sorted(os.listdir(behind)) == sorted(names)
    assert sorted(os.listdir(mounted)) == sorted(names)
    for name in names:
        assert (mounted / name).read_bytes() == name.encode()
    refuses(OSError, lambda: (mounted / ("y" * 256)).touch())


def times(mounted: Path, behind: Path) -> None:
    (mounted / "file").write_bytes(b"content")
    time.sleep(ATTRIBUTES_CACHED_S + 0.1)
    assert abs((mounted / "file").stat().st_mtime - (behind / "file").stat().st_mtime) < 0.01
    os.utime(mounted / "file", ns=(1_500_000_000_123_456_700, 1_600_000_000_765_432_100))
    facts = (behind / "file").stat()
    assert facts.st_mtime_ns == 1_600_000_000_765_432_100
    assert facts.st_atime_ns == 1_500_000_000_123_456_700
    os.utime(mounted, ns=(1_500_000_000_000_000_000, 1_400_000_000_000_000_000))
    assert behind.stat().st_mtime_ns == 1_400_000_000_000_000_000


def size_and_links(mounted: Path, behind: Path) -> None:
    (mounted / "file").write_bytes(b"x" * 12_345)
    facts = (mounted / "file").stat()
    assert facts.st_size == 12_345
    assert facts.st_nlink == 1
    assert facts.st_ino == (behind / "file").stat().st_ino, "serverino: inode numbers come from the server"


def space(mounted: Path, behind: Path) -> None:
    told, real = os.statvfs(mounted), os.statvfs(behind)
    assert told.f_blocks * told.f_frsize == real.f_blocks * real.f_frsize
    assert abs(told.f_bavail * told.f_frsize - real.f_bavail * real.f_frsize) < 100 * MIB
    assert told.f_namemax == 255


def sync(mounted: Path, behind: Path) -> None:
    with (mounted / "file").open("wb") as file:
        file.write(b"content")
        file.flush()
        os.fsync(file.fileno())
        assert (behind / "file").read_bytes() == b"content"


def memory_map(mounted: Path, behind: Path) -> None:
    (mounted / "file").write_bytes(bytes(100_000))
    with (mounted / "file").open("rb+") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[50_000:50_005] = b"hello"
        memory.flush()
    assert (behind / "file").read_bytes()[50_000:50_005] == b"hello"


def copy_tree(mounted: Path, behind: Path) -> None:
    source = mounted / "source"
    for folder in ("a", "b/c"):
        (source / folder).mkdir(parents=True)
        for number in range(5):
            (source / folder / f"file {number}").write_bytes(b"x" * number * 1000)
    shutil.copytree(source, mounted / "copy")
    assert sum(len(files) for _, _, files in os.walk(behind / "copy")) == 10
    shutil.rmtree(mounted / "copy")
    shutil.rmtree(source)
    assert os.listdir(behind) == []


CHECKS: tuple[Check, ...] = (
    write_and_read, listing, large_folder, rename_file, rename_folder, unlink, unlink_while_open, folders,
    missing, exclusive_creation, truncate, append, write_in_the_middle, sparse, unicode_names, times,
    size_and_links, space, sync, memory_map, copy_tree, big_file,
)


def drop_cache(path: Path) -> None:
    """Have the kernel forget what it holds of a file, so that the next read asks the server."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def refuses(kind: type[OSError], action: Callable[[], object]) -> None:
    """Assert that `action` raises an error of this kind."""
    try:
        action()
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")
