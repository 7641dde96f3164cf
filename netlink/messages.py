"""ksmbd's messages as declared structures.

Knows: the layouts and numbers of ksmbd's netlink protocol, version 1 (host byte order, native alignment).  Must not
know: sockets, what answers a question.

Each class names its event and its fields in the order they lie in memory.  `size` is checked against the protocol at
import.  Names are NUL-padded UTF-8 of at most size-1 bytes.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, Self


class Event(IntEnum):
    """Commands; an answer's number is its question's plus one."""

    HEARTBEAT_REQUEST = 1
    STARTING_UP = 2
    SHUTTING_DOWN = 3
    LOGIN_REQUEST = 4
    LOGIN_RESPONSE = 5
    SHARE_CONFIG_REQUEST = 6
    SHARE_CONFIG_RESPONSE = 7
    TREE_CONNECT_REQUEST = 8
    TREE_CONNECT_RESPONSE = 9
    TREE_DISCONNECT_REQUEST = 10
    LOGOUT_REQUEST = 11
    RPC_REQUEST = 12
    RPC_RESPONSE = 13
    SPNEGO_AUTHEN_REQUEST = 14
    SPNEGO_AUTHEN_RESPONSE = 15
    LOGIN_REQUEST_EXT = 16
    LOGIN_RESPONSE_EXT = 17


ACCOUNT_NAME_SIZE = 48
SHARE_NAME_SIZE = 64
HASH_SIZE = 18
GROUPS_MAX = 16000
"""Groups of one account that a message can carry: a netlink attribute's length has 16 bits."""

PAYLOAD_BYTES_MAX = 48 * 1024
"""Veto list and path of one share, for the same reason."""

INVALID_ID = 0xFFFF
"""A forced uid or gid that is not forced."""


class MalformedStructure(Exception):  # noqa: N818 - names the condition
    """A structure of another size than its event has, or with lengths, numbers or text that do not fit."""


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")


def _raw(text: str, size: int) -> bytes:
    encoded = _encoded(text)
    if len(encoded) >= size:
        raise MalformedStructure(f"{text!r} does not fit in {size - 1} bytes")
    return encoded


def _encoded(text: str) -> bytes:
    """UTF-8 without a zero.  A name from the wire may hold half a surrogate pair, which has no UTF-8."""
    try:
        encoded = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise MalformedStructure(f"{text!r} is not Unicode text") from error
    if b"\0" in encoded:
        raise MalformedStructure(f"{text!r} has a zero in it")
    return encoded


def _encoded_path(path: str) -> bytes:
    """A path's bytes, which need not be UTF-8 (surrogateescape stands for those that are not)."""
    try:
        encoded = os.fsencode(path)
    except UnicodeEncodeError as error:
        raise MalformedStructure(f"{path!r} is no path") from error
    if b"\0" in encoded:
        raise MalformedStructure(f"{path!r} has a zero in it")
    return encoded


def _packed(layout: struct.Struct, *values: Any) -> bytes:
    try:
        return layout.pack(*values)
    except struct.error as error:
        raise MalformedStructure(f"a number does not fit: {error}") from error


def _fixed(layout: struct.Struct, data: bytes) -> tuple[Any, ...]:
    if len(data) != layout.size:
        raise MalformedStructure(f"{len(data)} bytes where {layout.size} are due")
    return layout.unpack(data)


@dataclass(slots=True)
class Heartbeat:
    """Is anybody there?  That it can be delivered is the answer."""

    handle: int = 0
    EVENT: ClassVar[Event] = Event.HEARTBEAT_REQUEST
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("=I")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """MalformedStructure when the size is wrong."""
        return cls(*_fixed(cls.LAYOUT, data))

    def encode(self) -> bytes:
        """The structure."""
        return _packed(self.LAYOUT, self.handle)


@dataclass(slots=True)
class StartingUp:
    """The companion's first message: everything of [global].  Sizes in bytes, `deadtime` in minutes."""

    flags: int = 0
    signing: int = 0
    min_prot: str = ""
    max_prot: str = ""
    netbios_name: str = ""
    work_group: str = ""
    server_string: str = ""
    tcp_port: int = 445
    ipc_timeout: int = 0
    deadtime: int = 0
    file_max: int = 0
    smb2_max_write: int = 0
    smb2_max_read: int = 0
    smb2_max_trans: int = 0
    share_fake_fscaps: int = 0
    sub_auth: tuple[int, int, int] = (0, 0, 0)
    smb2_max_credits: int = 0
    smbd_max_io_size: int = 0
    max_connections: int = 0
    bind_interfaces_only: int = 0
    max_ip_connections: int = 0
    interfaces: tuple[str, ...] = ()
    EVENT: ClassVar[Event] = Event.STARTING_UP
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("=Ii16s16s16s64s64sHHIIIIII3IIIIbI499sI")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """MalformedStructure when a size is wrong."""
        if len(data) < cls.LAYOUT.size:
            raise MalformedStructure(f"{len(data)} bytes where {cls.LAYOUT.size} are due")
        values = cls.LAYOUT.unpack_from(data)
        names = data[cls.LAYOUT.size :]
        if values[-1] != len(names):
            raise MalformedStructure(f"{len(names)} bytes of interface names where {values[-1]} are due")
        flags, signing, low, high, netbios, group, text, port, timeout, dead = values[:10]
        files, write, read, trans, caps = values[10:15]
        sub_auth, (max_credits, io_size, connections, bind, per_ip) = values[15:18], values[18:23]
        return cls(
            flags, signing, _text(low), _text(high), _text(netbios), _text(group), _text(text), port, timeout, dead,
            files, write, read, trans, caps, sub_auth, max_credits, io_size, connections, bind, per_ip,
            tuple(_text(name) for name in names.split(b"\0") if name),
        )  # fmt: skip

    def encode(self) -> bytes:
        """The structure, interface names at its end."""
        names = b"".join(_encoded(name) + b"\0" for name in self.interfaces)
        return (
            _packed(
                self.LAYOUT, self.flags, self.signing, _raw(self.min_prot, 16), _raw(self.max_prot, 16),
                _raw(self.netbios_name, 16), _raw(self.work_group, 64), _raw(self.server_string, 64), self.tcp_port,
                self.ipc_timeout, self.deadtime, self.file_max, self.smb2_max_write, self.smb2_max_read,
                self.smb2_max_trans, self.share_fake_fscaps, *self.sub_auth, self.smb2_max_credits,
                self.smbd_max_io_size, self.max_connections, self.bind_interfaces_only, self.max_ip_connections, b"",
                len(names),
            )
            + names
        )


@dataclass(slots=True)
class LoginRequest:
    """Who is this?  The empty name is the anonymous account.  Also LOGIN_REQUEST_EXT, which asks for groups."""

    handle: int
    account: str
    EVENT: ClassVar[Event] = Event.LOGIN_REQUEST
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("=I48s64x")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """MalformedStructure when the size is wrong."""
        handle, account = _fixed(cls.LAYOUT, data)
        return cls(handle, _text(account))

    def encode(self) -> bytes:
        """The structure."""
        return _packed(self.LAYOUT, self.handle, _raw(self.account, ACCOUNT_NAME_SIZE))


class LoginRequestExt(LoginRequest):
    """The same question again, for the account's groups."""

    __slots__ = ()
    EVENT: ClassVar[Event] = Event.LOGIN_REQUEST_EXT


@dataclass(slots=True)
class LoginResponse:
    """An account.  `status` are account flags, `hash` is the NT hash."""

    handle: int
    gid: int
    uid: int
    account: str
    status: int
    hash: bytes
    EVENT: ClassVar[Event] = Event.LOGIN_RESPONSE
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("=III48sHH18s2x64x")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """MalformedStructure when a size is wrong."""
        handle, gid, uid, account, status, hash_size, hash_value = _fixed(cls.LAYOUT, data)
        if hash_size > HASH_SIZE:
            raise MalformedStructure(f"a hash of {hash_size} bytes")
        return cls(handle, gid, uid, _text(account), status, hash_value[:hash_size])

    def encode(self) -> bytes:
        """The structure."""
        account = _raw(self.account, ACCOUNT_NAME_SIZE)
        if len(self.hash) > HASH_SIZE:
            raise MalformedStructure(f"a hash of {len(self.hash)} bytes")
        return _packed(
            self.LAYOUT, self.handle, self.gid, self.uid, account, self.status, len(self.hash), self.hash
        )


@dataclass(slots=True)
class LoginResponseExt:
    """An account's supplementary groups."""

    handle: int
    groups: tuple[int, ...]
    EVENT: ClassVar[Event] = Event.LOGIN_RESPONSE_EXT
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("=Ii128x")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """MalformedStructure when a size is wrong."""
        if len(data) < cls.LAYOUT.size:
            raise MalformedStructure(f"{len(data)} bytes where {cls.LAYOUT.size} are due")
        handle, count = cls.LAYOUT.unpack_from(data)
        rest = data[cls.LAYOUT.size :]
        if not 0 <= count <= GROUPS_MAX or len(rest) != 4 * count:
            raise MalformedStructure(f"{count} groups in {len(rest)} bytes")
        return cls(handle, struct.unpack(f"={count}I", rest))

    def encode(self) -> bytes:
        """The structure."""
        groups = _packed(struct.Struct(f"={len(self.groups)}I"), *self.groups)
        return _packed(self.LAYOUT, self.handle, len(self.groups)) + groups


@dataclass(slots=True)
class ShareConfigRequest:
    """What is this share?"""

    handle: int
    share_name: str
    EVENT: ClassVar[Event] = Event.SHARE_CONFIG_REQUEST
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("=I64s64x")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """MalformedStructure when the size is wrong."""
        handle, name = _fixed(cls.LAYOUT, data)
        return cls(handle, _text(name))

    def encode(self) -> bytes:
        """The structure."""
        return _packed(self.LAYOUT, self.handle, _raw(self.share_name, SHARE_NAME_SIZE))


@dataclass(slots=True)
class ShareConfigResponse:
    """A share, or INVALID (flags 0 and an empty path) when there is none of that name."""

    handle: int
    flags: int
    create_mask: int
    directory_mask: int
    force_create_mode: int
    force_directory_mode: int
    force_uid: int
    force_gid: int
    share_name: str
    veto_list: tuple[str, ...]
    path: str
    EVENT: ClassVar[Event] = Event.SHARE_CONFIG_RESPONSE
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("=IIHHHHHH64s444xII")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """MalformedStructure when a size is wrong."""
        if len(data) < cls.LAYOUT.size:
            raise MalformedStructure(f"{len(data)} bytes where {cls.LAYOUT.size} are due")
        handle, flags, create, directory, force_create, force_directory, uid, gid, name, payload_size, veto_size = (
            cls.LAYOUT.unpack_from(data)
        )
        payload = data[cls.LAYOUT.size :]
        if len(payload) != payload_size or veto_size > payload_size:
            raise MalformedStructure(f"{len(payload)} bytes where {payload_size} with {veto_size} of names are due")
        veto = payload[:veto_size]
        path = payload[veto_size + 1 if veto_size else 0 :]
        names = tuple(_text(part) for part in veto.split(b"\0") if part)
        return cls(
            handle, flags, create, directory, force_create, force_directory, uid, gid, _text(name), names,
            os.fsdecode(path.split(b"\0", 1)[0]),
        )  # fmt: skip

    def encode(self) -> bytes:
        """The structure with names and path behind it.  The path may be any bytes, UTF-8 or not."""
        veto = b"\0".join(_encoded(name) for name in self.veto_list)
        payload = (veto + b"\0" if veto else b"") + _encoded_path(self.path) + b"\0"
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise MalformedStructure(f"share {self.share_name!r}: its veto list and path take {len(payload)} bytes")
        return (
            _packed(
                self.LAYOUT, self.handle, self.flags, self.create_mask, self.directory_mask, self.force_create_mode,
                self.force_directory_mode, self.force_uid, self.force_gid, _raw(self.share_name, SHARE_NAME_SIZE),
                len(payload), len(veto),
            )
            + payload
        )


@dataclass(slots=True)
class TreeConnectRequest:
    """May this account use this share from this address?"""

    handle: int
    account_flags: int
    flags: int
    session_id: int
    connect_id: int
    account: str
    share: str
    peer_address: str
    EVENT: ClassVar[Event] = Event.TREE_CONNECT_REQUEST
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("=IHHQQ48s64s64s64x")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """MalformedStructure when the size is wrong."""
        handle, account_flags, flags, session_id, connect_id, account, share, address = _fixed(cls.LAYOUT, data)
        return cls(handle, account_flags, flags, session_id, connect_id, _text(account), _text(share), _text(address))

    def encode(self) -> bytes:
        """The structure."""
        return _packed(
            self.LAYOUT, self.handle, self.account_flags, self.flags, self.session_id, self.connect_id,
            _raw(self.account, ACCOUNT_NAME_SIZE), _raw(self.share, SHARE_NAME_SIZE), _raw(self.peer_address, 64),
        )  # fmt: skip


@dataclass(slots=True)
class TreeConnectResponse:
    """The verdict: a tree status, and what the connection may do."""

    handle: int
    status: int
    connection_flags: int
    EVENT: ClassVar[Event] = Event.TREE_CONNECT_RESPONSE
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("=IHH64x")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """MalformedStructure when the size is wrong."""
        return cls(*_fixed(cls.LAYOUT, data))

    def encode(self) -> bytes:
        """The structure."""
        return _packed(self.LAYOUT, self.handle, self.status, self.connection_flags)


@dataclass(slots=True)
class TreeDisconnectRequest:
    """A tree is gone; nobody answers."""

    session_id: int
    connect_id: int
    EVENT: ClassVar[Event] = Event.TREE_DISCONNECT_REQUEST
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("=QQ64x")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """MalformedStructure when the size is wrong."""
        return cls(*_fixed(cls.LAYOUT, data))

    def encode(self) -> bytes:
        """The structure."""
        return _packed(self.LAYOUT, self.session_id, self.connect_id)


@dataclass(slots=True)
class LogoutRequest:
    """A session is gone; nobody answers.  `account_flags` has BAD_PASSWORD when a logon failed."""

    account: str
    account_flags: int
    EVENT: ClassVar[Event] = Event.LOGOUT_REQUEST
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("=48sI64x")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """MalformedStructure when the size is wrong."""
        account, flags = _fixed(cls.LAYOUT, data)
        return cls(_text(account), flags)

    def encode(self) -> bytes:
        """The structure."""
        return _packed(self.LAYOUT, _raw(self.account, ACCOUNT_NAME_SIZE), self.account_flags)


Message = (
    Heartbeat
    | StartingUp
    | LoginRequest
    | LoginResponse
    | LoginResponseExt
    | ShareConfigRequest
    | ShareConfigResponse
    | TreeConnectRequest
    | TreeConnectResponse
    | TreeDisconnectRequest
    | LogoutRequest
)

PROTOCOL_SIZES: dict[type, int] = {
    Heartbeat: 4,
    StartingUp: 744,
    LoginRequest: 116,
    LoginResponse: 148,
    LoginResponseExt: 136,
    ShareConfigRequest: 132,
    ShareConfigResponse: 536,
    TreeConnectRequest: 264,
    TreeConnectResponse: 72,
    TreeDisconnectRequest: 80,
    LogoutRequest: 116,
}
for _structure, _size in PROTOCOL_SIZES.items():
    assert _structure.LAYOUT.size == _size, (_structure.__name__, _structure.LAYOUT.size, _size)  # type: ignore[attr-defined]
for _question in (Event.LOGIN_REQUEST, Event.SHARE_CONFIG_REQUEST, Event.TREE_CONNECT_REQUEST, Event.LOGIN_REQUEST_EXT):
    assert Event(_question + 1).name == _question.name.replace("REQUEST", "RESPONSE")
