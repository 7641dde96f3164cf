"""What a file is to a client: the kernel's status, DOS attributes and creation time put together.

Knows: the rules by which DOS attributes and times come from a file.  Must not know: paths, how values look on disk.

The rules are Samba's: a stored value decides about READONLY, HIDDEN, SYSTEM and ARCHIVE; without one a file is
ARCHIVE.  DIRECTORY always follows from the file, and a leading dot hides a name whatever is stored.
"""

from __future__ import annotations

import errno
import stat
from typing import Final

from smbd_uring.filesystem import dos_attributes
from smbd_uring.filesystem.dos_attributes import ARCHIVE, DIRECTORY, DOS_ATTRIBUTES_XATTR, HIDDEN
from smbd_uring.ports import (
    Credentials,
    Describe,
    FileFacts,
    FileStatus,
    Handle,
    SetXattr,
    ShareRoot,
    Stat,
)

_S_IFMT: Final = 0o170000

_new_tuple = tuple.__new__
"""Makes a record without its constructor, which takes as long as all the rest."""

NOT_STORABLE: Final = frozenset({errno.EOPNOTSUPP, errno.EACCES, errno.EPERM, errno.ENOSYS})
"""Where a new file cannot carry the attribute, it is a file without; its creator did nothing wrong."""


def facts_of(root: ShareRoot, status: FileStatus, name: str, value: bytes | None) -> FileFacts:
    """Put together facts from a status, the last path component ("" for the root) and the xattr's value."""
    is_directory = status.mode & _S_IFMT == stat.S_IFDIR
    attributes, created_ns = None, None
    if value is not None and root.store_dos_attributes:
        attributes, created_ns = dos_attributes.decode(value)
    if attributes is None:
        attributes = 0 if is_directory else ARCHIVE
    if is_directory:
        attributes |= DIRECTORY
    if root.hide_dot_files and name.startswith("."):
        attributes |= HIDDEN
    if created_ns is None:
        created_ns = _created_ns(status)
    return _new_tuple(FileFacts, (status, attributes, created_ns))


def facts_of_new(root: ShareRoot, status: FileStatus, name: str, stored: int | None) -> FileFacts:
    """Facts of a file just created, with these DOS attributes stored, or none."""
    if stored is None:
        return facts_of(root, status, name, None)
    attributes = stored & dos_attributes.STORED
    if root.hide_dot_files and name.startswith("."):
        attributes |= HIDDEN
    # What is stored counts in 100 ns.
    return _new_tuple(FileFacts, (status, attributes, _created_ns(status) // 100 * 100))


async def read_facts(root: ShareRoot, handle: Handle, name: str, credentials: Credentials) -> FileFacts:
    """Facts of an open file, O_PATH handles included, whose last path component is `name`."""
    xattr = DOS_ATTRIBUTES_XATTR if root.store_dos_attributes else b""
    status, value = await Describe(handle, xattr, credentials)
    return facts_of(root, status, name, value)


async def write_attributes(
    root: ShareRoot,
    handle: Handle,
    facts: FileFacts,
    attributes: int | None,
    created_ns: int | None,
    credentials: Credentials,
) -> None:
    """Store DOS attributes and creation time; None keeps what `facts` says.

    A share that does not store them takes and forgets them: clients set attributes on every copy and would fail.
    Raises OSError: EACCES without write permission, EOPNOTSUPP where the file system has no xattrs, ENOSPC.
    """
    if not root.store_dos_attributes:
        return
    kept = facts.attributes if attributes is None else attributes
    kind = DIRECTORY if stat.S_ISDIR(facts.status.mode) else 0
    value = dos_attributes.encode(
        kept & dos_attributes.STORED | kind, facts.created_ns if created_ns is None else created_ns
    )
    await SetXattr(handle, DOS_ATTRIBUTES_XATTR, value, credentials)


async def write_initial_attributes(
    root: ShareRoot, handle: Handle, attributes: int, credentials: Credentials
) -> None:
    """Store the DOS attributes and the creation time of a file just created, where that is possible at all."""
    if not root.store_dos_attributes:
        return
    facts = facts_of(root, await Stat(handle), "", None)
    try:
        await write_attributes(root, handle, facts, attributes, None, credentials)
    except OSError as error:
        if error.errno not in NOT_STORABLE:
            raise


def _created_ns(status: FileStatus) -> int:
    if status.born_ns is not None:
        return status.born_ns
    return min(status.modified_ns, status.changed_ns)
