"""Breaks of oplocks and leases, byte by byte."""

from __future__ import annotations

import pytest

from smbd_uring.wire.breaks import (
    LeaseBreakAcknowledgment,
    LeaseBreakNotification,
    OplockBreak,
    decode_break_acknowledgment,
)
from smbd_uring.wire.errors import MalformedMessage
from tests.unit.wire.messages import FILE_ID, FILE_ID_BYTES, message

KEY = bytes(range(16))
OPLOCK_BREAK = bytes.fromhex("1800 01 00 00000000") + FILE_ID_BYTES
LEASE_ACKNOWLEDGMENT = bytes.fromhex("2400 0000 00000000") + KEY + bytes.fromhex("03000000 0000000000000000")
LEASE_NOTIFICATION = (
    bytes.fromhex("2c00 0500 01000000") + KEY + bytes.fromhex("07000000 03000000 00000000 00000000 00000000")
)


def test_an_oplock_break_is_laid_out_as_specified() -> None:
    assert OplockBreak(1, FILE_ID).encode() == OPLOCK_BREAK
    assert OplockBreak.decode(message(OPLOCK_BREAK)) == OplockBreak(1, FILE_ID)


def test_a_lease_break_is_laid_out_as_specified() -> None:
    notification = LeaseBreakNotification(5, 1, KEY, 7, 3)
    assert notification.encode() == LEASE_NOTIFICATION
    assert LeaseBreakNotification.decode(message(LEASE_NOTIFICATION)) == notification
    assert LeaseBreakAcknowledgment(KEY, 3).encode() == LEASE_ACKNOWLEDGMENT


def test_an_acknowledgment_is_known_by_its_size() -> None:
    assert decode_break_acknowledgment(message(OPLOCK_BREAK)) == OplockBreak(1, FILE_ID)
    assert decode_break_acknowledgment(message(LEASE_ACKNOWLEDGMENT)) == LeaseBreakAcknowledgment(KEY, 3)


@pytest.mark.parametrize(
    "body", [b"", b"\x18", OPLOCK_BREAK[:-1], LEASE_ACKNOWLEDGMENT[:-1], LEASE_NOTIFICATION, b"\x24" + OPLOCK_BREAK[1:]]
)
def test_what_is_neither_acknowledgment_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_break_acknowledgment(message(body))
