"""The list of network interfaces that clients open further channels to.

Knows: [MS-SMB2] 2.2.32.5.  Must not know: where the interfaces are from.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag
from ipaddress import IPv4Address, IPv6Address, ip_address

from smbd_uring.ports import Buffer
from smbd_uring.wire.errors import MalformedMessage

INTERNETWORK, INTERNETWORK_V6 = 0x0002, 0x0017
_HEAD = struct.Struct("<IIIIQ")
_SOCKADDR_IN = struct.Struct("<HH4s")
_SOCKADDR_IN6 = struct.Struct("<HHI16s")
SOCKADDR_STORAGE_BYTES = 128
ENTRY_BYTES = _HEAD.size + SOCKADDR_STORAGE_BYTES


class InterfaceCapability(IntFlag):
    """What a network interface can do."""

    RSS_CAPABLE = 0x0000_0001
    RDMA_CAPABLE = 0x0000_0002


@dataclass(frozen=True, slots=True)
class NetworkInterface:
    """[MS-SMB2] 2.2.32.5: one address of one interface."""

    index: int
    capability: int
    bits_per_second: int
    address: IPv4Address | IPv6Address

    def encode(self, following: int) -> bytes:
        """`following` is the offset of the next one from here, 0 for the last."""
        head = _HEAD.pack(following, self.index, self.capability, 0, self.bits_per_second)
        if isinstance(self.address, IPv4Address):
            socket_address = _SOCKADDR_IN.pack(INTERNETWORK, 0, self.address.packed)
        else:
            socket_address = _SOCKADDR_IN6.pack(INTERNETWORK_V6, 0, 0, self.address.packed)
        return head + socket_address.ljust(SOCKADDR_STORAGE_BYTES, b"\0")


def encode_interfaces(interfaces: Sequence[NetworkInterface]) -> bytes:
    """The output buffer of FSCTL_QUERY_NETWORK_INTERFACE_INFO."""
    last = len(interfaces) - 1
    return b"".join(each.encode(0 if number == last else ENTRY_BYTES) for number, each in enumerate(interfaces))


def decode_interfaces(data: Buffer) -> list[NetworkInterface]:
    """MalformedMessage when it does not decode."""
    found: list[NetworkInterface] = []
    position, following = 0, len(data) and ENTRY_BYTES
    while following:
        if len(data) - position < ENTRY_BYTES:
            raise MalformedMessage("a network interface cut short")
        following, index, capability, _, speed = _HEAD.unpack_from(data, position)
        found.append(NetworkInterface(index, capability, speed, _decode_address(data, position + _HEAD.size)))
        if following and following < ENTRY_BYTES:
            raise MalformedMessage(f"network interfaces {following} bytes apart")
        position += following
    return found


def _decode_address(data: Buffer, position: int) -> IPv4Address | IPv6Address:
    family, _, packed = _SOCKADDR_IN.unpack_from(data, position)
    if family == INTERNETWORK_V6:
        packed = _SOCKADDR_IN6.unpack_from(data, position)[3]
    elif family != INTERNETWORK:
        raise MalformedMessage(f"an address of family {family}")
    return ip_address(packed)
