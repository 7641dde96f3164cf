"""The way between engine and companion: datagrams, each from a sender the kernel vouches for.

Knows: NETLINK_USERSOCK, and AF_UNIX sockets where netlink is refused; SCM_CREDENTIALS.  Must not know: messages.

The engine binds first and writes where it listens to `engine.json` in the state directory; the companion reads that.
Any local process can send to a netlink port, so every datagram's sender is checked: it must be root or the user that
runs this process.  Whether it is the peer, who reads the datagram decides: the sender's port or path is in it.

The fallback is a datagram socket, not a SEQPACKET one, because it is used the way netlink is: nothing to accept,
nothing to lose, and each datagram names its sender.  Its queue is short (`net.unix.max_dgram_qlen`), so senders meet
BUSY often.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import struct
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from itertools import islice
from pathlib import Path

log = logging.getLogger("smbd.companion")

ADDRESS_FILE = "engine.json"
SOCKET_FILE = "engine.sock"
RECEIVE_BUFFER_BYTES = 1 << 20
DATAGRAM_BYTES_MAX = 72 * 1024
"""An attribute's length has 16 bits, so no message is longer; a longer datagram is a stranger's."""

TOGETHER_BYTES_MAX = 16 * 1024
"""What is sent in one datagram as long as it is no single message: far below what any peer takes."""

DATAGRAMS_PER_TURN = 64
BUSY_RETRY_S = 0.01
"""When to try again to send what the other side had no room for; it makes room as fast as it reads."""
NETLINK_USERSOCK = 2
BUSY_ERRORS = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EINTR})
_CREDENTIALS = struct.Struct("=iII")
_TRUNCATED = int(socket.MSG_TRUNC)
_CREDENTIALS_SPACE = socket.CMSG_SPACE(_CREDENTIALS.size)


class ChannelError(Exception):
    """There is no way to the other side; the message says what to do."""


class Delivery(Enum):
    """What became of a datagram."""

    SENT = auto()
    BUSY = auto()
    """The other side is there, but its queue is full."""
    GONE = auto()
    """Nobody is there."""


@dataclass(slots=True)
class Datagram:
    """What arrived, and from whom: the sender's netlink port or socket path, and its process."""

    data: bytes
    sender: int | str
    pid: int


class Channel:
    """One end.  Non-blocking; made by `engine_channel` or `companion_channel`."""

    def __init__(self, end: socket.socket, peer: int | str | None) -> None:
        self._socket = end
        self._is_netlink = end.family == socket.AF_NETLINK
        self.port = int(end.getsockname()[0]) if self._is_netlink else 0
        """This end's netlink port, 0 on AF_UNIX."""
        self.peer = peer
        """Netlink port or socket path of the other side; None until it is known."""

    def fileno(self) -> int:
        """Readable when something arrived."""
        return self._socket.fileno()

    @property
    def path(self) -> str:
        """This end's socket path, "" on netlink."""
        return "" if self._is_netlink else str(self._socket.getsockname())

    def send(self, data: bytes) -> Delivery:
        """Send one datagram to the peer, at once or not at all."""
        if self.peer is None:
            return Delivery.GONE
        address = (self.peer, 0) if isinstance(self.peer, int) else self.peer
        try:
            self._socket.sendto(data, address)
        except OSError as error:
            log.debug("sending to the other side failed: %s", error)
            return Delivery.BUSY if error.errno in BUSY_ERRORS else Delivery.GONE
        return Delivery.SENT

    def send_queue(self, queue: deque[bytes]) -> Delivery:
        """Send messages from the front of a queue, as many as fit in one datagram; they leave it unless it is BUSY."""
        count = size = 0
        for message in queue:
            size += len(message)
            if count and size > TOGETHER_BYTES_MAX:
                break
            count += 1
        delivery = self.send(b"".join(islice(queue, count)))
        if delivery is not Delivery.BUSY:
            for _ in range(count):
                queue.popleft()
        return delivery

    def receive(self) -> list[Datagram]:
        """What arrived since the last call, without what strangers sent."""
        datagrams: list[Datagram] = []
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                data, ancillary, flags, address = self._socket.recvmsg(DATAGRAM_BYTES_MAX, _CREDENTIALS_SPACE)
            except BlockingIOError:
                break
            except OSError as error:  # ENOBUFS: the queue overflowed; what was lost runs into its time limit
                log.warning("receiving failed: %s", error)
                break
            pid, uid = _sender(ancillary)
            # A socket file's sender may have no address: nobody could answer it, and nobody could tell who it is.
            if flags & _TRUNCATED or uid not in (0, os.geteuid()) or not address:
                log.warning("a datagram of uid %s, process %s, was dropped", uid, pid)
                continue
            datagrams.append(Datagram(data, address[0] if isinstance(address, tuple) else address, pid))
        return datagrams

    def close(self) -> None:
        """Close this end and take its path away.  Once more does nothing."""
        if self._socket.fileno() < 0:
            return
        path = self.path
        self._socket.close()
        if path:
            with suppress(OSError):
                os.unlink(path)


def engine_channel(state_directory: Path) -> Channel:
    """The engine's end, announced in the state directory.  ChannelError when neither kind of socket can be had."""
    try:
        end = _netlink_socket()
        announcement = {"transport": "netlink", "port": int(end.getsockname()[0])}
    except OSError as error:
        log.warning("AF_NETLINK is refused (%s): the companion is reached through a socket file", error.strerror)
        path = state_directory / SOCKET_FILE
        end = _unix_socket(path)
        announcement = {"transport": "unix", "path": str(path)}
    _write(state_directory / ADDRESS_FILE, json.dumps({**announcement, "pid": os.getpid()}))
    return Channel(end, None)


def companion_channel(state_directory: Path) -> Channel:
    """The companion's end, with the engine as its peer.  ChannelError when no engine has announced itself."""
    try:
        announcement = json.loads((state_directory / ADDRESS_FILE).read_text())
        over_netlink = announcement["transport"] == "netlink"
        peer = int(announcement["port"]) if over_netlink else str(announcement["path"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ChannelError(
            f"no server has announced itself in {state_directory} ({error}); start `smbd-uring serve` first, "
            "with --companion external, or give its --state-dir"
        ) from error
    try:
        end = _netlink_socket() if over_netlink else _unix_socket(state_directory / f"companion-{os.getpid()}.sock")
    except OSError as error:
        raise ChannelError(f"no socket to the server: {error}") from error
    companion = Channel(end, peer)
    if over_netlink and companion.port == peer:
        # The kernel gives a port out again once its owner is gone; whoever has it would talk to itself.
        companion.close()
        raise ChannelError(f"the server that announced itself in {state_directory} is gone; is it running?")
    return companion


def _netlink_socket() -> socket.socket:
    end = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, NETLINK_USERSOCK)
    try:
        end.bind((0, 0))
        _prepare(end)
    except OSError:
        end.close()
        raise
    return end


def _unix_socket(path: Path) -> socket.socket:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        with suppress(FileNotFoundError):
            path.unlink()
        end.bind(str(path))
        os.chmod(path, 0o600)
        _prepare(end)
    except OSError as error:
        end.close()
        raise ChannelError(f"no socket at {path}: {error}") from error
    return end


def _prepare(end: socket.socket) -> None:
    end.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)


def _sender(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, int]:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS and len(data) >= _CREDENTIALS.size:
            pid, uid, _ = _CREDENTIALS.unpack_from(data)
            return pid, uid
    return -1, -1


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.replace(temporary, path)
