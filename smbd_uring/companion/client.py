"""Asks the companion what the engine wants to know.

Knows: the messages and the effects they answer.  Must not know: how the companion is started, SMB.

A question is pending from `submit` until its answer is in, or COMPANION_ANSWER_TIMEOUT_S is over.  While no companion
is there, questions wait for it just as long: one that is restarted in time answers as if it had never been away.  What
the companion has no room for at the moment is sent again a little later.

No answer is kept.  A share's configuration is asked for at every tree connect, which costs a round trip of some
100 microseconds beside the tree question that has to be asked anyway; so a reload holds from the next connect on, and
`UPDATE`, which tells ksmbd to forget what it keeps, has nothing to say here.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smbd_uring import limits
from smbd_uring.netlink import genl, messages
from smbd_uring.netlink.channel import BUSY_RETRY_S, Channel, Datagram, Delivery, engine_channel
from smbd_uring.netlink.messages import Event
from smbd_uring.netlink.smb_conf import section_key
from smbd_uring.ports import (
    AccountFlags,
    AskLogin,
    AskShare,
    AskTree,
    CompanionUnavailable,
    Credentials,
    Effect,
    LoginAnswer,
    ShareAnswer,
    ShareFlags,
    TellLogout,
    TellTreeDisconnect,
    TreeAnswer,
    TreeFlags,
    TreeStatus,
)

log = logging.getLogger("smbd.companion")

TREE_REQUEST_SMB2 = 2
TREE_REQUEST_IPV6 = 1
HANDLE_MAX = 0x7FFF_FFFF
Answer = tuple[Any, Any, BaseException | None]


@dataclass(slots=True)
class _Question:
    token: object
    effect: Effect[Any]
    event: Event
    data: bytes
    deadline: float
    sent: bool = False
    login: messages.LoginResponse | None = None
    """Set while the groups of an account that was answered are asked for."""


class CompanionClient:
    """The engine's end of the channel.  One thread; never waits."""

    def __init__(self, state_directory: Path) -> None:
        """Open the channel and announce it.  OSError or ChannelError when there is no way to have one."""
        self._channel: Channel = engine_channel(state_directory)
        self._pending: dict[int, _Question] = {}
        self._takers: dict[int, Callable[[bytes, float], None]] = {
            Event.LOGIN_RESPONSE: self._take_login,
            Event.LOGIN_RESPONSE_EXT: self._take_groups,
            Event.SHARE_CONFIG_RESPONSE: self._take_share,
            Event.TREE_CONNECT_RESPONSE: self._take_tree,
        }
        self._notices: deque[bytes] = deque(maxlen=limits.COMPANION_QUESTIONS_MAX)
        self._answers: list[Answer] = []
        self._next_handle = 1
        self._retry_at: float | None = None
        self._heartbeat_at: float | None = None
        self.startup: messages.StartingUp | None = None
        self.peer_pid: int | None = None

    def close(self) -> None:
        """Close the channel; nothing is answered any more."""
        self._channel.close()

    # --- for the loop ---

    def fileno(self) -> int:
        """Readable when the companion said something."""
        return self._channel.fileno()

    def submit(self, token: object, effect: Effect[Any], now: float) -> None:
        """Ask or tell; the answer comes out of `take_answers`."""
        if isinstance(effect, TellTreeDisconnect | TellLogout):
            self._tell(effect, now)
            self._answers.append((token, None, None))
            return
        if len(self._pending) >= limits.COMPANION_QUESTIONS_MAX:
            self._answers.append((token, None, CompanionUnavailable("too many questions are waiting")))
            return
        handle = self._allocate_handle()
        try:
            event, data = _question(effect, handle)
        except messages.MalformedStructure:  # a name longer than any the companion knows
            self._answers.append((token, _nobody(effect), None))
            return
        question = _Question(token, effect, event, data, now + limits.COMPANION_ANSWER_TIMEOUT_S)
        self._pending[handle] = question
        self._send(question, now)

    def take_answers(self) -> list[Answer]:
        """(token, result, error) of what was answered since the last call."""
        answers, self._answers = self._answers, []
        return answers

    def readable(self, now: float) -> None:
        """Take what arrived."""
        for datagram in self._channel.receive():
            try:
                self._take(datagram, now)
            except (genl.MalformedNetlink, messages.MalformedStructure) as error:
                log.warning("a malformed message of process %s was dropped: %s", datagram.pid, error)

    def tick(self, now: float) -> None:
        """Give up on questions that waited too long, and see whether the companion still listens."""
        expired = [handle for handle, question in self._pending.items() if question.deadline <= now]
        for handle in expired:
            self._give_up(self._pending.pop(handle), now)
        if self._retry_at is not None and self._retry_at <= now:
            self._send_waiting(now)
        if self._heartbeat_at is not None and self._heartbeat_at <= now:
            self._heartbeat_at = now + limits.COMPANION_HEARTBEAT_S
            if self._channel.peer is not None and not self._companion_listens():
                self._forget_companion()

    def _give_up(self, question: _Question, now: float) -> None:
        error = CompanionUnavailable(f"no answer within {limits.COMPANION_ANSWER_TIMEOUT_S:.0f} s")
        self._answers.append((question.token, None, error))
        if question.sent and isinstance(question.effect, AskTree):
            # The companion may count the tree by now, and nobody else would ever say that it is gone.
            self._tell(TellTreeDisconnect(question.effect.session_id, question.effect.tree_id), now)

    def next_deadline(self) -> float | None:
        """When `tick` has something to do."""
        soonest = self._heartbeat_at
        if self._retry_at is not None and (soonest is None or self._retry_at < soonest):
            soonest = self._retry_at
        if self._pending:
            oldest = min([question.deadline for question in self._pending.values()])
            if soonest is None or oldest < soonest:
                return oldest
        return soonest

    # --- what arrives ---

    def _take(self, datagram: Datagram, now: float) -> None:
        command, data = genl.decode(datagram.data)
        if command == Event.STARTING_UP:
            self._companion_started(datagram, messages.StartingUp.decode(data), now)
            return
        if datagram.sender != self._channel.peer:
            log.warning("a message of process %s, which is not the companion, was dropped", datagram.pid)
            return
        if command == Event.HEARTBEAT_REQUEST:
            return
        taker = self._takers.get(command)
        if taker is None:
            log.warning("message %s is not one that the companion sends", command)
            return
        taker(data, now)

    def _companion_started(self, datagram: Datagram, startup: messages.StartingUp, now: float) -> None:
        """A new companion: [global] counts only the first time, everything that waits is asked anew.

        So it is with one of the same address: it may be another process, and a question asked twice is answered once.
        """
        if self._channel.peer not in (None, datagram.sender) and self._companion_listens():
            log.warning("process %s wants to be the companion, but there is one", datagram.pid)
            return
        self._channel.peer = datagram.sender
        self.peer_pid = datagram.pid
        if self.startup is None:
            self.startup = startup
        self._heartbeat_at = now + limits.COMPANION_HEARTBEAT_S
        for question in self._pending.values():
            question.sent = False
        self._send_waiting(now)

    def _companion_listens(self) -> bool:
        """ksmbd's heartbeat: that it can be delivered is the answer, and a full queue is somebody's."""
        return self._deliver(Event.HEARTBEAT_REQUEST, messages.Heartbeat().encode()) != Delivery.GONE

    def _forget_companion(self) -> None:
        log.warning("the companion is gone")
        self._channel.peer = None
        self.peer_pid = None
        self._notices.clear()

    def _answered(self, handle: int, event: Event) -> _Question | None:
        """The question that an answer belongs to: same handle, and the answer's event is the question's plus one."""
        question = self._pending.get(handle)
        if question is None or event != question.event + 1:
            log.debug("%s with handle %s answers no question that waits", event.name, handle)
            return None
        del self._pending[handle]
        return question

    def _take_login(self, data: bytes, now: float) -> None:
        answer = messages.LoginResponse.decode(data)
        asked = messages.LoginRequestExt(answer.handle, answer.account)
        follow_up_data = asked.encode()  # before the question is taken: a name that cannot be sent is no answer
        question = self._answered(answer.handle, Event.LOGIN_RESPONSE)
        if question is None:
            return
        flags = AccountFlags(answer.status)
        if not flags & AccountFlags.OK:
            self._answers.append((question.token, None, None))
        elif flags & AccountFlags.EXTENSION:
            follow_up = _Question(
                question.token, question.effect, asked.EVENT, follow_up_data, question.deadline, login=answer
            )
            self._pending[answer.handle] = follow_up
            self._send(follow_up, now)
        else:
            self._answers.append((question.token, _login_answer(answer, ()), None))

    def _take_groups(self, data: bytes, now: float) -> None:
        answer = messages.LoginResponseExt.decode(data)
        question = self._answered(answer.handle, Event.LOGIN_RESPONSE_EXT)
        if question is not None and question.login is not None:
            self._answers.append((question.token, _login_answer(question.login, answer.groups), None))

    def _take_share(self, data: bytes, now: float) -> None:
        answer = messages.ShareConfigResponse.decode(data)
        question = self._answered(answer.handle, Event.SHARE_CONFIG_RESPONSE)
        if question is None:
            return
        assert isinstance(question.effect, AskShare)
        if section_key(answer.share_name) != section_key(question.effect.name):
            error = CompanionUnavailable(f"asked for share {question.effect.name!r}, got {answer.share_name!r}")
            self._answers.append((question.token, None, error))
            return
        self._answers.append((question.token, _share_answer(answer), None))

    def _take_tree(self, data: bytes, now: float) -> None:
        answer = messages.TreeConnectResponse.decode(data)
        question = self._answered(answer.handle, Event.TREE_CONNECT_RESPONSE)
        if question is None:
            return
        flags = TreeFlags(answer.connection_flags)
        self._answers.append((question.token, TreeAnswer(_tree_status(answer.status), flags), None))

    # --- what is sent ---

    def _allocate_handle(self) -> int:
        while True:
            handle = self._next_handle
            self._next_handle = handle + 1 if handle < HANDLE_MAX else 1
            if handle not in self._pending:
                return handle

    def _send(self, question: _Question, now: float) -> None:
        delivery = self._deliver(question.event, question.data)
        question.sent = delivery == Delivery.SENT
        if delivery == Delivery.BUSY:
            self._retry_at = now + BUSY_RETRY_S

    def _tell(self, effect: TellTreeDisconnect | TellLogout, now: float) -> None:
        """Queue a notice.  One for a companion that is away is not kept: the next one knows nothing of it."""
        notice: messages.TreeDisconnectRequest | messages.LogoutRequest
        if isinstance(effect, TellTreeDisconnect):
            notice = messages.TreeDisconnectRequest(effect.session_id, effect.tree_id)
        else:
            notice = messages.LogoutRequest(effect.account, int(effect.flags))
        try:
            self._notices.append(genl.encode(notice.EVENT, notice.encode(), self._channel.port))
        except messages.MalformedStructure as error:
            log.debug("not told: %s", error)
        self._send_waiting(now)

    def _send_waiting(self, now: float) -> None:
        """Send what could not be sent so far: notices first, for a tree's end makes room for another."""
        self._retry_at = None
        while self._notices:
            if self._channel.send(self._notices[0]) == Delivery.BUSY:
                self._retry_at = now + BUSY_RETRY_S
                return
            self._notices.popleft()
        for question in self._pending.values():
            if not question.sent:
                self._send(question, now)
            if self._retry_at is not None:
                return

    def _deliver(self, event: Event, data: bytes) -> Delivery:
        return self._channel.send(genl.encode(event, data, self._channel.port))


def _question(effect: Effect[Any], handle: int) -> tuple[Event, bytes]:
    message: messages.LoginRequest | messages.ShareConfigRequest | messages.TreeConnectRequest
    if isinstance(effect, AskLogin):
        message = messages.LoginRequest(handle, effect.account)
    elif isinstance(effect, AskShare):
        message = messages.ShareConfigRequest(handle, effect.name)
    else:
        assert isinstance(effect, AskTree), effect
        flags = TREE_REQUEST_SMB2 | (TREE_REQUEST_IPV6 if ":" in effect.address else 0)
        message = messages.TreeConnectRequest(
            handle, int(effect.account_flags), flags, effect.session_id, effect.tree_id, effect.account, effect.share,
            effect.address,
        )  # fmt: skip
    return message.EVENT, message.encode()


def _nobody(effect: Effect[Any]) -> TreeAnswer | None:
    """The answer to a question about a name that no account or share can have."""
    return TreeAnswer(TreeStatus.ERROR, TreeFlags(0)) if isinstance(effect, AskTree) else None


def _tree_status(number: int) -> TreeStatus:
    """A verdict that is not in the protocol is a refusal."""
    try:
        return TreeStatus(number)
    except ValueError:
        return TreeStatus.ERROR


def _login_answer(answer: messages.LoginResponse, groups: tuple[int, ...]) -> LoginAnswer:
    credentials = Credentials(answer.uid, answer.gid, groups)
    return LoginAnswer(answer.account, AccountFlags(answer.status), credentials, answer.hash)


def _share_answer(answer: messages.ShareConfigResponse) -> ShareAnswer | None:
    flags = ShareFlags(answer.flags & sum(ShareFlags))
    if not flags & ShareFlags.AVAILABLE:
        return None
    return ShareAnswer(
        name=answer.share_name,
        path=answer.path,
        flags=flags,
        create_mask=answer.create_mask,
        directory_mask=answer.directory_mask,
        force_create_mode=answer.force_create_mode,
        force_directory_mode=answer.force_directory_mode,
        force_uid=None if answer.force_uid == messages.INVALID_ID else answer.force_uid,
        force_gid=None if answer.force_gid == messages.INVALID_ID else answer.force_gid,
        veto_list=answer.veto_list,
    )
