"""The list of interfaces, as [MS-SMB2] 2.2.32.5 lays it out."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.network_interfaces import ENTRY_BYTES, NetworkInterface, decode_interfaces, encode_interfaces

V4 = NetworkInterface(2, 1, 10_000_000_000, ip_address("192.0.2.7"))
V6 = NetworkInterface(3, 0, 1_000_000_000, ip_address("2001:db8::7"))


def test_one_address_is_one_entry_of_152_bytes() -> None:
    assert encode_interfaces([V4]) == bytes.fromhex(
        "00000000 02000000 01000000 00000000 00e40b5402000000"  # Next, IfIndex, Capability, Reserved, LinkSpeed
        "0200 0000 c0000207"  # InterNetwork, Port, IPv4Address
    ) + bytes(120)
    assert ENTRY_BYTES == 152


def test_an_address_of_version_6_has_a_flow_before_it() -> None:
    encoded = encode_interfaces([V6])
    assert encoded[24:52] == bytes.fromhex("1700 0000 00000000") + ip_address("2001:db8::7").packed + bytes(4)


def test_each_says_how_far_the_next_is() -> None:
    encoded = encode_interfaces([V4, V6, V4])
    assert [int.from_bytes(encoded[at : at + 4], "little") for at in (0, 152, 304)] == [152, 152, 0]
    assert decode_interfaces(encoded) == [V4, V6, V4]
    assert decode_interfaces(b"") == [] == decode_interfaces(encode_interfaces([]))


@pytest.mark.parametrize("length", [1, 151, 153, 303])
def test_what_is_cut_short_is_not_read(length: int) -> None:
    with pytest.raises(MalformedMessage):
        decode_interfaces(encode_interfaces([V4, V6])[:length])


@pytest.mark.parametrize("at_and_value", [(0, 8), (24, 5)])
def test_neither_is_what_makes_no_sense(at_and_value: tuple[int, int]) -> None:
    at, value = at_and_value
    encoded = bytearray(encode_interfaces([V4, V6]))
    encoded[at] = value
    with pytest.raises(MalformedMessage):
        decode_interfaces(encoded)
