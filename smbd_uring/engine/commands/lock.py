"""LOCK: ranges of bytes, for this open alone or against all who would write.

Knows: [MS-SMB2] 3.3.5.14.  Must not know: which locks conflict, who waits.
"""

from __future__ import annotations

from collections.abc import Sequence

from smbd_uring.engine import breaks
from smbd_uring.engine.byte_range_locks import ByteRange, Lock
from smbd_uring.engine.durable_states import DurableState
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.handle_recording import remember
from smbd_uring.engine.lock_taking import Outcome, take, take_or_wait, unlock
from smbd_uring.engine.opens import Open
from smbd_uring.engine.oplock_states import Operation
from smbd_uring.engine.request import Request, Response
from smbd_uring.engine.session_states import SessionState
from smbd_uring.engine.share_modes import READ_RIGHTS, WRITE_RIGHTS
from smbd_uring.wire.const import AccessMask, Capabilities, Dialect, LockFlags
from smbd_uring.wire.data import LockElement, LockRequest, LockResponse
from smbd_uring.wire.ntstatus import NtStatus

EXCLUSIVE, FAIL_IMMEDIATELY = LockFlags.EXCLUSIVE_LOCK, LockFlags.FAIL_IMMEDIATELY
WAITS = (LockFlags.SHARED_LOCK, LockFlags.EXCLUSIVE_LOCK)
LOCKS = (*WAITS, *(flag | FAIL_IMMEDIATELY for flag in WAITS))
"""What the flags of an element that locks may be."""

LOOKS = READ_RIGHTS | AccessMask.FILE_READ_ATTRIBUTES | AccessMask.FILE_READ_EA
"""An open that writes and has none of these locks exclusively only."""

SEQUENCE_NUMBER_BITS = 4
SEQUENCE_INDEX_MAX = 64
"""[MS-SMB2] 2.2.26, 3.3.1.10: the low bits are the number, the others the index, from 1 on."""


async def lock(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.14."""
    body = LockRequest.decode(request.message)
    unlocks = all(element.flags == LockFlags.UNLOCK for element in body.locks)
    if request.session_of().state is SessionState.EXPIRED and not unlocks:  # [MS-SMB2] 3.3.5.2.9
        raise SmbError(NtStatus.NETWORK_SESSION_EXPIRED)
    opened = request.use_open(body.file_id)
    if not body.locks:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    index, number = body.lock_sequence >> SEQUENCE_NUMBER_BITS, body.lock_sequence & (1 << SEQUENCE_NUMBER_BITS) - 1
    remembers = 1 <= index <= SEQUENCE_INDEX_MAX and _remembers_sequences(request, opened)
    if remembers and opened.lock_sequences.pop(index, None) == number:
        opened.lock_sequences[index] = number
        return Response(LockResponse().encode())
    try:
        if body.locks[0].flags == LockFlags.UNLOCK:
            await _unlock(request, opened, body.locks)
        else:
            await _lock(request, opened, body.locks)
        if remembers:
            opened.lock_sequences[index] = number
    finally:  # what fails may have unlocked something
        if request.engine.journal:
            await remember(request.engine, opened)
    return Response(LockResponse().encode())


def _remembers_sequences(request: Request, opened: Open) -> bool:
    """Whether a client may send the same LOCK again, and be told only how it went."""
    if request.connection.dialect == Dialect.SMB_2_0_2:
        return False
    if opened.durability is not None and opened.durability.state is not DurableState.PLAIN:
        return True
    return bool(request.connection.is_smb3 and request.connection.capabilities & Capabilities.MULTI_CHANNEL)


async def _unlock(request: Request, opened: Open, elements: Sequence[LockElement]) -> None:
    """[MS-SMB2] 3.3.5.14.1: one after the other; what is wrong with one leaves the ones before it unlocked."""
    if opened.is_directory:
        raise SmbError(NtStatus.INVALID_DEVICE_REQUEST)
    ranges: list[ByteRange] = []
    for element in elements:
        if element.flags != LockFlags.UNLOCK:
            break
        ranges.append(ByteRange(element.offset, element.length))
    await unlock(request.engine, opened, ranges)
    if len(ranges) < len(elements):
        raise SmbError(NtStatus.INVALID_PARAMETER)


async def _lock(request: Request, opened: Open, elements: Sequence[LockElement]) -> None:
    """[MS-SMB2] 3.3.5.14.2: all of them or none; only one alone may wait."""
    if any(element.flags not in LOCKS for element in elements):
        raise SmbError(NtStatus.INVALID_PARAMETER)
    waits = elements[0].flags in WAITS
    if len(elements) > 1 and any(element.flags in WAITS for element in elements):
        raise SmbError(NtStatus.INVALID_PARAMETER)
    if opened.is_directory:
        raise SmbError(NtStatus.INVALID_DEVICE_REQUEST)
    if not all(_may_lock(opened, element.flags) for element in elements):
        raise SmbError(NtStatus.INVALID_HANDLE)
    allowance = request.session_of().lock_allowance
    wishes = [
        Lock(opened, ByteRange(element.offset, element.length), bool(element.flags & EXCLUSIVE), allowance)
        for element in elements
    ]
    if not all(wish.range.is_valid for wish in wishes):
        raise SmbError(NtStatus.INVALID_LOCK_RANGE)
    if opened.file.caching is not None:
        await breaks.before(request, opened, Operation.CHANGE_DATA)
    if waits:
        await take_or_wait(request, opened, wishes[0])
    elif await take(request.engine, opened, wishes) is not Outcome.TAKEN:
        raise SmbError(NtStatus.LOCK_NOT_GRANTED)
    if opened.file.caching is not None:  # who came to cache the file while the lock was being taken
        breaks.after(request.engine, opened, Operation.CHANGE_DATA)


def _may_lock(opened: Open, flags: int) -> bool:
    """Whether an open is of a kind that locks.  The rule, and the status when it is not, are Samba's: [MS-FSA] 2.1.5.8
    lets every open of a file lock."""
    rights = opened.granted_access
    if not rights & (READ_RIGHTS | WRITE_RIGHTS):
        return False
    return bool(flags & EXCLUSIVE or rights & LOOKS or not rights & WRITE_RIGHTS)
