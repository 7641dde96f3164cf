"""Clients that cache: opens with oplocks and leases, the breaks they are told, and what they acknowledge.

Knows: [MS-SMB2] 2.2.13.2.8 to 2.2.13.2.10, 2.2.23 to 2.2.25.  Must not know: any server's insides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from smbd_uring.ports import ShareFlags
from smbd_uring.wire import create_contexts
from smbd_uring.wire.breaks import LeaseBreakAcknowledgment, LeaseBreakNotification, OplockBreak
from smbd_uring.wire.const import Command, CreateDisposition, OplockLevel
from smbd_uring.wire.create import CreateResponse
from smbd_uring.wire.create_contexts import LeaseRequest
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from tests.engine.servers import TestedServer
from tests.support.client_messages import Message, Reply
from tests.support.file_client import FileClient, Messages

R, RH, RW, RWH = 1, 3, 5, 7
DATA = 0x0012_019F
"""Read and write a file, and its attributes."""

KEY, OTHER_KEY, THIRD_KEY = b"K" * 16, b"L" * 16, b"M" * 16


def with_oplocks(server: TestedServer) -> TestedServer:
    """The server, its shares letting clients cache."""
    for share in server.companion.shares.values():
        share.flags |= ShareFlags.OPLOCKS
    return server


@dataclass(frozen=True, slots=True)
class Got:
    """What came with a handle: its lease's state, flags, and epoch; of an oplock its level."""

    file_id: FileId
    level: int
    state: int = 0
    flags: int = 0
    epoch: int = 0


def ask_for_oplock(name: str, level: int, access: int = DATA, **options: Any) -> Message:
    """A CREATE that asks for an oplock."""
    options.setdefault("disposition", CreateDisposition.OPEN_IF)
    return Messages.create(name, access, oplock=level, **options)


def ask_for_lease(
    name: str, key: bytes, state: int, *, access: int = DATA, version: int = 2, epoch: int = 0,
    parent: bytes | None = None, **options: Any,
) -> Message:  # fmt: skip
    """A CREATE that asks for a lease."""
    options.setdefault("disposition", CreateDisposition.OPEN_IF)
    asked = LeaseRequest(key, state, 0 if parent is None else 4, version, parent or bytes(16), epoch)
    contexts = [(create_contexts.LEASE, asked.encode())]
    return Messages.create(name, access, oplock=OplockLevel.LEASE, contexts=contexts, **options)


def got(reply: Reply) -> Got:
    """What a CREATE that succeeded came with."""
    answer = reply.expect(CreateResponse)
    for name, data in answer.contexts:
        if name == create_contexts.LEASE:
            lease = LeaseRequest.decode(data)
            assert answer.oplock_level == OplockLevel.LEASE
            return Got(answer.file_id, answer.oplock_level, lease.lease_state, lease.lease_flags, lease.epoch)
    return Got(answer.file_id, answer.oplock_level)


def told_of_lease(client: FileClient) -> tuple[bytes, int, int, int, int]:
    """The next break: key, from, to, whether it is to be acknowledged, epoch."""
    reply = client.wait_for_break()
    said = LeaseBreakNotification.decode(reply.message)
    return said.lease_key, said.current_lease_state, said.new_lease_state, said.flags, said.new_epoch


def told_of_oplock(client: FileClient) -> tuple[FileId, int]:
    """The next break: which open, and the new level."""
    said = OplockBreak.decode(client.wait_for_break().message)
    return said.file_id, said.oplock_level


def acknowledge_lease(client: FileClient, key: bytes, state: int) -> NtStatus:
    """Come down to `state`."""
    body = LeaseBreakAcknowledgment(key, state).encode()
    return NtStatus(client.ask(Message(Command.OPLOCK_BREAK, body, credits=8)).status)


def acknowledge_oplock(client: FileClient, file_id: FileId, level: int) -> NtStatus:
    """Come down to `level`."""
    return NtStatus(client.ask(Message(Command.OPLOCK_BREAK, OplockBreak(level, file_id).encode(), credits=8)).status)
