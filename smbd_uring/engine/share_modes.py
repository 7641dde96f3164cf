"""May this open stand beside those that are there?  Access against sharing, both ways.

Knows: [MS-FSA] 2.1.5.1.2 (checking the share mode) on plain masks.  Must not know: opens, sessions, files.
"""

from __future__ import annotations

from collections.abc import Iterable

from smbd_uring.wire.const import AccessMask, ShareAccess

READ_RIGHTS = AccessMask.FILE_READ_DATA | AccessMask.FILE_EXECUTE
WRITE_RIGHTS = AccessMask.FILE_WRITE_DATA | AccessMask.FILE_APPEND_DATA
SHARE_READ, SHARE_WRITE, SHARE_DELETE = int(ShareAccess.READ), int(ShareAccess.WRITE), int(ShareAccess.DELETE)
SHARE_ALL = SHARE_READ | SHARE_WRITE | SHARE_DELETE
DELETE = int(AccessMask.DELETE)
DATA_RIGHTS = READ_RIGHTS | WRITE_RIGHTS | AccessMask.DELETE
"""Rights that share modes are about; an open with none of them neither suffers nor causes a violation."""


def allows(share_access: int, granted_access: int) -> bool:
    """Whether somebody who shares `share_access` lets somebody else hold `granted_access`."""
    if granted_access & READ_RIGHTS and not share_access & SHARE_READ:
        return False
    if granted_access & WRITE_RIGHTS and not share_access & SHARE_WRITE:
        return False
    return not (granted_access & DELETE and not share_access & SHARE_DELETE)


def conflicts(granted_access: int, share_access: int, others: Iterable[tuple[int, int]]) -> bool:
    """Whether an open (`granted_access`, `share_access`) violates the sharing of `others`, or they of it.

    `others` are (granted_access, share_access) of the opens that stand.
    """
    if not granted_access & DATA_RIGHTS:
        return False
    for other_access, other_share in others:
        if not other_access & DATA_RIGHTS or other_share & share_access == SHARE_ALL:
            continue
        if not allows(other_share, granted_access) or not allows(share_access, other_access):
            return True
    return False
