"""The test client's lower half: frames, message ids, credits, signatures, seals.

Knows: [MS-SMB2] 3.2.4.1 and 3.2.5.1 from the client's side.  Must not know: bodies, what a session is good for.

Whatever the server sends is checked on its way in: a signature that is there must be right, a request that was signed
or sealed must be answered the same way, and no credit may come that would overflow the window.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from smbd_uring.crypto.keys import PreauthIntegrity, SessionKeys
from smbd_uring.crypto.sealing import Opener, Sealer
from smbd_uring.crypto.signing import Signer
from smbd_uring.wire.const import Command, Dialect, HeaderFlags, SigningAlgorithm
from smbd_uring.wire.framing import frame_prefix
from smbd_uring.wire.header import HEADER_SIZE, PROTOCOL_TRANSFORM, Header, sealing_session_id, split_compound
from smbd_uring.wire.ntstatus import NtStatus
from tests.support.client_messages import Message, Reply

COMPOUND_ALIGNMENT = 8
SIGNATURE_OFFSET = 48
REPLIES_MAX = 1024

UNSOLICITED = 0xFFFF_FFFF_FFFF_FFFF
"""The MessageId of what the server says by itself."""


class Transport(Protocol):
    """A byte stream to the server."""

    def sendall(self, data: bytes) -> None:
        """Send; OSError when the server has ended the connection."""

    def receive(self, size: int) -> bytes:
        """At least one and at most `size` bytes, b"" at the end.  TimeoutError when nothing comes."""

    def close(self) -> None:
        """End the connection."""


class ConnectionEnded(Exception):  # noqa: N818 - what a server may do
    """The server ended the connection."""


@dataclass(slots=True)
class ClientSession:
    """A session as its client knows it.  Guests have no keys."""

    session_id: int
    flags: int
    keys: SessionKeys | None = None
    signer: Signer | None = None
    sealer: Sealer | None = None
    opener: Opener | None = None
    signs: bool = False
    seals: bool = False


class Channel:
    """One connection: requests out, replies in."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.dialect = 0
        self.cipher: int | None = None
        self.signing_algorithm: int = SigningAlgorithm.HMAC_SHA256
        self.preauth = PreauthIntegrity()
        self.next_message_id = 0
        self.credits = 1
        self.session: ClientSession | None = None
        self.sessions: dict[int, ClientSession] = {}
        self.tree_id = 0
        self._unclaimed: deque[Reply] = deque()
        self._expected: dict[int, tuple[bool, bool]] = {}

    # --- out ---

    def send(self, *messages: Message) -> list[int]:
        """Send one frame of one or more requests.  Result: their message ids.

        The first message decides whether the frame is sealed.
        """
        self.send_raw(self.frame(*messages))
        return [message.message_id for message in messages if message.message_id is not None]

    def frame(self, *messages: Message) -> bytes:
        """What `send` would send, without the transport's prefix; ids and credits are taken."""
        session = self._session_of(messages[0])
        sealed = messages[0].seal
        if sealed is None:
            sealed = session is not None and session.seals and messages[0].command != Command.SESSION_SETUP
        last = len(messages) - 1
        frame = b"".join(self._encode(message, sealed, index == last) for index, message in enumerate(messages))
        if sealed:
            assert session is not None and session.sealer is not None, "there is no key to seal with"
            return b"".join(session.sealer.seal([frame], session.session_id))
        return frame

    def expect_answer(self, message_id: int, signed: bool, sealed: bool) -> None:
        """Take an answer to a request that the test has encoded and sends by itself, protected as it was."""
        self._expected[message_id] = (signed, sealed)

    def send_raw(self, frame: bytes) -> None:
        """Send any bytes as one frame.  ConnectionEnded when the server does not take them any more."""
        self.send_bytes(frame_prefix(len(frame)) + frame)

    def send_bytes(self, data: bytes) -> None:
        """Send any bytes."""
        try:
            self.transport.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ConnectionEnded from error

    def _encode(self, message: Message, sealed: bool, is_last: bool) -> bytes:
        session = self._session_of(message)
        if message.message_id is None:
            message.message_id = self._take_message_id(message)
        padding = 0 if is_last else -(HEADER_SIZE + len(message.body)) % COMPOUND_ALIGNMENT
        length = HEADER_SIZE + len(message.body) + padding
        following = 0 if is_last else length
        signs = self._signs(message, session) and not sealed
        header = Header(
            credit_charge=message.credit_charge if self.dialect >= Dialect.SMB_2_1 else 0,
            status=message.channel_sequence,
            command=message.command,
            credits=message.credits,
            flags=message.flags | (HeaderFlags.SIGNED if signs else 0),
            next_command=following if message.next_command is None else message.next_command,
            message_id=message.message_id,
            tree_id=self.tree_id if message.tree_id is None else message.tree_id,
            async_id=message.async_id,
            session_id=(session.session_id if session else 0) if message.session_id is None else message.session_id,
        )
        encoded = bytearray(header.encode() + message.body + bytes(padding))
        if signs:
            assert session is not None and session.signer is not None, "there is no key to sign with"
            is_cancel = message.command == Command.CANCEL
            signature = session.signer.sign([encoded], message.message_id, from_server=False, is_cancel=is_cancel)
            encoded[SIGNATURE_OFFSET:HEADER_SIZE] = signature
            if message.wrong_signature:
                encoded[SIGNATURE_OFFSET] ^= 1
        if message.command != Command.CANCEL:
            self._expected[message.message_id] = (signs and not message.wrong_signature, sealed)
        return bytes(encoded)

    def _signs(self, message: Message, session: ClientSession | None) -> bool:
        if message.sign is not None:
            return message.sign
        if session is None or session.signer is None:
            return False
        # [MS-SMB2] 3.2.4.1.1: on 3.1.1 a TREE_CONNECT that is not sealed is always signed
        return session.signs or (message.command == Command.TREE_CONNECT and self.dialect == Dialect.SMB_3_1_1)

    def _session_of(self, message: Message) -> ClientSession | None:
        if message.session_id is None:
            return self.session
        return self.sessions.get(message.session_id)

    def _take_message_id(self, message: Message) -> int:
        if message.command == Command.CANCEL:
            return 0
        charge = max(message.credit_charge, 1)
        assert self.credits >= charge, f"{self.credits} credits left where {charge} are needed"
        self.credits -= charge
        message_id = self.next_message_id
        self.next_message_id += charge
        return message_id

    # --- in ---

    def ask(self, message: Message) -> Reply:
        """Send a request and wait for its final answer."""
        (message_id,) = self.send(message)
        return self.wait_for(message_id)

    def ask_all(self, *messages: Message) -> list[Reply]:
        """Send a compound and wait for the final answers to all of it."""
        return [self.wait_for(message_id) for message_id in self.send(*messages)]

    def wait_for(self, message_id: int) -> Reply:
        """The final answer to one request; whatever else comes meanwhile is kept."""
        return self._next(lambda reply: reply.header.message_id == message_id and not reply.is_interim)

    def wait_for_interim(self, message_id: int) -> Reply:
        """The STATUS_PENDING answer to one request."""
        return self._next(lambda reply: reply.header.message_id == message_id and reply.is_interim)

    def wait_for_break(self) -> Reply:
        """The next message that answers nothing."""
        return self._next(lambda reply: reply.header.message_id == UNSOLICITED)

    def wait_for_first(self, message_id: int) -> Reply:
        """The first answer to one request, STATUS_PENDING or final."""
        return self._next(lambda reply: reply.header.message_id == message_id)

    def receive_frame(self) -> memoryview:
        """One frame as it comes, without its prefix.  ConnectionEnded, or TimeoutError when none comes."""
        length = int.from_bytes(self._exactly(4), "big")
        return memoryview(self._exactly(length))

    def forget(self) -> None:
        """Expect no answer to what was sent so far: the test takes the frames itself."""
        self._expected.clear()

    def assert_ended(self) -> None:
        """The server has ended the connection, without one more answer."""
        try:
            frame = self.receive_frame()
        except ConnectionEnded:
            return
        raise AssertionError(f"an answer where the connection should end: {bytes(frame[:72]).hex()}")

    def assert_silent(self) -> None:
        """The server has nothing to say, and the connection stands."""
        assert not self._unclaimed
        try:
            frame = self.receive_frame()
        except TimeoutError:
            return
        raise AssertionError(f"an answer to nothing: {bytes(frame[:72]).hex()}")

    def _next(self, wanted: Wanted) -> Reply:
        for _ in range(REPLIES_MAX):
            for index, reply in enumerate(self._unclaimed):
                if wanted(reply):
                    del self._unclaimed[index]
                    return reply
            self._unclaimed.extend(self._receive())
        raise AssertionError("so many answers, and not the one that is waited for")

    def _receive(self) -> list[Reply]:
        frame = self.receive_frame()
        sealed = bytes(frame[:4]) == PROTOCOL_TRANSFORM
        if sealed:
            session = self.sessions[sealing_session_id(frame)]
            assert session.opener is not None
            frame = session.opener.open(frame)
        return [self._check(message, sealed) for message in split_compound(frame, REPLIES_MAX)]

    def _check(self, message: memoryview, sealed: bool) -> Reply:
        header = Header.decode(message)
        assert header.flags & HeaderFlags.SERVER_TO_REDIR
        signed = bool(header.flags & HeaderFlags.SIGNED)
        session = self.sessions.get(header.session_id)
        if signed:
            assert not sealed, "a sealed answer needs no signature"
            is_setup = header.command == Command.SESSION_SETUP
            is_nobodys = header.status == NtStatus.USER_SESSION_DELETED  # it bears the request's own signature
            if not (is_setup or is_nobodys):  # a setup's key is only known once it was read; `Client` verifies it
                assert session is not None and session.signer is not None
                assert session.signer.verify(message, header.message_id, from_server=True, is_cancel=False)
        self.credits += header.credits
        if header.message_id == UNSOLICITED:
            assert header.command == Command.OPLOCK_BREAK and not signed and not header.credits
        elif header.status != NtStatus.PENDING:
            was_signed, was_sealed = self._expected.pop(header.message_id)
            assert sealed == was_sealed, "a sealed request has a sealed answer, another has not"
            has_key = header.status != NtStatus.USER_SESSION_DELETED  # a session that is gone signs nothing
            assert signed or not (was_signed and has_key), "a signed request has a signed answer"
        return Reply(header, message, signed, sealed)

    def _exactly(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            try:
                part = self.transport.receive(length - len(data))
            except ConnectionResetError as error:
                raise ConnectionEnded from error
            if not part:
                raise ConnectionEnded
            data += part
        return bytes(data)


class Wanted(Protocol):
    """Picks a reply."""

    def __call__(self, reply: Reply, /) -> bool: ...
