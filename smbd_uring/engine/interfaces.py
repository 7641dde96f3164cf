"""Which addresses clients are told to open further channels to.

Knows: where the server listens, how long what the kernel said is good for.  Must not know: how the kernel is asked,
what the answer looks like on the wire.

Told are the addresses that the server can be reached at from elsewhere.  A server that listens on some addresses alone
tells those; one that can be reached from its own machine alone tells loopback addresses, and nobody else does, for a
client elsewhere would find itself there.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING

from smbd_uring import limits
from smbd_uring.ports import InterfaceAddress, ListInterfaceAddresses
from smbd_uring.wire.network_interfaces import InterfaceCapability, NetworkInterface

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine

SPEED_UNKNOWN_BITS = 1_000_000_000
"""What a link is said to carry whose speed the kernel does not know: clients take faster links first, and none must
keep them from another by a guess."""


class Interfaces:
    """What the kernel said last, for a while."""

    __slots__ = ("_addresses", "_good_until")

    def __init__(self) -> None:
        self._addresses: list[InterfaceAddress] = []
        self._good_until = float("-inf")

    async def offered(self, engine: Engine) -> list[NetworkInterface]:
        """What clients are told now.  OSError when the kernel does not tell."""
        if engine.scheduler.now >= self._good_until:
            self._addresses = await ListInterfaceAddresses()
            self._good_until = engine.scheduler.now + limits.INTERFACES_GOOD_S
        return [_described(address) for address in choose(self._addresses, engine.config.listening_on)]


def choose(addresses: Sequence[InterfaceAddress], listening_on: Sequence[str]) -> list[InterfaceAddress]:
    """Those of a machine's addresses that a client is told, INTERFACE_ADDRESSES_MAX at most.

    `listening_on` are the addresses the server listens on; an unspecified one stands for all of its family.
    """
    listening = [ip_address(host) for host in listening_on]
    everywhere = {host.version for host in listening if host.is_unspecified}
    reachable = [
        found
        for found in addresses
        if (found.address.version in everywhere or found.address in listening)
        and not found.address.is_link_local  # means something on one link only, and which is not told
        and not found.address.is_unspecified
    ]
    elsewhere = [found for found in reachable if not found.address.is_loopback]
    return (elsewhere or reachable)[: limits.INTERFACE_ADDRESSES_MAX]


def _described(found: InterfaceAddress) -> NetworkInterface:
    capability = InterfaceCapability.RSS_CAPABLE if found.receive_queues > 1 else 0
    speed = found.bits_per_second or SPEED_UNKNOWN_BITS
    return NetworkInterface(found.interface_index, int(capability), speed, found.address)
