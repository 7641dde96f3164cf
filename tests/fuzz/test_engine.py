"""Given any frame, the engine answers or ends the connection; no exception, no INTERNAL_ERROR, and nothing left behind.

Knows: our own client, which makes good frames of every command, and the simulated world.  Must not know: sockets.

Each frame is a good one with a few of its fields changed, sometimes sealed after that, sometimes noise.  A failure
names its seed and the frame; `--seed N` repeats it.
"""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Callable

import pytest

from smbd_uring import limits
from smbd_uring.config import EngineConfig
from smbd_uring.ports import ShareFlags
from smbd_uring.wire import create_contexts
from smbd_uring.wire.const import (
    AccessMask,
    Command,
    CreateDisposition,
    CreateOptions,
    Dialect,
    FileInfoClass,
    FsctlCode,
    HeaderFlags,
    InfoType,
)
from smbd_uring.wire.data import CancelRequest, FlushRequest, IoctlRequest, LockElement, LockRequest
from smbd_uring.wire.fscc import BasicInformation, EndOfFileInformation, RenameInformation
from smbd_uring.wire.header import HEADER_SIZE, PROTOCOL_TRANSFORM
from smbd_uring.wire.ioctl import ValidateNegotiateInfoRequest
from smbd_uring.wire.negotiate import NegotiateRequest
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from smbd_uring.wire.session import LogoffRequest
from smbd_uring.wire.tree import TreeConnectRequest, TreeDisconnectRequest
from tests.engine.servers import SERVER_GUID, SimulatedServer
from tests.fuzz.frames import change_fields, spoil
from tests.sim.driver import Weather
from tests.support.client import CLIENT_GUID, negotiate_contexts
from tests.support.client_channel import ConnectionEnded
from tests.support.client_messages import Message
from tests.support.file_client import FileClient, Messages
from tests.support.ntlm_client import NtlmInitiator
from tests.support.spnego_client import SpnegoInitiator

SEEDS = (1, 2, 3, 4)
FRAMES_PER_SEED = 5000
FRAMES_PER_CONNECTION = 40
ANY = Messages.ANY
Maker = Callable[["Subject", random.Random], list[Message]]


class Subject:
    """A client and what its good frames are about."""

    def __init__(self, server: SimulatedServer, chance: random.Random) -> None:
        self.client = FileClient(server.driver.connect())
        self.file_id = self.folder = FileId(0, 0)
        self.seals = False
        dialect = chance.choice([Dialect.SMB_2_0_2, Dialect.SMB_2_1, Dialect.SMB_3_0, Dialect.SMB_3_1_1])
        kind = chance.randrange(8)
        if kind == 0:
            return
        self.client.negotiate([dialect])
        if kind == 1:
            return
        user = "" if kind == 2 else "anna"
        assert self.client.log_on(user, "secret" if user else "").status == NtStatus.SUCCESS
        self.seals = kind == 3 and dialect >= Dialect.SMB_3_0
        self.client.tree_connect("data")
        self.client.echo(credits=500)
        create = self.client.create("file", disposition=CreateDisposition.OPEN_IF)
        if create.status == NtStatus.SUCCESS:
            self.file_id = FileId(*struct.unpack_from("<QQ", create.message, HEADER_SIZE + 64))
        self.folder = self.client.open("", AccessMask.GENERIC_READ, options=CreateOptions.FILE_DIRECTORY_FILE)

    def frame(self, messages: list[Message]) -> bytes:
        """The messages as they would be sent, in the clear."""
        for message in messages:
            message.seal = False
        self.client.credits = 10_000  # not the client's bookkeeping is under test
        return self.client.frame(*messages)

    def send(self, frame: bytes) -> None:
        """Send a frame, sealed where this client seals."""
        session = self.client.session
        if self.seals and session is not None and session.sealer is not None:
            frame = b"".join(session.sealer.seal([frame], session.session_id))
        self.client.send_raw(frame)


# --- good frames of every command ---


def _on_file(subject: Subject, chance: random.Random) -> list[Message]:
    file_id = subject.file_id
    return [chance.choice([
        Messages.read(file_id, 0, 4096), Messages.write(file_id, 0, b"0123456789"),
        Message(Command.FLUSH, FlushRequest(file_id).encode()),
        Message(Command.LOCK, LockRequest(file_id, [LockElement(0, 10, 2)]).encode()),
        Messages.set_info(file_id, FileInfoClass.BASIC, BasicInformation(0, 0, 0, 0, 0x20)),
        Messages.set_info(file_id, FileInfoClass.RENAME, RenameInformation(True, "renamed")),
        Messages.set_info(file_id, FileInfoClass.LINK, RenameInformation(True, "linked")),
        Messages.set_info(file_id, FileInfoClass.END_OF_FILE, EndOfFileInformation(1000)),
        Messages.set_info(file_id, FileInfoClass.ALLOCATION, EndOfFileInformation(1000)),
        Messages.set_info(file_id, FileInfoClass.DISPOSITION, b"\0"),
        Messages.query_info(file_id, FileInfoClass.ALL), Messages.close(file_id, 1),
        Message(Command.OPLOCK_BREAK, struct.pack("<HBBIQQ", 24, 0, 0, 0, *file_id)),
        Message(Command.IOCTL, IoctlRequest(FsctlCode.LMR_REQUEST_RESILIENCY, file_id, bytes(8), 0, 0).encode()),
    ])]  # fmt: skip


def _on_folder(subject: Subject, chance: random.Random) -> list[Message]:
    info_class = chance.choice([1, 2, 3, 12, 37, 38, 60])
    return [chance.choice([
        Messages.query_directory(subject.folder, chance.choice(["*", "f*", "file", "<.?"]), info_class, flags=1),
        Messages.change_notify(subject.folder),
        Messages.query_info(subject.folder, chance.choice([1, 3, 5, 7]), InfoType.FILESYSTEM),
    ])]  # fmt: skip


def _create(subject: Subject, chance: random.Random) -> list[Message]:
    guid = bytes([chance.randrange(3)]) * 16
    contexts = [
        (b"MxAc", bytes(8)), (b"QFid", b""), (b"AlSi", struct.pack("<Q", 4096)),
        (b"RqLs", guid + struct.pack("<IIQ", chance.choice((3, 7)), 0, 0)), (b"DHnQ", bytes(16)),
        (b"DHnC", struct.pack("<QQ", *subject.file_id)),
        (b"DH2Q", struct.pack("<IIQ", 0, chance.choice((0, 2)), 0) + guid),
        (b"DH2C", struct.pack("<QQ", *subject.file_id) + guid + bytes(4)),
        (create_contexts.APP_INSTANCE_ID, struct.pack("<HH", 20, 0) + guid),
    ]  # fmt: skip
    name = chance.choice(["file", "new", r"folder\below", "", "name with ünicode"])
    options = chance.choice([0, 1, 0x40, 0x1000, 0x1001])
    made = Messages.create(
        name, disposition=chance.randrange(6), options=options, contexts=chance.sample(contexts, 3),
        oplock=chance.choice((0, 9, 0xFF)),
    )  # fmt: skip
    made.flags |= chance.choice((0, 0, HeaderFlags.REPLAY_OPERATION))
    return [made]


def _compound(subject: Subject, chance: random.Random) -> list[Message]:
    followers = [
        Messages.read(ANY, 0, 10), Messages.write(ANY, 5, b"x"), Messages.query_info(ANY, FileInfoClass.ALL),
        Messages.query_directory(ANY), Messages.change_notify(ANY), Messages.close(), Messages.echo(),
    ]  # fmt: skip
    return [*_create(subject, chance), *(each.related() for each in chance.sample(followers, 3))]


def _session(subject: Subject, chance: random.Random) -> list[Message]:
    ntlm = NtlmInitiator("anna", "wrong")
    return [chance.choice([
        subject.client.setup_message(ntlm.negotiate()), subject.client.setup_message(SpnegoInitiator(ntlm).first()),
        Message(Command.TREE_CONNECT, TreeConnectRequest(0, r"\\server\second").encode(), tree_id=0),
        Message(Command.TREE_DISCONNECT, TreeDisconnectRequest().encode()),
        Message(Command.LOGOFF, LogoffRequest().encode()),
    ])]  # fmt: skip


def _other(subject: Subject, chance: random.Random) -> list[Message]:
    dialects = (Dialect.SMB_2_1, Dialect.SMB_3_1_1)
    negotiate = NegotiateRequest(1, 0x40, CLIENT_GUID, dialects, list(negotiate_contexts())).encode()
    validate = ValidateNegotiateInfoRequest(0, CLIENT_GUID, 1, (Dialect.SMB_2_1,)).encode()
    ioctl = IoctlRequest(FsctlCode.VALIDATE_NEGOTIATE_INFO, ANY, validate, 0, 24).encode()
    return [chance.choice([
        Message(Command.NEGOTIATE, negotiate), Message(Command.IOCTL, ioctl), Messages.echo(),
        Message(Command.CANCEL, CancelRequest().encode(), message_id=max(subject.client.next_message_id - 1, 0)),
    ])]  # fmt: skip


MAKERS: list[Maker] = [_on_file, _on_file, _on_folder, _create, _compound, _session, _other]


# --- what has to hold ---


def answers(server: SimulatedServer, client: FileClient) -> int:
    """Frames the server has sent; none of their messages may say that we made a mistake.  ConnectionEnded."""
    server.driver.run_until_idle()
    count = 0
    while True:
        try:
            frame = client.receive_frame()
        except TimeoutError:
            return count
        count += 1
        if bytes(frame[:4]) == PROTOCOL_TRANSFORM:
            session = next(iter(client.sessions.values()))
            assert session.opener is not None
            frame = session.opener.open(frame)
        while True:
            header = struct.unpack_from("<4sHHIHHII", frame)
            is_notify = header[4] == Command.CHANGE_NOTIFY  # the status that a watch inside a compound gets
            assert header[3] != NtStatus.INTERNAL_ERROR or is_notify, bytes(frame[:HEADER_SIZE]).hex()
            if not header[7]:
                break
            frame = frame[header[7] :]


def is_unanswered(frame: bytes) -> bool:
    """Whether nothing but CANCELs is in a frame, which have no answer."""
    view = memoryview(frame)
    while len(view) >= HEADER_SIZE and view[12] == Command.CANCEL and view[13] == 0:
        following = int.from_bytes(view[20:24], "little")
        if not following:
            return True
        view = view[following:]
    return False


def abuse(server: SimulatedServer, subject: Subject, chance: random.Random, seen: Counter[str]) -> None:
    """Send frames until there were enough of them or the server has had enough."""
    client = subject.client
    for _ in range(FRAMES_PER_CONNECTION):
        good = subject.frame(chance.choice(MAKERS)(subject, chance))
        kind = chance.random()
        if kind < 0.02:
            frame = chance.randbytes(chance.randrange(4, 300))
        elif kind < 0.1:
            frame = spoil(good, chance)
        else:
            frame = change_fields(good, chance)
        if len(frame) < 4:
            continue
        seen["frames"] += 1
        try:
            subject.send(frame)
            count = answers(server, client)
            if count == 0 and not is_unanswered(frame):
                server.advance(limits.LOGON_DELAY_MAX_S)
                count = answers(server, client)
                assert count, f"neither an answer nor an end: {frame.hex()}"
            seen["answers"] += count
        except (ConnectionEnded, ConnectionResetError):
            seen["ends"] += 1
            return


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", metafunc.config.getoption("--seed") or SEEDS)


def test_any_frame_is_answered_or_ends_the_connection(seed: int) -> None:
    chance = random.Random(seed)
    weather = Weather(effect_delay_max_s=0.0001, network_delay_max_s=0.0001, small_chunk_probability=0.02)
    server = SimulatedServer(EngineConfig(SERVER_GUID), seed, weather)
    server.files.add_directory("folder", 0o777)
    server.companion.shares["data"].flags |= ShareFlags.OPLOCKS
    seen: Counter[str] = Counter()
    while seen["frames"] < FRAMES_PER_SEED:
        subject = Subject(server, chance)
        abuse(server, subject, chance, seen)
        subject.client.transport.close()
        server.settle(lambda engine: not engine.connections)
    server.finish()
    assert seen["answers"] > FRAMES_PER_SEED // 2, f"most frames should get through: {dict(seen)}"
    print(f"seed {seed}: {dict(seen)}")
