"""The contract between engine and data plane: grants.

Knows: what the engine tells a data plane, and what it may ask back.  Must not know: threads, rings, messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Protocol

from smbd_uring.ports.effects import Effect


class GrantOperation(IntFlag):
    """What a data plane may do with an open by itself."""

    READ = 1
    WRITE = 2
    FLUSH = 4


@dataclass(slots=True)
class Drained(Effect[None]):
    """Wait until no operation uses a revoked grant.  Awaited after `PlaneConnection.revoke` was False."""

    connection_id: int
    volatile_id: int


class PlaneConnection(Protocol):
    """What the engine tells a data plane about one connection.

    The data plane keeps the window of message ids, cuts frames, and answers READ, WRITE, FLUSH and ECHO of sessions
    that were admitted, on opens that were granted.  Everything else comes to the engine, in order.  An open is frozen
    while a frame that changes it is with the engine, so that nothing overtakes it; `thaw` ends that.
    """

    @property
    def available(self) -> int:
        """See `engine.credits.CreditWindow`."""

    @property
    def span(self) -> int:
        """See `engine.credits.CreditWindow`."""

    def take(self, message_id: int, charge: int) -> bool:
        """See `engine.credits.CreditWindow`."""

    def grant(self, requested: int, span_max: int) -> int:
        """See `engine.credits.CreditWindow`."""

    def bound(self, frame_bytes_max: int, queue_bytes_max: int) -> None:
        """Refuse longer frames from now on; begin no more of them while more reply bytes wait.  Before the first call
        every frame is too long."""

    def sending_progress(self) -> tuple[int, int]:
        """Reply bytes that wait for the peer, and how many have left since the connection was made."""

    def negotiated(self, multi_credit: bool, read_bytes_max: int, write_bytes_max: int, span_max: int) -> None:
        """What the dialect and the configuration allow."""

    def admit(
        self, session_id: int, signing_required: bool, encrypt_data: bool, signing: tuple[int, bytes] | None,
        sealing: tuple[int, bytes, bytes, bytes] | None,
    ) -> None:
        """Serve a session.  `signing` is (algorithm, key), None for guests; `sealing` is (cipher, key to seal with, key
        to open with, 4 bytes that begin the second part of the nonces and of no other sealer's of this key)."""

    def suspend(self, session_id: int) -> None:
        """Serve no further request of a session; its sealed frames are still opened."""

    def resume(self, session_id: int) -> None:
        """Undo `suspend`."""

    def dismiss(self, session_id: int) -> None:
        """Forget a session; all its grants are revoked."""

    def grant_open(
        self, persistent_id: int, volatile_id: int, session_id: int, tree_id: int, descriptor: int, operations: int,
        write_through: bool, needs_sealing: bool, device: int, channel_sequence: int,
    ) -> None:
        """Serve `operations` (a sum of GrantOperation) on an open whose file is on `device` (st_dev), in requests that
        have this ChannelSequence and are no replay; a negative one asks for neither.  The descriptor stays open until
        the grant is revoked and drained."""

    def is_locked(self, descriptor: int, device: int) -> bool:
        """Whether somebody holds a byte-range lock on an open file through another open file.  Asked of the kernel at
        once, and only where it answers at once: on other file systems the result is False."""

    def revoke(self, volatile_id: int) -> bool:
        """Begin no further operation on an open.  False: some are under way; await `Drained`."""

    def thaw(self, volatile_id: int) -> None:
        """A frame that came with this number in `frozen` is answered; harmless when the grant is gone."""

    def position(self, volatile_id: int) -> int:
        """Where the last READ of a granted open ended; 0 before the first."""

    def written_ns(self, volatile_id: int) -> int:
        """When the first WRITE of a granted open ended, in ns since 1970; 0 before it, 1 when a FLUSH came after it."""

    def set_position(self, volatile_id: int, position: int) -> None:
        """The engine served one that ended there."""
