"""Between effects and messages: what the companion is asked, and what its answers mean.

Knows: the structures of the messages.  Must not know: the channel, which questions wait.
"""

from __future__ import annotations

from typing import Any

from smbd_uring.netlink import genl, messages
from smbd_uring.netlink.messages import Event
from smbd_uring.ports import (
    AccountFlags,
    AskLogin,
    AskShare,
    AskTree,
    Credentials,
    Effect,
    LoginAnswer,
    ShareAnswer,
    ShareFlags,
    TreeAnswer,
    TreeFlags,
    TreeStatus,
)

TREE_REQUEST_SMB2 = 2
TREE_REQUEST_IPV6 = 1
_SHARE_FLAGS = sum(ShareFlags)


def question_for(effect: Effect[Any], handle: int, port: int) -> tuple[Event, bytes]:
    """A question's event and message, which is all that is sent for it.

    A login's message has the question for groups behind it.  MalformedStructure for a name that is too long.
    """
    message: messages.LoginRequest | messages.ShareConfigRequest | messages.TreeConnectRequest
    behind = b""
    if isinstance(effect, AskLogin):
        message = messages.LoginRequest(handle, effect.account)
        _, behind = groups_question(effect, handle, port)
    elif isinstance(effect, AskShare):
        message = messages.ShareConfigRequest(handle, effect.name)
    else:
        assert isinstance(effect, AskTree), effect
        flags = TREE_REQUEST_SMB2 | (TREE_REQUEST_IPV6 if ":" in effect.address else 0)
        message = messages.TreeConnectRequest(
            handle, int(effect.account_flags), flags, effect.session_id, effect.tree_id, effect.account, effect.share,
            effect.address,
        )  # fmt: skip
    return message.EVENT, genl.encode(message.EVENT, message.encode(), port) + behind


def groups_question(effect: AskLogin, handle: int, port: int) -> tuple[Event, bytes]:
    """The event and message that ask for an account's groups."""
    message = messages.LoginRequestExt(handle, effect.account)
    return message.EVENT, genl.encode(message.EVENT, message.encode(), port)


def nobody(effect: Effect[Any]) -> TreeAnswer | None:
    """The answer to a question about a name that no account or share can have."""
    return TreeAnswer(TreeStatus.ERROR, TreeFlags(0)) if isinstance(effect, AskTree) else None


def tree_status(number: int) -> TreeStatus:
    """A verdict that is not in the protocol is a refusal."""
    try:
        return TreeStatus(number)
    except ValueError:
        return TreeStatus.ERROR


def login_answer(answer: messages.LoginResponse, groups: tuple[int, ...]) -> LoginAnswer:
    """The account that was asked for."""
    credentials = Credentials(answer.uid, answer.gid, groups)
    return LoginAnswer(answer.account, AccountFlags(answer.status), credentials, answer.hash)


def share_answer(answer: messages.ShareConfigResponse) -> ShareAnswer | None:
    """The share that was asked for; None for one that is not available."""
    flags = ShareFlags(answer.flags & _SHARE_FLAGS)
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
