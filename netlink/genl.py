"""One generic-netlink message: header, command, and the one attribute that carries a structure.

Knows: how ksmbd frames its messages (command N holds exactly one attribute of type N).  Must not know: the structures.

pyroute2 builds and reads the headers.  It trusts the lengths inside a message, so they are checked here before it sees
what another process sent.
"""

from __future__ import annotations

import struct

from pyroute2.netlink import genlmsg

NLMSG_HEADER_SIZE = 16
GENL_HEADER_SIZE = 4
ATTRIBUTE_HEADER_SIZE = 4
ATTRIBUTE_OFFSET = NLMSG_HEADER_SIZE + GENL_HEADER_SIZE
ATTRIBUTE_TYPE_MASK = 0x3FFF
ALIGNMENT = 4
GENL_VERSION = 1
MESSAGE_TYPE = 0x10
"""The first type that is not one of netlink's own; on NETLINK_USERSOCK no family has to be looked up."""

COMMAND_MAX = 17
ATTRIBUTE_BYTES_MAX = 0xFFFF
"""Its length has 16 bits."""

_LENGTH = struct.Struct("=I")
_ATTRIBUTE = struct.Struct("=HH")


class MalformedNetlink(Exception):  # noqa: N818 - names the condition
    """A datagram that is no message of ours; the text says why."""


class _Message(genlmsg):  # type: ignore[misc]  # pyroute2 has no types
    """The container as pyroute2 wants it declared."""

    prefix = "SMBD_EVENT_"
    nla_map = tuple((f"SMBD_EVENT_{number}", "cdata") for number in range(COMMAND_MAX + 1))


def encode(command: int, payload: bytes, port: int = 0) -> bytes:
    """The datagram for one structure; `port` is the sender's netlink port.

    MalformedNetlink when the structure is too long for an attribute.
    """
    if len(payload) > ATTRIBUTE_BYTES_MAX - ATTRIBUTE_HEADER_SIZE:
        raise MalformedNetlink(f"a structure of {len(payload)} bytes")
    message = _Message()
    message["cmd"] = command
    message["version"] = GENL_VERSION
    message["header"]["type"] = MESSAGE_TYPE
    message["header"]["pid"] = port
    message["attrs"] = [(f"SMBD_EVENT_{command}", payload)]
    message.encode()
    return bytes(message.data)


def decode(datagram: bytes) -> tuple[int, bytes]:
    """(command, structure) of a datagram.  MalformedNetlink when any length in it is not what it should be."""
    minimum = ATTRIBUTE_OFFSET + ATTRIBUTE_HEADER_SIZE
    if len(datagram) < minimum:
        raise MalformedNetlink(f"a datagram of {len(datagram)} bytes")
    (length,) = _LENGTH.unpack_from(datagram)
    if not minimum <= length <= len(datagram):
        raise MalformedNetlink(f"a message of {length} bytes in a datagram of {len(datagram)}")
    attribute_length, attribute_type = _ATTRIBUTE.unpack_from(datagram, ATTRIBUTE_OFFSET)
    room = length - ATTRIBUTE_OFFSET
    if not ATTRIBUTE_HEADER_SIZE <= attribute_length <= room or room - attribute_length >= ALIGNMENT:
        raise MalformedNetlink(f"an attribute of {attribute_length} bytes where there is room for {room}")
    message = _Message(datagram[:length])
    message.decode()
    command = message["cmd"]
    if message["version"] != GENL_VERSION or command != attribute_type & ATTRIBUTE_TYPE_MASK or command > COMMAND_MAX:
        raise MalformedNetlink(f"command {command} with an attribute of type {attribute_type}")
    return command, datagram[ATTRIBUTE_OFFSET + ATTRIBUTE_HEADER_SIZE : ATTRIBUTE_OFFSET + attribute_length]
