"""Which addresses count as one: an IPv4 address for itself, an IPv6 address for its /64.

Knows: addresses as text.  Must not know: what is counted.

Whoever has one IPv6 address has 2^64 of them; limits by single addresses would not be limits.
"""

from __future__ import annotations

import ipaddress

IPV6_PREFIX_BITS = 64


def network_of(address: str) -> str:
    """The text that limits by address go by; what is no IP address stands for itself."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, IPV6_PREFIX_BITS), strict=False))
