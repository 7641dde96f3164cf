"""The interfaces of the simulated machine: loopback and one card.

Knows: the effect that lists them.  Must not know: the simulated network that clients use.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from smbd_uring.ports import Effect, InterfaceAddress, ListInterfaceAddresses
from tests.sim.machine import Machine

ADDRESSES = [
    InterfaceAddress(1, ip_address("127.0.0.1"), 0, 1),
    InterfaceAddress(1, ip_address("::1"), 0, 1),
    InterfaceAddress(2, ip_address("192.0.2.7"), 10_000_000_000, 8),
]


def list_interface_addresses(_machine: Machine, _effect: ListInterfaceAddresses) -> list[InterfaceAddress]:
    return list(ADDRESSES)


ACTIONS: dict[type[Effect[Any]], Callable[[Machine, Any], Any]] = {ListInterfaceAddresses: list_interface_addresses}
