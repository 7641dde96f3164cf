"""Byte-range locks survive the server with the persistent handle that holds them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from smbd_uring.ports import CloseHandle, OpenAt, RangeLock, SetRangeLock
from smbd_uring.wire.const import Command, LockFlags
from smbd_uring.wire.data import LockElement, LockRequest
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from tests.engine.crashing import CA, CrashingServer
from tests.engine.persistent_opens import persistent, taken_up
from tests.support.client_messages import Message
from tests.support.file_client import FileClient

EXCLUSIVE = LockFlags.EXCLUSIVE_LOCK | LockFlags.FAIL_IMMEDIATELY
SHARED = LockFlags.SHARED_LOCK | LockFlags.FAIL_IMMEDIATELY
OTHER_GUID = bytes(range(2, 18))


@pytest.fixture(params=[1, 2, 3])
def server(request: pytest.FixtureRequest) -> Iterator[CrashingServer]:
    server = CrashingServer(request.param)
    yield server
    server.finish()


def locked(client: FileClient, file_id: FileId, elements: list[tuple[int, int, int]], sequence: int = 0) -> int:
    """Result: the status."""
    body = LockRequest(file_id, [LockElement(*element) for element in elements], sequence).encode()
    return client.ask(Message(Command.LOCK, body, credits=8)).status


def test_its_locks_are_there_again(server: CrashingServer) -> None:
    client = server.client(share=CA)
    file_id = persistent(client)
    assert client.write(file_id, bytes(100)).status == 0
    assert locked(client, file_id, [(0, 10, EXCLUSIVE), (20, 10, SHARED), (40, 10, EXCLUSIVE)]) == 0
    assert locked(client, file_id, [(40, 10, LockFlags.UNLOCK)]) == 0
    server.crash()
    client = server.client(share=CA)
    file_id = taken_up(client, file_id)
    other = server.client(share=CA, user="bert", client_guid=OTHER_GUID)
    theirs = other.open("disk")
    assert other.write(theirs, b"x", 5).status == NtStatus.FILE_LOCK_CONFLICT
    assert other.write(theirs, b"x", 25).status == NtStatus.FILE_LOCK_CONFLICT
    assert other.read(theirs, 25, 1).status == 0
    assert other.write(theirs, b"x", 45).status == 0
    assert client.write(file_id, b"y", 5).status == 0
    assert locked(client, file_id, [(0, 10, LockFlags.UNLOCK)]) == 0
    assert other.write(theirs, b"x", 5).status == 0


def test_local_programs_see_its_locks_again(server: CrashingServer) -> None:
    client = server.client(share=CA)
    file_id = persistent(client)
    assert locked(client, file_id, [(0, 10, EXCLUSIVE)]) == 0
    server.crash()
    program = server.world.perform(OpenAt(None, b"/share/disk", os.O_RDWR))
    assert not server.world.perform(SetRangeLock(program, 5, 1, RangeLock.EXCLUSIVE))
    client = server.client(share=CA)
    assert client.close(taken_up(client, file_id)).status == 0
    assert server.world.perform(SetRangeLock(program, 5, 1, RangeLock.EXCLUSIVE))
    server.world.perform(CloseHandle(program))


def test_a_lock_that_is_sent_again_after_the_crash_is_not_taken_twice(server: CrashingServer) -> None:
    client = server.client(share=CA)
    file_id = persistent(client)
    sequence = 3 << 4 | 7
    assert locked(client, file_id, [(0, 10, SHARED)], sequence) == 0
    server.crash()
    client = server.client(share=CA)
    file_id = taken_up(client, file_id)
    assert locked(client, file_id, [(0, 10, SHARED)], sequence) == 0
    assert locked(client, file_id, [(0, 10, LockFlags.UNLOCK)]) == 0
    assert locked(client, file_id, [(0, 10, LockFlags.UNLOCK)]) == NtStatus.RANGE_NOT_LOCKED


def test_an_unlock_that_failed_half_way_is_remembered_half_way(server: CrashingServer) -> None:
    client = server.client(share=CA)
    file_id = persistent(client)
    assert locked(client, file_id, [(0, 10, EXCLUSIVE)]) == 0
    unlock = LockFlags.UNLOCK
    assert locked(client, file_id, [(0, 10, unlock), (50, 1, unlock)]) == NtStatus.RANGE_NOT_LOCKED
    server.crash()
    client = server.client(share=CA)
    assert locked(client, taken_up(client, file_id), [(0, 10, unlock)]) == NtStatus.RANGE_NOT_LOCKED
