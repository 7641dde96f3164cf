"""Create contexts of handles that survive their connection, and of the application that owns them.

Knows: [MS-SMB2] 2.2.13.2.3, .4, .11, .12, .13, .15 and their answers in 2.2.14.2.  Must not know: who gets such a
handle.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from smbd_uring.ports import Buffer
from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.pdu import FileId

FLAG_PERSISTENT = 0x0000_0002
"""SMB2_DHANDLE_FLAG_PERSISTENT."""

GUID_BYTES = 16
_RESERVED_BYTES = 16
_FILE_ID = struct.Struct("<QQ")
_REQUEST_V2 = struct.Struct("<II8x16s")
_RECONNECT_V2 = struct.Struct("<QQ16sI")
_RESPONSE_V2 = struct.Struct("<II")
_APP_INSTANCE_ID = struct.Struct("<HH16s")
_APP_INSTANCE_VERSION = struct.Struct("<HH4xQQ")

DURABLE_RESPONSE = bytes(8)
"""2.2.14.2.3: the answer to DHnQ says nothing but that it is there."""


def check_durable_request(data: Buffer) -> None:
    """2.2.13.2.3: sixteen bytes without meaning.  MalformedMessage for another size."""
    if len(data) != _RESERVED_BYTES:
        raise MalformedMessage(f"a durable handle request of {len(data)} bytes")


def encode_durable_request() -> bytes:
    """2.2.13.2.3."""
    return bytes(_RESERVED_BYTES)


def decode_durable_reconnect(data: Buffer) -> FileId:
    """2.2.13.2.4: the handle that is wanted back.  MalformedMessage unless it is 16 bytes."""
    if len(data) != _FILE_ID.size:
        raise MalformedMessage(f"a durable handle reconnect of {len(data)} bytes")
    return FileId(*_FILE_ID.unpack(data))


def encode_durable_reconnect(file_id: FileId) -> bytes:
    """2.2.13.2.4."""
    return _FILE_ID.pack(*file_id)


@dataclass(frozen=True, slots=True)
class DurableRequestV2:
    """2.2.13.2.11.  `timeout_ms` is 0 for whatever the server likes."""

    create_guid: bytes
    timeout_ms: int = 0
    flags: int = 0

    @classmethod
    def decode(cls, data: Buffer) -> DurableRequestV2:
        """MalformedMessage unless it is 32 bytes."""
        if len(data) != _REQUEST_V2.size:
            raise MalformedMessage(f"a durable handle request v2 of {len(data)} bytes")
        timeout, flags, guid = _REQUEST_V2.unpack(data)
        return cls(guid, timeout, flags)

    def encode(self) -> bytes:
        """The context's data."""
        return _REQUEST_V2.pack(self.timeout_ms, self.flags, self.create_guid)

    @property
    def is_persistent(self) -> bool:
        """Whether a handle is wanted that survives the server, too."""
        return self.flags & FLAG_PERSISTENT != 0


@dataclass(frozen=True, slots=True)
class DurableReconnectV2:
    """2.2.13.2.12."""

    file_id: FileId
    create_guid: bytes
    flags: int = 0

    @classmethod
    def decode(cls, data: Buffer) -> DurableReconnectV2:
        """MalformedMessage unless it is 36 bytes."""
        if len(data) != _RECONNECT_V2.size:
            raise MalformedMessage(f"a durable handle reconnect v2 of {len(data)} bytes")
        persistent, volatile, guid, flags = _RECONNECT_V2.unpack(data)
        return cls(FileId(persistent, volatile), guid, flags)

    def encode(self) -> bytes:
        """The context's data."""
        return _RECONNECT_V2.pack(*self.file_id, self.create_guid, self.flags)

    @property
    def is_persistent(self) -> bool:
        """Whether the client holds it for one that survives the server."""
        return self.flags & FLAG_PERSISTENT != 0


@dataclass(frozen=True, slots=True)
class DurableResponseV2:
    """2.2.14.2.12."""

    timeout_ms: int
    flags: int = 0

    @classmethod
    def decode(cls, data: Buffer) -> DurableResponseV2:
        """MalformedMessage unless it is 8 bytes."""
        if len(data) != _RESPONSE_V2.size:
            raise MalformedMessage(f"a durable handle response v2 of {len(data)} bytes")
        return cls(*_RESPONSE_V2.unpack(data))

    def encode(self) -> bytes:
        """The context's data."""
        return _RESPONSE_V2.pack(self.timeout_ms, self.flags)


def decode_app_instance_id(data: Buffer) -> bytes:
    """2.2.13.2.13: the application's GUID.  MalformedMessage for another size."""
    if len(data) != _APP_INSTANCE_ID.size:
        raise MalformedMessage(f"an application instance id of {len(data)} bytes")
    identifier: bytes = _APP_INSTANCE_ID.unpack(data)[2]
    return identifier


def encode_app_instance_id(identifier: bytes) -> bytes:
    """2.2.13.2.13."""
    return _APP_INSTANCE_ID.pack(_APP_INSTANCE_ID.size, 0, identifier)


def decode_app_instance_version(data: Buffer) -> tuple[int, int]:
    """2.2.13.2.15: (high, low), which compare like one number.  MalformedMessage for another size."""
    if len(data) != _APP_INSTANCE_VERSION.size:
        raise MalformedMessage(f"an application instance version of {len(data)} bytes")
    _, _, high, low = _APP_INSTANCE_VERSION.unpack(data)
    return high, low


def encode_app_instance_version(version: tuple[int, int]) -> bytes:
    """2.2.13.2.15."""
    return _APP_INSTANCE_VERSION.pack(_APP_INSTANCE_VERSION.size, 0, *version)
