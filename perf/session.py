"""Connections that are ready for work: negotiated, logged on, in a share.

Knows: the tests' client, which does all that and checks it.  Must not know: what the connection is used for.

The client is in the checkout and not in what is installed, so measuring needs a checkout.
"""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final
from uuid import uuid4

from smbd_uring.perf.many_connections import source_address
from smbd_uring.perf.workloads import Protection
from smbd_uring.wire.const import CipherId, Dialect, SecurityMode, SigningAlgorithm
from smbd_uring.wire.ntstatus import NtStatus

CHECKOUT: Final = Path(__file__).resolve().parents[1]
if not (CHECKOUT / "tests" / "support" / "file_client.py").is_file():
    raise ModuleNotFoundError("no tests/support here, where the client is that measures: this is no checkout")
if str(CHECKOUT) not in sys.path:
    sys.path.append(str(CHECKOUT))

from tests.support.client import negotiate_contexts  # noqa: E402 - only now is it known to be there
from tests.support.client_channel import ClientSession, ConnectionEnded  # noqa: E402
from tests.support.client_messages import Message  # noqa: E402
from tests.support.file_client import FileClient  # noqa: E402

__all__ = ["Connection", "FileClient", "Message", "NotAgreedError", "SocketTransport", "Target"]

SIGNING: Final[dict[str, SigningAlgorithm]] = {
    "hmac": SigningAlgorithm.HMAC_SHA256,
    "cmac": SigningAlgorithm.AES_CMAC,
    "gmac": SigningAlgorithm.AES_GMAC,
}
SEALING: Final[dict[str, CipherId]] = {
    "aes-128-ccm": CipherId.AES_128_CCM,
    "aes-128-gcm": CipherId.AES_128_GCM,
    "aes-256-ccm": CipherId.AES_256_CCM,
    "aes-256-gcm": CipherId.AES_256_GCM,
}
ANSWER_TIMEOUT_S: Final = 20.0
WAIT_US: Final = 50_000
"""How long one blocking receive of the generator lasts when nothing comes."""
TIMEVAL: Final = struct.Struct("@ll")


class NotAgreedError(Exception):
    """The server does not offer what the workload is about, or refuses the user or the share."""


@dataclass(frozen=True)
class Target:
    """A server: where it is, who logs on, and the root of its processes when their cost is to be measured.

    `folder` is what is behind the share where it is on this machine; `perf.files` is then prepared there.
    """

    address: str
    port: int
    user: str
    password: str
    share: str
    server_pid: int | None = None
    folder: Path | None = None


class SocketTransport:
    """A TCP connection as the tests' client wants it."""

    def __init__(self, address: str, port: int, number: int) -> None:
        """OSError when there is nobody."""
        source = (source_address(address, number), 0)
        self.socket = socket.create_connection((address, port), ANSWER_TIMEOUT_S, source)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        self.socket.sendall(data)

    def receive(self, size: int) -> bytes:
        """What has come, b"" at the end."""
        return self.socket.recv(size)

    def close(self) -> None:
        """End it."""
        self.socket.close()


class Connection:
    """One connection with one session and one tree; a context manager that logs off."""

    def __init__(self, target: Target, protection: Protection = "plain", number: int = 0) -> None:
        """Go through all of it.  `number`: the how manyth this is of many.  Raises NotAgreedError, OSError."""
        self.transport = SocketTransport(target.address, target.port, number)
        self.client = FileClient(self.transport)
        self.protection = protection
        self.is_lent = False
        try:
            self._enter(target)
        except ConnectionEnded as error:
            self.transport.close()
            raise NotAgreedError("the server ended the connection") from error
        except BaseException:
            self.transport.close()
            raise

    @property
    def session(self) -> ClientSession:
        """The session."""
        assert self.client.session is not None
        return self.client.session

    @property
    def signing_algorithm(self) -> SigningAlgorithm | None:
        """What signs every message, if anything does."""
        return SIGNING.get(self.protection)

    @property
    def cipher(self) -> CipherId | None:
        """What seals every message, if anything does."""
        return SEALING.get(self.protection)

    def lend_socket(self) -> int:
        """The descriptor, for whoever receives by itself: it blocks, but not for ever."""
        self.is_lent = True
        self.transport.socket.setblocking(True)
        self.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, TIMEVAL.pack(0, WAIT_US))
        return self.transport.socket.fileno()

    def take_back(self, next_message_id: int, credits: int) -> None:
        """The client goes on where whoever borrowed the socket stopped."""
        self.is_lent = False
        self.transport.socket.settimeout(ANSWER_TIMEOUT_S)
        self.client.next_message_id = next_message_id
        self.client.credits = credits

    def leave(self) -> None:
        """Out of the tree and the session, answers included, and close.

        A connection that was lent and not given back is closed as it is: nobody knows what is under way on it.
        """
        with suppress(OSError, ConnectionEnded):
            if not self.is_lent:
                self.client.tree_disconnect()
                self.client.log_off()
        self.transport.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def _enter(self, target: Target) -> None:
        cipher, algorithm = self.cipher, self.signing_algorithm
        contexts = negotiate_contexts(
            [cipher] if cipher is not None else [CipherId.AES_128_GCM],
            [algorithm] if algorithm is not None else [SigningAlgorithm.AES_GMAC],
        )
        # Each is a client of its own: Samba gives all connections of one client (one GUID) to one process.
        reply = self.client.negotiate([Dialect.SMB_3_1_1], contexts=contexts, client_guid=uuid4().bytes)
        _demand(reply.status, "NEGOTIATE")
        if algorithm is not None and self.client.signing_algorithm != algorithm:
            raise NotAgreedError(f"the server does not sign with {algorithm.name}")
        if cipher is not None and self.client.cipher != cipher:
            raise NotAgreedError(f"the server does not seal with {cipher.name}")
        _demand(self.client.log_on(target.user, target.password).status, f"the logon of {target.user}")
        if self.session.keys is None:
            raise NotAgreedError("the server takes the user for a guest")
        if self.protection == "plain" and (
            self.client.negotiated.security_mode & SecurityMode.SIGNING_REQUIRED or self.session.seals
        ):
            raise NotAgreedError("the server does not take plain messages")
        self.session.signs = algorithm is not None
        self.session.seals = cipher is not None
        _demand(self.client.tree_connect(target.share).status, f"share {target.share}")


def _demand(status: int, what: str) -> None:
    if status != NtStatus.SUCCESS:
        name = status.name if isinstance(status, NtStatus) else f"0x{status:08X}"
        raise NotAgreedError(f"{what} was answered {name}")
