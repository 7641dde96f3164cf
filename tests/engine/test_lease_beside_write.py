"""Nobody gets a cache of what is just being changed."""

from __future__ import annotations

import pytest

from smbd_uring.config import EngineConfig
from smbd_uring.ports import ShareFlags
from smbd_uring.wire import create_contexts
from smbd_uring.wire.const import Command, CreateDisposition, OplockLevel
from smbd_uring.wire.create import CreateRequest, CreateResponse
from smbd_uring.wire.create_contexts import LeaseRequest
from tests.engine.servers import SERVER_GUID, SimulatedServer
from tests.sim.driver import Weather
from tests.support.client_messages import Message
from tests.support.file_client import SHARE_ALL, FileClient, Messages

R_AND_H = 3
SLOW = Weather(data_delay_max_s=20.0, effect_now_probability=0.0)


def lease_of(client: FileClient, key: bytes) -> int:
    body = CreateRequest(
        requested_oplock_level=OplockLevel.LEASE, desired_access=0x0012_0089, share_access=SHARE_ALL,
        create_disposition=CreateDisposition.OPEN, name="a",
        contexts=[(create_contexts.LEASE, LeaseRequest(key, R_AND_H).encode())],
    )  # fmt: skip
    answer = client.ask(Message(Command.CREATE, body.encode(), credits=8)).expect(CreateResponse)
    [data] = [data for name, data in answer.contexts if name == create_contexts.LEASE]
    return LeaseRequest.decode(data).lease_state


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_lease_asked_for_during_a_write_is_none(seed: int) -> None:
    server = SimulatedServer(EngineConfig(SERVER_GUID), seed, SLOW)
    server.companion.shares["data"].flags |= ShareFlags.OPLOCKS
    server.files.add_file("a", mode=0o666)
    writer, reader = server.client(), server.client()
    [message_id] = writer.send(Messages.write(writer.open("a"), 0, b"new"))
    server.advance(0.05)
    assert lease_of(reader, b"asked in between") == 0
    assert writer.wait_for(message_id).status == 0
    assert lease_of(reader, b"asked afterwards") == R_AND_H
    server.finish()
