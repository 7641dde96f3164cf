"""File-system information classes.

Knows: [MS-FSCC] 2.5.  Must not know: where the values come from.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from smbd_uring.ports import Buffer
from smbd_uring.wire.classes import FsAttributes, FsInfoClass
from smbd_uring.wire.names import encode_utf16
from smbd_uring.wire.pdu import Cursor

_VOLUME = struct.Struct("<QIIBx")
_SIZE = struct.Struct("<QQII")
_FULL_SIZE = struct.Struct("<QQQII")
_DEVICE = struct.Struct("<II")
_ATTRIBUTE = struct.Struct("<III")
_OBJECT_ID = struct.Struct("<16s48s")
_SECTOR_SIZE = struct.Struct("<7I")

BYTES_PER_SECTOR = 512
FILE_DEVICE_DISK = 0x0000_0007
DEVICE_IS_MOUNTED = 0x0000_0020
FILE_READ_ONLY_DEVICE = 0x0000_0002
FILE_SYSTEM_NAME = "NTFS"
"""Clients decide by this name what a volume can do; every other name costs features somewhere."""

SECTOR_FLAGS_ALIGNED = 0x0000_0003
"""2.5.7: SSINFO_FLAGS_ALIGNED_DEVICE and SSINFO_FLAGS_PARTITION_ALIGNED_ON_DEVICE."""


@dataclass(slots=True)
class VolumeInformation:
    """All that a query may ask of one volume.  An allocation unit is `allocation_unit_bytes` bytes."""

    volume_creation_time: int = 0
    volume_serial_number: int = 0
    volume_label: str = ""
    total_allocation_units: int = 0
    caller_available_allocation_units: int = 0
    actual_available_allocation_units: int = 0
    allocation_unit_bytes: int = 4096
    read_only: bool = False
    maximum_component_name_length: int = 255
    object_id: bytes = bytes(16)
    attributes: int = int(
        FsAttributes.CASE_SENSITIVE_SEARCH
        | FsAttributes.CASE_PRESERVED_NAMES
        | FsAttributes.UNICODE_ON_DISK
        | FsAttributes.SUPPORTS_HARD_LINKS
    )

    @property
    def sectors_per_allocation_unit(self) -> int:
        """At least one, whatever the file system says."""
        return max(self.allocation_unit_bytes // BYTES_PER_SECTOR, 1)


def _volume(info: VolumeInformation) -> bytes:
    label = encode_utf16(info.volume_label)
    return _VOLUME.pack(info.volume_creation_time, info.volume_serial_number, len(label), 0) + label


def _size(info: VolumeInformation) -> bytes:
    return _SIZE.pack(
        info.total_allocation_units, info.caller_available_allocation_units, info.sectors_per_allocation_unit,
        BYTES_PER_SECTOR,
    )  # fmt: skip


def _full_size(info: VolumeInformation) -> bytes:
    return _FULL_SIZE.pack(
        info.total_allocation_units, info.caller_available_allocation_units,
        info.actual_available_allocation_units, info.sectors_per_allocation_unit, BYTES_PER_SECTOR,
    )  # fmt: skip


def _device(info: VolumeInformation) -> bytes:
    return _DEVICE.pack(FILE_DEVICE_DISK, DEVICE_IS_MOUNTED | (FILE_READ_ONLY_DEVICE if info.read_only else 0))


def _attribute(info: VolumeInformation) -> bytes:
    name = encode_utf16(FILE_SYSTEM_NAME)
    attributes = info.attributes | (FsAttributes.READ_ONLY_VOLUME if info.read_only else 0)
    return _ATTRIBUTE.pack(attributes, info.maximum_component_name_length, len(name)) + name


def _sector_size(info: VolumeInformation) -> bytes:
    physical = min(info.allocation_unit_bytes, 4096)
    return _SECTOR_SIZE.pack(BYTES_PER_SECTOR, physical, physical, physical, SECTOR_FLAGS_ALIGNED, 0, 0)


_ENCODERS: dict[int, tuple[int, Callable[[VolumeInformation], bytes]]] = {
    FsInfoClass.VOLUME: (24, _volume),
    FsInfoClass.SIZE: (_SIZE.size, _size),
    FsInfoClass.DEVICE: (_DEVICE.size, _device),
    # the structure with one character of a name, as Samba asks; [MS-FSA] 2.1.5.13.5 would be content with 12
    FsInfoClass.ATTRIBUTE: (16, _attribute),
    FsInfoClass.FULL_SIZE: (_FULL_SIZE.size, _full_size),
    FsInfoClass.OBJECT_ID: (_OBJECT_ID.size, lambda info: _OBJECT_ID.pack(info.object_id, b"")),
    FsInfoClass.SECTOR_SIZE: (_SECTOR_SIZE.size, _sector_size),
}


def encode_volume_information(info_class: int, information: VolumeInformation) -> bytes:
    """The buffer of one class.  KeyError for a class that has no encoder."""
    return _ENCODERS[info_class][1](information)


def minimum_volume_size(info_class: int) -> int:
    """Bytes below which a client's buffer is too small for the class ([MS-FSA] 2.1.5.13).  KeyError as above."""
    return _ENCODERS[info_class][0]


@dataclass(slots=True)
class FullSizeInformation:
    """2.5.4, for clients."""

    total_allocation_units: int
    caller_available_allocation_units: int
    actual_available_allocation_units: int
    sectors_per_allocation_unit: int
    bytes_per_sector: int

    @classmethod
    def decode(cls, data: Buffer) -> FullSizeInformation:
        """MalformedMessage when it is too short."""
        return cls(*Cursor(memoryview(data)).unpack(_FULL_SIZE))
