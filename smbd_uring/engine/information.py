"""A file's facts in the words of [MS-FSCC]: FILETIMEs, attributes, sizes, names.

Knows: facts and opens, and the plain records that `wire.fscc` encodes.  Must not know: which command asks.
"""

from __future__ import annotations

import stat

from smbd_uring.engine import grants
from smbd_uring.engine.opens import Open
from smbd_uring.ports import FileFacts, FileStatus
from smbd_uring.wire.const import FileAttributes
from smbd_uring.wire.fscc import FileInformation
from smbd_uring.wire.names import EPOCH_DIFFERENCE_TICKS, NANOSECONDS_PER_TICK, filetime_from_ns

NORMAL = int(FileAttributes.NORMAL)
S_IFMT = 0o170000
SECTOR_BYTES = 512


def is_directory(facts: FileFacts) -> bool:
    """Whether the facts are of a directory."""
    return stat.S_ISDIR(facts.status.mode)


def times_of(facts: FileFacts) -> tuple[int, int, int, int]:
    """(creation, last access, last write, change) as FILETIMEs.

    The change time is the write time, as Samba tells it: clients set both, and the kernel's own cannot be set.
    """
    status, created_ns = facts.status, facts.created_ns
    accessed_ns, modified_ns = status.accessed_ns, status.modified_ns
    if created_ns >= 0 and accessed_ns >= 0 and modified_ns >= 0:  # spelt out: it is often asked
        written = modified_ns // NANOSECONDS_PER_TICK + EPOCH_DIFFERENCE_TICKS
        return (
            created_ns // NANOSECONDS_PER_TICK + EPOCH_DIFFERENCE_TICKS,
            accessed_ns // NANOSECONDS_PER_TICK + EPOCH_DIFFERENCE_TICKS,
            written,
            written,
        )
    written = filetime_from_ns(modified_ns)
    return filetime_from_ns(created_ns), filetime_from_ns(accessed_ns), written, written


def attributes_of(facts: FileFacts) -> int:
    """[MS-FSCC] 2.6: NORMAL stands for no other attribute."""
    return facts.attributes or FileAttributes.NORMAL


def allocation_of(status: FileStatus) -> int:
    """Bytes that a file takes up; some, if it holds any, even where the file system has found no block for them yet."""
    return status.allocated or min(SECTOR_BYTES, status.size)


def file_information(opened: Open, facts: FileFacts) -> FileInformation:
    """Everything that a file information class may show of an open."""
    information = information_of(
        facts, opened.components, opened.granted_access, opened.mode, opened.file.deletion is not None
    )
    information.current_byte_offset = grants.position_of(opened)
    if opened.reserved > information.allocation_size:
        information.allocation_size = opened.reserved
    return information


def information_of(
    facts: FileFacts, components: tuple[str, ...], granted_access: int, mode: int, delete_pending: bool
) -> FileInformation:
    """Everything that a file information class may show of a file's fresh open."""
    status = facts.status
    directory = status.mode & S_IFMT == stat.S_IFDIR
    size, allocated, links = 0, 0, 1 - delete_pending
    if not directory:
        # an unlinked-to-be name no longer counts ([MS-FSA] 2.1.5.12.27)
        size, allocated, links = status.size, allocation_of(status), status.link_count - delete_pending
    information = FileInformation(
        *times_of(facts), facts.attributes or NORMAL, allocated, size, links, delete_pending, directory, status.inode,
        status.device & 0xFFFF_FFFF_FFFF_FFFF, granted_access, mode,
    )  # fmt: skip
    information.name = "\\" + "\\".join(components)
    return information
