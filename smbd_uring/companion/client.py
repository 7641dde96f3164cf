"""Asks the companion what the engine wants to know.

Knows: the messages and the effects they answer.  Must not know: how the companion is started, SMB.

A question is pending from `submit` until its answer is in, or COMPANION_ANSWER_TIMEOUT_S is over.  While no companion
is there, questions wait for it just as long: one that is restarted in time answers as if it had never been away.  What
the companion has no room for at the moment is sent again a little later.

No answer is kept.  A share's configuration is asked for at every tree connect, together with the tree; so a reload
holds from the next connect on, and `UPDATE`, which tells ksmbd to forget what it keeps, has nothing to say here.

To wake the companion costs more than to answer does, so what can travel together is one datagram: an account with its
groups (whether it has some is known only when it is answered), the questions of AskTogether, and what the companion is
told, which waits COMPANION_NOTICE_DELAY_S for a question to go with.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smbd_uring import limits
from smbd_uring.companion.translation import (
    groups_question,
    login_answer,
    nobody,
    question_for,
    share_answer,
    tree_status,
)
from smbd_uring.netlink import genl, messages
from smbd_uring.netlink.channel import BUSY_RETRY_S, Channel, Datagram, Delivery, engine_channel
from smbd_uring.netlink.messages import Event
from smbd_uring.netlink.smb_conf import section_key
from smbd_uring.ports import (
    AccountFlags,
    AskLogin,
    AskShare,
    AskTogether,
    CompanionUnavailable,
    Effect,
    TellLogout,
    TellTreeDisconnect,
    TreeAnswer,
    TreeFlags,
)

log = logging.getLogger("smbd.companion")

HANDLE_MAX = 0x7FFF_FFFF
NOTICES_TOGETHER_MAX = 64
"""Notices that go in one datagram with questions: some 10 KiB at most."""

Answer = tuple[Any, Any, BaseException | None]


@dataclass(slots=True)
class _Question:
    token: object
    effect: Effect[Any]
    event: Event
    message: bytes
    """As it is sent.  A login's has the question for groups behind it."""
    deadline: float
    sent: bool = False
    login: messages.LoginResponse | None = None
    """Set while the groups of an account that was answered are waited for."""


@dataclass(slots=True)
class _Together:
    """An AskTogether whose answers come one by one."""

    token: object
    results: list[Any]
    missing: int
    error: BaseException | None = None


@dataclass(slots=True)
class _Part:
    """The token of one question of an AskTogether."""

    whole: _Together
    index: int


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
        self._tell_at: float | None = None
        self._heartbeat_at: float | None = None
        self.startup: messages.StartingUp | None = None
        self.peer_pid: int | None = None

    def close(self) -> None:
        """Tell what waits to be told and close the channel; nothing is answered any more."""
        while self._notices and self._channel.send_queue(self._notices) is Delivery.SENT:
            pass
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
        questions: list[_Question] = []
        if isinstance(effect, AskTogether):
            whole = _Together(token, [None] * len(effect.questions), len(effect.questions))
            for index, each in enumerate(effect.questions):
                self._prepare(_Part(whole, index), each, now, questions)
        else:
            self._prepare(token, effect, now, questions)
        if questions:
            self._send(questions, now)

    def _prepare(self, token: object, effect: Effect[Any], now: float, questions: list[_Question]) -> None:
        """Add what is to be asked to `questions`, or answer what need not or cannot be asked."""
        if len(self._pending) >= limits.COMPANION_QUESTIONS_MAX:
            self._answer(token, None, CompanionUnavailable("too many questions are waiting"))
            return
        handle = self._allocate_handle()
        try:
            event, message = question_for(effect, handle, self._channel.port)
        except messages.MalformedStructure:  # a name longer than any the companion knows
            self._answer(token, nobody(effect), None)
            return
        question = _Question(token, effect, event, message, now + limits.COMPANION_ANSWER_TIMEOUT_S)
        self._pending[handle] = question
        questions.append(question)

    def take_answers(self) -> list[Answer]:
        """(token, result, error) of what was answered since the last call."""
        answers, self._answers = self._answers, []
        return answers

    def readable(self, now: float) -> None:
        """Take what arrived."""
        for datagram in self._channel.receive():
            try:
                for command, data in genl.decode(datagram.data):
                    self._take(datagram, command, data, now)
            except (genl.MalformedNetlink, messages.MalformedStructure) as error:
                log.warning("a malformed message of process %s was dropped: %s", datagram.pid, error)

    def tick(self, now: float) -> None:
        """Give up on questions that waited too long, and see whether the companion still listens."""
        expired = [handle for handle, question in self._pending.items() if question.deadline <= now]
        for handle in expired:
            error = CompanionUnavailable(f"no answer within {limits.COMPANION_ANSWER_TIMEOUT_S:.0f} s")
            self._answer(self._pending.pop(handle).token, None, error)
        if (self._retry_at is not None and self._retry_at <= now) or (
            self._tell_at is not None and self._tell_at <= now
        ):
            self._send_waiting(now)
        if self._heartbeat_at is not None and self._heartbeat_at <= now:
            self._heartbeat_at = now + limits.COMPANION_HEARTBEAT_S
            if self._channel.peer is not None and not self._companion_listens():
                self._forget_companion()

    def next_deadline(self) -> float | None:
        """When `tick` has something to do."""
        soonest = self._heartbeat_at
        for due in (self._retry_at, self._tell_at):
            if due is not None and (soonest is None or due < soonest):
                soonest = due
        if self._pending:
            oldest = min([question.deadline for question in self._pending.values()])
            if soonest is None or oldest < soonest:
                return oldest
        return soonest

    # --- what arrives ---

    def _take(self, datagram: Datagram, command: int, data: bytes, now: float) -> None:
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

    def _answer(self, token: object, result: Any, error: BaseException | None) -> None:
        if not isinstance(token, _Part):
            self._answers.append((token, result, error))
            return
        whole = token.whole
        whole.results[token.index] = result
        whole.error = whole.error or error
        whole.missing -= 1
        if not whole.missing:
            self._answers.append((whole.token, tuple(whole.results) if whole.error is None else None, whole.error))

    def _take_login(self, data: bytes, now: float) -> None:
        answer = messages.LoginResponse.decode(data)
        question = self._answered(answer.handle, Event.LOGIN_RESPONSE)
        if question is None:
            return
        if not answer.status & AccountFlags.OK:
            self._answer(question.token, None, None)
        elif answer.status & AccountFlags.EXTENSION:
            assert isinstance(question.effect, AskLogin)
            event, message = groups_question(question.effect, answer.handle, self._channel.port)
            # Its answer is on the way; `message` is for a companion that is started meanwhile.
            self._pending[answer.handle] = _Question(
                question.token, question.effect, event, message, question.deadline, sent=True, login=answer
            )
        else:
            self._answer(question.token, login_answer(answer, ()), None)

    def _take_groups(self, data: bytes, now: float) -> None:
        answer = messages.LoginResponseExt.decode(data)
        question = self._answered(answer.handle, Event.LOGIN_RESPONSE_EXT)
        if question is not None and question.login is not None:
            self._answer(question.token, login_answer(question.login, answer.groups), None)

    def _take_share(self, data: bytes, now: float) -> None:
        answer = messages.ShareConfigResponse.decode(data)
        question = self._answered(answer.handle, Event.SHARE_CONFIG_RESPONSE)
        if question is None:
            return
        assert isinstance(question.effect, AskShare)
        if section_key(answer.share_name) != section_key(question.effect.name):
            error = CompanionUnavailable(f"asked for share {question.effect.name!r}, got {answer.share_name!r}")
            self._answer(question.token, None, error)
            return
        self._answer(question.token, share_answer(answer), None)

    def _take_tree(self, data: bytes, now: float) -> None:
        answer = messages.TreeConnectResponse.decode(data)
        question = self._answered(answer.handle, Event.TREE_CONNECT_RESPONSE)
        if question is None:
            return
        flags = TreeFlags(answer.connection_flags)
        self._answer(question.token, TreeAnswer(tree_status(answer.status), flags), None)

    # --- what is sent ---

    def _allocate_handle(self) -> int:
        while True:
            handle = self._next_handle
            self._next_handle = handle + 1 if handle < HANDLE_MAX else 1
            if handle not in self._pending:
                return handle

    def _send(self, questions: list[_Question], now: float) -> None:
        """Send questions, with what waits to be told before them: a tree's end makes room for another."""
        if self._notices and not self._send_notices_but_the_last(now):
            return
        told = list(self._notices)
        delivery = self._channel.send(b"".join([*told, *[question.message for question in questions]]))
        if delivery is Delivery.BUSY:
            self._retry_at = now + BUSY_RETRY_S
            return
        self._notices.clear()
        self._tell_at = None
        for question in questions:
            question.sent = delivery is Delivery.SENT

    def _send_notices_but_the_last(self, now: float) -> bool:
        """Send what waits to be told but for one datagram's worth at most.  Result: False when there is no room."""
        while len(self._notices) > NOTICES_TOGETHER_MAX:
            if self._channel.send_queue(self._notices) is Delivery.BUSY:
                self._retry_at = now + BUSY_RETRY_S
                return False
        return True

    def _tell(self, effect: TellTreeDisconnect | TellLogout, now: float) -> None:
        """Queue a notice.  One for a companion that is away is not kept: the next one knows nothing of it."""
        if self._channel.peer is None:
            return
        notice: messages.TreeDisconnectRequest | messages.LogoutRequest
        if isinstance(effect, TellTreeDisconnect):
            notice = messages.TreeDisconnectRequest(effect.session_id, effect.tree_id)
        else:
            notice = messages.LogoutRequest(effect.account, int(effect.flags))
        try:
            self._notices.append(genl.encode(notice.EVENT, notice.encode(), self._channel.port))
        except messages.MalformedStructure as error:
            log.debug("not told: %s", error)
            return
        if self._tell_at is None:
            self._tell_at = now + limits.COMPANION_NOTICE_DELAY_S

    def _send_waiting(self, now: float) -> None:
        """Send what could not be sent so far, or had time."""
        self._retry_at = self._tell_at = None
        while self._notices:
            if self._channel.send_queue(self._notices) is Delivery.BUSY:
                self._retry_at = now + BUSY_RETRY_S
                return
        for question in self._pending.values():
            if not question.sent:
                self._send([question], now)
            if self._retry_at is not None:
                return

    def _deliver(self, event: Event, data: bytes) -> Delivery:
        return self._channel.send(genl.encode(event, data, self._channel.port))
