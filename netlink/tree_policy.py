"""Who may use a share, and how: the decision at a tree connect.

Knows: the share's lists and the account.  Must not know: messages, files.

The order follows ksmbd-tools with two of its bugs mended: `valid users` also binds those on the read and write lists,
and a share takes as many connections as `max connections` says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from smbd_uring.netlink.flags import AccountFlags, ShareFlags, TreeFlags, TreeStatus


@dataclass(frozen=True, slots=True)
class SharePolicy:
    """What a share's section says about access.  Lists hold account names and @groups."""

    flags: ShareFlags
    valid_users: tuple[str, ...] = ()
    invalid_users: tuple[str, ...] = ()
    read_list: tuple[str, ...] = ()
    write_list: tuple[str, ...] = ()
    admin_users: tuple[str, ...] = ()
    connections_max: int = 0
    """0: no bound."""


Contains = Callable[[tuple[str, ...], str], bool]
"""Whether an account is on a list; the caller knows about groups."""


def decide(
    policy: SharePolicy,
    account: str,
    account_flags: AccountFlags,
    connections: int,
    restrict_anonymous: bool,
    contains: Contains,
) -> tuple[TreeStatus, TreeFlags]:
    """The verdict for one account.

    `connections` counts those the share has already; `restrict_anonymous` keeps guests out of IPC$, as they are kept
    out of every share without `guest ok` in any case.
    """
    if account_flags & AccountFlags.BAD_PASSWORD:
        return TreeStatus.INVALID_USER, TreeFlags(0)
    if policy.connections_max and connections >= policy.connections_max:
        return TreeStatus.TOO_MANY_CONNECTIONS, TreeFlags(0)
    is_pipe = bool(policy.flags & ShareFlags.PIPE)
    flags = TreeFlags(0)
    if account_flags & AccountFlags.GUEST_ACCOUNT:
        refused = restrict_anonymous if is_pipe else not policy.flags & ShareFlags.GUEST_OK
        if refused:
            return TreeStatus.ERROR, TreeFlags(0)
        flags |= TreeFlags.GUEST
    if is_pipe:
        return TreeStatus.OK, flags | TreeFlags.WRITABLE
    if contains(policy.invalid_users, account):
        return TreeStatus.INVALID_USER, TreeFlags(0)
    if policy.valid_users and not contains(policy.valid_users, account):
        return TreeStatus.INVALID_USER, TreeFlags(0)
    return TreeStatus.OK, flags | _rights(policy, account, contains)


def _rights(policy: SharePolicy, account: str, contains: Contains) -> TreeFlags:
    if contains(policy.admin_users, account):
        return TreeFlags.WRITABLE | TreeFlags.ADMIN
    if contains(policy.read_list, account):
        return TreeFlags.READ_ONLY
    if contains(policy.write_list, account):
        return TreeFlags.WRITABLE
    return TreeFlags.WRITABLE if policy.flags & ShareFlags.WRITEABLE else TreeFlags.READ_ONLY
