"""A session: one logged-on user on one connection or several, with its keys, trees and opens.

Knows: [MS-SMB2] 3.3.1.8 (session), 3.3.1.9 (tree connect), 3.3.1.14 (channel).  Must not know: how commands work, how
bytes travel.

A session lives as long as one of its channels does.  Trees, opens and the keys that seal belong to the session; each
channel signs with a key and an algorithm of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smbd_uring.crypto.keys import SessionKeys
from smbd_uring.crypto.sealing import Opener, Sealer
from smbd_uring.crypto.signing import Signer
from smbd_uring.engine.byte_range_locks import LockAllowance
from smbd_uring.engine.ordered_set import OrderedSet
from smbd_uring.engine.session_states import SessionEvent, SessionState, next_state
from smbd_uring.ports import AccountFlags, Credentials, ShareAnswer, ShareFlags, ShareRoot, TreeFlags

if TYPE_CHECKING:
    from smbd_uring.engine.connection import Connection
    from smbd_uring.engine.opens import Open
    from smbd_uring.engine.scheduler import Parking, Timer


VALID, EXPIRED = SessionState.VALID, SessionState.EXPIRED
NONCE_COUNT_BYTES = 2
"""As much of a nonce's prefix as tells the sealers of one key apart; all ciphers have three bytes of it at least."""
NONCE_PREFIXES_MAX = (1 << 8 * NONCE_COUNT_BYTES) - 1


class Tree:
    """A tree connect: one session's use of one share.  `root` is None for IPC$.

    A closed one keeps its root open (`keeps_root`) while handles that were opened through it wait for their clients.
    """

    __slots__ = (
        "account", "busy", "closed", "closing", "credentials", "encrypt_data", "flags", "idle", "is_foreign",
        "is_pipe", "keeps_root", "maximal_access", "opens", "parked", "quiet_at", "root", "session", "share", "tree_id",
        "waiting_for_close", "writable",
    )  # fmt: skip

    def __init__(
        self, session: Session | None, tree_id: int, share: ShareAnswer, flags: TreeFlags, root: ShareRoot | None,
        credentials: Credentials, maximal_access: int,
    ) -> None:  # fmt: skip
        self.session = session
        self.account = "" if session is None else session.account
        self.is_foreign = False
        """Whether the session is somebody else's now than when it was made: what is open stays, nothing more opens."""
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
        self.opens: OrderedSet[Open] = OrderedSet()
        self.keeps_root = True
        self.parked: OrderedSet[Parking] = OrderedSet()
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


class Channel:
    """A session's use of one connection.  Guests have no keys, and no channel but their first."""

    __slots__ = ("connection", "is_admitted", "signer", "signing_key")

    def __init__(self, connection: Connection, signer: Signer | None = None, signing_key: bytes = b"") -> None:
        self.connection = connection
        self.signer = signer
        self.signing_key = signing_key
        self.is_admitted = False
        """Whether the data plane of the connection knows the session; see `engine.grants`."""


class Session:
    """One logon.  Created IN_PROGRESS by the first SESSION_SETUP; keys are there once it is VALID."""

    __slots__ = (
        "account", "account_flags", "channels", "cipher", "connection", "credentials", "encrypt_data", "expiry",
        "is_anonymous", "is_guest", "keys", "lock_allowance", "network", "next_tree_id", "nonce_prefix", "opener",
        "opens", "sealer", "sealers_made", "session_id", "signer", "signing_algorithm", "signing_required", "state",
        "trees",
        "waiting_for_close",
    )  # fmt: skip

    def __init__(self, connection: Connection, session_id: int) -> None:
        self.connection = connection
        """The oldest of its channels' connections; the last one it had when none is left."""
        self.channels: dict[Connection, Channel] = {connection: Channel(connection)}
        """By connection, the oldest first; those it had when it was closed stay."""
        self.network = connection.network
        """Where it was made from, which counts it."""
        self.session_id = session_id
        self.state = SessionState.IN_PROGRESS
        self.cipher = connection.cipher
        self.signing_algorithm = connection.signing_algorithm
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
        self.sealers_made = 0
        """How many other sealers its key has had; see `next_nonce_prefix`."""
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

    def signer_on(self, connection: Connection) -> Signer | None:
        """Who signs what goes over a connection, and verifies what comes: the channel's key, or where there is no
        channel (yet) the session's.  None for guests."""
        channel = self.channels.get(connection)
        return self.signer if channel is None else channel.signer

    def next_nonce_prefix(self) -> bytes | None:
        """What begins the second part of the nonces of one more sealer of the session's key; None when there have been
        too many, for no two may ever use the same nonce."""
        if self.sealers_made == NONCE_PREFIXES_MAX:
            return None
        self.sealers_made += 1
        own = int.from_bytes(self.nonce_prefix[:NONCE_COUNT_BYTES], "big")
        return (own ^ self.sealers_made).to_bytes(NONCE_COUNT_BYTES, "big") + self.nonce_prefix[NONCE_COUNT_BYTES:]

    def allocate_tree_id(self) -> int:
        """A tree id that this session does not use: never 0, never the ANY value."""
        while True:
            tree_id = self.next_tree_id
            self.next_tree_id = tree_id + 1 if tree_id < 0xFFFF_FFFE else 1
            if tree_id not in self.trees:
                return tree_id
