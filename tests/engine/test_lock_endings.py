"""Locks that are waited for end with the connection, whenever it ends."""

from __future__ import annotations

from smbd_uring.wire.const import Command, LockFlags
from smbd_uring.wire.data import LockElement, LockRequest
from smbd_uring.wire.pdu import FileId
from tests.engine.servers import SimulatedServer
from tests.support.client_messages import Message

MOMENTS = 60
BETWEEN_S = 0.0004


def lock(file_id: FileId, flags: int) -> Message:
    body = LockRequest(file_id, [LockElement(0, 16, flags)]).encode()
    return Message(Command.LOCK, body, credits=8)


def test_a_lock_that_is_about_to_wait_ends_with_its_connection(simulated: SimulatedServer) -> None:
    simulated.files.add_file("a", mode=0o666)
    for moment in range(MOMENTS):
        client = simulated.client()
        client.echo(credits=32)
        file_id = client.open("a")
        client.send(lock(file_id, LockFlags.SHARED_LOCK | LockFlags.FAIL_IMMEDIATELY))
        client.send(lock(file_id, LockFlags.EXCLUSIVE_LOCK))
        client.send(lock(file_id, LockFlags.EXCLUSIVE_LOCK))
        simulated.advance(moment * BETWEEN_S)
        client.transport.close()
        simulated.settle(lambda engine: not engine.sessions)
