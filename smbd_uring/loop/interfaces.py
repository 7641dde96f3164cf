"""The machine's network interfaces: their addresses, speeds and queues.

Knows: what psutil and sysfs tell.  Must not know: who asks, which of them matter.
"""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

import psutil

from smbd_uring.ports import InterfaceAddress

SYSFS = Path("/sys/class/net")
BITS_PER_MEGABIT = 1_000_000


def interface_addresses(sysfs: Path = SYSFS) -> list[InterfaceAddress]:
    """What `ports.ListInterfaceAddresses` results in.  `sysfs` is where the kernel shows its network devices."""
    found: list[InterfaceAddress] = []
    stats = psutil.net_if_stats()
    for name, addresses in psutil.net_if_addrs().items():
        state = stats.get(name)
        if state is None or not state.isup:
            continue
        try:
            index = socket.if_nametoindex(name)
        except OSError:  # it went meanwhile, or is an alias
            continue
        queues = _receive_queues(sysfs / name / "queues")
        for address in addresses:
            if address.family in (socket.AF_INET, socket.AF_INET6):
                plain = ipaddress.ip_address(address.address.partition("%")[0])
                found.append(InterfaceAddress(index, plain, state.speed * BITS_PER_MEGABIT, queues))
    return found


def _receive_queues(folder: Path) -> int:
    return max(sum(1 for _ in folder.glob("rx-*")), 1)
