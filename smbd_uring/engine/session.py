"""A session: one logged-on user on one connection, with its keys, trees and opens.

Knows: [MS-SMB2] 3.3.1.8 (session), 3.3.1.9 (tree connect).  Must not know: how commands work, how bytes travel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smbd_uring.crypto.authentication import Authentication
from smbd_uring.crypto.keys import PreauthIntegrity, SessionKeys
from smbd_uring.crypto.sealing import Opener, Sealer
from smbd_uring.crypto.signing import Signer
from smbd_uring.engine.byte_range_locks import LockAllowance
from smbd_uring.engine.session_states import SessionEvent, SessionState, next_state
from smbd_uring.ports import AccountFlags, Credentials, ShareAnswer, ShareFlags, ShareRoot, TreeFlags

if TYPE_CHECKING:
    from smbd_uring.engine.connection import Connection
    from smbd_uring.engine.opens import Open
    from smbd_uring.engine.scheduler import Parking, Timer


VALID, EXPIRED = SessionState.VALID, SessionState.EXPIRED


class Tree:
    """A tree connect: one session's use of one share.  `root` is None for IPC$.

    A closed one keeps its root open (`keeps_root`) while handles that were opened through it wait for their clients.
    """

    __slots__ = (
        "busy", "closed", "closing", "credentials", "encrypt_data", "flags", "idle", "is_pipe", "keeps_root",
        "maximal_access", "opens", "parked", "quiet_at", "root", "session", "share", "tree_id", "waiting_for_close",
        "writable",
    )  # fmt: skip

    def __init__(
        self, session: Session | None, tree_id: int, share: ShareAnswer, flags: TreeFlags, root: ShareRoot | None,
        credentials: Credentials, maximal_access: int,
    ) -> None:  # fmt: skip
        self.session = session
        self.tree_id = tree_id
        self.share = share
        self.flags = flags
        self.writable = bool(flags & TreeFlags.WRITABLE)
        """Whether this tree may change anything."""
        self.is_pipe = bool(share.flags & ShareFlags.PIPE)
        """Whether this is IPC$."""
        self.root = root
        self.credentials = credentials
        self.maximal_access = maximal_access
        self.encrypt_data = bool(share.flags & ShareFlags.ENCRYPT_DATA)
        self.opens: set[Open] = set()
        self.keeps_root = True
        self.parked: set[Parking] = set()
        """Where its requests wait for other clients; woken with a status when it closes."""
        self.closing = False
        self.closed = False
        self.busy = 0
        """Requests that use it, and with it the share's root."""
        self.idle: Parking | None = None
        self.quiet_at = 0
        self.waiting_for_close: list[Parking] = []

    def release(self) -> None:
        """One request less uses it."""
        assert self.busy > 0
        self.busy -= 1
        if self.idle is not None and self.busy <= self.quiet_at:
            self.idle.wake()


class Session:
    """One logon.  Created IN_PROGRESS by the first SESSION_SETUP; keys are there once it is VALID."""

    __slots__ = (
        "account", "account_flags", "authentication", "connection", "credentials", "encrypt_data", "expiry",
        "is_anonymous", "is_guest", "keys", "lock_allowance", "next_tree_id", "nonce_prefix", "opener", "opens",
        "preauth", "rounds", "sealer", "session_id", "setup_running", "signer", "signing_required", "state", "trees",
        "waiting_for_close",
    )  # fmt: skip

    def __init__(self, connection: Connection, session_id: int, preauth: PreauthIntegrity | None) -> None:
        self.connection = connection
        self.session_id = session_id
        self.state = SessionState.IN_PROGRESS
        self.preauth = preauth
        self.authentication: Authentication | None = None
        self.setup_running = False
        self.rounds = 0
        self.account = ""
        self.account_flags = AccountFlags(0)
        self.credentials = Credentials(65534, 65534)
        self.is_guest = False
        self.is_anonymous = False
        self.signing_required = False
        self.encrypt_data = False
        self.keys: SessionKeys | None = None
        self.signer: Signer | None = None
        self.sealer: Sealer | None = None
        self.opener: Opener | None = None
        self.nonce_prefix = b""
        """The second part of the nonces of `sealer`, which no other sealer of its key may have."""
        self.trees: dict[int, Tree] = {}
        self.opens: dict[int, Open] = {}
        self.lock_allowance = LockAllowance()
        self.next_tree_id = 1
        self.expiry: Timer | None = None
        self.waiting_for_close: list[Parking] = []

    def advance(self, event: SessionEvent) -> None:
        """Move along the table of `session_states`."""
        self.state = next_state(self.state, event)

    @property
    def is_usable(self) -> bool:
        """Whether it was authenticated and is not gone (it may have expired)."""
        state = self.state
        return state is VALID or state is EXPIRED

    def allocate_tree_id(self) -> int:
        """A tree id that this session does not use: never 0, never the ANY value."""
        while True:
            tree_id = self.next_tree_id
            self.next_tree_id = tree_id + 1 if tree_id < 0xFFFF_FFFE else 1
            if tree_id not in self.trees:
                return tree_id
