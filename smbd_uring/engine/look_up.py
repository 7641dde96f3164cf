"""Finding a name in a share, with the statuses that clients expect when it cannot be reached.

Knows: the file-system port.  Must not know: what the name is wanted for.
"""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING

from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.session import Tree
from smbd_uring.ports import CloseHandle, Found, PathMissing
from smbd_uring.wire.ntstatus import NtStatus

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine

OUT_OF_REACH = (errno.EXDEV, errno.ELOOP)
"""A symlink that leads out of the share, or may not be followed, or leads nowhere but to itself."""


async def look_up(engine: Engine, tree: Tree, components: tuple[str, ...]) -> Found:
    """What `Filesystem.lookup` finds; the caller closes its handle.

    SmbError: OBJECT_PATH_NOT_FOUND when a component before the last is missing or leads out of the share,
    OBJECT_NAME_NOT_FOUND when the last one does.  OSError otherwise.
    """
    root = tree.root
    assert root is not None
    try:
        return await engine.filesystem.lookup(root, components, tree.credentials)
    except OSError as error:
        raise await why_not_found(engine, tree, components, error) from None


async def require_directory(engine: Engine, tree: Tree, components: tuple[str, ...]) -> None:
    """SmbError(OBJECT_PATH_NOT_FOUND) unless these components lead to a directory."""
    found = await look_up(engine, tree, components)
    if found.handle is not None:
        await CloseHandle(found.handle)
    if found.facts is None or not stat.S_ISDIR(found.facts.status.mode):
        raise SmbError(NtStatus.OBJECT_PATH_NOT_FOUND)


async def why_not_found(engine: Engine, tree: Tree, components: tuple[str, ...], error: OSError) -> Exception:
    """What to raise when `Filesystem.lookup` of these components raised `error`; see `look_up`."""
    if isinstance(error, PathMissing):
        return SmbError(NtStatus.OBJECT_PATH_NOT_FOUND)
    if error.errno not in OUT_OF_REACH:
        return error
    if await _is_reachable(engine, tree, components[:-1]):
        return SmbError(NtStatus.OBJECT_NAME_NOT_FOUND)
    return SmbError(NtStatus.OBJECT_PATH_NOT_FOUND)


async def _is_reachable(engine: Engine, tree: Tree, components: tuple[str, ...]) -> bool:
    root = tree.root
    assert root is not None
    try:
        found = await engine.filesystem.lookup(root, components, tree.credentials)
    except OSError:
        return False
    if found.handle is None:
        return False
    await CloseHandle(found.handle)
    return True
