"""Generic-netlink messages: header, command, and the one attribute that carries a structure.

Knows: how ksmbd frames its messages (command N holds exactly one attribute of type N).  Must not know: the structures.

There is one form of message here, 24 bytes before the structure, so it is one layout.  A library for every form costs
each of the two processes 20 MiB and several times what the rest of a question takes; tests compare with one.

Messages that are sent together are one datagram, one behind the other as netlink has it: each datagram wakes the other
process, which costs more than what is in it.
"""

from __future__ import annotations

import struct

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

_LAYOUT = struct.Struct("=IHHIIBBHHH")
"""nlmsghdr (length, type, flags, sequence, port), genlmsghdr (command, version, reserved), nlattr (length, type)."""


class MalformedNetlink(Exception):  # noqa: N818 - names the condition
    """A datagram that is no message of ours; the text says why."""


def encode(command: int, payload: bytes, port: int = 0) -> bytes:
    """The datagram for one structure; `port` is the sender's netlink port.

    MalformedNetlink when the structure is too long for an attribute.
    """
    if len(payload) > ATTRIBUTE_BYTES_MAX - ATTRIBUTE_HEADER_SIZE:
        raise MalformedNetlink(f"a structure of {len(payload)} bytes")
    padding = -len(payload) % ALIGNMENT
    length = ATTRIBUTE_HEADER_SIZE + len(payload)
    header = _LAYOUT.pack(
        ATTRIBUTE_OFFSET + length + padding, MESSAGE_TYPE, 0, 0, port, command, GENL_VERSION, 0, length, command
    )
    return header + payload + bytes(padding)


def decode(datagram: bytes) -> list[tuple[int, bytes]]:
    """(command, structure) of each message of a datagram, which is one at least; each ends where its header says.

    MalformedNetlink when any length in it is not what it should be.
    """
    messages = []
    position = 0
    while True:
        end, command, structure = _message(datagram, position)
        messages.append((command, structure))
        position = end + -end % ALIGNMENT
        if position >= len(datagram):
            return messages


def _message(datagram: bytes, start: int) -> tuple[int, int, bytes]:
    """(where it ends, command, structure) of the message that begins at `start`."""
    minimum = ATTRIBUTE_OFFSET + ATTRIBUTE_HEADER_SIZE
    left = len(datagram) - start
    if left < minimum:
        raise MalformedNetlink(f"a message in {left} bytes")
    length, _, _, _, _, command, version, _, attribute_length, attribute_type = _LAYOUT.unpack_from(datagram, start)
    if not minimum <= length <= left:
        raise MalformedNetlink(f"a message of {length} bytes in {left} of a datagram")
    room = length - ATTRIBUTE_OFFSET
    if not ATTRIBUTE_HEADER_SIZE <= attribute_length <= room or room - attribute_length >= ALIGNMENT:
        raise MalformedNetlink(f"an attribute of {attribute_length} bytes where there is room for {room}")
    if version != GENL_VERSION or command != attribute_type & ATTRIBUTE_TYPE_MASK or command > COMMAND_MAX:
        raise MalformedNetlink(f"command {command} with an attribute of type {attribute_type}")
    attribute = start + ATTRIBUTE_OFFSET
    return start + length, command, datagram[attribute + ATTRIBUTE_HEADER_SIZE : attribute + attribute_length]
