"""Holds very many connections at a server and finds out which it still answers on.

Knows: sockets and two messages of the protocol.  Must not know: limits of any server.

The connections come from many loopback addresses, as those of many clients do: a server may allow each address only
so many.  Each sends a NEGOTIATE at the start and an ECHO at the end; one that gets both answers was held.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from smbd_uring.perf.many_connections import allow_descriptors, source_address

ANSWER_TIMEOUT_S = 10.0
NEGOTIATE, ECHO = 0, 13
DIALECT = 0x0210


@dataclass(frozen=True, slots=True)
class Held:
    """How many connections were wanted, were answered at the start, and were answered again at the end."""

    wanted: int
    answered: int
    held: int


def hold(address: str, port: int, wanted: int, seconds: float) -> Held:
    """Open `wanted` connections, keep them for some seconds, ask again on each, close them.

    Raises OSError when this process may not have that many descriptors.
    """
    allow_descriptors(wanted)
    with ExitStack() as stack:
        opened = []
        for number in range(wanted):
            with suppress(OSError):
                opened.append(stack.enter_context(_connect(address, port, number)))
        answered = _ask(opened, NEGOTIATE, 0, struct.pack("<HHHHI16sQH", 36, 1, 1, 0, 0, bytes(16), 0, DIALECT))
        time.sleep(seconds)
        held = _ask(answered, ECHO, 1, struct.pack("<HH", 4, 0))
    return Held(wanted, len(answered), len(held))


def frame(command: int, message_id: int, body: bytes) -> bytes:
    """A request before any session: transport header, SMB2 header ([MS-SMB2] 2.2.1.2), body."""
    header = struct.pack("<4sHHIHHIIQIIQ16s", b"\xfeSMB", 64, 1, 0, command, 1, 0, 0, message_id, 0, 0, 0, bytes(16))
    return struct.pack(">I", len(header) + len(body)) + header + body


def _connect(address: str, port: int, number: int) -> socket.socket:
    source = (source_address(address, number), 0)
    return socket.create_connection((address, port), ANSWER_TIMEOUT_S, source)


def _ask(sockets: Iterable[socket.socket], command: int, message_id: int, body: bytes) -> list[socket.socket]:
    """Send one request on each, then wait for all answers.  Result: those that got one."""
    request = frame(command, message_id, body)
    asked = []
    for connection in sockets:
        with suppress(OSError):
            connection.sendall(request)
            asked.append(connection)
    return list(_answered(asked))


def _answered(sockets: Iterable[socket.socket]) -> Iterator[socket.socket]:
    for connection in sockets:
        with suppress(OSError):
            if connection.recv(65536)[4:8] == b"\xfeSMB":
                yield connection
