"""One frame's requests and their answers: from compound request to compound reply.

Knows: header layout, padding, who signs and who seals ([MS-SMB2] 3.3.4.1).  Must not know: commands, sockets.

Most frames hold one request; a compound is the general case.  Answers are collected in the order of the requests and
leave together as one frame, unless they fit in none, or the last request goes asynchronous: then what is there leaves
with an interim answer at its end, and the final answer follows alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smbd_uring import limits
from smbd_uring.engine.request import Request, Response
from smbd_uring.ports import Buffer
from smbd_uring.wire.const import Command, HeaderFlags
from smbd_uring.wire.error_response import encode_error_response
from smbd_uring.wire.framing import frame_prefix
from smbd_uring.wire.header import HEADER_SIZE, TRANSFORM_SIZE, Header
from smbd_uring.wire.ntstatus import NtStatus

if TYPE_CHECKING:
    from smbd_uring.crypto.signing import Signer
    from smbd_uring.engine.connection import Connection
    from smbd_uring.engine.opens import Open
    from smbd_uring.engine.session import Session

COMPOUND_ALIGNMENT = 8
SIGNATURE_OFFSET = 48
_PADDING = bytes(COMPOUND_ALIGNMENT)


class Chain:
    """The requests of one frame while they are answered.

    `opened`, `session_id`, `tree_id` and `create_failure` are what a related request inherits from the one before
    ([MS-SMB2] 3.3.5.2.7.2).  `sealed_by` is the session whose key opened the frame, and seals the reply.
    """

    __slots__ = (
        "_answers", "_length", "connection", "cost", "create_failure", "has_begun", "may_continue", "opened",
        "sealed_by", "session_id", "tree_id",
    )  # fmt: skip

    def __init__(self, connection: Connection, sealed_by: Session | None, cost: int) -> None:
        self.connection = connection
        self.sealed_by = sealed_by
        self.cost = cost
        """Payload bytes the frame and its reply may take; the connection's allowance is charged with it."""
        self.has_begun = False
        self.may_continue = False
        """Whether a related request has one before it to relate to, which found its session and tree."""
        self.opened: Open | None = None
        self.session_id = 0
        self.tree_id = 0
        self.create_failure: NtStatus | None = None
        self._answers: list[tuple[Request, Response]] = []
        self._length = TRANSFORM_SIZE

    def add(self, request: Request, response: Response) -> None:
        """Keep an answer until `flush`; what it does not fit into one frame with leaves before it."""
        length = HEADER_SIZE + sum(len(segment) for segment in response.segments) + COMPOUND_ALIGNMENT
        if length > limits.FRAME_BYTES_MAX - self._length:
            self.flush()
        self._length += length
        self._answers.append((request, response))

    def go_async(self, request: Request) -> None:
        """Answer `request`, the last of its compound, with STATUS_PENDING; its real answer comes later and alone.

        From here on the frame no longer counts against the connection's allowance: it may wait for hours.
        """
        assert request.is_last_of_chain and request.async_id == 0
        request.async_id = self.connection.register_async(request)
        interim = Response(encode_error_response(), status=NtStatus.PENDING)
        self.add(request, interim)
        self.flush()
        request.let_go_of_message()
        self.connection.refund(self)

    def flush(self) -> None:
        """Send what was collected, as one frame."""
        answers, self._answers, self._length = self._answers, [], TRANSFORM_SIZE
        if not answers or self.connection.is_closed:
            return
        segments: list[Buffer] = []
        for index, (request, response) in enumerate(answers):
            is_last = index == len(answers) - 1
            segments.extend(self._message(request, response, is_last))
        if self.sealed_by is not None:
            sealer = self.sealed_by.sealer
            assert sealer is not None, "opened with a key, so there is one to seal with"
            segments = list(sealer.seal(segments, self.sealed_by.session_id))
        length = sum(len(segment) for segment in segments)
        self.connection.send([frame_prefix(length), *segments], length + 4)

    def _message(self, request: Request, response: Response, is_last: bool) -> list[Buffer]:
        length = HEADER_SIZE + sum(len(segment) for segment in response.segments)
        padding = 0 if is_last else -length % COMPOUND_ALIGNMENT
        header = self._header(request, response)
        if not is_last:
            header.next_command = length + padding
        signer = self._signer(request, response)
        if signer is not None:
            header.flags |= HeaderFlags.SIGNED
        encoded = bytearray(header.encode())
        message: list[Buffer] = [encoded, *response.segments]
        if padding:
            message.append(_PADDING[:padding])
        if signer is not None:
            is_cancel = header.command == Command.CANCEL
            signature = signer.sign(message, header.message_id, from_server=True, is_cancel=is_cancel)
            encoded[SIGNATURE_OFFSET:HEADER_SIZE] = signature
        if response.preauth is not None:
            response.preauth.update(b"".join(message))
        return message

    def _header(self, request: Request, response: Response) -> Header:
        asked = request.header
        flags = HeaderFlags.SERVER_TO_REDIR | (asked.flags & HeaderFlags.RELATED_OPERATIONS)
        header = Header(
            credit_charge=asked.credit_charge,
            status=response.status,
            command=asked.command,
            credits=0,
            flags=flags,
            message_id=asked.message_id,
            tree_id=asked.tree_id,
            session_id=asked.session_id,
        )
        is_final_of_async = request.async_id != 0 and response.status != NtStatus.PENDING
        if request.async_id:
            header.flags |= HeaderFlags.ASYNC_COMMAND
            header.async_id = request.async_id
        if not is_final_of_async:  # [MS-SMB2] 3.3.4.1.2: credits went out with the interim answer
            header.credits = self.connection.grant_credits(asked.credits)
        return header

    def _signer(self, request: Request, response: Response) -> Signer | None:
        """Who signs this answer, or None ([MS-SMB2] 3.3.4.1.1).

        An interim answer is never signed: it shares its message id with the final one, and AES-GMAC must not use one
        nonce twice.
        """
        session = request.session
        if session is None or session.signer is None or self.sealed_by is not None:
            return None
        if response.status == NtStatus.PENDING:
            return None
        if request.signed or session.signing_required or response.must_sign:
            return session.signer
        return None
