"""Entries of a listing laid out by native code are those that the Python twin makes, bit for bit."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smbd_uring import _native
from smbd_uring.ports import FileFacts, FileStatus, ListedEntry
from smbd_uring.wire.classes import FileInfoClass
from smbd_uring.wire.fscc import DIRECTORY_CLASSES, DirectoryListing, decode_directory_listing

NATIVE = _native.append_entries
CLASSES = sorted(DIRECTORY_CLASSES)
MODES = (0o100644, 0o040755, 0o020666)

A_FILE = ListedEntry("", FileFacts(FileStatus(1, 0, 0o100644, *[0] * 8, None), 0, 0))

times = st.integers(-(1 << 63), 1 << 70)
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
statuses = st.builds(
    FileStatus, st.just(1), st.integers(0, (1 << 64) - 1), st.sampled_from(MODES), st.just(1), st.just(0), st.just(0),
    st.integers(0, (1 << 63) - 1), st.integers(0, (1 << 63) - 1), times, times, times, st.none(),
)  # fmt: skip
entries_of_folders = st.lists(
    st.builds(ListedEntry, names, st.builds(FileFacts, statuses, st.integers(0, 0xFFFF_FFFF), times)), max_size=6
)


def listed(info_class: int, entries: list[ListedEntry], count_max: int, size_max: int, native: bool) -> list[object]:
    """What comes of adding the entries in two steps: how many each took, and the buffer."""
    with pytest.MonkeyPatch.context() as patch:
        assert NATIVE is not None, "the native parts are not built"
        patch.setattr(_native, "append_entries", NATIVE if native else None)
        reply = DirectoryListing(info_class, size_max)
        first = reply.append_files(entries[:2], 0, count_max)
        second = reply.append_files(entries, first, count_max)
        return [first, second, reply.getvalue()]


@given(st.sampled_from(CLASSES), entries_of_folders, st.integers(0, 7), st.integers(0, 700))
@example(FileInfoClass.ID_BOTH_DIRECTORY, [], 1, 0)
@example(FileInfoClass.ID_FULL_DIRECTORY, [A_FILE, A_FILE._replace(name="00000")], 2, 170)
@example(FileInfoClass.NAMES, [ListedEntry("\U0001f600", FileFacts(FileStatus(*range(11), None), 0, 0))] * 3, 7, 100)
def test_native_code_lays_out_what_python_does(
    info_class: int, entries: list[ListedEntry], count_max: int, size_max: int
) -> None:
    native = listed(info_class, entries, count_max, size_max, True)
    assert native == listed(info_class, entries, count_max, size_max, False)
    buffer = native[2]
    assert isinstance(buffer, bytes) and len(buffer) <= size_max
    given_names = [entry.file_name for entry in decode_directory_listing(info_class, buffer)]
    assert len(given_names) == native[0] + native[1]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        (ListedEntry("\ud800", FileFacts(FileStatus(*range(11), None), 0, 0)), ValueError),
        (ListedEntry("\ud800\U0001f600", FileFacts(FileStatus(*range(11), None), 0, 0)), ValueError),
        (ListedEntry(b"name", FileFacts(FileStatus(*range(11), None), 0, 0)), TypeError),  # type: ignore[arg-type]
        (ListedEntry("name", FileFacts(FileStatus(*range(11), None), 1 << 32, 0)), OverflowError),
        (ListedEntry("name", FileFacts((), 0, 0)), IndexError),  # type: ignore[arg-type]
        (("name",), IndexError),
        ("name", (SystemError, TypeError)),
    ],
)
def test_what_no_entry_can_hold_is_refused(entry: ListedEntry, error: type[Exception]) -> None:
    assert NATIVE is not None, "the native parts are not built"
    with pytest.raises(error):
        NATIVE(bytearray(), 1000, 104, 96, 0, [entry], 0, 1)
