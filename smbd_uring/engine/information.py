"""A file's facts in the words of [MS-FSCC]: FILETIMEs, attributes, sizes, names.

Knows: facts and opens, and the plain records that `wire.fscc` encodes.  Must not know: which command asks.
"""

from __future__ import annotations

import stat

from smbd_uring.engine.opens import Open
from smbd_uring.ports import FileFacts
from smbd_uring.wire.const import FileAttributes
from smbd_uring.wire.fscc import DirectoryInformation, FileInformation
from smbd_uring.wire.names import filetime_from_ns


def is_directory(facts: FileFacts) -> bool:
    """Whether the facts are of a directory."""
    return stat.S_ISDIR(facts.status.mode)


def times_of(facts: FileFacts) -> tuple[int, int, int, int]:
    """(creation, last access, last write, change) as FILETIMEs."""
    status = facts.status
    return (
        filetime_from_ns(facts.created_ns),
        filetime_from_ns(status.accessed_ns),
        filetime_from_ns(status.modified_ns),
        filetime_from_ns(status.changed_ns),
    )


def attributes_of(facts: FileFacts) -> int:
    """[MS-FSCC] 2.6: NORMAL stands for no other attribute."""
    return facts.attributes or FileAttributes.NORMAL


def file_information(opened: Open, facts: FileFacts) -> FileInformation:
    """Everything that a file information class may show of an open."""
    creation, access, write, change = times_of(facts)
    directory = opened.is_directory
    delete_pending = opened.file.delete_pending
    return FileInformation(
        creation_time=creation,
        last_access_time=access,
        last_write_time=write,
        change_time=change,
        file_attributes=attributes_of(facts),
        allocation_size=0 if directory else facts.status.allocated,
        end_of_file=0 if directory else facts.status.size,
        # an unlinked-to-be name no longer counts ([MS-FSA] 2.1.5.12.27)
        number_of_links=facts.status.link_count - delete_pending if not directory else 1,
        delete_pending=delete_pending,
        directory=directory,
        index_number=facts.status.inode,
        access_flags=opened.granted_access,
        mode=opened.mode,
        current_byte_offset=opened.position,
        name="\\" + "\\".join(opened.components),
        volume_serial_number=facts.status.device & 0xFFFF_FFFF_FFFF_FFFF,
    )


def directory_information(name: str, facts: FileFacts) -> DirectoryInformation:
    """One entry of a listing."""
    creation, access, write, change = times_of(facts)
    directory = is_directory(facts)
    return DirectoryInformation(
        file_name=name,
        creation_time=creation,
        last_access_time=access,
        last_write_time=write,
        change_time=change,
        end_of_file=0 if directory else facts.status.size,
        allocation_size=0 if directory else facts.status.allocated,
        file_attributes=attributes_of(facts),
        file_id=facts.status.inode,
    )
