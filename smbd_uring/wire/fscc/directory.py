"""Directory information classes: the entries of a listing.

Knows: [MS-FSCC] 2.4.8, 2.4.10, 2.4.15, 2.4.18 to 2.4.24, 2.4.33.  Must not know: where entries come from.

Every class is one `struct.Struct` between NextEntryOffset/FileIndex and the name, the function that fills it, and the
names of its fields after the common ones.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from smbd_uring import _native
from smbd_uring.ports import Buffer, ListedEntry
from smbd_uring.wire.access import FileAttributes
from smbd_uring.wire.classes import FileInfoClass
from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.names import decode_utf16, encode_utf16, filetime_from_ns

ENTRY_ALIGNMENT = 8
_PADDING = bytes(ENTRY_ALIGNMENT)
_S_IFMT, _S_IFDIR = 0o170000, 0o040000
_NEXT = struct.Struct("<I")
_LEAD = struct.Struct("<II")


@dataclass(slots=True)
class DirectoryInformation:
    """One entry.  Times are FILETIMEs, sizes bytes, `short_name` UTF-16 text of at most 12 characters."""

    file_name: str
    creation_time: int = 0
    last_access_time: int = 0
    last_write_time: int = 0
    change_time: int = 0
    end_of_file: int = 0
    allocation_size: int = 0
    file_attributes: int = 0
    ea_size: int = 0
    short_name: str = ""
    file_id: int = 0
    reparse_tag: int = 0
    file_index: int = 0


# what all classes but NAMES have: four times, two sizes, attributes, name length
_COMMON = "QQQQQQII"
_DIRECTORY = struct.Struct("<" + _COMMON)
_FULL = struct.Struct("<" + _COMMON + "I")
_BOTH = struct.Struct("<" + _COMMON + "IBx24s")
_ID_BOTH = struct.Struct("<" + _COMMON + "IBx24s2xQ")
_ID_FULL = struct.Struct("<" + _COMMON + "I4xQ")
_ID_EXTD = struct.Struct("<" + _COMMON + "II16s")
_ID_64_EXTD = struct.Struct("<" + _COMMON + "IIQ")
_ID_64_EXTD_BOTH = struct.Struct("<" + _COMMON + "IIQBx24s")
_ID_ALL_EXTD = struct.Struct("<" + _COMMON + "IIQ16s")
_ID_ALL_EXTD_BOTH = struct.Struct("<" + _COMMON + "IIQ16sBx24s")
_NAMES = struct.Struct("<I")
_ID_PADDING = bytes(8)


def _common(entry: DirectoryInformation, name_length: int) -> tuple[int, ...]:
    return (
        entry.creation_time, entry.last_access_time, entry.last_write_time, entry.change_time, entry.end_of_file,
        entry.allocation_size, entry.file_attributes, name_length,
    )  # fmt: skip


def _short(entry: DirectoryInformation) -> tuple[int, bytes]:
    name = encode_utf16(entry.short_name)
    return len(name), name


def _id_128(entry: DirectoryInformation) -> bytes:
    return entry.file_id.to_bytes(8, "little") + _ID_PADDING


Filler = Callable[[DirectoryInformation, int], tuple[Any, ...]]
_CLASSES: dict[int, tuple[struct.Struct, Filler]] = {
    FileInfoClass.DIRECTORY: (_DIRECTORY, _common),
    FileInfoClass.FULL_DIRECTORY: (_FULL, lambda e, n: (*_common(e, n), e.ea_size)),
    FileInfoClass.BOTH_DIRECTORY: (_BOTH, lambda e, n: (*_common(e, n), e.ea_size, *_short(e))),
    FileInfoClass.NAMES: (_NAMES, lambda e, n: (n,)),
    FileInfoClass.ID_BOTH_DIRECTORY: (_ID_BOTH, lambda e, n: (*_common(e, n), e.ea_size, *_short(e), e.file_id)),
    FileInfoClass.ID_FULL_DIRECTORY: (_ID_FULL, lambda e, n: (*_common(e, n), e.ea_size, e.file_id)),
    FileInfoClass.ID_EXTD_DIRECTORY: (
        _ID_EXTD,
        lambda e, n: (*_common(e, n), e.ea_size, e.reparse_tag, _id_128(e)),
    ),
    FileInfoClass.ID_64_EXTD_DIRECTORY: (
        _ID_64_EXTD,
        lambda e, n: (*_common(e, n), e.ea_size, e.reparse_tag, e.file_id),
    ),
    FileInfoClass.ID_64_EXTD_BOTH_DIRECTORY: (
        _ID_64_EXTD_BOTH,
        lambda e, n: (*_common(e, n), e.ea_size, e.reparse_tag, e.file_id, *_short(e)),
    ),
    FileInfoClass.ID_ALL_EXTD_DIRECTORY: (
        _ID_ALL_EXTD,
        lambda e, n: (*_common(e, n), e.ea_size, e.reparse_tag, e.file_id, _id_128(e)),
    ),
    FileInfoClass.ID_ALL_EXTD_BOTH_DIRECTORY: (
        _ID_ALL_EXTD_BOTH,
        lambda e, n: (*_common(e, n), e.ea_size, e.reparse_tag, e.file_id, _id_128(e), *_short(e)),
    ),
}
DIRECTORY_CLASSES = frozenset(_CLASSES)
_COMMON_COUNT = 8
_SHORT_NAME = ("short_name_length", "short_name")
_OWN_FIELDS: dict[int, tuple[str, ...]] = {
    FileInfoClass.DIRECTORY: (),
    FileInfoClass.FULL_DIRECTORY: ("ea_size",),
    FileInfoClass.BOTH_DIRECTORY: ("ea_size", *_SHORT_NAME),
    FileInfoClass.ID_BOTH_DIRECTORY: ("ea_size", *_SHORT_NAME, "file_id"),
    FileInfoClass.ID_FULL_DIRECTORY: ("ea_size", "file_id"),
    FileInfoClass.ID_EXTD_DIRECTORY: ("ea_size", "reparse_tag", "file_id_128"),
    FileInfoClass.ID_64_EXTD_DIRECTORY: ("ea_size", "reparse_tag", "file_id"),
    FileInfoClass.ID_64_EXTD_BOTH_DIRECTORY: ("ea_size", "reparse_tag", "file_id", *_SHORT_NAME),
    FileInfoClass.ID_ALL_EXTD_DIRECTORY: ("ea_size", "reparse_tag", "file_id", "file_id_128"),
    FileInfoClass.ID_ALL_EXTD_BOTH_DIRECTORY: ("ea_size", "reparse_tag", "file_id", "file_id_128", *_SHORT_NAME),
}


def encode_directory_entry(info_class: int, entry: DirectoryInformation) -> bytes:
    """One entry with NextEntryOffset 0.  KeyError for a class that is none of a directory's."""
    layout, fill = _CLASSES[info_class]
    name = encode_utf16(entry.file_name)
    return _LEAD.pack(0, entry.file_index) + layout.pack(*fill(entry, len(name))) + name


_ID_OFFSETS: dict[int, tuple[int, int]] = {
    FileInfoClass.DIRECTORY: (0, 0),
    FileInfoClass.FULL_DIRECTORY: (0, 0),
    FileInfoClass.BOTH_DIRECTORY: (0, 0),
    FileInfoClass.ID_BOTH_DIRECTORY: (96, 0),
    FileInfoClass.ID_FULL_DIRECTORY: (72, 0),
    FileInfoClass.ID_EXTD_DIRECTORY: (72, 0),
    FileInfoClass.ID_64_EXTD_DIRECTORY: (72, 0),
    FileInfoClass.ID_64_EXTD_BOTH_DIRECTORY: (72, 0),
    FileInfoClass.ID_ALL_EXTD_DIRECTORY: (72, 80),
    FileInfoClass.ID_ALL_EXTD_BOTH_DIRECTORY: (72, 80),
}
"""Where an entry of each class but NAMES has the 64 bits of its file id, once or twice; 0 for nowhere.  All else
behind its name's length is 0 in a file that has neither extended attributes nor a short name nor a reparse tag."""


class DirectoryListing:
    """A listing's buffer of at most `size_max` bytes: entries 8-aligned, each pointing at the next."""

    __slots__ = ("_buffer", "_end", "_fill", "_ids", "_last", "_layout", "_size", "_size_max")

    def __init__(self, info_class: int, size_max: int) -> None:
        self._layout, self._fill = _CLASSES[info_class]
        self._size = _LEAD.size + self._layout.size
        self._ids = _ID_OFFSETS.get(info_class)
        self._size_max = size_max
        self._buffer = bytearray()
        self._last = -1
        self._end = 0
        """Where the last entry begins, and where it ends without its padding."""

    def append(self, entry: DirectoryInformation) -> bool:
        """Add an entry; False when it does not fit, and nothing is changed."""
        name = encode_utf16(entry.file_name)
        length = self._size + len(name)
        start = len(self._buffer)
        if start + length > self._size_max:
            return False
        padding = -length % ENTRY_ALIGNMENT
        self._last, self._end = start, start + length
        lead = _LEAD.pack(length + padding, entry.file_index)
        self._buffer += lead + self._layout.pack(*self._fill(entry, len(name))) + name + _PADDING[:padding]
        return True

    def append_files(self, entries: Sequence[ListedEntry], first: int, count_max: int) -> int:
        """Add files that have no extended attributes, short name, reparse tag or index, in their order from the one at
        `first` on, at most `count_max` and while they fit.  Result: how many."""
        if self._ids is None:
            return self._append_one_by_one(entries, first, count_max)
        if _native.append_entries is None:
            return self._append_in_python(entries, first, count_max)
        given, last, end = _native.append_entries(
            self._buffer, self._size_max, self._size, *self._ids, entries, first, count_max
        )
        if given:
            self._last, self._end = last, end
        return given

    def _append_one_by_one(self, entries: Sequence[ListedEntry], first: int, count_max: int) -> int:
        end = min(len(entries), first + count_max)
        for position in range(first, end):
            if not self.append(DirectoryInformation(entries[position].name)):
                return position - first
        return end - first

    def _append_in_python(self, entries: Sequence[ListedEntry], first: int, count_max: int) -> int:
        end = min(len(entries), first + count_max)
        for position in range(first, end):
            name, (status, attributes, created_ns) = entries[position]
            is_directory = status.mode & _S_IFMT == _S_IFDIR
            entry = DirectoryInformation(
                name, filetime_from_ns(created_ns), filetime_from_ns(status.accessed_ns),
                filetime_from_ns(status.modified_ns), filetime_from_ns(status.modified_ns),
                0 if is_directory else status.size, 0 if is_directory else status.allocated,
                attributes or FileAttributes.NORMAL, file_id=status.inode,
            )  # fmt: skip
            if not self.append(entry):
                return position - first
        return end - first

    def getvalue(self) -> bytes:
        """The buffer; its last entry points nowhere and is not padded."""
        value = self._buffer[: self._end]
        if value:
            _NEXT.pack_into(value, self._last, 0)
        return bytes(value)


def decode_directory_listing(info_class: int, data: Buffer) -> list[DirectoryInformation]:
    """The entries of a listing, for clients.  MalformedMessage when it does not decode."""
    layout, _ = _CLASSES[info_class]
    view = memoryview(data)
    entries: list[DirectoryInformation] = []
    while view:
        if len(view) < _LEAD.size + layout.size:
            raise MalformedMessage("a directory entry cut short")
        following, index = _LEAD.unpack_from(view)
        values = layout.unpack_from(view, _LEAD.size)
        name_length = values[0] if info_class == FileInfoClass.NAMES else values[7]
        name_start = _LEAD.size + layout.size
        if not 0 <= name_length <= len(view) - name_start:
            raise MalformedMessage("a directory entry's name cut short")
        name = decode_utf16(view[name_start : name_start + name_length])
        entries.append(_entry(info_class, name, index, values))
        if following and not name_start <= following <= len(view):
            raise MalformedMessage(f"NextEntryOffset {following} of {len(view)}")
        view = view[following:] if following else view[:0]
    return entries


def _entry(info_class: int, name: str, index: int, values: tuple[Any, ...]) -> DirectoryInformation:
    if info_class == FileInfoClass.NAMES:
        return DirectoryInformation(name, file_index=index)
    own = dict(zip(_OWN_FIELDS[info_class], values[_COMMON_COUNT:], strict=True))
    length, short_name = own.pop("short_name_length", 0), own.pop("short_name", b"")
    if length > len(short_name):
        raise MalformedMessage(f"a short name of {length} bytes")
    own["short_name"] = decode_utf16(short_name[:length])
    own.setdefault("file_id", int.from_bytes(own.pop("file_id_128", b"")[:8], "little"))
    entry = DirectoryInformation(name, *values[: _COMMON_COUNT - 1], **own)
    entry.file_index = index
    return entry
