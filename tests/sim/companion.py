"""A companion that answers from dicts.

Knows: accounts, shares and who may connect, as a test sets them.  Must not know: messages, files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from smbd_uring.ports import (
    AskLogin,
    AskShare,
    AskTogether,
    AskTree,
    CompanionUnavailable,
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

Tell = TellTreeDisconnect | TellLogout


def writable_where_the_share_is(question: AskTree, share: ShareAnswer) -> TreeAnswer:
    """The usual tree policy: everybody may connect, and write unless the share is read-only."""
    flags = TreeFlags.READ_ONLY if share.flags & ShareFlags.READONLY else TreeFlags.WRITABLE
    return TreeAnswer(TreeStatus.OK, flags)


@dataclass(slots=True)
class ScriptedCompanion:
    """`accounts` by name as clients send it ("" is the anonymous one), `shares` by name in lower case.

    `tree_policy` decides on tree connects to shares that exist.  While `away`, questions end in CompanionUnavailable
    and what is told is lost.  `asked` and `told` keep every effect in order.
    """

    accounts: dict[str, LoginAnswer] = field(default_factory=dict)
    shares: dict[str, ShareAnswer] = field(default_factory=dict)
    tree_policy: Callable[[AskTree, ShareAnswer], TreeAnswer] = writable_where_the_share_is
    away: bool = False
    asked: list[Effect[Any]] = field(default_factory=list)
    told: list[Tell] = field(default_factory=list)

    def answer(self, effect: Effect[Any]) -> Any:
        """Answer one question or take note of what is told.  Raises CompanionUnavailable while away, TypeError for an
        effect that is not for a companion."""
        if isinstance(effect, Tell):
            if not self.away:
                self.told.append(effect)
            return None
        if isinstance(effect, AskTogether):
            return tuple([self.answer(question) for question in effect.questions])
        self.asked.append(effect)
        if self.away:
            raise CompanionUnavailable
        if isinstance(effect, AskLogin):
            return self.accounts.get(effect.account)
        if isinstance(effect, AskShare):
            return self.shares.get(effect.name.lower())
        if isinstance(effect, AskTree):
            share = self.shares.get(effect.share.lower())
            return TreeAnswer(TreeStatus.NO_SHARE, TreeFlags(0)) if share is None else self.tree_policy(effect, share)
        raise TypeError(f"not a question for a companion: {type(effect).__name__}")
