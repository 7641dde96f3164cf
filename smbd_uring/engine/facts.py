"""What is known of an open file, fresh from the file system.

Knows: opens and the file-system port.  Must not know: information classes.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from smbd_uring.engine import write_times
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.opens import File, Open
from smbd_uring.ports import FileFacts, StatVolume
from smbd_uring.wire.const import FileAttributes
from smbd_uring.wire.ntstatus import NtStatus

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.request import Request

log = logging.getLogger("smbd.fs")


async def facts_for(request: Request, opened: Open) -> FileFacts:
    """Facts from after the request's arrival: what a CREATE in the same frame found, or else what there is now."""
    if request.chain.known is opened:
        return opened.facts
    return await refresh(request.engine, opened)


async def refresh(engine: Engine, opened: Open) -> FileFacts:
    """Ask the file system again and remember the answer in the open.  OSError as the kernel gives it."""
    root, handle = opened.tree.root, opened.handle
    assert root is not None and handle is not None
    facts = await engine.filesystem.facts(root, handle, opened.name, opened.credentials)
    opened.facts = write_times.shown(engine, opened.file, facts)
    return opened.facts


async def require_space(opened: Open, size: int) -> None:
    """SmbError(DISK_FULL) unless the volume has room for the open file to be of that size."""
    root = opened.tree.root
    assert root is not None
    volume = await StatVolume(root.handle)
    if size >= 1 << 63 or size - opened.facts.status.allocated > volume.available_blocks * volume.block_size:
        raise SmbError(NtStatus.DISK_FULL)


async def mark_changed(engine: Engine, opened: Open) -> None:
    """Give a file that has new contents or another name its ARCHIVE attribute, where the client may and it has none."""
    root, handle = opened.tree.root, opened.handle
    assert root is not None and handle is not None
    facts = await refresh(engine, opened)
    if facts.attributes & FileAttributes.ARCHIVE or not root.store_dos_attributes:
        return
    attributes = facts.attributes | FileAttributes.ARCHIVE
    try:
        async with engine.notifications.own_change(opened.tree.share.path, opened.components):
            await engine.filesystem.set_attributes(root, handle, facts, attributes, None, opened.credentials)
    except OSError as error:
        log.debug("marking %s as changed failed: %s", opened.name, error)
    else:
        see_attributes(opened.file, attributes)


def see_attributes(file: File, attributes: int) -> None:
    """Let every open of a file know its DOS attributes as they were stored."""
    for opened in file.opens:
        opened.facts = opened.facts._replace(attributes=attributes)
