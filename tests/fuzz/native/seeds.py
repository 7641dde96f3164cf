"""What libFuzzer begins with: requests of clients that behave, in the form that each target takes.

Knows: the requests of `tests.fuzz.frames`, the targets' input.  Must not know: the parsers, the data plane.

    python -m tests.fuzz.native.seeds parser_target FOLDER
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from tests.fuzz import frames

KEEP_ALIVE = b"\x85\0\0\0"
SESSION, TREE = 2, 5
FILE_ID = struct.pack("<QQ", SESSION, SESSION)
PLAIN_FILE_ID = struct.pack("<QQ", 1, 1)

FRAME, TURN, REVOKE, GRANT, THAW, ENGINE_SENDS, SETTINGS, CHUNKS, DROP = 0, 8, 9, 10, 11, 12, 13, 14, 15
"""Actions of connection_target."""

SEALED, OF_SEALED_SESSION, SIGNED, AS_IT_IS, BYTES = 1, 2, 4, 8, 16
"""How it sends a frame."""

CIRCUMSTANCES = (0, 1, 2, 3, 4, 8, 16)
"""Of connection_target: a lazy kernel, files that need workers, a small queue, write-through, one credit a request."""


def read_body(file_id: bytes, length: int, offset: int = 0, minimum: int = 0) -> bytes:
    """READ ([MS-SMB2] 2.2.19)."""
    return struct.pack("<HBBIQ16sIIIHHx", 49, 0x50, 0, length, offset, file_id, minimum, 0, 0, 0, 0)


def write_body(file_id: bytes, data: bytes, offset: int = 0, flags: int = 0) -> bytes:
    """WRITE ([MS-SMB2] 2.2.21)."""
    return struct.pack("<HHIQ16sIIHHI", 49, 112, len(data), offset, file_id, 0, 0, 0, 0, flags) + data


def single_requests(file_id: bytes) -> Iterator[bytes]:
    """Frames of one request that a data plane serves or has to hand over."""
    bodies = [
        (frames.ECHO, struct.pack("<HH", 4, 0)),
        (frames.READ, read_body(file_id, 512)),
        (frames.READ, read_body(file_id, 65536)),
        (frames.READ, read_body(file_id, 4096, 131000, 1)),
        (frames.READ, read_body(file_id, 4096, 1 << 40)),
        (frames.WRITE, write_body(file_id, b"data" * 20)),
        (frames.WRITE, write_body(file_id, b"through", 100_000, 1)),
        (frames.FLUSH, struct.pack("<HHI16s", 24, 0, 0, file_id)),
    ]
    for command, body in (*bodies, *frames.bodies_on_a_file(file_id)):
        yield frames.header(command, 0, SESSION, TREE) + body


def compounds(file_id: bytes) -> Iterator[bytes]:
    """Frames of several requests."""
    echo = (frames.ECHO, struct.pack("<HH", 4, 0))
    reads = [(frames.READ, read_body(file_id, 100)), (frames.READ, read_body(frames.LAST_FILE, 9, 50))]
    writes = [(frames.WRITE, write_body(file_id, b"12345")), (frames.WRITE, write_body(frames.LAST_FILE, b"6"))]
    flush = (frames.FLUSH, struct.pack("<HHI16s", 24, 0, 0, file_id))
    for requests in ([echo] * 3, reads, [*writes, *reads], [*reads, echo, flush], [echo] * 64):
        yield frames.compound(requests, 0, SESSION, TREE)


def parser_inputs() -> Iterator[bytes]:
    """Streams of frames as a peer sends them."""
    every = [*single_requests(FILE_ID), *compounds(FILE_ID)]
    for frame in every:
        yield struct.pack(">I", len(frame)) + frame
        sealed = struct.pack("<4s16s16sIHHQ", b"\xfdSMB", bytes(16), bytes(16), len(frame), 0, 1, SESSION) + frame
        yield struct.pack(">I", len(sealed)) + sealed
    yield KEEP_ALIVE + b"".join(struct.pack(">I", len(frame)) + frame for frame in every[:8])


def send(frame: bytes, how: int) -> bytes:
    """The action that sends a frame."""
    return struct.pack("<BBH", FRAME, how, len(frame)) + frame


def connection_inputs() -> Iterator[bytes]:
    """Circumstances and actions."""
    turns = bytes((TURN, 0)) * 3
    ways = (OF_SEALED_SESSION, OF_SEALED_SESSION | SIGNED, OF_SEALED_SESSION | SEALED)
    for circumstances in CIRCUMSTANCES:
        first = bytes((circumstances,))
        for way in (0, *ways):
            file_id = FILE_ID if way else PLAIN_FILE_ID
            for frame in (*single_requests(file_id), *compounds(file_id)):
                yield first + send(frame, way) + turns
    for circumstances, way in product(CIRCUMSTANCES, (0, *ways)):
        singles = [send(frame, way) for frame in single_requests(FILE_ID if way else PLAIN_FILE_ID)]
        number = 1 if way else 0
        story = [
            *singles[:3], bytes((TURN, 2)), singles[5], bytes((CHUNKS, 7, 9)), singles[6],
            bytes((TURN, 0)) * 4, bytes((CHUNKS, 255, 255, TURN, 16)),
            singles[2], bytes((REVOKE, number)), singles[1], bytes((TURN, 0, TURN, 0, GRANT, number)), singles[7],
            bytes((TURN, 9, ENGINE_SENDS, 3)), singles[3], bytes((THAW, SETTINGS, 4)), *singles[2:4], bytes((TURN, 0)),
            singles[2], bytes((REVOKE, number, SETTINGS, 0, TURN, 4, GRANT, number)), *singles[:2],
            bytes((SETTINGS, 4)), *[singles[2]] * 4, bytes((SETTINGS, 36 + 64 * number, TURN, 0, SETTINGS, 0)), turns,
        ]  # fmt: skip
        yield bytes((circumstances,)) + b"".join(story)
        yield bytes((circumstances,)) + b"".join(story) + bytes((DROP,))
    raw = b"".join(struct.pack(">I", len(frame)) + frame for frame in single_requests(PLAIN_FILE_ID))
    yield bytes((0,)) + send(KEEP_ALIVE + raw, BYTES) + turns


def main(target: str, folder: str) -> None:
    """Write the inputs of a target into a folder."""
    makers = {"parser_target": parser_inputs, "connection_target": connection_inputs}
    for number, data in enumerate(makers[target]()):
        Path(folder, f"seed-{number:03}").write_bytes(data)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
