"""Entries of every listing class lie where the specification puts them; listings hold what fits."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smbprotocol.file_info import FileIdBothDirectoryInformation

from smbd_uring.wire.const import FileInfoClass
from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.fscc import (
    DIRECTORY_CLASSES,
    DirectoryInformation,
    DirectoryListing,
    decode_directory_listing,
    encode_directory_entry,
)
from smbd_uring.wire.names import encode_utf16
from tests.unit.wire.messages import TEXTS, U32, U64, some_examples

ENTRY = DirectoryInformation(
    "Bücher", creation_time=0x11, last_access_time=0x22, last_write_time=0x33, change_time=0x44,
    end_of_file=0x55, allocation_size=0x66, file_attributes=0x77, ea_size=0x88, short_name="BCHER~1",
    file_id=0x0102_0304_0506_0708, reparse_tag=0x99, file_index=0xAA,
)  # fmt: skip

# Class: where the name, its length, the EA size, the short name's length, the 64-bit and the 128-bit id are, and the
# reparse tag; None where the class has no such field ([MS-FSCC] 2.4.8 to 2.4.24, 2.4.33).
PLACES: dict[int, tuple[int, int, int | None, int | None, int | None, int | None, int | None]] = {
    FileInfoClass.DIRECTORY: (64, 60, None, None, None, None, None),
    FileInfoClass.FULL_DIRECTORY: (68, 60, 64, None, None, None, None),
    FileInfoClass.BOTH_DIRECTORY: (94, 60, 64, 68, None, None, None),
    FileInfoClass.NAMES: (12, 8, None, None, None, None, None),
    FileInfoClass.ID_BOTH_DIRECTORY: (104, 60, 64, 68, 96, None, None),
    FileInfoClass.ID_FULL_DIRECTORY: (80, 60, 64, None, 72, None, None),
    FileInfoClass.ID_EXTD_DIRECTORY: (88, 60, 64, None, None, 72, 68),
    FileInfoClass.ID_64_EXTD_DIRECTORY: (80, 60, 64, None, 72, None, 68),
    FileInfoClass.ID_64_EXTD_BOTH_DIRECTORY: (106, 60, 64, 80, 72, None, 68),
    FileInfoClass.ID_ALL_EXTD_DIRECTORY: (96, 60, 64, None, 72, 80, 68),
    FileInfoClass.ID_ALL_EXTD_BOTH_DIRECTORY: (122, 60, 64, 96, 72, 80, 68),
}
all_classes = pytest.mark.parametrize("info_class", sorted(DIRECTORY_CLASSES))
TIMES = st.tuples(U64, U64, U64, U64, U64, U64)
ENTRIES = st.builds(
    lambda name, numbers, attributes, index: DirectoryInformation(
        name, *numbers, file_attributes=attributes, file_index=index
    ),
    TEXTS, TIMES, U32, U32,
)  # fmt: skip


def number(encoded: bytes, position: int, layout: str = "<I") -> int:
    """One field of an entry."""
    return int(struct.unpack_from(layout, encoded, position)[0])


@all_classes
def test_every_field_is_where_the_specification_puts_it(info_class: int) -> None:
    name_at, name_length_at, ea_at, short_at, id_at, long_id_at, tag_at = PLACES[info_class]
    encoded = encode_directory_entry(info_class, ENTRY)
    assert number(encoded, 0) == 0 and number(encoded, 4) == 0xAA
    assert number(encoded, name_length_at) == 12 and encoded[name_at:] == encode_utf16("Bücher")
    if info_class != FileInfoClass.NAMES:
        assert struct.unpack_from("<QQQQQQI", encoded, 8) == (0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77)
    assert ea_at is None or number(encoded, ea_at) == 0x88
    assert tag_at is None or number(encoded, tag_at) == 0x99
    assert id_at is None or number(encoded, id_at, "<Q") == ENTRY.file_id
    assert long_id_at is None or encoded[long_id_at : long_id_at + 16] == struct.pack("<QQ", ENTRY.file_id, 0)
    if short_at is not None:
        assert encoded[short_at : short_at + 2] == b"\x0e\0"
        assert encoded[short_at + 2 : short_at + 26] == encode_utf16("BCHER~1").ljust(24, b"\0")


def test_another_client_reads_the_same_entry() -> None:
    theirs = FileIdBothDirectoryInformation()
    theirs.unpack(encode_directory_entry(FileInfoClass.ID_BOTH_DIRECTORY, ENTRY))
    assert theirs["file_name"].get_value() == encode_utf16("Bücher")
    assert theirs["short_name"].get_value() == encode_utf16("BCHER~1")
    assert theirs["file_id"].get_value() == ENTRY.file_id
    assert (theirs["end_of_file"].get_value(), theirs["allocation_size"].get_value()) == (0x55, 0x66)


@all_classes
def test_what_a_client_reads_back_is_what_the_class_has(info_class: int) -> None:
    _, _, ea_at, short_at, id_at, long_id_at, tag_at = PLACES[info_class]
    (entry,) = decode_directory_listing(info_class, encode_directory_entry(info_class, ENTRY))
    assert entry.file_name == "Bücher" and entry.file_index == 0xAA
    assert entry.end_of_file == (0 if info_class == FileInfoClass.NAMES else 0x55)
    assert entry.ea_size == (0 if ea_at is None else 0x88)
    assert entry.short_name == ("" if short_at is None else "BCHER~1")
    assert entry.reparse_tag == (0 if tag_at is None else 0x99)
    assert entry.file_id == (0 if id_at is None and long_id_at is None else ENTRY.file_id)


@all_classes
@some_examples
@given(entries=st.lists(ENTRIES, max_size=6))
def test_a_listing_decodes_to_the_names_that_were_added(info_class: int, entries: list[DirectoryInformation]) -> None:
    listing = DirectoryListing(info_class, 4096)
    assert all(listing.append(entry) for entry in entries)
    decoded = decode_directory_listing(info_class, listing.getvalue())
    assert [entry.file_name for entry in decoded] == [entry.file_name for entry in entries]
    if info_class != FileInfoClass.NAMES:
        assert decoded == entries


@all_classes
@some_examples
@given(names=st.lists(TEXTS, min_size=1, max_size=6), size_max=st.integers(0, 600))
def test_a_listing_never_outgrows_its_size_and_takes_what_fits(
    info_class: int, names: list[str], size_max: int
) -> None:
    listing = DirectoryListing(info_class, size_max)
    taken = []
    for name in names:
        before = listing.getvalue()
        entry = DirectoryInformation(name)
        start = len(before) + -len(before) % 8
        fits = start + len(encode_directory_entry(info_class, entry)) <= size_max
        assert listing.append(entry) == fits
        taken += [name] if fits else []
        assert fits or listing.getvalue() == before
    assert len(listing.getvalue()) <= size_max
    assert [entry.file_name for entry in decode_directory_listing(info_class, listing.getvalue())] == taken


def test_entries_begin_at_multiples_of_eight_and_the_last_is_not_padded() -> None:
    listing = DirectoryListing(FileInfoClass.NAMES, 100)
    assert listing.append(DirectoryInformation("abc")) and listing.append(DirectoryInformation("de"))
    assert listing.getvalue() == bytes.fromhex(
        "18000000 00000000 06000000 610062006300 000000000000" "00000000 00000000 04000000 64006500"
    )


@pytest.mark.parametrize(
    "listing",
    [
        bytes(11),
        bytes.fromhex("00000000 00000000 02000000"),
        bytes.fromhex("00000000 00000000 ffffffff 6100"),
        bytes.fromhex("00000000 00000000 01000000 6100"),
        bytes.fromhex("00000000 00000000 02000000 00d8"),
        bytes.fromhex("08000000 00000000 02000000 6100"),
        bytes.fromhex("10000000 00000000 02000000 6100"),
        bytes.fromhex("f8ffffff 00000000 02000000 6100"),
    ],
    ids=["head", "name", "name length", "odd", "surrogate", "next inside", "next behind", "next far away"],
)
def test_a_broken_listing_is_refused(listing: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_directory_listing(FileInfoClass.NAMES, listing)


@pytest.mark.parametrize("short_name", [b"\x19" + bytes(25), b"\x03\0a\0b", b"\x02\0\0\xd8"])
def test_a_short_name_that_is_too_long_or_no_text_is_refused(short_name: bytes) -> None:
    encoded = bytearray(encode_directory_entry(FileInfoClass.BOTH_DIRECTORY, ENTRY))
    encoded[68 : 68 + len(short_name)] = short_name
    with pytest.raises(MalformedMessage):
        decode_directory_listing(FileInfoClass.BOTH_DIRECTORY, encoded)


@all_classes
@some_examples
@given(content=st.binary(max_size=300))
def test_random_bytes_are_a_listing_or_refused(info_class: int, content: bytes) -> None:
    try:
        entries = decode_directory_listing(info_class, content)
    except MalformedMessage:
        return
    assert sum(len(encode_utf16(entry.file_name)) for entry in entries) <= len(content)
