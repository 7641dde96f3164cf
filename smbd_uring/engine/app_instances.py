"""An application that starts again elsewhere takes its files with it.

Knows: [MS-SMB2] 3.3.5.9.13.  Must not know: how a file is opened.

A virtual machine that a cluster starts on another node opens its disks there while the first node may still have them:
whoever comes with the same AppInstanceId from another client ends the first one's opens.  A version tells which is the
newer; without one the later is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smbd_uring.engine.durable_handles import owner_of
from smbd_uring.engine.durable_reconnect import is_same_share
from smbd_uring.engine.durable_wishes import DurableWish
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.request import Request
from smbd_uring.engine.teardown import close_open
from smbd_uring.wire.const import Dialect
from smbd_uring.wire.create import CreateRequest
from smbd_uring.wire.ntstatus import NtStatus

if TYPE_CHECKING:
    from smbd_uring.engine.opens import Open


async def supersede(request: Request, body: CreateRequest, wish: DurableWish) -> None:
    """Close what the same application has open of the file on another client.

    SmbError(FILE_FORCED_CLOSED) when that is the newer one.  The user must be the same: nobody ends an open by knowing
    an identifier.
    """
    assert wish.app_instance_id is not None
    name = body.name.casefold()
    for opened in request.engine.handles.of_application(wish.app_instance_id):
        if _is_elsewhere(request, opened) and "\\".join(opened.components).casefold() == name:
            _check_version(request, wish, opened)
            if opened.durability is not None and opened.durability.owner == owner_of(request.session_of()):
                await close_open(request.engine, opened)


def _is_elsewhere(request: Request, opened: Open) -> bool:
    durability = opened.durability
    assert durability is not None
    if durability.client_guid == request.connection.client_guid:
        return False
    return is_same_share(opened.tree, request.tree_of())


def _check_version(request: Request, wish: DurableWish, opened: Open) -> None:
    durability = opened.durability
    assert durability is not None
    former = durability.app_instance_version
    if request.connection.dialect != Dialect.SMB_3_1_1 or former is None:
        return
    if wish.app_instance_version is None or former >= wish.app_instance_version:
        raise SmbError(NtStatus.FILE_FORCED_CLOSED)
