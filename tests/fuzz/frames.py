"""Well-formed SMB2 requests, and ways to spoil them.

Knows: the layout of requests ([MS-SMB2] 2.2), seeds.  Must not know: sockets, any server's answers.
"""

from __future__ import annotations

import random
import struct

HEADER_BYTES = 64
NEGOTIATE, SESSION_SETUP, LOGOFF, TREE_CONNECT, TREE_DISCONNECT, CREATE, CLOSE, FLUSH, READ, WRITE = range(10)
LOCK, IOCTL, CANCEL, ECHO, QUERY_DIRECTORY, CHANGE_NOTIFY, QUERY_INFO, SET_INFO, OPLOCK_BREAK = range(10, 19)

RELATED = 0x4
LAST_FILE = b"\xff" * 16
"""The FileId that stands for the previous operation's, in related requests ([MS-SMB2] 3.3.5.2.7.2)."""

INTERESTING = (0, 1, 2, 7, 8, 0x40, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000,
               0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)  # fmt: skip


def header(command: int, message_id: int, session_id: int = 0, tree_id: int = 0, flags: int = 0) -> bytes:
    """A request's header with one credit charged and 64 asked for."""
    return struct.pack(
        "<4sHHIHHIIQIIQ16s",
        b"\xfeSMB", HEADER_BYTES, 1, 0, command, 64, flags, 0, message_id, 0, tree_id, session_id, bytes(16),
    )  # fmt: skip


def negotiate_body(dialects: tuple[int, ...] = (0x0202, 0x0210)) -> bytes:
    """NEGOTIATE for dialects without contexts."""
    fixed = struct.pack("<HHHHI16sQ", 36, len(dialects), 1, 0, 0, b"fuzzfuzzfuzzfuzz", 0)
    return fixed + struct.pack(f"<{len(dialects)}H", *dialects)


def negotiate_311_body() -> bytes:
    """NEGOTIATE for 3.1.1 with the contexts for hashing, encryption and signing."""
    contexts = [
        (1, struct.pack("<HHH", 1, 8, 1) + b"saltsalt"),
        (2, struct.pack("<HHHHH", 4, 1, 2, 3, 4)),
        (8, struct.pack("<HHHH", 3, 0, 1, 2)),
    ]
    fixed = struct.pack("<HHHHI16sIHH", 36, 1, 1, 0, 0x40, b"fuzzfuzzfuzzfuzz", 104, len(contexts), 0)
    body = fixed + struct.pack("<H", 0x0311) + bytes(2)
    for kind, data in contexts:
        body += bytes(-len(body) % 8) + struct.pack("<HHI", kind, len(data), 0) + data
    return body


def session_setup_body(token: bytes) -> bytes:
    """SESSION_SETUP that carries a security token."""
    return struct.pack("<HBBIIHHQ", 25, 0, 1, 0, 0, HEADER_BYTES + 24, len(token), 0) + token


def tree_connect_body(path: str) -> bytes:
    """TREE_CONNECT to a UNC path."""
    name = path.encode("utf-16-le")
    return struct.pack("<HHHH", 9, 0, HEADER_BYTES + 8, len(name)) + name


def create_body(name: str, disposition: int = 3, options: int = 0, access: int = 0x001F01FF) -> bytes:
    """CREATE with the contexts that Windows sends with most files."""
    encoded = name.encode("utf-16-le") or bytes(2)
    name_length = len(name) * 2
    contexts_at = HEADER_BYTES + 56 + len(encoded) + -len(encoded) % 8
    contexts = b"".join(
        struct.pack("<IHHHHI4s4x", 24 if following else 0, 16, 4, 0, 0, 0, tag)
        for tag, following in ((b"MxAc", True), (b"QFid", False))
    )
    fixed = struct.pack(
        "<HBBIQQIIIIIHHII",
        57, 0, 0, 2, 0, 0, access, 0, 7, disposition, options, HEADER_BYTES + 56, name_length,
        contexts_at, len(contexts),
    )  # fmt: skip
    return fixed + encoded + bytes(-len(encoded) % 8) + contexts


def bodies_on_a_file(file_id: bytes) -> list[tuple[int, bytes]]:
    """(command, body) of everything that can be asked about an open file or directory."""
    pattern = "*".encode("utf-16-le")
    new_name = "renamed.txt".encode("utf-16-le")
    rename = struct.pack("<B7xQI", 1, 0, len(new_name)) + new_name
    bodies = [
        (READ, struct.pack("<HBBIQ16sIIIHHx", 49, 0, 0, 4096, 0, file_id, 0, 0, 0, 0, 0)),
        (WRITE, struct.pack("<HHIQ16sIIHHI", 49, 112, 4, 0, file_id, 0, 0, 0, 0, 0) + b"data"),
        (FLUSH, struct.pack("<HHI16s", 24, 0, 0, file_id)),
        (LOCK, struct.pack("<HHI16sQQII", 48, 1, 0, file_id, 0, 10, 2, 0)),
        (IOCTL, struct.pack("<HHI16sIIIIIIII", 57, 0, 0x00140204, file_id, 120, 0, 0, 120, 0, 64, 1, 0)),
        (CHANGE_NOTIFY, struct.pack("<HHI16sII", 32, 1, 1024, file_id, 0xFFF, 0)),
        (OPLOCK_BREAK, struct.pack("<HBBI16s", 24, 0, 0, 0, file_id)),
        (SET_INFO, _set_info(file_id, 10, rename)),
        (SET_INFO, _set_info(file_id, 20, struct.pack("<Q", 1000))),
        (SET_INFO, _set_info(file_id, 4, struct.pack("<QQQQII", 0, 0, 0, 0, 0x20, 0))),
        (SET_INFO, _set_info(file_id, 13, b"\1")),
        (CLOSE, struct.pack("<HHI16s", 24, 1, 0, file_id)),
    ]
    for information in (1, 2, 3, 12, 37, 38):
        body = struct.pack("<HBBI16sHHI", 33, information, 0, 0, file_id, 96, len(pattern), 65536) + pattern
        bodies.append((QUERY_DIRECTORY, body))
    for kind, information in ((1, 18), (1, 34), (1, 5), (2, 1), (2, 3), (2, 5), (3, 0)):
        body = struct.pack("<HBBIHHIII16s", 41, kind, information, 65536, 104, 0, 0, 7, 0, file_id)
        bodies.append((QUERY_INFO, body))
    return bodies


def _set_info(file_id: bytes, information: int, data: bytes) -> bytes:
    return struct.pack("<HBBIHHI16s", 33, 1, information, len(data), 96, 0, 0, file_id) + data


def compound(requests: list[tuple[int, bytes]], message_id: int, session_id: int, tree_id: int) -> bytes:
    """Several requests in one frame, each related to the one before."""
    frame = b""
    for index, (command, body) in enumerate(requests):
        request = header(command, message_id + index, session_id, tree_id, RELATED if index else 0) + body
        if index < len(requests) - 1:
            request += bytes(-len(request) % 8)
            request = request[:20] + struct.pack("<I", len(request)) + request[24:]
        frame += request
    return frame


def spoil(frame: bytes, chance: random.Random) -> bytes:
    """One to four random changes: bits, bytes, fields of interesting values, cuts, insertions."""
    spoiled = bytearray(frame)
    for _ in range(chance.randint(1, 4)):
        if not spoiled:
            break
        position = chance.randrange(len(spoiled))
        match chance.randrange(6):
            case 0:
                spoiled[position] ^= 1 << chance.randrange(8)
            case 1:
                spoiled[position] = chance.randrange(256)
            case 2 | 3:
                width = chance.choice((2, 4, 8))
                position -= position % width
                value = chance.choice(INTERESTING) & ((1 << 8 * width) - 1)
                spoiled[position : position + width] = value.to_bytes(width, "little")
            case 4:
                del spoiled[position:]
            case 5:
                spoiled[position:position] = chance.randbytes(chance.randint(1, 64))
    return bytes(spoiled)


def change_fields(frame: bytes, chance: random.Random) -> bytes:
    """Change one to three aligned fields; mostly of bodies, because a header that is wrong ends the connection."""
    changed = bytearray(frame)
    for _ in range(chance.randint(1, 3)):
        width = chance.choice((1, 2, 2, 4, 4, 8))
        start = 0 if chance.random() < 0.03 or len(frame) <= HEADER_BYTES + width else HEADER_BYTES
        position = chance.randrange(start, max(len(frame) - width, start + 1))
        position -= position % width
        near = int.from_bytes(changed[position : position + width], "little") + chance.randint(-9, 9)
        value = chance.choice([chance.choice(INTERESTING), near, len(frame) + chance.randint(-9, 9)])
        changed[position : position + width] = (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")
    return bytes(changed)
