"""What is said of a file lies where the specification puts it, for every class."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smbprotocol.file_info import FileStandardInformation, FileStreamInformation

from smbd_uring.wire.const import FileInfoClass
from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.fscc import (
    AllInformation,
    BasicInformation,
    FileInformation,
    NetworkOpenInformation,
    StandardInformation,
    encode_file_information,
    minimum_file_size,
)
from smbd_uring.wire.names import encode_utf16
from tests.unit.wire.messages import U32, U64, some_examples

FILE = FileInformation(
    creation_time=0x11, last_access_time=0x22, last_write_time=0x33, change_time=0x44, file_attributes=0x55,
    allocation_size=0x1000, end_of_file=0x0FFF, number_of_links=2, delete_pending=True, index_number=0x66,
    volume_serial_number=0x77, access_flags=0x88, mode=0x99, alignment_requirement=0xAA,
    current_byte_offset=0xBB, ea_size=0xCC, reparse_tag=0xDD, name="\\folder\\file",
)  # fmt: skip
NAME = encode_utf16("\\folder\\file")
BASIC = struct.pack("<QQQQII", 0x11, 0x22, 0x33, 0x44, 0x55, 0)
STANDARD = struct.pack("<QQIBBH", 0x1000, 0x0FFF, 2, 1, 0, 0)
EXPECTED: dict[int, bytes] = {
    FileInfoClass.BASIC: BASIC,
    FileInfoClass.STANDARD: STANDARD,
    FileInfoClass.INTERNAL: struct.pack("<Q", 0x66),
    FileInfoClass.EA: struct.pack("<I", 0xCC),
    FileInfoClass.ACCESS: struct.pack("<I", 0x88),
    FileInfoClass.NAME: struct.pack("<I", len(NAME)) + NAME,
    FileInfoClass.POSITION: struct.pack("<Q", 0xBB),
    FileInfoClass.MODE: struct.pack("<I", 0x99),
    FileInfoClass.ALIGNMENT: struct.pack("<I", 0xAA),
    FileInfoClass.ALL: BASIC + STANDARD + struct.pack("<QIIQII", 0x66, 0xCC, 0x88, 0xBB, 0x99, 0xAA)
    + struct.pack("<I", len(NAME)) + NAME,
    FileInfoClass.ALTERNATE_NAME: struct.pack("<I", 8) + encode_utf16("file"),
    FileInfoClass.STREAM: struct.pack("<IIQQ", 0, 14, 0x0FFF, 0x1000) + encode_utf16("::$DATA"),
    FileInfoClass.COMPRESSION: struct.pack("<QQ", 0x0FFF, 0),
    FileInfoClass.NETWORK_OPEN: struct.pack("<QQQQQQII", 0x11, 0x22, 0x33, 0x44, 0x1000, 0x0FFF, 0x55, 0),
    FileInfoClass.ATTRIBUTE_TAG: struct.pack("<II", 0x55, 0xDD),
    FileInfoClass.NORMALIZED_NAME: struct.pack("<I", len(NAME) - 2) + NAME[2:],
    FileInfoClass.ID: struct.pack("<QQQ", 0x77, 0x66, 0),
}  # fmt: skip
CLIENT_KINDS = [BasicInformation, StandardInformation, NetworkOpenInformation, AllInformation]


@pytest.mark.parametrize("info_class", EXPECTED, ids=lambda info_class: FileInfoClass(info_class).name)
def test_a_file_is_described_as_specified(info_class: int) -> None:
    assert encode_file_information(info_class, FILE) == EXPECTED[info_class]


@pytest.mark.parametrize("info_class", EXPECTED, ids=lambda info_class: FileInfoClass(info_class).name)
def test_no_description_of_a_file_is_smaller_than_the_smallest(info_class: int) -> None:
    assert minimum_file_size(info_class) <= len(encode_file_information(info_class, FILE))


@pytest.mark.parametrize("info_class", [0, FileInfoClass.RENAME, FileInfoClass.DIRECTORY, 255])
def test_classes_that_describe_no_file_have_no_encoder(info_class: int) -> None:
    with pytest.raises(KeyError):
        encode_file_information(info_class, FILE)
    with pytest.raises(KeyError):
        minimum_file_size(info_class)


def test_another_client_reads_the_same_standard_information() -> None:
    theirs = FileStandardInformation()
    theirs.unpack(encode_file_information(FileInfoClass.STANDARD, FILE))
    assert theirs["number_of_links"].get_value() == 2
    assert theirs["delete_pending"].get_value() is True and theirs["directory"].get_value() is False


def test_streams_are_chained_and_the_last_is_not_padded() -> None:
    information = FileInformation(end_of_file=5, allocation_size=8, streams=[(":a:$DATA", 1, 2), (":bc:$DATA", 3, 4)])
    encoded = encode_file_information(FileInfoClass.STREAM, information)
    names = []
    position = 0
    while True:
        theirs = FileStreamInformation()
        theirs.unpack(encoded[position:])
        names.append(theirs["stream_name"].get_value())
        following = theirs["next_entry_offset"].get_value()
        if not following:
            break
        assert following % 8 == 0
        position += following
    assert names == ["::$DATA", ":a:$DATA", ":bc:$DATA"]
    assert len(encoded) == position + 24 + 18


def test_a_folder_without_streams_has_none_at_all() -> None:
    assert encode_file_information(FileInfoClass.STREAM, FileInformation(directory=True)) == b""


def test_what_clients_read_back_is_what_was_said() -> None:
    everything = AllInformation.decode(encode_file_information(FileInfoClass.ALL, FILE))
    assert everything.basic == BasicInformation(0x11, 0x22, 0x33, 0x44, 0x55)
    assert everything.standard == StandardInformation(0x1000, 0x0FFF, 2, 1, 0)
    assert (everything.index_number, everything.name) == (0x66, "\\folder\\file")
    opened = NetworkOpenInformation.decode(encode_file_information(FileInfoClass.NETWORK_OPEN, FILE))
    assert opened == NetworkOpenInformation(0x11, 0x22, 0x33, 0x44, 0x1000, 0x0FFF, 0x55)


@given(st.builds(BasicInformation, U64, U64, U64, U64, U32))
def test_times_and_attributes_decode_to_what_was_encoded(basic: BasicInformation) -> None:
    assert BasicInformation.decode(memoryview(basic.encode())) == basic


@pytest.mark.parametrize("kind", CLIENT_KINDS)
@some_examples
@given(content=st.binary(max_size=120))
def test_random_bytes_describe_a_file_or_are_refused(kind: type, content: bytes) -> None:
    try:
        kind.decode(content)
    except MalformedMessage:
        return
    assert len(content) >= 24


@pytest.mark.parametrize("name", [b"a", b"\x00\xd8", b"\x00\xdc"], ids=["odd", "lone high", "lone low"])
def test_a_name_that_is_no_text_is_refused(name: bytes) -> None:
    encoded = encode_file_information(FileInfoClass.ALL, FILE)[:96] + struct.pack("<I", len(name)) + name
    with pytest.raises(MalformedMessage):
        AllInformation.decode(encoded)


def test_a_name_longer_than_the_buffer_is_refused() -> None:
    with pytest.raises(MalformedMessage):
        AllInformation.decode(encode_file_information(FileInfoClass.ALL, FILE)[:-1])
