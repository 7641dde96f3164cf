"""What a client with very many connections needs: addresses to come from, and descriptors.

Knows: loopback addresses, RLIMIT_NOFILE.  Must not know: what the connections are for.
"""

from __future__ import annotations

import resource

CONNECTIONS_PER_ADDRESS = 200
"""A server may allow each address only so many connections; many clients have many addresses."""
LAST_BYTE_MAX = 250
DESCRIPTORS_BESIDES = 128


def source_address(target: str, number: int) -> str:
    """The address that connection `number` to `target` comes from; "" (any) for a target that is not on loopback."""
    block = number // CONNECTIONS_PER_ADDRESS
    return f"127.1.{block // LAST_BYTE_MAX}.{block % LAST_BYTE_MAX + 1}" if target.startswith("127.") else ""


def allow_descriptors(connections: int) -> None:
    """Raise this process's limit of descriptors to fit so many connections.  OSError when that is refused."""
    wanted = connections + DESCRIPTORS_BESIDES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        # A privileged process may go beyond the hard limit.
        limits = (wanted, hard if hard == resource.RLIM_INFINITY else max(hard, wanted))
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    except ValueError as error:
        raise OSError(f"{wanted} descriptors are needed and {hard} allowed: {error}") from error
