"""What is known of an open file, fresh from the file system.

Knows: opens and the file-system port.  Must not know: information classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smbd_uring.engine.opens import Open
from smbd_uring.ports import FileFacts

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.request import Request


async def facts_for(request: Request, opened: Open) -> FileFacts:
    """Facts from after the request's arrival: what a CREATE in the same frame found, or else what there is now."""
    if request.chain.known is opened:
        return opened.facts
    return await refresh(request.engine, opened)


async def refresh(engine: Engine, opened: Open) -> FileFacts:
    """Ask the file system again and remember the answer in the open.  OSError as the kernel gives it."""
    root, handle = opened.tree.root, opened.handle
    assert root is not None and handle is not None
    opened.facts = await engine.filesystem.facts(root, handle, opened.name, opened.credentials)
    return opened.facts
