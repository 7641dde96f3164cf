"""Given requests on all channels of a session at once, and channels that die in between, nobody's file is pulled away
from under what is still done for another."""

from __future__ import annotations

import errno
import random
from typing import Any

import pytest

from smbd_uring.config import EngineConfig
from smbd_uring.wire.data import ReadResponse
from smbd_uring.wire.ntstatus import NtStatus
from tests.engine.servers import SERVER_GUID, SimulatedServer
from tests.engine.test_channels import second_channel
from tests.sim.driver import Weather
from tests.support.file_client import FileClient, Messages

DATA = bytes(range(256)) * 400
CHANNELS = 4
ROUNDS = 12
SLOW = Weather(data_delay_max_s=0.2, late_completion_probability=0.5)
GONE = (NtStatus.FILE_CLOSED, NtStatus.USER_SESSION_DELETED)


def watch_for_closed_handles(server: SimulatedServer) -> list[Any]:
    """Effects on files that were closed before, as they are performed from now on."""
    found: list[Any] = []
    perform = server.world.kernel.perform

    def watched(effect: Any) -> Any:
        try:
            return perform(effect)
        except OSError as error:
            if error.errno == errno.EBADF:
                found.append(effect)
            raise

    server.world.kernel.perform = watched  # type: ignore[method-assign]
    return found


def read_somewhere(chance: random.Random, client: FileClient, file_id: Any) -> tuple[int, int]:
    """Send a READ.  Result: its message id, and where it reads."""
    offset = chance.randrange(0, len(DATA) - 4000)
    return client.send(Messages.read(file_id, offset, 4000))[0], offset


@pytest.mark.parametrize("has_planes", [False, True], ids=["engine", "data planes"])
@pytest.mark.parametrize("seed", range(20))
def test_reads_on_dying_channels_end_before_the_file_is_closed(seed: int, has_planes: bool) -> None:
    chance = random.Random(seed)
    server = SimulatedServer(EngineConfig(SERVER_GUID), seed, SLOW, has_planes)
    closed = watch_for_closed_handles(server)
    first = server.client()
    first.put("file", DATA)
    channels = [first, *(second_channel(server, first) for _ in range(CHANNELS - 1))]
    while channels:
        file_id = chance.choice(channels).open("file")
        asked = [
            (client, *read_somewhere(chance, client, file_id))
            for client in (chance.choice(channels) for _ in range(ROUNDS))
        ]
        dying = channels.pop(chance.randrange(len(channels)))
        server.advance(chance.uniform(0, 0.05))  # some have come, most are under way
        dying.transport.close()
        if channels:
            assert chance.choice(channels).close(file_id).status == NtStatus.SUCCESS
        for client, message_id, offset in asked:
            if client is dying:
                continue
            reply = client.wait_for(message_id)
            if reply.status not in GONE:
                assert reply.expect(ReadResponse).data == DATA[offset : offset + 4000]
    server.finish()
    assert closed == []
