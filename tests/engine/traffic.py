"""Generated traffic on a few files: requests that a data plane may serve, those beside them, and every kind of mistake.

Knows: what can be asked.  Must not know: how it is answered; the same seed always gives the same traffic.

A request is made anew for each client from its own FileIds; nothing else differs between two clients.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from smbd_uring.wire.const import (
    AccessMask,
    Command,
    CreateDisposition,
    CreateOptions,
    FileInfoClass,
    HeaderFlags,
    WriteFlags,
)
from smbd_uring.wire.data import FlushRequest
from smbd_uring.wire.fscc import EndOfFileInformation, ModeInformation, PositionInformation
from smbd_uring.wire.pdu import FILE_ID_ANY, FileId
from tests.support.client_messages import Message
from tests.support.file_client import FileClient, Messages

KIB = 1024
CONTENTS = {"small": 5000, "large": 300 * KIB, "empty": 0}
"""Every file and its size when a sequence begins."""

HANDLES = {
    "small": ("small", AccessMask.FILE_ALL_ACCESS, 0),
    "reads": ("large", AccessMask.FILE_READ_DATA, 0),
    "writes": ("large", AccessMask.FILE_WRITE_DATA, 0),
    "appends": ("empty", AccessMask.FILE_APPEND_DATA, 0),
    "empty": ("empty", AccessMask.FILE_ALL_ACCESS, 0),
    "attributes": ("small", AccessMask.FILE_READ_ATTRIBUTES, 0),
    "through": ("small", AccessMask.FILE_ALL_ACCESS, CreateOptions.FILE_WRITE_THROUGH),
    "folder": ("", AccessMask.FILE_READ_DATA, CreateOptions.FILE_DIRECTORY_FILE),
}
"""Every handle: its file, its rights and its options."""

NOBODY = FileId(0x7777, 0x9999)
QUERIES = (FileInfoClass.STANDARD, FileInfoClass.POSITION, FileInfoClass.MODE, FileInfoClass.ACCESS)
"""What can be asked about a file that is the same for two files made at different times."""

LENGTHS = (0, 1, 10, 512, 4096, 5000, 5001, 32767, 32768, 65536, 65537, 140_000, 299_999, 9_000_000)

Handles = Mapping[str, FileId]
Choice = TypeVar("Choice")
Make = Callable[[Handles], list[Message]]


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a sequence: what it is in words, and how its messages are made."""

    words: str
    make: Make


def contents(name: str, number: int) -> bytes:
    """What is in a file when sequence `number` begins."""
    return random.Random(f"{name} {number}").randbytes(CONTENTS[name])


def open_handles(client: FileClient) -> dict[str, FileId]:
    """Open everything that the traffic uses; names are as in `HANDLES`."""
    return {
        name: client.open(file, access, options=options, disposition=CreateDisposition.OPEN)
        for name, (file, access, options) in HANDLES.items()
    }


class Traffic:
    """Frames from one seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def frame(self) -> Frame:
        """Any frame, most of them in order and on granted opens."""
        kind = self.chance.random()
        if kind < 0.72:
            return self.single()
        if kind < 0.9:
            return self.compound()
        return self.spoiled()

    def quiet_frames(self) -> list[Frame]:
        """Some frames whose answers do not depend on which of them is done first."""
        reads = [
            self._read(self._one_of("small", "reads", "reads", "nobody", "folder"))
            for _ in range(self.chance.randrange(1, 12))
        ]
        others = [Frame("echo", lambda _handles: [Messages.echo()])] * self.chance.randrange(3)
        writes = [self._write("empty")] if self.chance.random() < 0.7 else []
        frames = reads + others + writes
        self.chance.shuffle(frames)
        return frames

    def single(self) -> Frame:
        """One request."""
        handle = self._one_of(*HANDLES, "small", "reads", "writes", "empty", "nobody")
        kind = self.chance.randrange(20)
        if kind < 8:
            return self._read(handle)
        if kind < 14:
            return self._write(handle)
        if kind == 14:
            return Frame(f"flush {handle}", lambda handles: [_flush(_id(handles, handle))])
        if kind == 15:
            return Frame("echo", lambda _handles: [Messages.echo()])
        if kind < 18:
            query = self._one_of(*QUERIES)
            return Frame(
                f"query {handle} {query!r}",
                lambda handles: [Messages.query_info(_id(handles, handle), query, size=1024)],
            )
        if kind == 18:
            return self._truncate(handle) if self.chance.random() < 0.7 else self._change_mode(handle)
        position = self._offset()
        information = PositionInformation(position & ((1 << 63) - 1))
        return Frame(
            f"move {handle} to {position:#x}",
            lambda handles: [Messages.set_info(_id(handles, handle), FileInfoClass.POSITION, information)],
        )

    def compound(self) -> Frame:
        """Several requests in one frame, related to each other or not."""
        frames = [self.single() for _ in range(self.chance.randrange(2, 6))]
        related = [self.chance.random() < 0.6 for _ in frames]
        keeps_ids = self.chance.random() < 0.2

        def make(handles: Handles) -> list[Message]:
            messages = [message for frame in frames for message in frame.make(handles)]
            for index, message in enumerate(messages):
                if index and related[index]:
                    message.related()
                    if not keeps_ids:
                        message.body = _without_file_id(message)
            return messages

        words = "; ".join(("+" if each else "") + frame.words for frame, each in zip(frames, related, strict=True))
        return Frame(f"[{words}]", make)

    def spoiled(self) -> Frame:
        """A frame with something wrong in its header or body."""
        frame = self.single()
        kind = self._one_of("tree", "charge", "body", "cut", "related", "flags", "unsigned", "signature")
        number, value = self.chance.randrange(1 << 16), self.chance.randrange(256)

        def make(handles: Handles) -> list[Message]:
            (message,) = frame.make(handles)
            if kind == "tree":
                message.tree_id = 77 + number
            elif kind == "charge":
                message.credit_charge = 1 + number % 2
            elif kind == "body":
                body = bytearray(message.body)
                body[number % min(len(body), 50)] ^= value or 1
                message.body = bytes(body)
            elif kind == "cut":
                message.body = message.body[: number % len(message.body)]
            elif kind == "related":
                message.related()
            elif kind == "flags":
                message.flags |= HeaderFlags.DFS_OPERATIONS
            elif kind == "unsigned":
                message.sign = False
            elif kind == "signature":
                message.wrong_signature = True
            return [message]

        return Frame(f"{kind} spoiled ({number}, {value}): {frame.words}", make)

    def _read(self, handle: str) -> Frame:
        offset, length = self._offset(), self._length()
        minimum = self.chance.choice((0, 0, 0, 1, length, length // 2, length + 1, 0xFFFFFFFF))
        return Frame(
            f"read {handle} {length} at {offset:#x}, {minimum} at least",
            lambda handles: [Messages.read(_id(handles, handle), offset, length, minimum)],
        )

    def _write(self, handle: str) -> Frame:
        offset, length = self._offset(), min(self._length(), 200_000)
        data = self.chance.randbytes(length)
        flags = self.chance.choice((0, 0, 0, 0, 0, WriteFlags.WRITE_THROUGH))
        if offset < 1 << 40:
            # The file must not grow beyond what a comparison can read.
            offset %= 600 * KIB
        return Frame(
            f"write {handle} {length} at {offset:#x}, flags {flags:#x}",
            lambda handles: [Messages.write(_id(handles, handle), offset, data, flags)],
        )

    def _truncate(self, handle: str) -> Frame:
        size = self.chance.choice((0, 1, 4096, 5000, 100_000, 400_000))
        return Frame(
            f"truncate {handle} to {size}",
            lambda handles: [
                Messages.set_info(_id(handles, handle), FileInfoClass.END_OF_FILE, EndOfFileInformation(size))
            ],
        )

    def _change_mode(self, handle: str) -> Frame:
        mode = self._one_of(0, int(CreateOptions.FILE_WRITE_THROUGH))
        return Frame(
            f"change the mode of {handle} to {mode:#x}",
            lambda handles: [Messages.set_info(_id(handles, handle), FileInfoClass.MODE, ModeInformation(mode))],
        )

    def _offset(self) -> int:
        near = self.chance.choice((0, 0, 0, 5000, 4096, 300 * KIB, 65536, 0xFFF_FFFF_0000, 1 << 63, 1 << 64))
        return (near + self.chance.choice((0, 0, 1, -1, -10, -100, 777, -4096, -200_000))) % (1 << 64)

    def _length(self) -> int:
        return self.chance.choice(LENGTHS)

    def _one_of(self, *choices: Choice) -> Choice:
        return self.chance.choice(choices)


def _id(handles: Handles, name: str) -> FileId:
    return handles.get(name, NOBODY)


def _flush(file_id: FileId) -> Message:
    return Message(Command.FLUSH, FlushRequest(file_id).encode(), credits=8)


def _without_file_id(message: Message) -> bytes:
    """The same body about the file of the request before."""
    offset = {
        Command.READ: 16, Command.WRITE: 16, Command.FLUSH: 8, Command.SET_INFO: 16, Command.QUERY_INFO: 24,
    }.get(Command(message.command))  # fmt: skip
    if offset is None:
        return message.body
    body = bytearray(message.body)
    struct.pack_into("<QQ", body, offset, *FILE_ID_ANY)
    return bytes(body)
