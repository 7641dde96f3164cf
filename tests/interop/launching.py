"""What the fixture `launch` offers, for the tests' annotations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tests.support.endpoint import Account, Share
from tests.support.peer import Peer
from tests.support.server import Server

ACCOUNT = Account("daemon", "Pass w0rd! ü")
"""A Unix user that every machine has, because Samba and `adduser` map accounts to Unix users."""


class Launch(Protocol):
    """Starts the server that is tested; the fixture ends it."""

    def __call__(
        self, shares: Sequence[Share], accounts: Sequence[Account] = (ACCOUNT,), *, unix_users: bool = False,
        uring: bool = True,
    ) -> Server | Peer: ...
