"""One exchange of SESSION_SETUP requests: what is remembered of it from one request to the next.

Knows: that it belongs to one connection and one session id.  Must not know: what is exchanged, what comes of it.

A connection keeps its logons by session id from the first request to the last: a new session's first one, one that
authenticates a valid session again, or one that binds the session of another connection ([MS-SMB2] 3.3.1.15 has these
as PreauthSession).  Two channels of a session may each have one at the same time, and neither sees the other's.
"""

from __future__ import annotations

from smbd_uring.crypto.authentication import Authentication
from smbd_uring.crypto.keys import PreauthIntegrity


class Logon:
    """`preauth` runs where keys will depend on it: not when a session is authenticated again."""

    __slots__ = ("authentication", "binds", "is_running", "preauth", "rounds")

    def __init__(self, authentication: Authentication, preauth: PreauthIntegrity | None, binds: bool = False) -> None:
        self.authentication = authentication
        self.preauth = preauth
        self.binds = binds
        """Whether it makes its connection a channel of a session that is there."""
        self.rounds = 0
        self.is_running = False
        """Whether one of its requests is being answered; there is never a second one."""
