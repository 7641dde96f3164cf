"""Entries of a listing that native code makes of what it saw are those that the Python twin makes of the same files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from smbd_uring import _native
from smbd_uring.filesystem import listing
from smbd_uring.filesystem.dos_attributes import DOS_ATTRIBUTES_XATTR, encode
from smbd_uring.loop import syscalls
from smbd_uring.ports import (
    CloseHandle,
    Credentials,
    DirectoryEntry,
    Handle,
    ListedEntry,
    OpenAt,
    ShareRoot,
    StatEntries,
)
from smbd_uring.wire.classes import FileInfoClass
from smbd_uring.wire.fscc import DirectoryListing

VERSION_3 = bytes(2) + b"\x03\x00\x03\x00" + bytes(2) + b"\x11\0\0\0\x23\0\0\0" + bytes(20) + b"\1" * 8 + bytes(8)
VERSION_4 = bytes(2) + b"\x04\x00\x04\x00" + bytes(2) + b"\x11\0\0\0\x07\0\0\0" + bytes(8) + b"\2" * 8
WHO = Credentials(os.geteuid(), os.getegid())

flags = st.sampled_from([0, 1, 0x10, 0x11, 0xFFFF_FFFF])
numbers = st.sampled_from([0, 1, 0x27, 0x37, 0xFFFF_FFFF])
moments = st.one_of(st.sampled_from([0, 1, 1 << 63, (1 << 63) - 1, (1 << 64) - 1]), st.integers(1 << 56, 1 << 57))
versions = st.builds(
    lambda text, version, valid, attributes, fields, padding: (
        text + bytes(len(text) % 2) + version.to_bytes(2, "little") * 2
        + bytes(-(len(text) + len(text) % 2 + 4) % 4) + valid.to_bytes(4, "little") + attributes.to_bytes(4, "little")
        + b"".join(field.to_bytes(8, "little") for field in fields) + padding
    ),
    st.sampled_from([b"\0", b"0x20\0", b"x\0"]), st.integers(2, 6), flags, numbers, st.lists(moments, max_size=5),
    st.binary(max_size=4),
)  # fmt: skip
values = st.one_of(
    st.none(), versions, st.sampled_from([b"", b"0x23\0", b"0x23", VERSION_3, VERSION_4, encode(3, 10**18)]),
    st.binary(max_size=80),
)  # fmt: skip
names = st.one_of(
    st.sampled_from([b"plain", b".dot", b"a b", b"a:b", b"back\\slash", b"tab\t", b"\xff", "Ä\U0001f600".encode()]),
    st.binary(min_size=1, max_size=20).filter(lambda name: not {b"/"[0], 0} & {*name} and name not in (b".", b"..")),
)


files_of_folders = st.dictionaries(names, st.tuples(st.booleans(), values), max_size=5)
CLASSES = (FileInfoClass.NAMES, FileInfoClass.ID_BOTH_DIRECTORY, FileInfoClass.ID_ALL_EXTD_BOTH_DIRECTORY)


@pytest.fixture(scope="module")
def folder() -> Iterator[str]:
    """A folder that each example fills anew."""
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=base) as path:
        yield path


@contextmanager
def filled(folder: str, files: dict[bytes, tuple[bool, bytes | None]]) -> Iterator[Handle]:
    """The folder with these files, each a directory or not, with its stored value."""
    paths = {os.fsencode(folder) + b"/" + name: facts for name, facts in files.items()}
    for number, (path, (is_directory, value)) in enumerate(paths.items()):
        (os.mkdir if is_directory else os.mknod)(path)
        if value is not None:
            os.setxattr(path, DOS_ATTRIBUTES_XATTR, value)
        os.utime(path, ns=(10**18 + number, 10**17 + 99))
    handle = syscalls.perform(OpenAt(None, os.fsencode(folder), os.O_RDONLY | os.O_DIRECTORY))
    try:
        yield handle
    finally:
        syscalls.perform(CloseHandle(handle))
        for path, (is_directory, _) in paths.items():
            (os.rmdir if is_directory else os.unlink)(path)


def described(root: ShareRoot, asked: list[bytes], native: bool) -> Sequence[ListedEntry]:
    """The entries, by native code or its Python twin."""
    with pytest.MonkeyPatch.context() as patch:
        assert _native.list_entries is not None, "the native parts are not built"
        if not native:
            patch.setattr(_native, "list_entries", None)
        entries = [DirectoryEntry(name, 0, 0) for name in asked]
        coroutine = listing.describe(root, root.handle, (), entries, WHO)
        result: Any = None
        while True:
            try:
                result = syscalls.perform(coroutine.send(result))
            except StopIteration as stop:
                return cast(Sequence[ListedEntry], stop.value)


def laid_out(information_class: int, entries: Sequence[ListedEntry], first: int, size_max: int) -> tuple[int, bytes]:
    """How many of three entries fit, and the bytes."""
    reply = DirectoryListing(information_class, size_max)
    return reply.append_files(entries, first, 3), reply.getvalue()


@given(files_of_folders, st.booleans(), st.booleans(), st.integers(0, 3), st.integers(0, 600))
@example({b"a": (False, VERSION_3), b"b": (True, VERSION_4), b"gone\n": (False, None)}, True, True, 0, 600)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_native_code_lists_what_python_does(
    folder: str, files: dict[bytes, tuple[bool, bytes | None]], hides: bool, stores: bool, first: int, size_max: int
) -> None:
    with filled(folder, files) as handle:
        root = ShareRoot(handle, True, True, hides, stores)
        asked = [*files, b"not there"]
        native, python = described(root, asked, True), described(root, asked, False)
    assert (type(native).__name__, type(python)) == ("ListedEntries", list)
    assert list(native) == python
    for information_class in CLASSES:
        assert laid_out(information_class, native, first, size_max) == laid_out(
            information_class, python, first, size_max
        )


@pytest.mark.parametrize("seconds", [-11_000_000_001, 9_000_000_001])
def test_symlinks_and_strange_times_are_left_to_python(tmp_path: Path, seconds: int) -> None:
    with filled(str(tmp_path), {b"file": (False, None)}) as handle:
        root = ShareRoot(handle, True, True, True, True)
        assert not isinstance(described(root, [b"file"], True), list)
        os.symlink("file", tmp_path / "link")
        assert [entry.name for entry in described(root, [b"file", b"link"], True)] == ["file", "link"]
        assert isinstance(described(root, [b"file", b"link"], True), list)
        (tmp_path / "link").unlink()
        os.utime(tmp_path / "file", (seconds, 0))
        is_kept = os.stat(tmp_path / "file").st_atime == seconds
        assert isinstance(described(root, [b"file"], True), list) is is_kept


def test_entries_are_a_sequence(tmp_path: Path) -> None:
    with filled(str(tmp_path), {b"file": (False, None)}) as handle:
        native = described(ShareRoot(handle, True, True, True, True), [b"gone", b"file"], True)
        seen = syscalls.perform(StatEntries(handle, [b"gone", b"file"], DOS_ATTRIBUTES_XATTR))
    assert len(native) == 1 and len(seen) == 2
    assert seen[0] is None and seen[1] == (native[0].facts.status, None)
    for sequence, outside in ((native, 1), (native, -1), (seen, 2), (seen, -1)):
        with pytest.raises(IndexError):
            sequence[outside]
