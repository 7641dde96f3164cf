"""Locks against what was under way when they came: once a client has been told of its lock, nothing changes there."""

from __future__ import annotations

import pytest

from smbd_uring.config import EngineConfig
from smbd_uring.engine.engine import Engine
from smbd_uring.wire.const import LockFlags
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from tests.engine.servers import SERVER_GUID, SimulatedServer
from tests.sim.driver import Weather
from tests.support.file_client import Messages

EXCLUSIVE_AT_ONCE = LockFlags.EXCLUSIVE_LOCK | LockFlags.FAIL_IMMEDIATELY
SIZE = 64


@pytest.mark.parametrize("has_planes", [False, True], ids=["engine", "data planes"])
@pytest.mark.parametrize("seed", range(1, 31))
def test_a_lock_is_told_when_earlier_writes_are_done_and_later_ones_are_refused(seed: int, has_planes: bool) -> None:
    slow_data = Weather(effect_delay_max_s=0.001, data_delay_max_s=0.05)
    server = SimulatedServer(EngineConfig(SERVER_GUID), seed, slow_data, has_planes)
    server.files.add_file("file", bytes(SIZE), 0o777)
    writer, locker = server.client(), server.client()
    writes, locks = writer.open("file"), locker.open("file")
    writer.echo(credits=64)
    sent = [writer.send(Messages.write(writes, 0, bytes([turn]) * SIZE))[0] for turn in range(1, 4)]
    (lock_id,) = locker.send(Messages.lock(locks, (0, SIZE, EXCLUSIVE_AT_ONCE)))
    sent += [writer.send(Messages.write(writes, 0, bytes([turn]) * SIZE))[0] for turn in range(4, 7)]
    assert locker.wait_for(lock_id).status == NtStatus.SUCCESS
    told = server.files.data("file")
    statuses = [writer.wait_for(message_id).status for message_id in sent]
    assert server.files.data("file") == told
    assert set(statuses) <= {NtStatus.SUCCESS, NtStatus.FILE_LOCK_CONFLICT}
    done = [turn for turn, status in enumerate(statuses, 1) if status == NtStatus.SUCCESS]
    assert told in {bytes(SIZE), *(bytes([turn]) * SIZE for turn in done)}, "nothing of a refused WRITE is there"
    server.finish()


@pytest.mark.parametrize("seed", range(1, 31))
def test_a_range_has_one_owner_whatever_the_order_of_closes_and_locks(seed: int) -> None:
    server = SimulatedServer(EngineConfig(SERVER_GUID), seed)
    server.files.add_file("file", bytes(SIZE), 0o777)
    clients = [server.client() for _ in range(4)]
    files = [client.open("file") for client in clients]
    ids = [
        client.send(Messages.lock(file_id, (0, 8, LockFlags.EXCLUSIVE_LOCK)))[0]
        for client, file_id in zip(clients, files, strict=True)
    ]
    waiting = dict(zip(clients, zip(files, ids, strict=True), strict=True))
    while waiting:  # whose LOCK came first nobody knows: the network has its delays
        owner = server.inspect(lambda engine: _owner_of(engine, files))
        if owner is None:
            server.advance(0.01)
            continue
        client = clients[owner]
        file_id, message_id = waiting.pop(client)
        assert client.wait_for(message_id).status == NtStatus.SUCCESS
        assert not server.files.is_range_free("file", 0, 8, False)
        for other, (its_file, _) in list(waiting.items())[:1]:
            assert other.lock(its_file, 0, 8, EXCLUSIVE_AT_ONCE).status == NtStatus.LOCK_NOT_GRANTED
        assert client.close(file_id).status == NtStatus.SUCCESS
    server.settle(lambda engine: engine.opens.count == 0)
    assert server.files.is_range_free("file", 0, 8, True)
    server.finish()


def _owner_of(engine: Engine, files: list[FileId]) -> int | None:
    """Which of the handles holds the lock."""
    for session in engine.sessions.values():
        for opened in session.opens.values():
            if opened.file.locks is not None and opened.file.locks.held:
                return files.index(opened.file.locks.held[0].owner.file_id)
    return None
