"""What clients set is read as others write it, and short or broken buffers are refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smbprotocol.file_info import (
    FileDispositionInformation,
    FileEndOfFileInformation,
    FileLinkInformation,
    FileModeInformation,
    FilePositionInformation,
    FileRenameInformation,
)

from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.fscc import (
    AllocationInformation,
    DispositionInformation,
    DispositionInformationEx,
    EndOfFileInformation,
    LinkInformation,
    ModeInformation,
    PositionInformation,
    RenameInformation,
    RenameInformationEx,
)
from smbd_uring.wire.names import encode_utf16
from tests.unit.wire.messages import TEXTS, U32, U64, some_examples

KINDS = [
    (RenameInformation, st.builds(RenameInformation, st.booleans(), TEXTS, U64), 20),
    (LinkInformation, st.builds(LinkInformation, st.booleans(), TEXTS, U64), 20),
    (RenameInformationEx, st.builds(RenameInformationEx, U32, TEXTS, U64), 20),
    (DispositionInformation, st.builds(DispositionInformation, st.booleans()), 1),
    (DispositionInformationEx, st.builds(DispositionInformationEx, U32), 4),
    (PositionInformation, st.builds(PositionInformation, U64), 8),
    (ModeInformation, st.builds(ModeInformation, U32), 4),
    (AllocationInformation, st.builds(AllocationInformation, U64), 8),
    (EndOfFileInformation, st.builds(EndOfFileInformation, U64), 8),
]
all_kinds = pytest.mark.parametrize(("kind", "values", "fixed_bytes"), KINDS)


@all_kinds
@some_examples
@given(data=st.data())
def test_a_value_decodes_to_what_was_encoded(
    kind: type, values: st.SearchStrategy, fixed_bytes: int, data: st.DataObject
) -> None:
    value = data.draw(values)
    decoded = kind.decode(memoryview(value.encode()))
    assert decoded == value and type(decoded) is kind


@all_kinds
@some_examples
@given(content=st.binary(max_size=40))
def test_random_bytes_are_a_value_or_refused(
    kind: type, values: st.SearchStrategy, fixed_bytes: int, content: bytes
) -> None:
    if len(content) < fixed_bytes:
        with pytest.raises(MalformedMessage):
            kind.decode(content)
        return
    try:
        decoded = kind.decode(content)
    except MalformedMessage:
        assert fixed_bytes == 20, "only a name can be wrong"
        return
    assert kind.decode(decoded.encode()) == decoded


@pytest.mark.parametrize(
    ("kind", "foreign_kind"), [(RenameInformation, FileRenameInformation), (LinkInformation, FileLinkInformation)]
)
def test_another_client_writes_the_same_new_name(kind: type[RenameInformation], foreign_kind: type) -> None:
    theirs = foreign_kind()
    theirs["replace_if_exists"], theirs["file_name"] = True, encode_utf16("folder\\new name")
    assert kind.decode(theirs.pack()) == kind(True, "folder\\new name")
    assert kind(True, "folder\\new name").encode() == theirs.pack()


@pytest.mark.parametrize("length", [0xFFFF_FFFF, 3, 5, 8])
@pytest.mark.parametrize("kind", [RenameInformation, LinkInformation, RenameInformationEx])
def test_a_new_name_that_is_cut_or_odd_is_refused(kind: type, length: int) -> None:
    with pytest.raises(MalformedMessage):
        kind.decode(struct.pack("<QQI", 0, 0, length) + encode_utf16("ab") + b"x")


def test_what_follows_a_short_name_is_padding() -> None:
    assert RenameInformation(False, "a").encode() == bytes(16) + b"\x02\0\0\0" + b"a\0\0\0"
    assert RenameInformation.decode(bytes(16) + b"\x02\0\0\0" + b"a\0zz") == RenameInformation(False, "a")


def test_another_client_writes_the_same_numbers() -> None:
    end, position, mode = FileEndOfFileInformation(), FilePositionInformation(), FileModeInformation()
    end["end_of_file"], position["current_byte_offset"], mode["mode"] = 2**40, 2**41, 2
    assert EndOfFileInformation.decode(end.pack()) == EndOfFileInformation(2**40)
    assert PositionInformation.decode(position.pack()) == PositionInformation(2**41)
    assert ModeInformation.decode(mode.pack()) == ModeInformation(2)
    disposition = FileDispositionInformation()
    disposition["delete_pending"] = True
    assert DispositionInformation.decode(disposition.pack()) == DispositionInformation(True)


@pytest.mark.parametrize(("byte", "pending"), [(0, False), (1, True), (2, True), (255, True)])
def test_any_byte_but_zero_asks_for_deletion(byte: int, pending: bool) -> None:
    assert DispositionInformation.decode(bytes([byte])).delete_pending is pending
