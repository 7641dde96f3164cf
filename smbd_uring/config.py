"""The engine's configuration: frozen, checked once, built from what the companion says at start-up.

Knows: limits and protocol numbers.  Must not know: files, sockets, smb.conf's syntax (the companion's business).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from smbd_uring import limits
from smbd_uring.wire.const import Dialect

PROTOCOL_NAMES = {
    "SMB2_02": Dialect.SMB_2_0_2,
    "SMB2_10": Dialect.SMB_2_1,
    "SMB3_00": Dialect.SMB_3_0,
    "SMB3_02": Dialect.SMB_3_0_2,
    "SMB3_11": Dialect.SMB_3_1_1,
}
"""The names smb.conf uses for `server min protocol` and `server max protocol`."""

GLOBAL_FLAG_LEASES = 1 << 0
GLOBAL_FLAG_ENCRYPTION = 1 << 1
GLOBAL_FLAG_MULTICHANNEL = 1 << 2
GLOBAL_FLAG_ENCRYPTION_OFF = 1 << 3
GLOBAL_FLAG_DURABLE_HANDLE = 1 << 4
GLOBAL_FLAG_CONTINUOUS_AVAILABILITY = 1 << 16
GLOBAL_FLAG_CHANNEL_FAILURES = 1 << 17
SIGNING_DISABLED, SIGNING_ENABLED, SIGNING_AUTO, SIGNING_MANDATORY = range(4)


class Encryption(Enum):
    """Whether the server encrypts."""

    OFF = "off"
    """Not offered; a client that insists fails."""
    OFFERED = "offered"
    """Used where the client or the share asks for it."""
    REQUIRED = "required"
    """Every session encrypts; one that cannot is refused."""


class StartingUp(Protocol):
    """The fields of the companion's STARTING_UP message that the engine uses."""

    flags: int
    signing: int
    min_prot: str
    max_prot: str
    netbios_name: str
    work_group: str
    smb2_max_read: int
    smb2_max_write: int
    smb2_max_trans: int
    smb2_max_credits: int
    max_connections: int
    max_ip_connections: int
    file_max: int


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Everything the engine wants to know before the first client.  Sizes in bytes."""

    server_guid: bytes
    netbios_name: str = "SMBD-URING"
    workgroup: str = "WORKGROUP"
    dns_name: str = "smbd-uring"
    """The host's name as NTLM tells it; some clients take a server without one for no server."""
    dialect_min: Dialect = Dialect.SMB_2_0_2
    dialect_max: Dialect = Dialect.SMB_3_1_1
    signing_required: bool = False
    encryption: Encryption = Encryption.OFFERED
    read_bytes_max: int = limits.IO_BYTES_MAX
    write_bytes_max: int = limits.IO_BYTES_MAX
    transact_bytes_max: int = limits.IO_BYTES_MAX
    credits_max: int = limits.CREDITS_MAX
    grants: bool = True
    """Whether a data plane may serve by itself what needs no decision; off for tests that compare."""
    glances: bool = True
    """Whether a compound that asks for a file's attributes by name has a way of its own; off for tests that compare."""
    connections_max: int = limits.CONNECTIONS_MAX
    connections_per_address_max: int = limits.CONNECTIONS_PER_ADDRESS_MAX
    opens_max: int = limits.OPENS_MAX
    multichannel: bool = True
    """Whether a session of 3.x may be bound to more connections than its first."""
    channel_failures: bool = False
    """Whether a client may have one of its channels counted as dead, by the control code that smbtorture has for that;
    for tests alone."""
    listening_on: tuple[str, ...] = ("0.0.0.0", "::")
    """IP addresses the server listens on; clients are told of those of its interfaces that are among them."""
    durable_handles: bool = True
    """Whether handles may survive their connection."""
    persistent_handles: bool = False
    """Whether clients are told of handles that survive the server; only shares that are continuously available give
    them."""
    journal_directory: str | None = None
    """Where those are recorded; None: there are none."""
    leases: bool = True
    """Whether leases are offered; oplocks are each share's to turn off."""
    break_timeout_s: float = limits.BREAK_ACKNOWLEDGMENT_TIMEOUT_S
    """How long a client may take to acknowledge a break."""
    session_lifetime_s: float | None = None
    """How long a logon is good for before the client must authenticate again; None: as long as the session lives."""

    def __post_init__(self) -> None:
        assert len(self.server_guid) == 16, "server_guid is a GUID of 16 bytes"
        assert self.dialect_min <= self.dialect_max, "dialect_min above dialect_max"
        for size in (self.read_bytes_max, self.write_bytes_max, self.transact_bytes_max):
            assert 64 * limits.KIB <= size <= limits.IO_BYTES_MAX

    @property
    def frame_bytes_max(self) -> int:
        """How long a frame of somebody who is logged on may be."""
        payload_max = max(self.read_bytes_max, self.write_bytes_max, self.transact_bytes_max)
        return payload_max + limits.FRAME_OVERHEAD_BYTES


def config_from_startup(
    startup: StartingUp, server_guid: bytes, opens_max: int = limits.OPENS_MAX, dns_name: str = ""
) -> EngineConfig:
    """Translate a STARTING_UP message; values outside the limits are brought back inside, unset ones get defaults.

    Arguments: the message; the server's GUID (16 bytes); how many opens the descriptors at hand allow; the host's name.
    """
    dialect_min = PROTOCOL_NAMES.get(startup.min_prot.upper(), Dialect.SMB_2_0_2)
    dialect_max = PROTOCOL_NAMES.get(startup.max_prot.upper(), Dialect.SMB_3_1_1)
    if startup.flags & GLOBAL_FLAG_ENCRYPTION_OFF:
        encryption = Encryption.OFF
    elif startup.flags & GLOBAL_FLAG_ENCRYPTION:
        encryption = Encryption.REQUIRED
    else:
        encryption = Encryption.OFFERED
    netbios_name = startup.netbios_name or "SMBD-URING"
    return EngineConfig(
        server_guid=server_guid,
        netbios_name=netbios_name,
        dns_name=dns_name or netbios_name.lower(),
        workgroup=startup.work_group or "WORKGROUP",
        dialect_min=min(dialect_min, dialect_max),
        dialect_max=dialect_max,
        signing_required=startup.signing == SIGNING_MANDATORY,
        encryption=encryption,
        read_bytes_max=_io_size(startup.smb2_max_read),
        write_bytes_max=_io_size(startup.smb2_max_write),
        transact_bytes_max=_io_size(startup.smb2_max_trans),
        credits_max=_bounded(startup.smb2_max_credits, limits.CREDITS_MAX),
        connections_max=_bounded(startup.max_connections, limits.CONNECTIONS_MAX),
        connections_per_address_max=_bounded(startup.max_ip_connections, limits.CONNECTIONS_PER_ADDRESS_MAX),
        opens_max=min(opens_max, _bounded(startup.file_max, limits.OPENS_MAX)),
        multichannel=bool(startup.flags & GLOBAL_FLAG_MULTICHANNEL),
        channel_failures=bool(startup.flags & GLOBAL_FLAG_CHANNEL_FAILURES),
        durable_handles=bool(startup.flags & GLOBAL_FLAG_DURABLE_HANDLE),
        persistent_handles=bool(startup.flags & GLOBAL_FLAG_CONTINUOUS_AVAILABILITY),
        leases=bool(startup.flags & GLOBAL_FLAG_LEASES),
    )


def _bounded(value: int, maximum: int) -> int:
    return min(value, maximum) if value > 0 else maximum


def _io_size(value: int) -> int:
    return max(_bounded(value, limits.IO_BYTES_MAX), 64 * limits.KIB)
