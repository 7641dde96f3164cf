"""A data plane in the simulated world: it serves what it was granted, after any delay, and hands over the rest.

Knows: the contract of `smbd_uring.ports.plane`, and READ, WRITE and FLUSH that stand alone, are neither signed nor
sealed and succeed.  Must not know: why something was granted.

What makes it worth having is what a real one does to the engine: operations are under way while others decide, a grant
is drained late, and what could not be done after all comes with its message ids taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smbd_uring.engine.credits import CreditWindow
from smbd_uring.ports import Effect, GrantOperation, Handle, ReadAt, Synchronize, WriteAt
from smbd_uring.wire.const import Command, HeaderFlags
from smbd_uring.wire.data import (
    FlushRequest,
    FlushResponse,
    ReadRequest,
    WriteRequest,
    WriteResponse,
    encode_read_response_head,
)
from smbd_uring.wire.framing import PREFIX_SIZE, frame_prefix
from smbd_uring.wire.header import HEADER_SIZE, Header, split_compound
from smbd_uring.wire.pdu import FileId

REFUSED_FLAGS = HeaderFlags.SIGNED | HeaderFlags.RELATED_OPERATIONS | HeaderFlags.ASYNC_COMMAND
REPLAY_OPERATION = 0x2000_0000
FILE_ID_OFFSETS: dict[int, int] = {
    Command.CLOSE: 8, Command.FLUSH: 8, Command.LOCK: 8, Command.IOCTL: 8,
    Command.READ: 16, Command.WRITE: 16, Command.SET_INFO: 16,
}  # fmt: skip
"""Where in the body of a request that changes an open, or what it can do, the FileId is."""
MESSAGES_MAX = 64
MESSAGE_ID_ANY = 0xFFFF_FFFF_FFFF_FFFF
_SEQUENCE_MASK = 0xFFFF


LONG_AGO_NS = 1
"""When it was does not matter here: what was written is told at once."""


@dataclass(eq=False, slots=True)
class Grant:
    """What may be done on one open."""

    persistent_id: int
    volatile_id: int
    session_id: int
    tree_id: int
    handle: Handle
    operations: int
    channel_sequence: int
    frozen: int = 0
    in_flight: int = 0
    is_revoked: bool = False
    position: int = 0
    written_ns: int = 0


@dataclass(slots=True)
class World:
    """What a plane needs of the simulation."""

    perform_later: Callable[[Effect[Any], Callable[[Any, OSError | None], None]], None]
    send: Callable[[list[bytes]], None]
    hand_over: Callable[[bytes, bool, int], None]
    """A frame for the engine: its bytes, whether its ids are taken, what is frozen."""
    drained: Callable[[int], None]
    unsent: Callable[[], tuple[int, int]]
    is_locked: Callable[[Handle], bool]


class SimulatedPlane(CreditWindow):
    """`ports.PlaneConnection` of one connection."""

    __slots__ = ("_buffer", "_frozen", "_grants", "_sessions", "_span_max", "_suspended", "_world", "served")

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._buffer = bytearray()
        self._grants: dict[int, Grant] = {}
        self._sessions: set[int] = set()
        self._suspended: set[int] = set()
        self._span_max = 0
        self._frozen = 0
        self.served = 0

    # --- for the engine ---

    def bound(self, frame_bytes_max: int, queue_bytes_max: int) -> None:
        """`ports.PlaneConnection.bound`; clients of this world send nothing that is too long."""

    def sending_progress(self) -> tuple[int, int]:
        """`ports.PlaneConnection.sending_progress`."""
        return self._world.unsent()

    def negotiated(self, multi_credit: bool, read_bytes_max: int, write_bytes_max: int, span_max: int) -> None:
        """`ports.PlaneConnection.negotiated`."""
        self._span_max = span_max

    def admit(
        self, session_id: int, signing_required: bool, encrypt_data: bool, signing: tuple[int, bytes] | None,
        sealing: tuple[int, bytes, bytes, bytes] | None,
    ) -> None:  # fmt: skip
        """`ports.PlaneConnection.admit`.  Sessions that sign or seal everything are left to the engine."""
        if not signing_required and not encrypt_data:
            self._sessions.add(session_id)

    def suspend(self, session_id: int) -> None:
        """`ports.PlaneConnection.suspend`."""
        self._suspended.add(session_id)

    def resume(self, session_id: int) -> None:
        """`ports.PlaneConnection.resume`."""
        self._suspended.discard(session_id)

    def dismiss(self, session_id: int) -> None:
        """`ports.PlaneConnection.dismiss`."""
        self._sessions.discard(session_id)
        self._suspended.discard(session_id)
        for grant in list(self._grants.values()):
            if grant.session_id == session_id and self.revoke(grant.volatile_id):
                self._grants.pop(grant.volatile_id, None)

    def grant_open(
        self, persistent_id: int, volatile_id: int, session_id: int, tree_id: int, descriptor: int, operations: int,
        write_through: bool, needs_sealing: bool, device: int, channel_sequence: int,
    ) -> None:  # fmt: skip
        """`ports.PlaneConnection.grant_open`."""
        if needs_sealing:
            operations = 0
        self._grants[volatile_id] = Grant(
            persistent_id, volatile_id, session_id, tree_id, Handle(descriptor), operations, channel_sequence
        )

    def is_locked(self, descriptor: int, device: int) -> bool:
        """`ports.PlaneConnection.is_locked`."""
        return self._world.is_locked(Handle(descriptor))

    def revoke(self, volatile_id: int) -> bool:
        """`ports.PlaneConnection.revoke`."""
        grant = self._grants.get(volatile_id)
        if grant is None:
            return True
        grant.is_revoked = True
        if grant.in_flight:
            return False
        del self._grants[volatile_id]
        return True

    def thaw(self, volatile_id: int) -> None:
        """`ports.PlaneConnection.thaw`."""
        grant = self._grants.get(volatile_id)
        if volatile_id == MESSAGE_ID_ANY:
            self._frozen -= 1
        elif grant is not None and grant.frozen:
            grant.frozen -= 1

    def position(self, volatile_id: int) -> int:
        """`ports.PlaneConnection.position`."""
        grant = self._grants.get(volatile_id)
        return 0 if grant is None else grant.position

    def written_ns(self, volatile_id: int) -> int:
        """`ports.PlaneConnection.written_ns`."""
        grant = self._grants.get(volatile_id)
        return 0 if grant is None else grant.written_ns

    def set_position(self, volatile_id: int, position: int) -> None:
        """`ports.PlaneConnection.set_position`."""
        grant = self._grants.get(volatile_id)
        if grant is not None:
            grant.position = position

    # --- for the driver ---

    def received(self, data: memoryview) -> None:
        """Bytes from the client."""
        self._buffer += data
        while len(self._buffer) >= PREFIX_SIZE:
            end = PREFIX_SIZE + int.from_bytes(self._buffer[:PREFIX_SIZE], "big")
            if len(self._buffer) < end:
                return
            frame = bytes(self._buffer[PREFIX_SIZE:end])
            del self._buffer[:end]
            self._take_frame(frame)

    # --- inner workings ---

    def _take_frame(self, frame: bytes) -> None:
        served = self._serve(frame) if len(frame) >= HEADER_SIZE and frame[:4] == b"\xfeSMB" else False
        if not served:
            self._world.hand_over(frame, False, self._freeze(frame))

    def _serve(self, frame: bytes) -> bool:
        """Begin what a frame asks for; False: the engine has to."""
        header = Header.decode(memoryview(frame))
        found = self._operation(header, memoryview(frame))
        if found is None or not self.take(header.message_id, 1):
            return False
        grant, effect, end = found
        grant.in_flight += 1
        self._world.perform_later(
            effect, lambda result, error: self._performed(frame, header, grant, end, result, error)
        )
        return True

    def _operation(self, header: Header, frame: memoryview) -> tuple[Grant, Effect[Any], int] | None:
        if header.flags & (REFUSED_FLAGS | REPLAY_OPERATION) or header.next_command or header.credit_charge > 1:
            return None
        if header.session_id not in self._sessions or header.session_id in self._suspended:
            return None
        effect: Effect[Any]
        if header.command == Command.READ:
            asked = ReadRequest.decode(frame)
            grant = self._grant(header, asked.file_id, GrantOperation.READ)
            if grant is None or asked.channel or not asked.length or asked.minimum_count:
                return None
            effect, end = ReadAt(grant.handle, asked.offset, asked.length), asked.offset
        elif header.command == Command.WRITE:
            told = WriteRequest.decode(frame)
            grant = self._grant(header, told.file_id, GrantOperation.WRITE)
            if grant is None or told.channel or told.flags or not len(told.data):
                return None
            effect, end = WriteAt(grant.handle, told.offset, bytes(told.data)), told.offset + len(told.data)
        elif header.command == Command.FLUSH:
            grant = self._grant(header, FlushRequest.decode(frame).file_id, GrantOperation.FLUSH)
            if grant is None:
                return None
            effect, end = Synchronize(grant.handle), grant.position
        else:
            return None
        return grant, effect, end

    def _grant(self, header: Header, file_id: FileId, operation: GrantOperation) -> Grant | None:
        grant = self._grants.get(file_id.volatile)
        if grant is None or grant.is_revoked or grant.frozen or self._frozen or not grant.operations & operation:
            return None
        if (grant.persistent_id, grant.session_id, grant.tree_id) != (
            file_id.persistent, header.session_id, header.tree_id,
        ):  # fmt: skip
            return None
        if grant.channel_sequence >= 0 and header.status & _SEQUENCE_MASK != grant.channel_sequence:
            return None
        return grant

    def _performed(
        self, frame: bytes, header: Header, grant: Grant, end: int, result: Any, error: OSError | None
    ) -> None:
        if error is not None or (header.command == Command.READ and not result):
            self._world.hand_over(frame, True, self._freeze(frame))
        else:
            self._answer(header, grant, end, result)
        grant.in_flight -= 1
        if grant.is_revoked and not grant.in_flight:
            if self._grants.get(grant.volatile_id) is grant:
                del self._grants[grant.volatile_id]
            self._world.drained(grant.volatile_id)

    def _answer(self, header: Header, grant: Grant, end: int, result: Any) -> None:
        if header.command == Command.READ:
            body, end = encode_read_response_head(len(result)) + result, end + len(result)
        elif header.command == Command.WRITE:
            body = WriteResponse(count=result).encode()
        else:
            body = FlushResponse().encode()
        if header.command == Command.READ:
            grant.position = end
        elif header.command == Command.WRITE:
            grant.written_ns = grant.written_ns or LONG_AGO_NS
        credit_response = self.grant(header.credits, self._span_max)
        answer = header.encode_answer(0, credit_response, int(HeaderFlags.SERVER_TO_REDIR), 0, 0) + body
        self.served += 1
        self._world.send([frame_prefix(len(answer)) + answer])

    def _freeze(self, frame: bytes) -> int:
        """Freeze what a frame that is handed over changes.  Result: what to thaw afterwards."""
        if not self._grants or frame[:4] != b"\xfeSMB":
            return 0
        found: Grant | None = None
        for message in split_compound(memoryview(frame), MESSAGES_MAX):
            offset = FILE_ID_OFFSETS.get(Header.decode(message).command)
            if offset is None or len(message) < HEADER_SIZE + offset + 16:
                continue
            grant = self._grants.get(int.from_bytes(message[HEADER_SIZE + offset + 8 :][:8], "little"))
            if grant is not None and found is not None and grant is not found:
                self._frozen += 1
                return MESSAGE_ID_ANY
            if grant is not None and not grant.is_revoked:
                found = grant
        if found is None:
            return 0
        found.frozen += 1
        return found.volatile_id
