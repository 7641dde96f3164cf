"""A client's connection in a storm: what `tests.support.client` does, without ever standing still.

Knows: frames, message ids, logging on.  Must not know: files, what a request is good for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from smbd_uring.crypto.keys import PreauthIntegrity
from smbd_uring.wire.const import Capabilities, Command, Dialect, HeaderFlags
from smbd_uring.wire.data import CancelRequest
from smbd_uring.wire.header import Header, split_compound
from smbd_uring.wire.negotiate import NegotiateRequest, NegotiateResponse
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.session import SessionSetupResponse
from smbd_uring.wire.tree import TreeConnectRequest
from tests.sim.driver import SimulatedDriver
from tests.storms.coroutines import Arrival
from tests.storms.history import Asked, History
from tests.support.client import SessionClient, message, negotiate_contexts
from tests.support.client_messages import Message, Reply
from tests.support.ntlm_client import NtlmInitiator

UNASKED = 0xFFFF_FFFF_FFFF_FFFF
PREFIX_SIZE = 4
MESSAGES_PER_FRAME_MAX = 64
CREDITS_WANTED = 256


class LineLost(Exception):  # noqa: N818 - what a storm does
    """The connection ended before the answer came."""


class Line(SessionClient):
    """One connection.  `on_break` gets what the server says unasked, `on_loss` hears of the end."""

    def __init__(self, world: SimulatedDriver, history: History, guid: bytes, dialect: Dialect) -> None:
        self.socket = world.connect()
        super().__init__(self.socket)
        self.guid = guid
        self.is_lost = self.socket.is_closed
        self.on_break: Callable[[memoryview], None] = lambda message: None
        self.on_loss: Callable[[], None] = lambda: None
        self._wanted = dialect
        self._world = world
        self._history = history
        self._asked: dict[int, tuple[Asked, Arrival[Reply]]] = {}
        self._async_ids: dict[int, int] = {}
        self._buffer = bytearray()
        self.socket.listen(self._arrived)

    # --- requests ---

    def begin(self, *messages: Message) -> list[Arrival[Reply]]:
        """Send one frame.  Result: where the final answers will be.  They fail with LineLost when the line is cut."""
        if self.is_lost:
            raise LineLost
        self.send(*messages)
        return [self._expect(each) for each in messages]

    async def call(self, sent: Message) -> Reply:
        """Send one request and wait for its final answer."""
        [arrival] = self.begin(sent)
        return await arrival

    def cancel_request(self, message_id: int) -> None:
        """CANCEL: by AsyncId where the request has one."""
        asked = self._asked.get(message_id)
        if self.is_lost or asked is None:
            return
        built = Message(Command.CANCEL, CancelRequest().encode())
        built.message_id = message_id
        async_id = self._async_ids.get(message_id, 0)
        if async_id:
            built.flags, built.async_id = HeaderFlags.ASYNC_COMMAND, async_id
        self.send(built)

    @property
    def unanswered(self) -> list[int]:
        """Message ids of requests whose answer is still to come."""
        return list(self._asked)

    def unanswered_of(self, commands: Sequence[int]) -> list[int]:
        """As `unanswered`, of some commands."""
        return [message_id for message_id, (asked, _) in self._asked.items() if asked.command in commands]

    # --- beginning and end ---

    async def enter(self, previous_session_id: int, share: str) -> bool:
        """Negotiate, log on, connect.  False when the line was cut meanwhile."""
        try:
            await self._negotiate()
            await self.authenticate(previous_session_id)
            await self.connect_tree(share)
        except LineLost:
            return False
        return True

    async def authenticate(self, previous_session_id: int = 0) -> None:
        """Log on by NTLM: a new session."""
        ntlm, preauth = NtlmInitiator("anna", "secret"), PreauthIntegrity(self.preauth.value)
        reply = await self._set_up(ntlm.negotiate(), 0, preauth, previous_session_id)
        answer = reply.expect(SessionSetupResponse, NtStatus.MORE_PROCESSING_REQUIRED)
        token = ntlm.authenticate(bytes(answer.security_buffer))
        reply = await self._set_up(token, reply.header.session_id, preauth, previous_session_id)
        flags = reply.expect(SessionSetupResponse).session_flags
        self._enter_session(reply, flags, ntlm.session_key, preauth)

    async def connect_tree(self, share: str) -> None:
        """TREE_CONNECT."""
        body = TreeConnectRequest(0, rf"\\server\{share}").encode()
        reply = await self.call(message(Command.TREE_CONNECT, body, {"tree_id": 0, "credits": CREDITS_WANTED}))
        assert reply.status == NtStatus.SUCCESS, f"TREE_CONNECT: {reply.status!r}"
        self.tree_id = reply.header.tree_id

    def cut(self) -> None:
        """Pull the cable: nothing that is under way arrives any more."""
        if not self.is_lost:
            self.socket.close()
            self._lose()

    async def _negotiate(self) -> None:
        dialects: Sequence[int] = (self._wanted,)
        contexts = negotiate_contexts() if self._wanted == Dialect.SMB_3_1_1 else ()
        capabilities = Capabilities.LARGE_MTU | Capabilities.LEASING | Capabilities.DIRECTORY_LEASING
        self.client_capabilities, self.client_dialects = capabilities, tuple(dialects)
        body = NegotiateRequest(self.security_mode, capabilities, self.guid, tuple(dialects), list(contexts))
        frame = self.frame(sent := message(Command.NEGOTIATE, body.encode(), {}))
        reply = await self._send_frame(frame, sent)
        self.preauth.update(frame)
        self.preauth.update(reply.message)
        self._agree(reply.expect(NegotiateResponse))

    async def _set_up(
        self, token: bytes, session_id: int, preauth: PreauthIntegrity, previous_session_id: int
    ) -> Reply:
        sent = self.setup_message(token, session_id, previous_session_id)
        frame = self.frame(sent)
        reply = await self._send_frame(frame, sent)
        preauth.update(frame)
        if reply.status == NtStatus.MORE_PROCESSING_REQUIRED:
            preauth.update(reply.message)
        return reply

    async def _send_frame(self, frame: bytes, sent: Message) -> Reply:
        if self.is_lost:
            raise LineLost
        self.send_raw(frame)
        return await self._expect(sent)

    def _expect(self, sent: Message) -> Arrival[Reply]:
        assert sent.message_id is not None
        asked = Asked(self.socket.connection_id, sent.message_id, sent.command, self._world.now)
        self._history.asked.append(asked)
        arrival: Arrival[Reply] = Arrival()
        self._asked[sent.message_id] = (asked, arrival)
        return arrival

    # --- what arrives ---

    def _arrived(self) -> None:
        self._buffer += self.socket.take()
        buffer = self._buffer
        while len(buffer) >= PREFIX_SIZE:
            end = PREFIX_SIZE + int.from_bytes(buffer[:PREFIX_SIZE], "big")
            if len(buffer) < end:
                break
            frame = memoryview(bytes(buffer[PREFIX_SIZE:end]))
            del buffer[:end]
            for each in split_compound(frame, MESSAGES_PER_FRAME_MAX):
                self._take_message(each)
        if self.socket.is_closed and not self.is_lost:
            self._lose()

    def _take_message(self, received: memoryview) -> None:
        header = Header.decode(received)
        if header.message_id == UNASKED:
            self.on_break(received)
            return
        known = self._asked.get(header.message_id)
        if known is None:
            self._answered_again(header)
            return
        asked, arrival = known
        asked.answers.append((self._world.now, header.status))
        reply = self._check(received, sealed=False)
        if reply.is_interim:
            self._async_ids[header.message_id] = header.async_id
        else:
            del self._asked[header.message_id]
            arrival.arrive(reply)

    def _answered_again(self, header: Header) -> None:
        for asked in self._history.asked:
            if (asked.connection, asked.message_id) == (self.socket.connection_id, header.message_id):
                asked.answers.append((self._world.now, header.status))
                return
        self._history.unexpected.append(f"an answer to message id {header.message_id}, which was never asked")

    def _lose(self) -> None:
        self.is_lost = True
        waiting, self._asked = self._asked, {}
        for asked, _ in waiting.values():
            asked.lost_at = self._world.now
        self.on_loss()
        for _, arrival in waiting.values():
            arrival.fail(LineLost())
