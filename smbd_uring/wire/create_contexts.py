"""Create contexts: their names and the data of those that are understood.

Knows: [MS-SMB2] 2.2.13.2, 2.2.14.2.  Must not know: what a server does with them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from smbd_uring.ports import Buffer
from smbd_uring.wire.errors import MalformedMessage

EXTENDED_ATTRIBUTES = b"ExtA"
SECURITY_DESCRIPTOR = b"SecD"
DURABLE_REQUEST = b"DHnQ"
DURABLE_RECONNECT = b"DHnC"
ALLOCATION_SIZE = b"AlSi"
QUERY_MAXIMAL_ACCESS = b"MxAc"
TIMEWARP_TOKEN = b"TWrp"
QUERY_ON_DISK_ID = b"QFid"
LEASE = b"RqLs"
DURABLE_REQUEST_V2 = b"DH2Q"
DURABLE_RECONNECT_V2 = b"DH2C"
APPLE = b"AAPL"
APP_INSTANCE_ID = bytes.fromhex("45bca66aefa7f74a9008fa462e144d74")
APP_INSTANCE_VERSION = bytes.fromhex("b982d0b73b56074fa07b524a8116a010")
POSIX = bytes.fromhex("93ad25509cb411e7b42383de968bcd7c")

_QUAD = struct.Struct("<Q")
_MAXIMAL_ACCESS = struct.Struct("<II")
_DISK_ID = struct.Struct("<QQ16x")
_LEASE_V1 = struct.Struct("<16sIIQ")
_LEASE_V2 = struct.Struct("<16sIIQ16sHH")


def decode_allocation_size(data: Buffer) -> int:
    """2.2.13.2.6: bytes to set aside.  MalformedMessage unless it is 8 bytes."""
    if len(data) != _QUAD.size:
        raise MalformedMessage(f"an allocation size of {len(data)} bytes")
    return int(_QUAD.unpack(data)[0])


def decode_maximal_access_timestamp(data: Buffer) -> int:
    """2.2.13.2.5: the FILETIME the client knows, 0 when it sends none.  MalformedMessage for another size."""
    if len(data) not in (0, _QUAD.size):
        raise MalformedMessage(f"a maximal access query of {len(data)} bytes")
    return int(_QUAD.unpack(data)[0]) if data else 0


def encode_maximal_access(status: int, maximal_access: int) -> bytes:
    """2.2.14.2.5."""
    return _MAXIMAL_ACCESS.pack(status, maximal_access)


def decode_maximal_access(data: Buffer) -> tuple[int, int]:
    """2.2.14.2.5: (status, mask).  MalformedMessage for another size."""
    if len(data) != _MAXIMAL_ACCESS.size:
        raise MalformedMessage(f"a maximal access answer of {len(data)} bytes")
    status, mask = _MAXIMAL_ACCESS.unpack(data)
    return status, mask


def encode_disk_id(file_id: int, volume_id: int) -> bytes:
    """2.2.14.2.9: 32 bytes."""
    return _DISK_ID.pack(file_id, volume_id & 0xFFFF_FFFF_FFFF_FFFF)


@dataclass(slots=True)
class LeaseRequest:
    """2.2.13.2.8 (v1) and 2.2.13.2.10 (v2); the last two fields are only in v2."""

    lease_key: bytes
    lease_state: int
    lease_flags: int = 0
    version: int = 1
    parent_lease_key: bytes = bytes(16)
    epoch: int = 0

    @classmethod
    def decode(cls, data: Buffer) -> LeaseRequest:
        """MalformedMessage for a size that is neither version's."""
        if len(data) == _LEASE_V1.size:
            key, state, flags, _ = _LEASE_V1.unpack(data)
            return cls(key, state, flags)
        if len(data) == _LEASE_V2.size:
            key, state, flags, _, parent, epoch, _ = _LEASE_V2.unpack(data)
            return cls(key, state, flags, 2, parent, epoch)
        raise MalformedMessage(f"a lease request of {len(data)} bytes")

    def encode(self) -> bytes:
        """The context's data, in the layout of `version`."""
        if self.version == 1:
            return _LEASE_V1.pack(self.lease_key, self.lease_state, self.lease_flags, 0)
        return _LEASE_V2.pack(
            self.lease_key, self.lease_state, self.lease_flags, 0, self.parent_lease_key, self.epoch, 0
        )
