"""Numbers of the SMB2 protocol itself: commands, dialects, flags ([MS-SMB2] 2.2).

Knows: names and numbers, spelled as the specification spells them without their common prefix.  Must not know: what
they mean to a server.  Rights and options of opens are in `access.py`, information classes and volumes in
`infoclass.py`; both are re-exported here, so that `const` is the one module to import them from.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

from smbd_uring.wire.access import (
    AccessMask,
    CreateAction,
    CreateDisposition,
    CreateOptions,
    FileAttributes,
    ImpersonationLevel,
    LeaseFlags,
    LeaseState,
    OplockLevel,
    ShareAccess,
)
from smbd_uring.wire.infoclass import (
    AdditionalInformation,
    DeviceCharacteristics,
    DeviceType,
    DispositionFlags,
    FileInfoClass,
    FsAttributes,
    FsInfoClass,
    InfoType,
    RenameFlags,
)

__all__ = [
    "AccessMask", "AdditionalInformation", "Capabilities", "CipherId", "CloseFlags", "Command", "CompletionFilter",
    "CompressionAlgorithm", "CreateAction", "CreateDisposition", "CreateOptions", "DeviceCharacteristics",
    "DeviceType", "Dialect", "DispositionFlags", "FileAction", "FileAttributes", "FileInfoClass", "FsAttributes",
    "FsInfoClass", "FsctlCode", "HashAlgorithm", "HeaderFlags", "ImpersonationLevel", "InfoType", "IoctlFlags",
    "LeaseFlags", "LeaseState", "LockFlags", "NegotiateContextType", "NotifyFlags", "OplockLevel",
    "QueryDirectoryFlags", "ReadFlags", "RenameFlags", "SecurityMode", "SessionFlags", "SessionSetupFlags",
    "ShareAccess", "ShareCapabilities", "ShareFlag", "ShareType", "SigningAlgorithm", "TransformFlags",
    "TreeConnectFlags", "WriteFlags",
]  # fmt: skip


class Command(IntEnum):
    """Command of the packet header ([MS-SMB2] 2.2.1.2)."""

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


class HeaderFlags(IntFlag):
    """SMB2_FLAGS_* of the packet header ([MS-SMB2] 2.2.1.2)."""

    SERVER_TO_REDIR = 0x0000_0001
    ASYNC_COMMAND = 0x0000_0002
    RELATED_OPERATIONS = 0x0000_0004
    SIGNED = 0x0000_0008
    PRIORITY_MASK = 0x0000_0070
    DFS_OPERATIONS = 0x1000_0000
    REPLAY_OPERATION = 0x2000_0000


class TransformFlags(IntFlag):
    """Flags of SMB2 TRANSFORM_HEADER ([MS-SMB2] 2.2.41); EncryptionAlgorithm AES-128-CCM in dialect 3.0 is the same 1."""

    ENCRYPTED = 0x0001


class Dialect(IntEnum):
    """DialectRevision ([MS-SMB2] 2.2.3, 2.2.4)."""

    SMB_2_0_2 = 0x0202
    SMB_2_1 = 0x0210
    WILDCARD = 0x02FF
    SMB_3_0 = 0x0300
    SMB_3_0_2 = 0x0302
    SMB_3_1_1 = 0x0311


class SecurityMode(IntFlag):
    """SMB2_NEGOTIATE_SIGNING_* ([MS-SMB2] 2.2.3)."""

    SIGNING_ENABLED = 0x0001
    SIGNING_REQUIRED = 0x0002


class Capabilities(IntFlag):
    """SMB2_GLOBAL_CAP_* ([MS-SMB2] 2.2.3)."""

    DFS = 0x0000_0001
    LEASING = 0x0000_0002
    LARGE_MTU = 0x0000_0004
    MULTI_CHANNEL = 0x0000_0008
    PERSISTENT_HANDLES = 0x0000_0010
    DIRECTORY_LEASING = 0x0000_0020
    ENCRYPTION = 0x0000_0040
    NOTIFICATIONS = 0x0000_0080


class NegotiateContextType(IntEnum):
    """ContextType of SMB2_NEGOTIATE_CONTEXT ([MS-SMB2] 2.2.3.1); POSIX_EXTENSIONS is Samba's and Linux's."""

    PREAUTH_INTEGRITY_CAPABILITIES = 0x0001
    ENCRYPTION_CAPABILITIES = 0x0002
    COMPRESSION_CAPABILITIES = 0x0003
    NETNAME_NEGOTIATE_CONTEXT_ID = 0x0005
    TRANSPORT_CAPABILITIES = 0x0006
    RDMA_TRANSFORM_CAPABILITIES = 0x0007
    SIGNING_CAPABILITIES = 0x0008
    POSIX_EXTENSIONS = 0x0100


class HashAlgorithm(IntEnum):
    """Preauthentication integrity hashes ([MS-SMB2] 2.2.3.1.1)."""

    SHA_512 = 0x0001


class CipherId(IntEnum):
    """Ciphers ([MS-SMB2] 2.2.3.1.2)."""

    AES_128_CCM = 0x0001
    AES_128_GCM = 0x0002
    AES_256_CCM = 0x0003
    AES_256_GCM = 0x0004


class CompressionAlgorithm(IntEnum):
    """Compression algorithms ([MS-SMB2] 2.2.3.1.3)."""

    NONE = 0x0000
    LZNT1 = 0x0001
    LZ77 = 0x0002
    LZ77_HUFFMAN = 0x0003
    PATTERN_V1 = 0x0004
    LZ4 = 0x0005


class SigningAlgorithm(IntEnum):
    """Signing algorithms ([MS-SMB2] 2.2.3.1.7)."""

    HMAC_SHA256 = 0x0000
    AES_CMAC = 0x0001
    AES_GMAC = 0x0002


class SessionSetupFlags(IntFlag):
    """Flags of SESSION_SETUP requests ([MS-SMB2] 2.2.5)."""

    BINDING = 0x01


class SessionFlags(IntFlag):
    """SessionFlags of SESSION_SETUP responses ([MS-SMB2] 2.2.6)."""

    IS_GUEST = 0x0001
    IS_NULL = 0x0002
    ENCRYPT_DATA = 0x0004


class TreeConnectFlags(IntFlag):
    """Flags of TREE_CONNECT requests in dialect 3.1.1 ([MS-SMB2] 2.2.9)."""

    CLUSTER_RECONNECT = 0x0001
    REDIRECT_TO_OWNER = 0x0002
    EXTENSION_PRESENT = 0x0004


class ShareType(IntEnum):
    """ShareType of TREE_CONNECT responses ([MS-SMB2] 2.2.10)."""

    DISK = 0x01
    PIPE = 0x02
    PRINT = 0x03


class ShareFlag(IntFlag):
    """SMB2_SHAREFLAG_* of TREE_CONNECT responses ([MS-SMB2] 2.2.10); two bits name the caching policy."""

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


class ShareCapabilities(IntFlag):
    """SMB2_SHARE_CAP_* of TREE_CONNECT responses ([MS-SMB2] 2.2.10)."""

    DFS = 0x0000_0008
    CONTINUOUS_AVAILABILITY = 0x0000_0010
    SCALEOUT = 0x0000_0020
    CLUSTER = 0x0000_0040
    ASYMMETRIC = 0x0000_0080
    REDIRECT_TO_OWNER = 0x0000_0100


class CloseFlags(IntFlag):
    """Flags of CLOSE ([MS-SMB2] 2.2.15)."""

    POSTQUERY_ATTRIB = 0x0001


class ReadFlags(IntFlag):
    """SMB2_READFLAG_* ([MS-SMB2] 2.2.19)."""

    READ_UNBUFFERED = 0x01
    REQUEST_COMPRESSED = 0x02


class WriteFlags(IntFlag):
    """SMB2_WRITEFLAG_* ([MS-SMB2] 2.2.21)."""

    WRITE_THROUGH = 0x0000_0001
    WRITE_UNBUFFERED = 0x0000_0002


class LockFlags(IntFlag):
    """SMB2_LOCKFLAG_* ([MS-SMB2] 2.2.26.1)."""

    SHARED_LOCK = 0x0000_0001
    EXCLUSIVE_LOCK = 0x0000_0002
    UNLOCK = 0x0000_0004
    FAIL_IMMEDIATELY = 0x0000_0010


class IoctlFlags(IntFlag):
    """Flags of IOCTL ([MS-SMB2] 2.2.31)."""

    IS_IOCTL = 0x0000_0000
    IS_FSCTL = 0x0000_0001


class QueryDirectoryFlags(IntFlag):
    """Flags of QUERY_DIRECTORY ([MS-SMB2] 2.2.33)."""

    RESTART_SCANS = 0x01
    RETURN_SINGLE_ENTRY = 0x02
    INDEX_SPECIFIED = 0x04
    REOPEN = 0x10


class NotifyFlags(IntFlag):
    """Flags of CHANGE_NOTIFY ([MS-SMB2] 2.2.35)."""

    WATCH_TREE = 0x0001


class CompletionFilter(IntFlag):
    """FILE_NOTIFY_CHANGE_* of CHANGE_NOTIFY ([MS-SMB2] 2.2.35)."""

    FILE_NAME = 0x0000_0001
    DIR_NAME = 0x0000_0002
    ATTRIBUTES = 0x0000_0004
    SIZE = 0x0000_0008
    LAST_WRITE = 0x0000_0010
    LAST_ACCESS = 0x0000_0020
    CREATION = 0x0000_0040
    EA = 0x0000_0080
    SECURITY = 0x0000_0100
    STREAM_NAME = 0x0000_0200
    STREAM_SIZE = 0x0000_0400
    STREAM_WRITE = 0x0000_0800


class FileAction(IntEnum):
    """FILE_ACTION_* of FILE_NOTIFY_INFORMATION ([MS-FSCC] 2.7.1)."""

    ADDED = 1
    REMOVED = 2
    MODIFIED = 3
    RENAMED_OLD_NAME = 4
    RENAMED_NEW_NAME = 5
    ADDED_STREAM = 6
    REMOVED_STREAM = 7
    MODIFIED_STREAM = 8
    REMOVED_BY_DELETE = 9
    ID_NOT_TUNNELLED = 10
    TUNNELLED_ID_COLLISION = 11


class FsctlCode(IntEnum):
    """CtlCode of IOCTL, without FSCTL_ ([MS-SMB2] 2.2.31, [MS-FSCC] 2.3)."""

    DFS_GET_REFERRALS = 0x0006_0194
    DFS_GET_REFERRALS_EX = 0x0006_01B0
    IS_PATHNAME_VALID = 0x0009_002C
    GET_COMPRESSION = 0x0009_003C
    FILESYSTEM_GET_STATISTICS = 0x0009_0060
    GET_NTFS_VOLUME_DATA = 0x0009_0064
    FIND_FILES_BY_SID = 0x0009_008F
    SET_OBJECT_ID = 0x0009_0098
    GET_OBJECT_ID = 0x0009_009C
    DELETE_OBJECT_ID = 0x0009_00A0
    SET_REPARSE_POINT = 0x0009_00A4
    GET_REPARSE_POINT = 0x0009_00A8
    DELETE_REPARSE_POINT = 0x0009_00AC
    CREATE_OR_GET_OBJECT_ID = 0x0009_00C0
    SET_SPARSE = 0x0009_00C4
    SET_ENCRYPTION = 0x0009_00D7
    READ_FILE_USN_DATA = 0x0009_00EB
    GET_INTEGRITY_INFORMATION = 0x0009_027C
    QUERY_FILE_REGIONS = 0x0009_0284
    QUERY_SHARED_VIRTUAL_DISK_SUPPORT = 0x0009_0300
    SVHDX_SYNC_TUNNEL_REQUEST = 0x0009_0304
    SVHDX_ASYNC_TUNNEL_REQUEST = 0x0009_0364
    QUERY_ALLOCATED_RANGES = 0x0009_40CF
    OFFLOAD_READ = 0x0009_4264
    SET_ZERO_DATA = 0x0009_80C8
    FILE_LEVEL_TRIM = 0x0009_8208
    OFFLOAD_WRITE = 0x0009_8268
    DUPLICATE_EXTENTS_TO_FILE = 0x0009_8344
    DUPLICATE_EXTENTS_TO_FILE_EX = 0x0009_83E8
    SET_COMPRESSION = 0x0009_C040
    SET_INTEGRITY_INFORMATION = 0x0009_C280
    PIPE_WAIT = 0x0011_0018
    PIPE_PEEK = 0x0011_400C
    PIPE_TRANSCEIVE = 0x0011_C017
    SRV_REQUEST_RESUME_KEY = 0x0014_0078
    LMR_SET_LINK_TRACKING_INFORMATION = 0x0014_00EC
    LMR_REQUEST_RESILIENCY = 0x0014_01D4
    QUERY_NETWORK_INTERFACE_INFO = 0x0014_01FC
    VALIDATE_NEGOTIATE_INFO = 0x0014_0204
    SRV_ENUMERATE_SNAPSHOTS = 0x0014_4064
    SRV_COPYCHUNK = 0x0014_40F2
    SRV_READ_HASH = 0x0014_41BB
    SRV_COPYCHUNK_WRITE = 0x0014_80F2
