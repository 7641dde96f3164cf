"""Given a machine's addresses, clients are told those at which they find this server."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from smbd_uring import limits
from smbd_uring.engine.interfaces import choose
from smbd_uring.ports import InterfaceAddress

MACHINE = ["127.0.0.1", "::1", "192.0.2.7", "192.0.2.8", "2001:db8::7", "fe80::7"]


def told(listening_on: list[str], machine: list[str] = MACHINE) -> list[str]:
    addresses = [InterfaceAddress(index + 1, ip_address(host), 0, 1) for index, host in enumerate(machine)]
    return [str(chosen.address) for chosen in choose(addresses, listening_on)]


@pytest.mark.parametrize(
    ("listening_on", "chosen"),
    [
        (["0.0.0.0", "::"], ["192.0.2.7", "192.0.2.8", "2001:db8::7"]),
        (["0.0.0.0"], ["192.0.2.7", "192.0.2.8"]),
        (["::"], ["2001:db8::7"]),
        (["192.0.2.8", "127.0.0.1"], ["192.0.2.8"]),
        (["127.0.0.1"], ["127.0.0.1"]),
        (["127.0.0.1", "::1"], ["127.0.0.1", "::1"]),
        (["198.51.100.1"], []),
        ([], []),
    ],
)
def test_it_is_what_can_be_reached_from_elsewhere(listening_on: list[str], chosen: list[str]) -> None:
    assert told(listening_on) == chosen


def test_a_machine_without_a_network_tells_of_itself() -> None:
    assert told(["0.0.0.0", "::"], ["127.0.0.1", "::1", "fe80::7"]) == ["127.0.0.1", "::1"]


def test_there_are_only_so_many() -> None:
    assert len(told(["0.0.0.0"], [f"10.0.{high}.{low}" for high in range(4) for low in range(200)])) == 128
    assert limits.INTERFACE_ADDRESSES_MAX == 128
