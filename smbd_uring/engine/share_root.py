"""The root of a share: opened, with what the configuration says about names and modes below it.

Knows: a share's configuration.  Must not know: who uses the share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smbd_uring.ports import ShareAnswer, ShareFlags, ShareRoot

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine


async def open_share_root(engine: Engine, share: ShareAnswer) -> ShareRoot:
    """The root of a share of files; its handle is the caller's to close.  OSError when it cannot be opened."""
    handle = await engine.filesystem.open_root(share.path)
    return ShareRoot(
        handle=handle,
        follow_symlinks=bool(share.flags & ShareFlags.FOLLOW_SYMLINKS),
        cross_mounts=bool(share.flags & ShareFlags.CROSSMNT),
        hide_dot_files=bool(share.flags & ShareFlags.HIDE_DOT_FILES),
        store_dos_attributes=bool(share.flags & ShareFlags.STORE_DOS_ATTRS),
        create_mask=share.create_mask,
        directory_mask=share.directory_mask,
        force_create_mode=share.force_create_mode,
        force_directory_mode=share.force_directory_mode,
        veto_list=share.veto_list,
    )
