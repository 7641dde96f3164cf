"""What the companion is asked and told, and what it answers.

Knows: accounts, shares and trees as ksmbd's messages have them.  Must not know: the messages, SMB.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any

from smbd_uring.ports.effects import Credentials, Effect


class AccountFlags(IntFlag):
    """Status of an account in login and tree messages (ksmbd's user flags)."""

    OK = 1
    BAD_PASSWORD = 2
    BAD_UID = 4
    BAD_USER = 8
    GUEST_ACCOUNT = 16
    DELAY_SESSION = 32
    EXTENSION = 64


class ShareFlags(IntFlag):
    """What a share is configured to be (ksmbd's share flags; ENCRYPT_DATA is this project's own)."""

    AVAILABLE = 1 << 0
    BROWSEABLE = 1 << 1
    WRITEABLE = 1 << 2
    READONLY = 1 << 3
    GUEST_OK = 1 << 4
    GUEST_ONLY = 1 << 5
    STORE_DOS_ATTRS = 1 << 6
    OPLOCKS = 1 << 7
    PIPE = 1 << 8
    HIDE_DOT_FILES = 1 << 9
    INHERIT_OWNER = 1 << 10
    STREAMS = 1 << 11
    FOLLOW_SYMLINKS = 1 << 12
    ACL_XATTR = 1 << 13
    UPDATE = 1 << 14
    CROSSMNT = 1 << 15
    CONTINUOUS_AVAILABILITY = 1 << 16
    HIDE_UNREADABLE = 1 << 17
    TIME_MACHINE = 1 << 18
    WIDE_LINKS = 1 << 19
    ENCRYPT_DATA = 1 << 20


class TreeFlags(IntFlag):
    """What the companion grants a tree connect."""

    GUEST = 1
    READ_ONLY = 2
    WRITABLE = 4
    ADMIN = 8
    UPDATE = 16


class TreeStatus(IntEnum):
    """The companion's verdict on a tree connect."""

    OK = 0
    NO_MEMORY = 1
    NO_SHARE = 2
    NO_USER = 3
    INVALID_USER = 4
    HOST_DENIED = 5
    CONNECTION_EXISTS = 6
    TOO_MANY_CONNECTIONS = 7
    TOO_MANY_SESSIONS = 8
    ERROR = 9


@dataclass(slots=True)
class LoginAnswer:
    """An account as the companion knows it.  `nt_hash` is 16 bytes, or empty when the account may not log on."""

    account: str
    flags: AccountFlags
    credentials: Credentials
    nt_hash: bytes


@dataclass(slots=True)
class ShareAnswer:
    """A share's configuration.  Masks and modes are Unix permission bits; forced ids are None when not forced."""

    name: str
    path: str
    flags: ShareFlags
    create_mask: int
    directory_mask: int
    force_create_mode: int
    force_directory_mode: int
    force_uid: int | None
    force_gid: int | None
    veto_list: tuple[str, ...] = ()


@dataclass(slots=True)
class TreeAnswer:
    """Whether the account may use the share, and how."""

    status: TreeStatus
    flags: TreeFlags


class CompanionUnavailable(Exception):  # noqa: N818 - a state of the world, not a mistake
    """The companion did not answer in time or is not running; raised inside the coroutine that asked."""


@dataclass(slots=True)
class AskLogin(Effect[LoginAnswer | None]):
    """Look an account up; the empty name asks for the anonymous (guest) account.
    Result: LoginAnswer, or None when there is no such account and it is not mapped to guest."""

    account: str


@dataclass(slots=True)
class AskShare(Effect[ShareAnswer | None]):
    """A share's configuration by name, any case.  Result: ShareAnswer, or None when there is none."""

    name: str


@dataclass(slots=True)
class AskTree(Effect[TreeAnswer]):
    """May this account connect to this share from this address?  Result: TreeAnswer."""

    account: str
    account_flags: AccountFlags
    session_id: int
    tree_id: int
    share: str
    address: str


@dataclass(slots=True)
class AskTogether(Effect[tuple[Any, ...]]):
    """Several questions that need not wait for each other's answers.

    Result: their answers in the same order.  CompanionUnavailable when one of them has none, whatever the others have.
    """

    questions: tuple[AskLogin | AskShare | AskTree, ...]


@dataclass(slots=True)
class TellTreeDisconnect(Effect[None]):
    """A tree is gone; the companion hears it before any later question.
    Result: None at once; a companion that is away is not waited for."""

    session_id: int
    tree_id: int


@dataclass(slots=True)
class TellLogout(Effect[None]):
    """A session is gone (`flags` has BAD_PASSWORD when a logon failed).  Result: None at once."""

    account: str
    flags: AccountFlags
