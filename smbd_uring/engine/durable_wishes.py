"""What a CREATE says about handles that survive: read, and refused where it contradicts itself.

Knows: which create contexts go together ([MS-SMB2] 3.3.5.9.6, .7, .10, .12, .13).  Must not know: opens, files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smbd_uring.engine.errors import SmbError
from smbd_uring.wire import create_contexts as names
from smbd_uring.wire import durable_contexts as codecs
from smbd_uring.wire.create import Context
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId

_VERSION_2 = (names.DURABLE_REQUEST_V2, names.DURABLE_RECONNECT_V2)
_OURS = (
    names.DURABLE_REQUEST, names.DURABLE_RECONNECT, *_VERSION_2, names.APP_INSTANCE_ID, names.APP_INSTANCE_VERSION,
)  # fmt: skip


@dataclass(slots=True)
class DurableWish:
    """At most one of the first four is set."""

    wants_durable: bool = False
    """DHnQ."""
    reconnect: FileId | None = None
    """DHnC."""
    request_v2: codecs.DurableRequestV2 | None = None
    """DH2Q."""
    reconnect_v2: codecs.DurableReconnectV2 | None = None
    """DH2C."""
    app_instance_id: bytes | None = None
    app_instance_version: tuple[int, int] | None = None
    lease: names.LeaseRequest | None = None
    """Whose key tells whether it is the same client that comes back."""

    @property
    def create_guid(self) -> bytes | None:
        """What makes the CREATE one that can be told again."""
        return None if self.request_v2 is None else self.request_v2.create_guid


def read_wish(contexts: Sequence[Context], is_smb3: bool) -> DurableWish | None:
    """The wish that a CREATE's contexts express, None when none of them is about it.

    What came with 3.0 means nothing in an older dialect.  SmbError(INVALID_PARAMETER) for contexts that exclude one
    another; MalformedMessage for one that does not decode.
    """
    found = {name: data for name, data in contexts if name in _OURS}
    if not is_smb3:
        found = {name: data for name, data in found.items() if name in (names.DURABLE_REQUEST, names.DURABLE_RECONNECT)}
    if not found:
        return None
    others = {name for name in found if name in _OURS[:4]}
    if any(name in others for name in _VERSION_2) and len(others) > 1:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    wish = DurableWish()
    if names.DURABLE_RECONNECT in found:  # which makes a request beside it meaningless
        wish.reconnect = codecs.decode_durable_reconnect(found[names.DURABLE_RECONNECT])
    elif names.DURABLE_REQUEST in found:
        codecs.check_durable_request(found[names.DURABLE_REQUEST])
        wish.wants_durable = True
    elif names.DURABLE_REQUEST_V2 in found:
        wish.request_v2 = codecs.DurableRequestV2.decode(found[names.DURABLE_REQUEST_V2])
    elif names.DURABLE_RECONNECT_V2 in found:
        wish.reconnect_v2 = codecs.DurableReconnectV2.decode(found[names.DURABLE_RECONNECT_V2])
    wish.lease = next((names.LeaseRequest.decode(data) for name, data in contexts if name == names.LEASE), None)
    if names.APP_INSTANCE_ID in found:
        wish.app_instance_id = codecs.decode_app_instance_id(found[names.APP_INSTANCE_ID])
        if names.APP_INSTANCE_VERSION in found:
            version = found[names.APP_INSTANCE_VERSION]
            wish.app_instance_version = codecs.decode_app_instance_version(version)
    return wish
