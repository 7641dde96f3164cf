"""From a question to its answer: one function an event.

Knows: messages and the directory.  Must not know: how they travel.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from smbd_uring.netlink import messages
from smbd_uring.netlink.directory import Account, Directory
from smbd_uring.netlink.flags import AccountFlags, TreeFlags, TreeStatus
from smbd_uring.netlink.messages import Event
from smbd_uring.netlink.shares import no_share
from smbd_uring.netlink.smb_conf import section_key
from smbd_uring.netlink.tree_policy import decide

log = logging.getLogger("smbd.companion")

Answer = tuple[Event, bytes] | None


class Answers:
    """Answers the engine's questions from a directory, and counts who uses which share."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._trees: dict[tuple[int, int], str] = {}
        self._connections: Counter[str] = Counter()
        self._sessions: Counter[int] = Counter()
        self._handlers: dict[int, Callable[[bytes], Answer]] = {
            Event.HEARTBEAT_REQUEST: self._heartbeat,
            Event.LOGIN_REQUEST: self._login,
            Event.LOGIN_REQUEST_EXT: self._login_ext,
            Event.SHARE_CONFIG_REQUEST: self._share_config,
            Event.TREE_CONNECT_REQUEST: self._tree_connect,
            Event.TREE_DISCONNECT_REQUEST: self._tree_disconnect,
            Event.LOGOUT_REQUEST: self._logout,
        }
        self._updated: set[str] = set()
        self._looked_up: tuple[str, Account | None] | None = None
        """The last login question's account, for the question for its groups that comes with it."""

    def replace(self, directory: Directory) -> None:
        """Answer from another reading; the engine is told to ask for each share again."""
        self._directory = directory
        self._looked_up = None
        self._updated = set(directory.shares) | set(self._updated)

    def answer(self, command: int, data: bytes) -> Answer:
        """(event, structure) to send back, or None.  MalformedStructure when `data` is not what `command` carries."""
        handler = self._handlers.get(command)
        if handler is None:
            log.warning("message %s is not one that the engine sends", command)
            return None
        return handler(data)

    def _heartbeat(self, data: bytes) -> Answer:
        messages.Heartbeat.decode(data)
        return None

    def _login(self, data: bytes) -> Answer:
        asked = messages.LoginRequest.decode(data)
        account = self._directory.login(asked.account)
        self._looked_up = asked.account, account
        if account is None:
            answer = messages.LoginResponse(asked.handle, 0, 0, "", int(AccountFlags.BAD_USER), b"")
        else:
            flags = account.flags | (AccountFlags.EXTENSION if account.groups else AccountFlags(0))
            answer = messages.LoginResponse(
                asked.handle, account.gid, account.uid, account.name, int(flags), account.nt_hash
            )
        return answer.EVENT, answer.encode()

    def _login_ext(self, data: bytes) -> Answer:
        asked = messages.LoginRequestExt.decode(data)
        before, self._looked_up = self._looked_up, None
        if before is not None and before[0] == asked.account:
            account = before[1]
        else:
            account = self._directory.login(asked.account)
        answer = messages.LoginResponseExt(asked.handle, account.groups if account is not None else ())
        return answer.EVENT, answer.encode()

    def _share_config(self, data: bytes) -> Answer:
        asked = messages.ShareConfigRequest.decode(data)
        share = self._directory.shares.get(section_key(asked.share_name))
        answer = share.message(asked.handle) if share is not None else no_share(asked.handle, asked.share_name)
        return answer.EVENT, answer.encode()

    def _tree_connect(self, data: bytes) -> Answer:
        asked = messages.TreeConnectRequest.decode(data)
        key = section_key(asked.share)
        share = self._directory.shares.get(key)
        tree = (asked.session_id, asked.connect_id)
        status, flags = TreeStatus.NO_SHARE, TreeFlags(0)
        if tree in self._trees:
            status = TreeStatus.CONNECTION_EXISTS
        elif self._sessions_are_full(asked.session_id):
            status = TreeStatus.TOO_MANY_SESSIONS
        elif share is not None:
            status, flags = decide(
                share.policy,
                asked.account,
                AccountFlags(asked.account_flags),
                self._connections[key],
                self._directory.restrict_anonymous,
                self._directory.contains,
            )
        if key in self._updated:
            self._updated.discard(key)
            flags |= TreeFlags.UPDATE
        if status == TreeStatus.OK:
            self._trees[tree] = key
            self._connections[key] += 1
            self._sessions[asked.session_id] += 1
        answer = messages.TreeConnectResponse(asked.handle, int(status), int(flags))
        return answer.EVENT, answer.encode()

    def _tree_disconnect(self, data: bytes) -> Answer:
        asked = messages.TreeDisconnectRequest.decode(data)
        key = self._trees.pop((asked.session_id, asked.connect_id), None)
        if key is not None:
            self._connections[key] -= 1
            self._sessions[asked.session_id] -= 1
            if not self._sessions[asked.session_id]:
                del self._sessions[asked.session_id]
        return None

    def _sessions_are_full(self, session_id: int) -> bool:
        maximum = self._directory.sessions_max
        return bool(maximum) and session_id not in self._sessions and len(self._sessions) >= maximum

    def _logout(self, data: bytes) -> Answer:
        asked = messages.LogoutRequest.decode(data)
        if asked.account_flags & AccountFlags.BAD_PASSWORD:
            log.info("a logon of %r failed", asked.account)
        return None
