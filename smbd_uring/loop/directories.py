"""What listing a directory takes: its names, and the facts of many of them, native where it can be.

Knows: the calls, their Python twins.  Must not know: effects, identities, what a listing is for.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any, Final

from smbd_uring import _native
from smbd_uring.loop import arguments, libc
from smbd_uring.ports import DirectoryEntry, FileStatus, Handle

EntryFacts = tuple[FileStatus, bytes | None] | None

WITHOUT_LIMIT: Final = (1 << 62)
"""As `names_max` or `budget_ns`: whatever it takes."""

ANY_DEVICE: Final = 0

_ABSENT: Final = frozenset({errno.ENOENT, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.ESTALE})
"""Why one name of many may not be described although the directory can be: gone, or not for these eyes."""


def read_directory(descriptor: int, names_max: int = WITHOUT_LIMIT) -> list[DirectoryEntry] | None:
    """All entries from the descriptor's position on but "." and "..", None when there are more than `names_max`.

    The position is shared by every holder of an open file, so it must be the caller's alone.  Raises OSError.
    """
    if _native.read_directory is not None:
        return _native.read_directory(descriptor, DirectoryEntry, names_max)
    return libc.read_directory(descriptor, names_max)


def stat_entries(
    directory: Handle,
    names: Sequence[bytes],
    xattr: bytes,
    device: int = ANY_DEVICE,
    budget_ns: int = WITHOUT_LIMIT,
    cache: Any = None,
    identity: int = 0,
) -> Collection[EntryFacts] | None:
    """Perform `ports.StatEntries`.  Names are single components without NUL.

    None when one is on another device than `device`, of which nothing is asked then, or when it takes longer than
    `budget_ns`.  `cache` (`_native.ValueCache`, None for none) may know values for the identity with the number
    `identity`.  Raises OSError.
    """
    if _native.stat_entries is not None:
        return _native.stat_entries(directory, list(names), xattr, FileStatus, device, budget_ns, cache, identity)
    end = time.monotonic_ns() + budget_ns
    answers: list[EntryFacts] = []
    for name in names:
        try:
            answer = _stat_entry(directory, name, xattr, device)
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
            answers.append(None)
            continue
        if answer is None or time.monotonic_ns() > end:
            return None
        answers.append(answer)
    return answers


def _stat_entry(directory: Handle, name: bytes, xattr: bytes, device: int) -> EntryFacts:
    status = libc.statx(directory, name, libc.UNASKED if device else 0)
    if device and status.device != device:
        return None
    value = None
    # Absent, unsupported or not permitted: to a listing all of these mean that there is no value.
    with suppress(OSError):
        path = b"%s/%s" % (arguments.magic_path(directory), name)
        value = os.getxattr(path, xattr, follow_symlinks=False)
    return (status, value)
