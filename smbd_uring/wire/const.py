"""Numbers of [MS-SMB2], by the specification's names.

Knows: commands, flags, dialects, capabilities.  Must not know: layouts.  Access rights and file attributes are in
`access`, information classes and control codes in `classes`; both are re-exported here.

Bits are members of an IntEnum, not an IntFlag: what `|` and `&` make of them are plain integers, and cost as little.
"""

from enum import IntEnum

from smbd_uring.wire.access import (
    AccessMask,
    CreateAction,
    CreateDisposition,
    CreateOptions,
    FileAttributes,
    ImpersonationLevel,
    OplockLevel,
    ShareAccess,
)
from smbd_uring.wire.classes import FileInfoClass, FsAttributes, FsctlCode, FsInfoClass, InfoType

__all__ = [
    "AccessMask",
    "Capabilities",
    "CipherId",
    "CloseFlags",
    "Command",
    "CreateAction",
    "CreateDisposition",
    "CreateOptions",
    "Dialect",
    "FileAttributes",
    "FileInfoClass",
    "FsAttributes",
    "FsInfoClass",
    "FsctlCode",
    "HashAlgorithm",
    "HeaderFlags",
    "ImpersonationLevel",
    "InfoType",
    "IoctlFlags",
    "LockFlags",
    "NegotiateContextType",
    "NotifyFlags",
    "OplockLevel",
    "QueryDirectoryFlags",
    "ReadFlags",
    "SecurityMode",
    "SessionFlags",
    "SessionSetupFlags",
    "ShareAccess",
    "ShareCapabilities",
    "ShareFlag",
    "ShareType",
    "SigningAlgorithm",
    "WriteFlags",
]


class Command(IntEnum):
    """2.2.1.2."""

    NEGOTIATE = 0x00
    SESSION_SETUP = 0x01
    LOGOFF = 0x02
    TREE_CONNECT = 0x03
    TREE_DISCONNECT = 0x04
    CREATE = 0x05
    CLOSE = 0x06
    FLUSH = 0x07
    READ = 0x08
    WRITE = 0x09
    LOCK = 0x0A
    IOCTL = 0x0B
    CANCEL = 0x0C
    ECHO = 0x0D
    QUERY_DIRECTORY = 0x0E
    CHANGE_NOTIFY = 0x0F
    QUERY_INFO = 0x10
    SET_INFO = 0x11
    OPLOCK_BREAK = 0x12
    SERVER_TO_CLIENT_NOTIFICATION = 0x13


class HeaderFlags(IntEnum):
    """2.2.1.2."""

    SERVER_TO_REDIR = 0x0000_0001
    ASYNC_COMMAND = 0x0000_0002
    RELATED_OPERATIONS = 0x0000_0004
    SIGNED = 0x0000_0008
    PRIORITY_MASK = 0x0000_0070
    DFS_OPERATIONS = 0x1000_0000
    REPLAY_OPERATION = 0x2000_0000


class Dialect(IntEnum):
    """2.2.3; WILDCARD only in the answer to an SMB1 NEGOTIATE."""

    SMB_2_0_2 = 0x0202
    SMB_2_1 = 0x0210
    WILDCARD = 0x02FF
    SMB_3_0 = 0x0300
    SMB_3_0_2 = 0x0302
    SMB_3_1_1 = 0x0311


class SecurityMode(IntEnum):
    """2.2.3."""

    SIGNING_ENABLED = 0x0001
    SIGNING_REQUIRED = 0x0002


class Capabilities(IntEnum):
    """2.2.3."""

    DFS = 0x01
    LEASING = 0x02
    LARGE_MTU = 0x04
    MULTI_CHANNEL = 0x08
    PERSISTENT_HANDLES = 0x10
    DIRECTORY_LEASING = 0x20
    ENCRYPTION = 0x40
    NOTIFICATIONS = 0x80


class NegotiateContextType(IntEnum):
    """2.2.3.1, and the POSIX extensions' own."""

    PREAUTH_INTEGRITY_CAPABILITIES = 0x0001
    ENCRYPTION_CAPABILITIES = 0x0002
    COMPRESSION_CAPABILITIES = 0x0003
    NETNAME_NEGOTIATE_CONTEXT_ID = 0x0005
    TRANSPORT_CAPABILITIES = 0x0006
    RDMA_TRANSFORM_CAPABILITIES = 0x0007
    SIGNING_CAPABILITIES = 0x0008
    POSIX_EXTENSIONS_AVAILABLE = 0x0100


class HashAlgorithm(IntEnum):
    """2.2.3.1.1."""

    SHA_512 = 0x0001


class CipherId(IntEnum):
    """2.2.3.1.2."""

    AES_128_CCM = 0x0001
    AES_128_GCM = 0x0002
    AES_256_CCM = 0x0003
    AES_256_GCM = 0x0004


class SigningAlgorithm(IntEnum):
    """2.2.3.1.7."""

    HMAC_SHA256 = 0x0000
    AES_CMAC = 0x0001
    AES_GMAC = 0x0002


class SessionSetupFlags(IntEnum):
    """2.2.5."""

    BINDING = 0x01


class SessionFlags(IntEnum):
    """2.2.6."""

    IS_GUEST = 0x0001
    IS_NULL = 0x0002
    ENCRYPT_DATA = 0x0004


class ShareType(IntEnum):
    """2.2.10."""

    DISK = 0x01
    PIPE = 0x02
    PRINT = 0x03


class ShareFlag(IntEnum):
    """2.2.10."""

    MANUAL_CACHING = 0x0000_0000
    DFS = 0x0000_0001
    DFS_ROOT = 0x0000_0002
    AUTO_CACHING = 0x0000_0010
    VDO_CACHING = 0x0000_0020
    NO_CACHING = 0x0000_0030
    RESTRICT_EXCLUSIVE_OPENS = 0x0000_0100
    FORCE_SHARED_DELETE = 0x0000_0200
    ALLOW_NAMESPACE_CACHING = 0x0000_0400
    ACCESS_BASED_DIRECTORY_ENUM = 0x0000_0800
    FORCE_LEVELII_OPLOCK = 0x0000_1000
    ENABLE_HASH_V1 = 0x0000_2000
    ENABLE_HASH_V2 = 0x0000_4000
    ENCRYPT_DATA = 0x0000_8000
    IDENTITY_REMOTING = 0x0004_0000
    COMPRESS_DATA = 0x0010_0000
    ISOLATED_TRANSPORT = 0x0020_0000


class ShareCapabilities(IntEnum):
    """2.2.10."""

    DFS = 0x08
    CONTINUOUS_AVAILABILITY = 0x10
    SCALEOUT = 0x20
    CLUSTER = 0x40
    ASYMMETRIC = 0x80
    REDIRECT_TO_OWNER = 0x100


class CloseFlags(IntEnum):
    """2.2.15."""

    POSTQUERY_ATTRIB = 0x0001


class ReadFlags(IntEnum):
    """2.2.19."""

    READ_UNBUFFERED = 0x01
    REQUEST_COMPRESSED = 0x02


class WriteFlags(IntEnum):
    """2.2.21."""

    WRITE_THROUGH = 0x0000_0001
    WRITE_UNBUFFERED = 0x0000_0002


class LockFlags(IntEnum):
    """2.2.26.1."""

    SHARED_LOCK = 0x01
    EXCLUSIVE_LOCK = 0x02
    UNLOCK = 0x04
    FAIL_IMMEDIATELY = 0x10


class IoctlFlags(IntEnum):
    """2.2.31."""

    IS_FSCTL = 0x0000_0001


class QueryDirectoryFlags(IntEnum):
    """2.2.33."""

    RESTART_SCANS = 0x01
    RETURN_SINGLE_ENTRY = 0x02
    INDEX_SPECIFIED = 0x04
    REOPEN = 0x10


class NotifyFlags(IntEnum):
    """2.2.35."""

    WATCH_TREE = 0x0001
