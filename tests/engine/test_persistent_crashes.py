"""A server that is killed at any moment: what was answered is true afterwards, whatever was under way."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest

from smbd_uring.wire import create_contexts as names
from smbd_uring.wire.const import CreateDisposition, FileInfoClass
from smbd_uring.wire.create import CreateResponse
from smbd_uring.wire.data import ReadResponse
from smbd_uring.wire.durable_contexts import FLAG_PERSISTENT, DurableReconnectV2, DurableRequestV2
from smbd_uring.wire.fscc import RenameInformation
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from tests.engine.crashing import CA, CrashingServer
from tests.support.client_messages import Message
from tests.support.file_client import Messages

ROUNDS = 12
AT_ONCE = 8
"""Requests on their way when the server is killed, at most."""


@dataclass(eq=False)
class Known:
    """What a client knows of one of its handles.  `maybe` is what it has asked for and not heard of."""

    guid: bytes
    file_id: FileId
    name: str
    data: bytes = b""
    maybe_closed: bool = False
    maybe_name: str = ""
    maybe_data: bytes = b""


class Client:
    """Makes, writes, renames and closes persistent handles, and remembers what was answered."""

    def __init__(self, server: CrashingServer, random: Random) -> None:
        self.server = server
        self.random = random
        self.handles: list[Known] = []
        self.count = 0

    def come_back(self) -> None:
        """Take up every handle that is ours for sure, and see that it is what it was."""
        self.client = self.server.client(share=CA)
        kept = []
        for known in self.handles:
            reconnect = DurableReconnectV2(known.file_id, known.guid, FLAG_PERSISTENT)
            context = names.DURABLE_RECONNECT_V2, reconnect.encode()
            reply = self.client.create("anything", contexts=(context,))
            if reply.status == NtStatus.OBJECT_NAME_NOT_FOUND and known.maybe_closed:
                continue
            known.file_id = reply.expect(CreateResponse).file_id
            self.check(known)
            kept.append(known)
        self.handles = kept

    def check(self, known: Known) -> None:
        """The handle's file has one of the names and one of the contents that it may have."""
        reply = self.client.read(known.file_id, 0, 4096)
        data = b"" if reply.status == NtStatus.END_OF_FILE else bytes(reply.expect(ReadResponse).data)
        assert data in (known.data, known.maybe_data)
        there = self.server.world.names()
        assert known.name in there or known.maybe_name in there
        known.name = known.name if known.name in there else known.maybe_name
        known.data, known.maybe_data, known.maybe_name, known.maybe_closed = data, data, known.name, False

    def work(self) -> None:
        """Send some requests and hear of some of the answers."""
        sent: list[tuple[int, Message, Known]] = []
        free = list(self.handles)
        self.random.shuffle(free)
        for _ in range(self.random.randint(1, AT_ONCE)):
            built, known = self.change(free.pop()) if free and self.random.random() < 0.6 else self.make()
            (message_id,) = self.client.send(built)
            sent.append((message_id, built, known))
        for message_id, _, known in sent[: self.random.randint(0, len(sent))]:
            reply = self.client.wait_for(message_id)
            assert reply.status == 0
            if known not in self.handles:
                known.file_id = reply.expect(CreateResponse).file_id
                self.handles.append(known)
            elif known.maybe_closed:
                self.handles.remove(known)
            else:
                known.name, known.data = known.maybe_name, known.maybe_data

    def make(self) -> tuple[Message, Known]:
        self.count += 1
        guid = self.random.randbytes(16)
        known = Known(guid, FileId(0, 0), name := f"file{self.count}", maybe_name=name)
        context = names.DURABLE_REQUEST_V2, DurableRequestV2(guid, 60_000, FLAG_PERSISTENT).encode()
        return Messages.create(name, disposition=CreateDisposition.CREATE, contexts=(context,)), known

    def change(self, known: Known) -> tuple[Message, Known]:
        what = self.random.choice(("write", "rename", "close"))
        if what == "close":
            known.maybe_closed = True
            return Messages.close(known.file_id), known
        if what == "rename":
            self.count += 1
            known.maybe_name = f"renamed{self.count}"
            rename = RenameInformation(False, known.maybe_name)
            return Messages.set_info(known.file_id, FileInfoClass.RENAME, rename), known
        known.maybe_data = known.data + bytes([self.random.randrange(256)])
        return Messages.write(known.file_id, 0, known.maybe_data), known


@pytest.mark.parametrize("seed", range(12))
def test_what_was_answered_is_true_after_any_crash(seed: int) -> None:
    server = CrashingServer(seed)
    client = Client(server, Random(seed))
    for _ in range(ROUNDS):
        client.come_back()
        client.work()
        server.crash()
    client.come_back()
    server.finish()


def test_handles_that_were_never_answered_do_not_stay() -> None:
    server = CrashingServer(1)
    client = Client(server, Random(1))
    client.come_back()
    for _ in range(3):
        client.client.send(client.make()[0])
    server.crash()
    server.advance(61)
    assert server.inspect(lambda engine: engine.opens.count) == 0
    server.finish()
