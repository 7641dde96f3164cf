"""One frame's requests and their answers: from compound request to compound reply.

Knows: header layout, padding, who signs and who seals ([MS-SMB2] 3.3.4.1).  Must not know: commands, sockets.

Most frames hold one request; a compound is the general case.  Answers are collected in the order of the requests and
leave together as one frame, unless they fit in none, or the last request goes asynchronous: then what is there leaves
with an interim answer at its end, and the final answer follows alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smbd_uring.engine.request import RELATED_OPERATIONS, SIGNED, Request, Response
from smbd_uring.limits import FRAME_BYTES_MAX
from smbd_uring.ports import Buffer
from smbd_uring.wire.const import Command, HeaderFlags
from smbd_uring.wire.error_response import encode_error_response
from smbd_uring.wire.framing import PREFIX_SIZE, frame_prefix
from smbd_uring.wire.header import ASYNC_COMMAND, HEADER_SIZE, TRANSFORM_SIZE
from smbd_uring.wire.ntstatus import NtStatus

if TYPE_CHECKING:
    from smbd_uring.crypto.signing import Signer
    from smbd_uring.engine.connection import Connection
    from smbd_uring.engine.opens import Open
    from smbd_uring.engine.session import Session

COMPOUND_ALIGNMENT = 8
SIGNATURE_OFFSET = 48
SERVER_TO_REDIR = int(HeaderFlags.SERVER_TO_REDIR)
CANCEL = int(Command.CANCEL)
PENDING = NtStatus.PENDING
USER_SESSION_DELETED = NtStatus.USER_SESSION_DELETED
JOINED_BYTES_MAX = 2048
"""A frame of at most this size leaves as one piece: copying it costs less than a second piece does."""

_PADDING = bytes(COMPOUND_ALIGNMENT)


class Chain:
    """The requests of one frame while they are answered.

    `opened`, `session_id`, `tree_id` and `create_failure` are what a related request inherits from the one before
    ([MS-SMB2] 3.3.5.2.7.2).  `sealed_by` is the session whose key opened the frame, and seals the reply.
    """

    __slots__ = (
        "_answers", "_length", "connection", "cost", "create_failure", "frozen", "has_begun", "known", "may_continue",
        "opened", "sealed_by", "session_id", "tree_id",
    )  # fmt: skip

    def __init__(self, connection: Connection, sealed_by: Session | None, frozen: int = 0) -> None:
        self.connection = connection
        self.sealed_by = sealed_by
        self.cost = 0
        """Payload bytes the frame and its reply may take; the connection's allowance is charged with it."""
        self.frozen = frozen
        """The open that a data plane leaves alone until the frame is answered; 0 for none."""
        self.has_begun = False
        self.may_continue = False
        """Whether a related request has one before it to relate to, which found its session and tree."""
        self.opened: Open | None = None
        self.known: Open | None = None
        """The open whose facts were taken after this frame came, with nothing done to the file since by this frame:
        what asks for them next has them."""
        self.session_id = 0
        self.tree_id = 0
        self.create_failure: NtStatus | None = None
        self._answers: list[tuple[Request, Response, int]] = []
        self._length = TRANSFORM_SIZE

    def add(self, request: Request, response: Response) -> None:
        """Keep an answer until `flush`; what it does not fit into one frame with leaves before it."""
        segments = response.segments
        if (
            len(segments) == 1
            and self.sealed_by is None
            and request.header.next_command == 0
            and not request.async_id
            and response.preauth is None
            and not self._answers
        ):
            self._send_alone(request, response)
            return
        length = HEADER_SIZE
        for segment in segments:
            length += len(segment)
        if length + COMPOUND_ALIGNMENT > FRAME_BYTES_MAX - self._length:
            self.flush()
        self._length += length + COMPOUND_ALIGNMENT
        self._answers.append((request, response, length))

    def go_async(self, request: Request) -> None:
        """Answer `request` with STATUS_PENDING; its real answer comes later.

        That of the last of a compound comes alone, and from here on the frame no longer counts against the connection's
        allowance: it may wait for hours.  That of another one comes with those that follow it, which wait as well; only
        a CREATE does that, for no longer than a break may take ([MS-SMB2] 3.3.4.2).
        """
        assert request.async_id == 0
        request.async_id = self.connection.register_async(request)
        interim = Response(encode_error_response(), status=PENDING)
        self.add(request, interim)
        self.flush()
        request.let_go_of_message()
        if request.is_last_of_chain:
            self.connection.refund(self)

    def flush(self) -> None:
        """Send what was collected, as one frame."""
        if not self._answers:
            return
        answers, self._answers, self._length = self._answers, [], TRANSFORM_SIZE
        connection = self.connection
        if connection.is_closed:
            return
        segments: list[Buffer] = [b""]
        following = len(answers)
        for request, response, length in answers:
            following -= 1
            self._append_message(segments, request, response, length, is_last=following == 0)
        if self.sealed_by is not None:
            sealer = self.sealed_by.sealer
            assert sealer is not None, "opened with a key, so there is one to seal with"
            segments[1:] = sealer.seal(segments[1:], self.sealed_by.session_id)
        total = 0
        for segment in segments:
            total += len(segment)
        segments[0] = frame_prefix(total)
        total += PREFIX_SIZE
        if total <= JOINED_BYTES_MAX:
            segments = [b"".join(segments)]
        connection.send(segments, total)

    def _send_alone(self, request: Request, response: Response) -> None:
        """Send an answer that has its frame for itself, as most do: what `add` and `flush` do, in one step."""
        asked, connection, [body] = request.header, self.connection, response.segments
        if connection.is_closed:
            return
        signer, echo = self._signer(request, response), b""
        flags = SERVER_TO_REDIR | (asked.flags & RELATED_OPERATIONS) | (0 if signer is None else SIGNED)
        if signer is None and request.signed:
            echo = _signature_to_echo(request, response)
            flags |= SIGNED if echo else 0
        credit_response = connection.credits.grant(asked.credits, connection.credits_span_max)
        header = asked.encode_answer(response.status, credit_response, flags, 0, 0)
        if signer is not None:
            is_cancel = asked.command == CANCEL
            signature = signer.sign((header, body), asked.message_id, from_server=True, is_cancel=is_cancel)
            header = header[:SIGNATURE_OFFSET] + signature
        elif echo:
            header = header[:SIGNATURE_OFFSET] + echo
        length = HEADER_SIZE + len(body)
        if length <= JOINED_BYTES_MAX:
            connection.send((b"".join((frame_prefix(length), header, body)),), PREFIX_SIZE + length)
        else:
            connection.send((frame_prefix(length) + header, body), PREFIX_SIZE + length)

    def _append_message(
        self, segments: list[Buffer], request: Request, response: Response, length: int, is_last: bool
    ) -> None:
        """Add one answer of `length` bytes, header included, and its padding to a frame's segments."""
        asked = request.header
        padding = 0 if is_last else -length % COMPOUND_ALIGNMENT
        flags = SERVER_TO_REDIR | (asked.flags & RELATED_OPERATIONS)
        signer = self._signer(request, response)
        echo = _signature_to_echo(request, response) if signer is None and request.signed else b""
        if signer is not None or echo:
            flags |= SIGNED
        credit_response = 0
        if request.async_id:
            flags |= ASYNC_COMMAND
        if not request.async_id or response.status == PENDING:
            # [MS-SMB2] 3.3.4.1.2: the final answer gives none, they went out with the interim one
            credit_response = self.connection.credits.grant(asked.credits, self.connection.credits_span_max)
        next_command = 0 if is_last else length + padding
        header = asked.encode_answer(
            response.status, credit_response, flags, next_command, request.async_id
        )
        message: list[Buffer] = [header, *response.segments]
        if padding:
            message.append(_PADDING[:padding])
        if signer is not None:
            is_cancel = asked.command == CANCEL
            signature = signer.sign(message, asked.message_id, from_server=True, is_cancel=is_cancel)
            message[0] = header[:SIGNATURE_OFFSET] + signature
        elif echo:
            message[0] = header[:SIGNATURE_OFFSET] + echo
        if response.preauth is not None:
            response.preauth.update(b"".join(message))
        segments += message

    def _signer(self, request: Request, response: Response) -> Signer | None:
        """Who signs this answer, or None ([MS-SMB2] 3.3.4.1.1).

        An interim answer is never signed: it shares its message id with the final one, and AES-GMAC must not use one
        nonce twice.
        """
        session = request.session
        if session is None or self.sealed_by is not None:
            return None
        channel = session.channels.get(self.connection)
        signer = session.signer if channel is None else channel.signer
        if signer is None or response.status == PENDING:
            return None
        if request.signed or session.signing_required or response.must_sign:
            return signer
        return None


def _signature_to_echo(request: Request, response: Response) -> bytes:
    """What the answer to a signed request of a session that is not there bears: nobody can sign it, but some clients
    look at no answer that does not say it is signed before they see that it tells of just that."""
    if request.session is not None or response.status != USER_SESSION_DELETED:
        return b""
    return bytes(request.message[SIGNATURE_OFFSET:HEADER_SIZE])
