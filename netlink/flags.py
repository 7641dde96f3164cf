"""Bits and verdicts that messages carry.

Knows: ksmbd's values, and three of this project's own: a share's ENCRYPT_DATA, and in general
CONTINUOUS_AVAILABILITY and CHANNEL_FAILURES.
Must not know: what decides them.  The engine declares the same values for itself; a test compares the two.
"""

from enum import IntEnum, IntFlag


class GlobalFlags(IntFlag):
    """STARTING_UP: what the server does in general."""

    LEASES = 1 << 0
    ENCRYPTION = 1 << 1
    MULTICHANNEL = 1 << 2
    ENCRYPTION_OFF = 1 << 3
    DURABLE_HANDLE = 1 << 4
    CONTINUOUS_AVAILABILITY = 1 << 16
    """There is a share with this flag."""
    CHANNEL_FAILURES = 1 << 17


class Signing(IntEnum):
    """STARTING_UP: `server signing`."""

    DISABLED = 0
    ENABLED = 1
    AUTO = 2
    MANDATORY = 3


class AccountFlags(IntFlag):
    """Status of an account."""

    OK = 1
    BAD_PASSWORD = 2
    BAD_UID = 4
    BAD_USER = 8
    GUEST_ACCOUNT = 16
    DELAY_SESSION = 32
    EXTENSION = 64


class ShareFlags(IntFlag):
    """What a share is configured to be."""

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
    """What a tree connect is granted."""

    GUEST = 1
    READ_ONLY = 2
    WRITABLE = 4
    ADMIN = 8
    UPDATE = 16


class TreeStatus(IntEnum):
    """The verdict on a tree connect."""

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
