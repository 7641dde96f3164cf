"""Oplock and lease breaks: notification, acknowledgment, answer.

Knows: [MS-SMB2] 2.2.23 to 2.2.25.  Must not know: when a break is due.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.pdu import BODY_OFFSET, FileId, unpack_body

_SIZE = struct.Struct("<H")
_OPLOCK = struct.Struct("<HBBIQQ")
_LEASE_ACKNOWLEDGMENT = struct.Struct("<HHI16sIQ")
_LEASE_NOTIFICATION = struct.Struct("<HHI16sIIIII")
OPLOCK_STRUCTURE_SIZE = 24
LEASE_ACKNOWLEDGMENT_STRUCTURE_SIZE = 36
LEASE_NOTIFICATION_STRUCTURE_SIZE = 44


@dataclass(slots=True)
class OplockBreak:
    """[MS-SMB2] 2.2.23.1, 2.2.24.1, 2.2.25.1: the same layout three times."""

    oplock_level: int
    file_id: FileId

    @classmethod
    def decode(cls, message: memoryview) -> OplockBreak:
        """MalformedMessage when it does not decode."""
        level, _, _, persistent, volatile = unpack_body(_OPLOCK, message, OPLOCK_STRUCTURE_SIZE)
        return cls(level, FileId(persistent, volatile))

    def encode(self) -> bytes:
        """The body."""
        return _OPLOCK.pack(OPLOCK_STRUCTURE_SIZE, self.oplock_level, 0, 0, *self.file_id)


@dataclass(slots=True)
class LeaseBreakAcknowledgment:
    """[MS-SMB2] 2.2.24.2, and 2.2.25.2, its answer."""

    lease_key: bytes
    lease_state: int
    flags: int = 0

    @classmethod
    def decode(cls, message: memoryview) -> LeaseBreakAcknowledgment:
        """MalformedMessage when it does not decode."""
        _, flags, key, state, _ = unpack_body(_LEASE_ACKNOWLEDGMENT, message, LEASE_ACKNOWLEDGMENT_STRUCTURE_SIZE)
        return cls(key, state, flags)

    def encode(self) -> bytes:
        """The body."""
        return _LEASE_ACKNOWLEDGMENT.pack(
            LEASE_ACKNOWLEDGMENT_STRUCTURE_SIZE, 0, self.flags, self.lease_key, self.lease_state, 0
        )


@dataclass(slots=True)
class LeaseBreakNotification:
    """[MS-SMB2] 2.2.23.2."""

    new_epoch: int
    flags: int
    lease_key: bytes
    current_lease_state: int
    new_lease_state: int

    @classmethod
    def decode(cls, message: memoryview) -> LeaseBreakNotification:
        """MalformedMessage when it does not decode."""
        epoch, flags, key, current, new, _, _, _ = unpack_body(
            _LEASE_NOTIFICATION, message, LEASE_NOTIFICATION_STRUCTURE_SIZE
        )
        return cls(epoch, flags, key, current, new)

    def encode(self) -> bytes:
        """The body."""
        return _LEASE_NOTIFICATION.pack(
            LEASE_NOTIFICATION_STRUCTURE_SIZE, self.new_epoch, self.flags, self.lease_key, self.current_lease_state,
            self.new_lease_state, 0, 0, 0,
        )  # fmt: skip


def decode_break_acknowledgment(message: memoryview) -> OplockBreak | LeaseBreakAcknowledgment:
    """Whichever of the two acknowledgments the StructureSize says.  MalformedMessage when it is neither."""
    if len(message) - BODY_OFFSET < _SIZE.size:
        raise MalformedMessage("a body cut short")
    if _SIZE.unpack_from(message, BODY_OFFSET)[0] == LEASE_ACKNOWLEDGMENT_STRUCTURE_SIZE:
        return LeaseBreakAcknowledgment.decode(message)
    return OplockBreak.decode(message)
