"""One transport connection: what was negotiated on it, its credits, its allowances, its frames.

Knows: [MS-SMB2] 3.3.1.7 (connection), flow control.  Must not know: commands, sessions' contents.

Two allowances keep a client from using more than its share ([limits](../limits.py)): payload being worked on
(`OUTSTANDING_BYTES_MAX`; further frames wait here, unparsed) and reply bytes not yet sent (`SEND_QUEUE_BYTES_MAX`).
When either is used up the connection is not read from until it recovers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from smbd_uring import limits
from smbd_uring.crypto.keys import PreauthIntegrity
from smbd_uring.engine.credits import CreditWindow
from smbd_uring.engine.networks import network_of
from smbd_uring.ports import Buffer, Driver, PlaneConnection
from smbd_uring.wire.const import Dialect, SigningAlgorithm
from smbd_uring.wire.framing import FrameBuffer

if TYPE_CHECKING:
    from smbd_uring.engine.chain import Chain
    from smbd_uring.engine.channels import Notice
    from smbd_uring.engine.logon import Logon
    from smbd_uring.engine.receive import Frame
    from smbd_uring.engine.request import Request
    from smbd_uring.engine.scheduler import Timer
    from smbd_uring.engine.session import Session


class WorkInAll:
    """Payload that the requests of all connections together are working on."""

    __slots__ = ("bytes_in_work",)

    def __init__(self) -> None:
        self.bytes_in_work = 0


class Connection:
    """State of one client's connection.  `dialect` is None until NEGOTIATE was answered."""

    __slots__ = (
        "_driver", "_next_async_id", "_reading_paused", "_send_queue_bytes_max", "_work_in_all", "address",
        "async_requests", "authenticated", "authentication_timer", "backlog", "bytes_in_work", "bytes_sent",
        "bytes_unsent", "capabilities", "cipher", "client_capabilities", "client_dialects", "client_guid",
        "client_security_mode", "connection_id", "credits", "credits_max", "credits_span_max", "delivery_check",
        "dialect", "frames", "is_closed", "is_failing", "is_working_off", "logons", "multi_protocol", "names_listed",
        "network", "notices", "plane", "preauth", "requests", "server_security_mode", "sessions", "signing_algorithm",
        "stall_timer", "supports_multi_credit",
    )  # fmt: skip

    def __init__(
        self, driver: Driver, connection_id: int, address: str, credits_max: int, work_in_all: WorkInAll
    ) -> None:
        self._driver = driver
        self._work_in_all = work_in_all
        self.plane = driver.plane_connection(connection_id)
        """The data plane's end of it, which then also keeps the message ids; None: the engine does it all."""
        self._next_async_id = 1
        self._reading_paused = False
        self.connection_id = connection_id
        self.address = address
        self.network = network_of(address)
        """What limits by address go by."""
        self.is_closed = False
        self.is_working_off = False
        self.frames = FrameBuffer(limits.UNAUTHENTICATED_FRAME_BYTES_MAX)
        self.backlog: deque[Frame] = deque()
        self.bytes_in_work = 0
        self.names_listed = 0
        self.bytes_unsent = 0
        self.bytes_sent = 0
        self.credits: CreditWindow | PlaneConnection = self.plane if self.plane is not None else CreditWindow()
        self.credits_max = credits_max
        self.credits_span_max = min(limits.CREDITS_UNAUTHENTICATED_MAX, credits_max)
        """How wide the window may be: a stranger's, then `credits_max`."""
        self._send_queue_bytes_max = limits.UNAUTHENTICATED_SEND_QUEUE_BYTES_MAX
        # what NEGOTIATE settles
        self.dialect: Dialect | None = None
        self.supports_multi_credit = False
        """Whether one request may take several credits: from 2.1 on."""
        self.multi_protocol = False
        self.client_guid = bytes(16)
        self.client_capabilities = 0
        self.client_security_mode = 0
        self.client_dialects: tuple[int, ...] = ()
        self.server_security_mode = 0
        self.capabilities = 0
        self.preauth: PreauthIntegrity | None = None
        self.cipher: int | None = None
        self.signing_algorithm: int = SigningAlgorithm.HMAC_SHA256
        # who uses it
        self.authenticated = False
        self.authentication_timer: Timer | None = None
        self.stall_timer: Timer | None = None
        self.sessions: dict[int, Session] = {}
        self.logons: dict[int, Logon] = {}
        """Exchanges of SESSION_SETUP that are not over, by session id."""
        self.notices: list[Notice] = []
        """What its client was told on it unasked and may have missed; see `engine.channels`."""
        self.delivery_check: Timer | None = None
        self.is_failing = False
        """Whether what is sent on it counts as never acknowledged; only tests can have it so."""
        self.requests: dict[int, Request] = {}
        self.async_requests: dict[int, Request] = {}
        if self.plane is not None:
            self.plane.bound(limits.UNAUTHENTICATED_FRAME_BYTES_MAX, limits.UNAUTHENTICATED_SEND_QUEUE_BYTES_MAX)

    @property
    def is_smb3(self) -> bool:
        """Whether the dialect is one of the 3.x family."""
        return self.dialect is not None and self.dialect >= Dialect.SMB_3_0

    def settle_dialect(self, dialect: Dialect) -> None:
        """NEGOTIATE was answered."""
        self.dialect = dialect
        self.supports_multi_credit = dialect >= Dialect.SMB_2_1

    def authentication_succeeded(self, frame_bytes_max: int) -> None:
        """A session became valid: the stranger's limits no longer apply."""
        self.authenticated = True
        self.credits_span_max = self.credits_max
        self._send_queue_bytes_max = limits.SEND_QUEUE_BYTES_MAX
        self.frames.size_max = frame_bytes_max
        if self.plane is not None:
            self.plane.bound(frame_bytes_max, limits.SEND_QUEUE_BYTES_MAX)
        if self.authentication_timer is not None:
            self.authentication_timer.cancel()
            self.authentication_timer = None

    def register_async(self, request: Request) -> int:
        """An id under which CANCEL finds a request that was answered STATUS_PENDING."""
        async_id = self._next_async_id
        self._next_async_id += 1
        self.async_requests[async_id] = request
        return async_id

    # --- allowances ---

    @property
    def may_start(self) -> bool:
        """Whether one more frame may be worked on.  When all connections together have too much in work each may still
        have one frame; whoever has one looks again when that is answered."""
        return (
            self.bytes_in_work < limits.OUTSTANDING_BYTES_MAX
            and self.bytes_unsent < self._send_queue_bytes_max
            and (self._work_in_all.bytes_in_work < limits.OUTSTANDING_BYTES_IN_ALL_MAX or not self.bytes_in_work)
        )

    def charge(self, chain: Chain) -> None:
        """A frame is being worked on."""
        self.bytes_in_work += chain.cost
        self._work_in_all.bytes_in_work += chain.cost

    def refund(self, chain: Chain) -> None:
        """The frame is answered (or waits asynchronously); harmless the second time."""
        self.bytes_in_work -= chain.cost
        self._work_in_all.bytes_in_work -= chain.cost
        chain.cost = 0
        if chain.frozen and self.plane is not None:
            self.plane.thaw(chain.frozen)
            chain.frozen = 0

    def send(self, segments: Sequence[Buffer], length: int) -> None:
        """Queue one frame of `length` bytes."""
        self.bytes_unsent += length
        self._driver.send(self.connection_id, segments)

    def sending_progress(self) -> tuple[int, int]:
        """Reply bytes that wait for the client, and bytes that have left, whoever answered."""
        if self.plane is not None:
            return self.plane.sending_progress()
        return self.bytes_unsent, self.bytes_sent

    def update_reading(self) -> None:
        """Pause or resume reading as the allowances say; the two thresholds keep it from flapping."""
        if self.is_closed:
            return
        if self._reading_paused:
            if not self.backlog and self.may_start and self.bytes_unsent <= limits.SEND_QUEUE_BYTES_RESUME:
                self._reading_paused = False
                self._driver.resume_reading(self.connection_id)
        elif self.backlog or not self.may_start:
            self._reading_paused = True
            self._driver.pause_reading(self.connection_id)
