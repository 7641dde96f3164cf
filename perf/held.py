"""Holds very many connections at a server and finds out which it still answers on.

Knows: sockets and two messages of the protocol.  Must not know: limits of any server.

The connections come from many loopback addresses, as those of many clients do: a server may allow each address only
so many.  Each sends a NEGOTIATE at the start and an ECHO at the end; one that gets both answers was held.
"""

from __future__ import annotations

import resource
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

CONNECTIONS_PER_ADDRESS = 200
ANSWER_TIMEOUT_S = 10.0
DESCRIPTORS_BESIDES = 64
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
    _allow_descriptors(wanted + DESCRIPTORS_BESIDES)
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


def source_address(number: int) -> str:
    """The loopback address that connection `number` comes from."""
    block = number // CONNECTIONS_PER_ADDRESS
    return f"127.1.{block // 250}.{block % 250 + 1}"


def _connect(address: str, port: int, number: int) -> socket.socket:
    return socket.create_connection((address, port), ANSWER_TIMEOUT_S, source_address=(source_address(number), 0))


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


def _allow_descriptors(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # A privileged process may go beyond the hard limit; another is refused and says so.
        unlimited = hard == resource.RLIM_INFINITY
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard if unlimited else max(hard, wanted)))
        except ValueError as error:
            raise OSError(f"{wanted} descriptors are needed and {hard} allowed: {error}") from error
