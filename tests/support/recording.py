"""A conversation that a foreign client had with a server, as text that can be kept: its frames, and what came back.

Knows: the file format below, where an SMB2 message says what it is.  Must not know: how it was recorded, who plays it.

Kept is what came after the logon, without FSCTL_VALIDATE_NEGOTIATE_INFO, which belongs to it.  A line is one of

    client NAME             who it was
    dialect HEX             what was spoken
    > BYTES                 a frame of the client's, in hexadecimal; `{OFFSET:LENGTH}` stands for that part of `PAYLOAD`
    < MESSAGE STATUS [ID]   an answer: its message id, its status, and the TreeId or FileId that it gave

in the order in which they passed, so that it is known what the client sent without waiting.  `#` begins a comment.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from smbd_uring.wire.const import Command, FsctlCode
from smbd_uring.wire.header import HEADER_SIZE, split_compound
from smbd_uring.wire.ntstatus import NtStatus

PAYLOAD = hashlib.shake_256(b"recorded traffic").digest(4 << 20)
"""What is in every file that a recorded client sends, from some offset on, so that it need not be kept."""
PAYLOAD_BYTES_MIN = 64
"""Shorter data is kept as it is."""

MESSAGES_MAX = 256
COMMAND, STATUS, MESSAGE_ID, TREE_ID = slice(12, 14), slice(8, 12), slice(24, 32), slice(36, 40)
DIALECT = slice(HEADER_SIZE + 4, HEADER_SIZE + 6)
CTL_CODE = slice(HEADER_SIZE + 4, HEADER_SIZE + 8)
WRITE_DATA = struct.Struct("<HI")
"""DataOffset and Length in a WRITE's body, [MS-SMB2] 2.2.21."""
CREATED_FILE_ID = slice(HEADER_SIZE + 64, HEADER_SIZE + 80)

_PART = re.compile(r"\{(\d+):(\d+)\}|([0-9a-f]+)")


@dataclass(frozen=True, slots=True)
class Answer:
    """What is kept of an answer.  `given`: the TreeId or FileId in it, or nothing."""

    message_id: int
    status: int
    given: bytes = b""


Event = bytes | Answer
"""A frame of the client's or an answer of the server's."""


@dataclass(slots=True)
class Recording:
    """One conversation."""

    client: str
    dialect: int
    events: list[Event] = field(default_factory=list)

    def encode(self) -> str:
        """The file's text."""
        lines = [f"client {self.client}", f"dialect {self.dialect:04x}", *map(_line, self.events)]
        return "\n".join(lines) + "\n"

    def requests(self) -> Counter[int]:
        """How many requests of each command the client sends."""
        return Counter(
            command_of(each) for frame in self.frames() for each in split_compound(memoryview(frame), MESSAGES_MAX)
        )

    def frames(self) -> list[bytes]:
        """All that the client sends."""
        return [event for event in self.events if isinstance(event, bytes)]

    @classmethod
    def decode(cls, text: str) -> Recording:
        """What `encode` has made.  ValueError when the text is none of it."""
        recording = cls("", 0)
        for line in text.splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "client":
                recording.client = rest
            elif kind == "dialect":
                recording.dialect = int(rest, 16)
            elif kind == ">":
                recording.events.append(_frame(rest))
            elif kind == "<":
                message_id, status, *given = rest.split()
                recording.events.append(Answer(int(message_id), int(status, 16), bytes.fromhex("".join(given))))
            elif not line.startswith("#"):
                raise ValueError(f"not a line of a recording: {line[:80]}")
        return recording

    @classmethod
    def read(cls, path: Path) -> Recording:
        """The recording in a file."""
        return cls.decode(path.read_text(encoding="ascii"))


def record(client: str, frames: Iterable[tuple[bool, bytes]]) -> Recording:
    """Make a recording of frames as they passed; each is (whether the client sent it, the frame without its prefix).

    Nothing of it may be sealed: AssertionError.
    """
    recording = Recording(client, 0)
    left_out: set[bytes] = set()
    for from_client, frame in frames:
        if frame[:4] == b"\xffSMB":
            continue
        assert frame[:4] == b"\xfeSMB", "a sealed frame tells nothing"
        messages = [bytes(message) for message in split_compound(memoryview(frame), MESSAGES_MAX)]
        first = messages[0]
        if command_of(first) == Command.NEGOTIATE and not from_client:
            recording.dialect = int.from_bytes(first[DIALECT], "little")
        if from_client and _is_logon(first):
            left_out.add(first[MESSAGE_ID])
        elif from_client:
            recording.events.append(frame)
        else:
            kept = [message for message in messages if message[MESSAGE_ID] not in left_out]
            recording.events += filter(None, map(_answer, kept))
    return recording


def _is_logon(request: bytes) -> bool:
    if command_of(request) == Command.IOCTL:
        return int.from_bytes(request[CTL_CODE], "little") == FsctlCode.VALIDATE_NEGOTIATE_INFO
    return command_of(request) in (Command.NEGOTIATE, Command.SESSION_SETUP)


def command_of(message: bytes | bytearray | memoryview) -> int:
    """A message's command."""
    return int.from_bytes(message[COMMAND], "little")


def given_by(message: bytes | memoryview) -> bytes:
    """The TreeId or FileId that an answer gives, nothing when it gives none."""
    if message[STATUS] != bytes(4):
        return b""
    if command_of(message) == Command.TREE_CONNECT:
        return bytes(message[TREE_ID])
    return bytes(message[CREATED_FILE_ID]) if command_of(message) == Command.CREATE else b""


def _answer(message: bytes) -> Answer | None:
    status = int.from_bytes(message[STATUS], "little")
    if status == NtStatus.PENDING:
        return None
    return Answer(int.from_bytes(message[MESSAGE_ID], "little"), status, given_by(message))


def _line(event: Event) -> str:
    if isinstance(event, Answer):
        return f"< {event.message_id} {event.status:08x} {event.given.hex()}".rstrip()
    return "> " + "".join(_parts(event))


def _parts(frame: bytes) -> Iterator[str]:
    done = position = 0
    for message in split_compound(memoryview(frame), MESSAGES_MAX):
        if command_of(message) == Command.WRITE:
            offset, length = WRITE_DATA.unpack_from(message, HEADER_SIZE + 2)
            begin = position + offset
            found = PAYLOAD.find(frame[begin : begin + length])
            if found >= 0 and length >= PAYLOAD_BYTES_MIN:
                yield f"{frame[done:begin].hex()}{{{found}:{length}}}"
                done = begin + length
        position += len(message)
    yield frame[done:].hex()


def _frame(text: str) -> bytes:
    frame = bytearray()
    for part in _PART.finditer(text):
        offset, length, plain = part.groups()
        frame += bytes.fromhex(plain) if plain else PAYLOAD[int(offset) : int(offset) + int(length)]
    return bytes(frame)
