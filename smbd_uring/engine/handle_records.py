"""What the journal says of one persistent handle: everything that is needed to have it again after a restart.

Knows: which facts of an open outlive the server, and their form on disk.  Must not know: the journal, how a handle is
restored.

A record is JSON: whoever looks into a journal after an accident can read it.  It was written by this server alone and
its checksum is right when it comes here; what is wrong with it all the same is refused by name.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

GUID_BYTES = 16


class BadRecord(Exception):  # noqa: N818 - a state of the journal
    """A record that this version of the server does not understand."""


@dataclass(frozen=True, slots=True)
class CachingRecord:
    """An oplock, or, with a `lease_key`, a lease: what of READ, HANDLE and WRITE it has left for sure."""

    held: int
    lease_key: str | None = None
    version: int = 1
    epoch: int = 0
    parent_key: str | None = None


LockRecord = tuple[int, int, bool]
"""Offset, length, whether it is exclusive."""


@dataclass(frozen=True, slots=True)
class HandleRecord:
    """One handle.  Masks and options as in its CREATE; GUIDs as 32 hexadecimal digits; times in seconds, but for
    `born_ns`, the file's creation in nanoseconds since the epoch where the file system keeps it.  `asked` has
    CreateOptions, DesiredAccess and ShareAccess as they came; `next_name` is one that the file may have already."""

    share: str
    share_path: str
    is_writable: bool
    components: tuple[str, ...]
    next_name: tuple[str, ...] | None
    inode: int
    born_ns: int | None
    is_directory: bool
    access: int
    sharing: int
    options: int
    mode: int
    asked: tuple[int, int, int]
    uid: int
    gid: int
    groups: tuple[int, ...]
    owner: str
    owner_uid: int
    client_guid: str
    create_guid: str
    create_action: int
    timeout_s: float
    app_instance_id: str | None
    app_instance_version: tuple[int, int] | None
    delete_on_close: bool
    delete_pending: bool
    caching: CachingRecord | None
    locks: tuple[LockRecord, ...]
    lock_sequences: tuple[tuple[int, int], ...]

    def encode(self) -> bytes:
        """The record's bytes."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def decode(cls, payload: bytes) -> HandleRecord:
        """BadRecord when it is not one."""
        try:
            values: dict[str, Any] = json.loads(payload)
            for name in ("components", "groups"):
                values[name] = tuple(values[name])
            if values["next_name"] is not None:
                values["next_name"] = tuple(values["next_name"])
            options, access, sharing = values["asked"]
            values["asked"] = (options, access, sharing)
            if values["app_instance_version"] is not None:
                high, low = values["app_instance_version"]
                values["app_instance_version"] = (high, low)
            values["locks"] = tuple((offset, length, exclusive) for offset, length, exclusive in values["locks"])
            values["lock_sequences"] = tuple((index, number) for index, number in values["lock_sequences"])
            if values["caching"] is not None:
                values["caching"] = CachingRecord(**values["caching"])
            record = cls(**values)
            _check_hexadecimal(record)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadRecord(str(error)) from error
        return record


def _check_hexadecimal(record: HandleRecord) -> None:
    """ValueError when one of the GUIDs and keys is none."""
    caching = record.caching or CachingRecord(0)
    for text in (
        record.client_guid, record.create_guid, record.app_instance_id, caching.lease_key, caching.parent_key,
    ):  # fmt: skip
        if text is not None and len(bytes.fromhex(text)) != GUID_BYTES:
            raise ValueError(f"{text!r} is no GUID")
