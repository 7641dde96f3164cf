"""Two servers that differ in nothing but the compound's own way, and clients that send both the same frames.

Knows: how to compose an engine over the simulated kernel without chance.  Must not know: what a test is about.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from smbd_uring.config import EngineConfig
from smbd_uring.engine import Engine
from smbd_uring.filesystem import PosixFilesystem
from smbd_uring.ports import (
    NOT_NOW,
    AskLogin,
    AskTogether,
    Buffer,
    Effect,
    TellLogout,
    TellTreeDisconnect,
)
from smbd_uring.wire.const import Command, HeaderFlags
from smbd_uring.wire.framing import frame_prefix
from smbd_uring.wire.header import HEADER_SIZE, PROTOCOL_TRANSFORM, Header, split_compound
from tests.engine.companions import companion_for
from tests.engine.servers import ADDRESS, SERVER_GUID
from tests.sim.worlds import SimulatedWorld
from tests.support.client_channel import REPLIES_MAX, SIGNATURE_OFFSET
from tests.support.client_messages import Message
from tests.support.file_client import FileClient

NOW = 1000.0
WALL_CLOCK_NS = 1_700_000_000_123_456_700
FOR_THE_COMPANION = (AskLogin, AskTogether, TellLogout, TellTreeDisconnect)


class PlainDriver:
    """`ports.Driver` that answers every effect at once, or, while `is_busy`, when `settle` is called."""

    def __init__(self, world: SimulatedWorld) -> None:
        self.world = world
        self.companion = companion_for(world.top())
        self.engine: Engine | None = None
        self.sent: dict[int, bytearray] = {}
        self.ended: set[int] = set()
        self.is_busy = False
        self.performed: Counter[str] = Counter()
        self._waiting: deque[tuple[object, Effect[Any]]] = deque()

    def perform_now(self, effect: Effect[Any]) -> Any:
        return NOT_NOW if self.is_busy else self._do(effect)

    def perform(self, token: object, effect: Effect[Any]) -> None:
        self._waiting.append((token, effect))

    def settle(self) -> None:
        """Perform what waits."""
        assert self.engine is not None
        while self._waiting:
            token, effect = self._waiting.popleft()
            result, error = None, None
            try:
                result = self._do(effect)
            except OSError as refusal:
                error = refusal
            self.engine.completed(token, result, error, NOW)

    def _do(self, effect: Effect[Any]) -> Any:
        self.performed[type(effect).__name__] += 1
        self.world.kernel.now_ns = WALL_CLOCK_NS  # which goes on with each effect, of which one server has more
        return self.companion.answer(effect) if isinstance(effect, FOR_THE_COMPANION) else self.world.perform(effect)

    def send(self, connection_id: int, segments: Sequence[Buffer]) -> None:
        for segment in segments:
            self.sent[connection_id] += segment

    def disconnect(self, connection_id: int) -> None:
        self.ended.add(connection_id)

    def pause_reading(self, connection_id: int) -> None:
        pass

    resume_reading = pause_reading

    def plane_connection(self, connection_id: int) -> None:
        """No data plane: the engine does it all."""

    def served(self) -> tuple[dict[int, int], int, int]:
        return {}, 0, 0


class Side:
    """One of the two servers, and its end of a client."""

    def __init__(self, glances: bool, build: Callable[[SimulatedWorld], None], **configuration: Any) -> None:
        self.world = SimulatedWorld(has_watches=True)
        build(self.world)
        self.driver = PlainDriver(self.world)
        config = EngineConfig(SERVER_GUID, glances=glances, **configuration)
        entropy = Random(7).randbytes
        self.engine = Engine(config, PosixFilesystem(), self.driver, entropy, lambda: WALL_CLOCK_NS)
        self.driver.engine = self.engine
        self.connection_id = 0
        self.before: Counter[str] = Counter()

    def connect(self, share: str = "data", user: str = "anna", **negotiation: Any) -> FileClient:
        """A client that is logged on and connected to a share."""
        if self.connection_id:
            self.close()
        self.connection_id += 1
        assert self.engine.connection_made(self.connection_id, ADDRESS, NOW)
        self.driver.sent[self.connection_id] = bytearray()
        self.client = FileClient(self)
        assert self.client.negotiate(**negotiation).status == 0
        assert self.client.log_on(user, "secret" if user else "").status == 0
        assert self.client.tree_connect(share, seal=True if share == "sealed" else None).status == 0
        return self.client

    # --- the client's transport ---

    def sendall(self, data: bytes) -> None:
        self.engine.data_received(self.connection_id, memoryview(data), NOW)
        self.driver.settle()
        self.engine.data_sent(self.connection_id, self.engine.connections[self.connection_id].bytes_unsent, NOW)

    def receive(self, size: int) -> bytes:
        sent = self.driver.sent[self.connection_id]
        if not sent and self.connection_id not in self.driver.ended:
            raise TimeoutError
        data = bytes(sent[:size])
        del sent[:size]
        return data

    def close(self) -> None:
        self.engine.connection_lost(self.connection_id, NOW)

    # --- what the two are compared by ---

    def answers(self, frame: bytes) -> list[bytes]:
        """What a frame is answered: the messages of each frame, opened and without their signatures, which are right;
        then "ended" when the connection is."""
        self.before = Counter(self.driver.performed)
        self.sendall(frame_prefix(len(frame)) + frame)
        messages: list[bytes] = []
        while self.driver.sent[self.connection_id]:
            messages += [b"frame", *self._messages(self.client.receive_frame())]
        if self.has_ended:
            messages.append(b"ended")
        return messages

    @property
    def open_handles(self) -> tuple[int, int]:
        """What the kernel holds for the server, and what the server knows of."""
        return self.world.opens, self.engine.opens.count

    @property
    def has_ended(self) -> bool:
        return self.connection_id in self.driver.ended

    @property
    def glanced(self) -> bool:
        """Whether the last frame was answered by nothing but a look."""
        return self.driver.performed - self.before == {"DescribeAt": 1}

    def _messages(self, frame: memoryview) -> list[bytes]:
        session = self.client.session
        assert session is not None
        sealed = frame[:4] == PROTOCOL_TRANSFORM
        if sealed:
            assert session.opener is not None
            frame = session.opener.open(frame)
        messages = []
        for message in split_compound(frame, REPLIES_MAX):
            header = Header.decode(message)
            self.client.credits += header.credits
            if header.flags & HeaderFlags.SIGNED:
                assert session.signer is not None
                is_cancel = header.command == Command.CANCEL
                assert session.signer.verify(message, header.message_id, from_server=True, is_cancel=is_cancel)
            messages.append(bytes(message[:SIGNATURE_OFFSET]) + bytes([sealed]) + bytes(message[HEADER_SIZE:]))
        return messages


class Pair:
    """A server that has the way and one that has not."""

    def __init__(self, build: Callable[[SimulatedWorld], None], **configuration: Any) -> None:
        self.sides = (Side(True, build, **configuration), Side(False, build, **configuration))
        self.glanced = 0

    def connect(self, share: str = "data", user: str = "anna", **negotiation: Any) -> None:
        """One client of each."""
        self._connection = (share, user, negotiation)
        for side in self.sides:
            side.connect(share, user, **negotiation)

    def ask(self, build: Callable[[FileClient], bytes]) -> list[bytes]:
        """Send both the frame that `build` makes, which must be answered alike; a connection that ends is made anew.
        Result: the answers."""
        ours, theirs = (side.answers(build(side.client)) for side in self.sides)
        assert ours == theirs
        self.glanced += self.sides[0].glanced
        assert not self.sides[1].glanced
        assert self.sides[0].engine.request_counts == self.sides[1].engine.request_counts
        for side in self.sides:
            assert side.open_handles == self.sides[1].open_handles, "what is looked at is closed again"
        if self.sides[0].has_ended:
            share, user, negotiation = self._connection
            self.connect(share, user, **negotiation)
        return ours

    def ask_messages(self, build: Callable[[], Sequence[Message]]) -> list[bytes]:
        """As `ask`, with messages that each client makes a frame of."""
        return self.ask(lambda client: client.frame(*build()))

    def do(self, errand: Callable[[Side], object]) -> None:
        """The same to both, answers aside."""
        for side in self.sides:
            errand(side)
