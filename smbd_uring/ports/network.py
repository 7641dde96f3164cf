"""Effects on the network as a whole, and what they result in.

Knows: that a machine has interfaces with addresses.  Must not know: SMB, how the kernel is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from smbd_uring.ports.effects import Effect


class InterfaceAddress(NamedTuple):
    """One address of one interface that is up."""

    interface_index: int
    address: IPv4Address | IPv6Address
    bits_per_second: int
    """What the link can carry; 0 when the kernel does not know, as with most virtual ones."""
    receive_queues: int
    """Queues among which the card spreads what it receives, each with a processor of its own."""


@dataclass(slots=True)
class ListInterfaceAddresses(Effect[list[InterfaceAddress]]):
    """All addresses of interfaces that are up.  Result: the addresses, by interface; OSError when the kernel does not
    tell."""
