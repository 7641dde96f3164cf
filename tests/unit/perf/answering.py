"""A server of a few lines on one end of a socket pair: answers some requests, well or in any wrong way.

Knows: the wire.  Must not know: the generator that asks.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

from smbd_uring.crypto.sealing import Opener, Sealer
from smbd_uring.crypto.signing import Signer
from smbd_uring.wire.const import Command, HeaderFlags
from smbd_uring.wire.data import EchoResponse, ReadRequest, ReadResponse
from smbd_uring.wire.framing import frame_prefix
from smbd_uring.wire.header import HEADER_SIZE, Header

SIGNATURE_OFFSET = 48

Spoil = Callable[[bytes], bytes]


@dataclass
class Answerer:
    """Answers until the other end closes; a context manager.  `socket` is the other end.

    `bodies` are answers to commands other than READ and ECHO.  With a `signer` answers are signed; with a `sealer`
    they are sealed, and requests are opened by `opener`.  `spoil` gets each frame, its prefix included, and gives what
    is sent instead.  `credits` go with each answer; after `answers_max` of them the server hangs up.  `was_overtaken`
    says whether a request ever came before the one before it was answered.
    """

    spoil: Spoil = lambda frame: frame
    signer: Signer | None = None
    sealer: Sealer | None = None
    opener: Opener | None = None
    bodies: dict[int, bytes] = field(default_factory=dict)
    credits: int = 1
    answers_max: int = 200_000
    content: Callable[[int, int], bytes] = lambda offset, length: bytes(length)
    socket: socket.socket = field(init=False)
    was_overtaken: bool = False
    message_ids: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.socket, self._here = socket.socketpair()
        self._thread = threading.Thread(target=self._serve)

    def answer(self, message: memoryview) -> bytes:
        """The frame that answers one request."""
        asked = Header.decode(message)
        self.message_ids.append(asked.message_id)
        if asked.command == Command.READ:
            request = ReadRequest.decode(message)
            body = ReadResponse(self.content(request.offset, request.length)).encode()
        else:
            body = self.bodies.get(asked.command, EchoResponse().encode())
        header = Header(
            command=asked.command, message_id=asked.message_id, session_id=asked.session_id, credits=self.credits,
            flags=HeaderFlags.SERVER_TO_REDIR | (HeaderFlags.SIGNED if self.signer else 0),
        )  # fmt: skip
        encoded = bytearray(header.encode() + body)
        if self.signer is not None:
            encoded[SIGNATURE_OFFSET:HEADER_SIZE] = self.signer.sign(
                [encoded], asked.message_id, from_server=True, is_cancel=False
            )
        frame = bytes(encoded)
        if self.sealer is not None:
            frame = b"".join(self.sealer.seal([frame], asked.session_id))
        return frame_prefix(len(frame)) + frame

    def _serve(self) -> None:
        with suppress(OSError):
            for _ in range(self.answers_max):
                prefix = self._here.recv(4, socket.MSG_WAITALL)
                if len(prefix) < 4:
                    return
                message = memoryview(self._here.recv(int.from_bytes(prefix, "big"), socket.MSG_WAITALL))
                if self.opener is not None:
                    message = memoryview(self.opener.open(message))
                self.was_overtaken |= self._has_more()
                self._here.sendall(self.spoil(self.answer(message)))
            self._here.shutdown(socket.SHUT_RDWR)

    def _has_more(self) -> bool:
        try:
            return bool(self._here.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False

    def __enter__(self) -> Answerer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()
        self._thread.join()
        self._here.close()
