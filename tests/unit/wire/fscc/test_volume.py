"""What is said of a volume lies where the specification puts it."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smbprotocol.file_info import FileFsFullSizeInformation, FileFsVolumeInformation

from smbd_uring.wire.const import FsAttributes, FsInfoClass
from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.fscc import (
    FullSizeInformation,
    VolumeInformation,
    encode_volume_information,
    minimum_volume_size,
)
from smbd_uring.wire.names import encode_utf16

VOLUME = VolumeInformation(
    volume_creation_time=0x11, volume_serial_number=0x22, volume_label="data", total_allocation_units=1000,
    caller_available_allocation_units=400, actual_available_allocation_units=500, allocation_unit_bytes=4096,
    maximum_component_name_length=255, object_id=bytes(range(16)), attributes=0x0007,
)  # fmt: skip
EXPECTED: dict[int, bytes] = {
    FsInfoClass.VOLUME: struct.pack("<QIIH", 0x11, 0x22, 8, 0) + encode_utf16("data"),
    FsInfoClass.SIZE: struct.pack("<QQII", 1000, 400, 8, 512),
    FsInfoClass.DEVICE: struct.pack("<II", 7, 0x20),
    FsInfoClass.ATTRIBUTE: struct.pack("<III", 7, 255, 8) + encode_utf16("NTFS"),
    FsInfoClass.FULL_SIZE: struct.pack("<QQQII", 1000, 400, 500, 8, 512),
    FsInfoClass.OBJECT_ID: bytes(range(16)) + bytes(48),
    FsInfoClass.SECTOR_SIZE: struct.pack("<7I", 512, 4096, 4096, 4096, 3, 0, 0),
}


@pytest.mark.parametrize("info_class", EXPECTED, ids=lambda info_class: FsInfoClass(info_class).name)
def test_a_volume_is_described_as_specified(info_class: int) -> None:
    encoded = encode_volume_information(info_class, VOLUME)
    assert encoded == EXPECTED[info_class]
    assert minimum_volume_size(info_class) <= len(encoded)


@pytest.mark.parametrize("info_class", [0, FsInfoClass.LABEL, FsInfoClass.DRIVER_PATH, 255])
def test_classes_that_are_not_served_have_no_encoder(info_class: int) -> None:
    with pytest.raises(KeyError):
        encode_volume_information(info_class, VOLUME)
    with pytest.raises(KeyError):
        minimum_volume_size(info_class)


def test_a_read_only_volume_says_so_twice() -> None:
    volume = VolumeInformation(read_only=True, attributes=7)
    assert struct.unpack("<II", encode_volume_information(FsInfoClass.DEVICE, volume)) == (7, 0x22)
    (attributes,) = struct.unpack_from("<I", encode_volume_information(FsInfoClass.ATTRIBUTE, volume))
    assert attributes == 7 | FsAttributes.READ_ONLY_VOLUME


def test_another_client_reads_the_same_volume() -> None:
    volume = FileFsVolumeInformation()
    volume.unpack(encode_volume_information(FsInfoClass.VOLUME, VOLUME))
    assert volume["volume_serial_number"].get_value() == 0x22
    size = FileFsFullSizeInformation()
    size.unpack(encode_volume_information(FsInfoClass.FULL_SIZE, VOLUME))
    assert size["actual_available_units"].get_value() == 500
    assert size["sectors_per_unit"].get_value() * size["bytes_per_sector"].get_value() == 4096


@pytest.mark.parametrize("unit_bytes", [1, 512, 1024, 65536])
def test_an_allocation_unit_is_at_least_a_sector(unit_bytes: int) -> None:
    encoded = encode_volume_information(FsInfoClass.SIZE, VolumeInformation(allocation_unit_bytes=unit_bytes))
    _, _, sectors, sector_bytes = struct.unpack("<QQII", encoded)
    assert sectors * sector_bytes == max(unit_bytes, 512)


def test_what_clients_read_back_is_what_was_said() -> None:
    decoded = FullSizeInformation.decode(encode_volume_information(FsInfoClass.FULL_SIZE, VOLUME))
    assert decoded == FullSizeInformation(1000, 400, 500, 8, 512)


@given(st.binary(max_size=31))
def test_sizes_cut_short_are_refused(content: bytes) -> None:
    with pytest.raises(MalformedMessage):
        FullSizeInformation.decode(content)
