"""Who may use a share, and how: every rule, and which of two rules wins."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from smbd_uring.netlink.flags import AccountFlags, ShareFlags, TreeFlags, TreeStatus
from smbd_uring.netlink.tree_policy import SharePolicy, decide

USER = AccountFlags.OK
GUEST = AccountFlags.OK | AccountFlags.GUEST_ACCOUNT
READ_ONLY, WRITABLE = TreeFlags.READ_ONLY, TreeFlags.WRITABLE
REFUSED = (TreeStatus.INVALID_USER, TreeFlags(0))
NO_GUESTS = (TreeStatus.ERROR, TreeFlags(0))
WRITABLE_SHARE = SharePolicy(ShareFlags.AVAILABLE | ShareFlags.WRITEABLE)
READ_ONLY_SHARE = SharePolicy(ShareFlags.AVAILABLE | ShareFlags.READONLY)
GUEST_SHARE = SharePolicy(ShareFlags.AVAILABLE | ShareFlags.WRITEABLE | ShareFlags.GUEST_OK)
PIPES = SharePolicy(ShareFlags.AVAILABLE | ShareFlags.PIPE)

Verdict = tuple[TreeStatus, TreeFlags]


def ok(flags: TreeFlags) -> Verdict:
    return TreeStatus.OK, flags


def verdict(
    policy: SharePolicy, flags: AccountFlags = USER, connections: int = 0, restrict_anonymous: bool = False
) -> Verdict:
    """What anna is told; lists hold names alone here."""
    return decide(policy, "anna", flags, connections, restrict_anonymous, lambda names, account: account in names)


@pytest.mark.parametrize(
    ("lists", "of_a_writable_share", "of_a_read_only_share"),
    [
        ({}, ok(WRITABLE), ok(READ_ONLY)),
        ({"invalid_users": ("anna",)}, REFUSED, REFUSED),
        ({"invalid_users": ("bert",)}, ok(WRITABLE), ok(READ_ONLY)),
        ({"valid_users": ("anna",)}, ok(WRITABLE), ok(READ_ONLY)),
        ({"valid_users": ("bert",)}, REFUSED, REFUSED),
        ({"valid_users": ("anna",), "invalid_users": ("anna",)}, REFUSED, REFUSED),
        ({"read_list": ("anna",)}, ok(READ_ONLY), ok(READ_ONLY)),
        ({"write_list": ("anna",)}, ok(WRITABLE), ok(WRITABLE)),
        ({"read_list": ("anna",), "write_list": ("anna",)}, ok(READ_ONLY), ok(READ_ONLY)),
        ({"read_list": ("anna",), "valid_users": ("bert",)}, REFUSED, REFUSED),
        ({"write_list": ("anna",), "valid_users": ("bert",)}, REFUSED, REFUSED),
        ({"write_list": ("anna",), "invalid_users": ("anna",)}, REFUSED, REFUSED),
        ({"admin_users": ("anna",)}, ok(WRITABLE | TreeFlags.ADMIN), ok(WRITABLE | TreeFlags.ADMIN)),
        ({"admin_users": ("anna",), "invalid_users": ("anna",)}, REFUSED, REFUSED),
        ({"admin_users": ("anna",), "valid_users": ("bert",)}, REFUSED, REFUSED),
    ],
)
def test_lists_decide_in_their_order(
    lists: dict[str, Any], of_a_writable_share: Verdict, of_a_read_only_share: Verdict
) -> None:
    assert verdict(replace(WRITABLE_SHARE, **lists)) == of_a_writable_share
    assert verdict(replace(READ_ONLY_SHARE, **lists)) == of_a_read_only_share


@pytest.mark.parametrize(
    ("policy", "restrict_anonymous", "expected"),
    [
        (WRITABLE_SHARE, False, NO_GUESTS),
        (WRITABLE_SHARE, True, NO_GUESTS),
        (GUEST_SHARE, False, ok(WRITABLE | TreeFlags.GUEST)),
        (GUEST_SHARE, True, ok(WRITABLE | TreeFlags.GUEST)),
        (PIPES, False, ok(WRITABLE | TreeFlags.GUEST)),
        (PIPES, True, NO_GUESTS),
        (replace(GUEST_SHARE, invalid_users=("anna",)), False, REFUSED),
        (replace(GUEST_SHARE, valid_users=("bert",)), False, REFUSED),
        (replace(GUEST_SHARE, read_list=("anna",)), False, ok(READ_ONLY | TreeFlags.GUEST)),
    ],
)
def test_guests_need_an_open_share(policy: SharePolicy, restrict_anonymous: bool, expected: Verdict) -> None:
    assert verdict(policy, GUEST, restrict_anonymous=restrict_anonymous) == expected


@pytest.mark.parametrize("restrict_anonymous", [False, True])
def test_users_may_always_reach_pipes(restrict_anonymous: bool) -> None:
    assert verdict(PIPES, restrict_anonymous=restrict_anonymous) == ok(WRITABLE)


@pytest.mark.parametrize(
    ("maximum", "connections", "status"),
    [
        (1, 0, TreeStatus.OK),
        (1, 1, TreeStatus.TOO_MANY_CONNECTIONS),
        (5, 4, TreeStatus.OK),
        (5, 5, TreeStatus.TOO_MANY_CONNECTIONS),
        (5, 6, TreeStatus.TOO_MANY_CONNECTIONS),
        (0, 100_000, TreeStatus.OK),
    ],
)
def test_a_share_takes_exactly_as_many_connections_as_it_says(
    maximum: int, connections: int, status: TreeStatus
) -> None:
    assert verdict(replace(WRITABLE_SHARE, connections_max=maximum), connections=connections)[0] == status


def test_a_wrong_password_is_refused_before_anything_else_is_looked_at() -> None:
    full = replace(GUEST_SHARE, connections_max=1)
    assert verdict(full, USER | AccountFlags.BAD_PASSWORD, connections=1) == REFUSED


def test_nothing_that_is_refused_comes_with_rights() -> None:
    lists: list[tuple[str, ...]] = [(), ("anna",), ("bert",)]
    for flags, valid, invalid, admin in product((USER, GUEST), lists, lists, lists):
        for policy in (WRITABLE_SHARE, READ_ONLY_SHARE, GUEST_SHARE, PIPES):
            asked = replace(policy, valid_users=valid, invalid_users=invalid, admin_users=admin)
            status, rights = verdict(asked, flags)
            assert (status == TreeStatus.OK) == bool(rights & (READ_ONLY | WRITABLE))
            assert status == TreeStatus.OK or not rights
