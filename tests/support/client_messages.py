"""What the test client sends and gets: a request with every field of its own, and a reply with what was checked.

Knows: the SMB2 header.  Must not know: transports, sessions, bodies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from smbd_uring.wire.const import HeaderFlags
from smbd_uring.wire.header import Header
from smbd_uring.wire.ntstatus import NtStatus

Body = TypeVar("Body", covariant=True)


class Decodable(Protocol[Body]):
    """A message body of `smbd_uring.wire`, as its class."""

    def decode(self, message: memoryview) -> Body:
        """The body of a message that begins at its header."""


@dataclass(slots=True)
class Message:
    """One request.  None stands for what a client that behaves would send; anything else is sent as it is."""

    command: int
    body: bytes
    flags: int = 0
    credit_charge: int = 1
    credits: int = 1
    message_id: int | None = None
    session_id: int | None = None
    tree_id: int | None = None
    async_id: int = 0
    next_command: int | None = None
    sign: bool | None = None
    seal: bool | None = None
    """Counts only in a frame's first message: a frame is sealed as a whole."""
    wrong_signature: bool = False
    channel_sequence: int = 0
    """Of 3.x."""

    def related(self) -> Self:
        """The same request as the continuation of the one before it."""
        self.flags |= HeaderFlags.RELATED_OPERATIONS
        return self


@dataclass(slots=True)
class Reply:
    """One message of the server.  `signed` means that a signature was there and right."""

    header: Header
    message: memoryview
    signed: bool
    sealed: bool

    @property
    def status(self) -> int:
        """The status, as a NtStatus where it is a known one."""
        try:
            return NtStatus(self.header.status)
        except ValueError:
            return self.header.status

    @property
    def is_interim(self) -> bool:
        """Whether the real answer is still to come."""
        return self.header.status == NtStatus.PENDING

    def expect(self, kind: Decodable[Body], status: int = NtStatus.SUCCESS) -> Body:
        """The decoded body; AssertionError unless the request was answered `status`."""
        assert self.status == status, f"answered {self.status!r} where {status!r} was due"
        return kind.decode(self.message)
