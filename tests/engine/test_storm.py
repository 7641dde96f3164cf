"""Many clients do many things to few files at once: every request is answered, whatever overtakes what.

Only the simulated world can tell a request that will never be answered from one that takes long.
"""

from __future__ import annotations

import random

import pytest

from smbd_uring.config import EngineConfig
from smbd_uring.wire.const import AccessMask, Command, CreateOptions, FileInfoClass, InfoType
from smbd_uring.wire.create import CreateResponse
from smbd_uring.wire.fscc import EndOfFileInformation, LinkInformation, RenameInformation
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from smbd_uring.wire.session import LogoffRequest
from smbd_uring.wire.tree import TreeConnectRequest, TreeDisconnectRequest
from tests.engine.servers import SERVER_GUID, SimulatedServer
from tests.sim.driver import Weather
from tests.support.client_messages import Message
from tests.support.file_client import FileClient, Messages

CLIENTS = 5
ROUNDS = 6
REQUESTS_PER_ROUND = 12
SEEDS = tuple(range(1, 31))
NAMES = ("a", "A", "b", r"folder\a", r"folder\b", "folder", "other folder", "")
ANY = Messages.ANY


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", metafunc.config.getoption("--seed") or SEEDS)


class Stormer:
    """One client, the handles it believes to have, and what it still waits for."""

    def __init__(self, server: SimulatedServer, chance: random.Random) -> None:
        self.client: FileClient = server.client()
        self.handles: list[FileId] = []
        self._chance = chance
        self.client.echo(credits=500)

    def blow(self) -> list[int]:
        """Send a round of requests.  Result: their message ids."""
        sent: list[int] = []
        for _ in range(REQUESTS_PER_ROUND):
            sent += self.client.send(*self._choose())
        if self._chance.random() < 0.3:
            self.client.cancel(self._chance.choice(sent))
        return sent

    def settle(self, sent: list[int]) -> None:
        """Wait for every answer, ending watches on the way."""
        for message_id in sent:
            self.client.cancel(message_id)
        for message_id in sent:
            reply = self.client.wait_for(message_id)
            assert reply.status != NtStatus.INTERNAL_ERROR or reply.header.command == Command.CHANGE_NOTIFY
            if reply.header.command == Command.CREATE and reply.status == NtStatus.SUCCESS:
                self.handles.append(reply.expect(CreateResponse).file_id)
        assert self.client.session is not None
        if self.client.tree_connect("data").status == NtStatus.USER_SESSION_DELETED:
            assert self.client.log_on("anna", "secret").status == NtStatus.SUCCESS
            assert self.client.tree_connect("data").status == NtStatus.SUCCESS
            self.handles.clear()

    def _choose(self) -> list[Message]:
        chance = self._chance
        roll = chance.random()
        if roll < 0.02:
            return [Message(Command.LOGOFF, LogoffRequest().encode())]
        if roll < 0.05:
            return [Message(Command.TREE_DISCONNECT, TreeDisconnectRequest().encode())]
        if roll < 0.07:
            return [Message(Command.TREE_CONNECT, TreeConnectRequest(0, r"\\server\data").encode(), sign=True)]
        if roll < 0.4 or not self.handles:
            return self._create()
        file_id = chance.choice(self.handles[-6:])
        if roll < 0.5:
            return [Messages.close(file_id, chance.randrange(2))]
        return [self._on(file_id)]

    def _create(self) -> list[Message]:
        chance = self._chance
        options = chance.choice([0, 0, CreateOptions.FILE_DIRECTORY_FILE, CreateOptions.FILE_DELETE_ON_CLOSE])
        create = Messages.create(
            chance.choice(NAMES), chance.choice([AccessMask.FILE_ALL_ACCESS, AccessMask.MAXIMUM_ALLOWED, 0x80]),
            disposition=chance.randrange(6), options=options, share=chance.choice([7, 7, 7, 3, 0]),
        )  # fmt: skip
        if chance.random() < 0.5:
            return [create]
        followers = [self._on(ANY).related() for _ in range(chance.randrange(3))]
        return [create, *followers, Messages.close().related()]

    def _on(self, file_id: FileId) -> Message:
        chance = self._chance
        name = chance.choice(NAMES)
        replace = chance.random() < 0.5
        return chance.choice([
            Messages.read(file_id, 0, 1000), Messages.write(file_id, chance.randrange(5000), bytes(100)),
            Messages.set_info(file_id, FileInfoClass.RENAME, RenameInformation(replace, name)),
            Messages.set_info(file_id, FileInfoClass.LINK, LinkInformation(replace, name)),
            Messages.set_info(file_id, FileInfoClass.DISPOSITION, bytes([chance.randrange(2)])),
            Messages.set_info(file_id, FileInfoClass.END_OF_FILE, EndOfFileInformation(chance.randrange(9000))),
            Messages.query_info(file_id, FileInfoClass.ALL), Messages.query_info(file_id, 3, InfoType.FILESYSTEM),
            Messages.query_directory(file_id, flags=1), Messages.change_notify(file_id),
        ])  # fmt: skip


def test_every_request_of_a_storm_is_answered(seed: int) -> None:
    chance = random.Random(seed)
    weather = Weather(effect_delay_max_s=chance.choice([0.0005, 0.005, 0.05]))
    server = SimulatedServer(EngineConfig(SERVER_GUID), seed, weather)
    stormers = [Stormer(server, chance) for _ in range(CLIENTS)]
    for _ in range(ROUNDS):
        sent = [stormer.blow() for stormer in stormers]
        for stormer, message_ids in zip(stormers, sent, strict=True):
            stormer.settle(message_ids)
    opens = server.inspect(lambda engine: engine.opens.count)
    handles = server.inspect(lambda engine: sum(len(each.opens) for each in engine.sessions.values()))
    assert opens == handles
    server.finish()
