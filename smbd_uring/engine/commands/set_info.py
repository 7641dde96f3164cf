"""SET_INFO: change a file's attributes, times, size, name, or mark it for deletion.

Knows: [MS-SMB2] 3.3.5.21, [MS-FSA] 2.1.5.15.  Must not know: layouts (`wire.fscc`), system calls.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from smbd_uring.engine import breaks, grants, write_times
from smbd_uring.engine.commands.read_write import check_charge
from smbd_uring.engine.commands.rename import link, rename
from smbd_uring.engine.create_plan import ATTRIBUTES_STORED
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.facts import refresh, require_space, see_attributes
from smbd_uring.engine.handle_recording import remember_all
from smbd_uring.engine.opens import Open
from smbd_uring.engine.oplock_states import Operation
from smbd_uring.engine.request import Request, Response
from smbd_uring.ports import Handle, SetTimes, Truncate
from smbd_uring.wire.const import AccessMask, FileAttributes, FileInfoClass, InfoType
from smbd_uring.wire.fscc import (
    AllocationInformation,
    BasicInformation,
    CompletionFilter,
    DispositionInformation,
    EndOfFileInformation,
    ModeInformation,
    PositionInformation,
)
from smbd_uring.wire.names import ns_from_filetime
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.query import SetInfoRequest, SetInfoResponse

FULL_EA_SIZE_MIN = 8
SIZE_MAX = (1 << 63) - 1
TIME_UNCHANGED = (0, 0xFFFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFE)
"""[MS-FSCC] 2.4.7: 0 leaves a time alone; -1 and -2 stop and resume implicit updates of this handle."""

Setter = Callable[[Request, Open, memoryview], Awaitable[None]]


async def set_info(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.21."""
    body = SetInfoRequest.decode(request.message)
    check_charge(request, len(body.buffer))
    if len(body.buffer) > request.engine.config.transact_bytes_max:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    opened = request.use_open(body.file_id)
    if body.info_type == InfoType.FILE:
        setter = SETTERS.get(body.file_info_class)
        if setter is None:
            raise SmbError(NtStatus.INVALID_INFO_CLASS)
        if len(body.buffer) < MINIMUM_SIZES[body.file_info_class]:
            raise SmbError(NtStatus.INFO_LENGTH_MISMATCH)
        if not opened.tree.writable and body.file_info_class != FileInfoClass.POSITION:
            raise SmbError(NtStatus.ACCESS_DENIED)
        await setter(request, opened, memoryview(body.buffer))
        await remember_all(request.engine, opened.file)
    elif body.info_type in (InfoType.FILESYSTEM, InfoType.SECURITY, InfoType.QUOTA):
        raise SmbError(NtStatus.NOT_SUPPORTED)
    else:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    return Response(SetInfoResponse().encode())


def _need(opened: Open, right: int) -> None:
    if not opened.granted_access & right:
        raise SmbError(NtStatus.ACCESS_DENIED)


def _handle(opened: Open) -> Handle:
    assert opened.handle is not None
    return opened.handle


async def _set_basic(request: Request, opened: Open, buffer: memoryview) -> None:
    """[MS-FSA] 2.1.5.15.2."""
    _need(opened, AccessMask.FILE_WRITE_ATTRIBUTES)
    asked = BasicInformation.decode(buffer)
    for time in (asked.creation_time, asked.last_access_time, asked.last_write_time, asked.change_time):
        if time not in TIME_UNCHANGED and time > SIZE_MAX:
            raise SmbError(NtStatus.INVALID_PARAMETER)
    if asked.file_attributes & FileAttributes.TEMPORARY and opened.is_directory:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    attributes = None
    if asked.file_attributes & ~(0 if opened.is_directory else FileAttributes.DIRECTORY):
        attributes = asked.file_attributes & ATTRIBUTES_STORED
    created_ns = _time(asked.creation_time)
    notifications, share_path = request.engine.notifications, opened.tree.share.path
    async with notifications.own_change(share_path, opened.components):
        changed = await _store_basic(request, opened, asked, attributes, created_ns)
    await notifications.described(share_path, opened.components, changed)


async def _store_basic(
    request: Request, opened: Open, asked: BasicInformation, attributes: int | None, created_ns: int | None
) -> int:
    """Result: what changed, as kinds of the completion filter ([MS-SMB2] 2.2.35)."""
    changed = CompletionFilter(0)
    if attributes is not None or created_ns is not None:
        facts = await refresh(request.engine, opened)
        root = opened.tree.root
        assert root is not None
        if root.store_dos_attributes:
            await request.engine.filesystem.set_attributes(
                root, _handle(opened), facts, attributes, created_ns, opened.credentials
            )
            if attributes is not None:
                see_attributes(opened.file, attributes)
                await grants.reconsider(request.engine, opened.file)
    accessed_ns, modified_ns = _time(asked.last_access_time), _time(asked.last_write_time)
    if accessed_ns is not None or modified_ns is not None:
        await SetTimes(_handle(opened), accessed_ns, modified_ns, opened.credentials)
    if modified_ns is not None:
        write_times.keep(opened, modified_ns)
    else:
        write_times.tell(opened)
    breaks.entry_of(request.engine, opened)
    for is_set, kind in (
        (attributes, CompletionFilter.ATTRIBUTES), (created_ns, CompletionFilter.CREATION),
        (accessed_ns, CompletionFilter.LAST_ACCESS), (modified_ns, CompletionFilter.LAST_WRITE),
    ):  # fmt: skip
        if is_set is not None:
            changed |= kind
    return int(changed)


def _time(filetime: int) -> int | None:
    return None if filetime in TIME_UNCHANGED else ns_from_filetime(filetime)


async def _set_end_of_file(request: Request, opened: Open, buffer: memoryview) -> None:
    """[MS-FSA] 2.1.5.15.5.  The size that it has anyway takes no right to set, where that is known."""
    size = EndOfFileInformation.decode(buffer).end_of_file
    held = (await refresh(request.engine, opened)).status.size
    if size == (0 if opened.is_directory else held) and not _is_size_elsewhere(opened):
        write_times.tell(opened)
        return
    _need(opened, AccessMask.FILE_WRITE_DATA)
    if opened.is_directory:
        raise SmbError(NtStatus.INVALID_HANDLE)
    if size > SIZE_MAX:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    await breaks.before(request, opened, Operation.CHANGE_DATA)
    await Truncate(_handle(opened), size, opened.credentials)
    breaks.after(request.engine, opened, Operation.CHANGE_DATA)
    breaks.entry_of(request.engine, opened)
    write_times.tell_at_once(opened)
    await request.engine.notifications.written(opened.tree.share.path, opened.components)


def _is_size_elsewhere(opened: Open) -> bool:
    """Whether another client may have written more than is in the file yet."""
    return opened.file.caching is not None and opened.file.caching.others_write(opened)


async def _set_allocation(request: Request, opened: Open, buffer: memoryview) -> None:
    """[MS-FSA] 2.1.5.15.1: less than the file holds cuts it; more is a hint, for which there has to be room."""
    size = AllocationInformation.decode(buffer).allocation_size
    _need(opened, AccessMask.FILE_WRITE_DATA)
    if size > SIZE_MAX:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    if opened.is_directory:
        return
    if size == (await refresh(request.engine, opened)).status.size and not _is_size_elsewhere(opened):
        return
    await breaks.before(request, opened, Operation.CHANGE_DATA)
    if size < (await refresh(request.engine, opened)).status.size:
        await Truncate(_handle(opened), size, opened.credentials)
        breaks.after(request.engine, opened, Operation.CHANGE_DATA)
        breaks.entry_of(request.engine, opened)
        write_times.tell_at_once(opened)
    else:
        await require_space(opened, size)
    await request.engine.notifications.written(opened.tree.share.path, opened.components)


async def _set_disposition(request: Request, opened: Open, buffer: memoryview) -> None:
    """[MS-FSA] 2.1.5.15.3: mark the file for deletion, or take the mark off; a handle that was opened to delete on
    close does so all the same."""
    if not DispositionInformation.decode(buffer).delete_pending:
        opened.file.deletion = None
        return
    if (await refresh(request.engine, opened)).attributes & FileAttributes.READONLY:
        raise SmbError(NtStatus.CANNOT_DELETE)
    _need(opened, AccessMask.DELETE)
    if not opened.components:
        raise SmbError(NtStatus.ACCESS_DENIED)
    if opened.is_directory and not await request.engine.filesystem.directory_is_empty(
        _handle(opened), opened.credentials
    ):
        raise SmbError(NtStatus.DIRECTORY_NOT_EMPTY)
    await breaks.before(request, opened, Operation.DELETE)
    opened.file.mark_for_deletion(opened)


async def _set_position(request: Request, opened: Open, buffer: memoryview) -> None:
    """[MS-FSA] 2.1.5.15.10: remembered for the one that asks; READ and WRITE name their own offsets."""
    position = PositionInformation.decode(buffer).current_byte_offset
    if position > SIZE_MAX:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    grants.move_position(opened, position)


async def _set_mode(request: Request, opened: Open, buffer: memoryview) -> None:
    """[MS-FSA] 2.1.5.15.9."""
    mode = ModeInformation.decode(buffer).mode
    if mode & ~0x0000_103E:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    await grants.revoke(opened)
    opened.mode = mode
    grants.grant(request.engine, opened)


async def _set_full_ea(request: Request, opened: Open, buffer: memoryview) -> None:
    if len(buffer) < FULL_EA_SIZE_MIN:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    _need(opened, AccessMask.FILE_WRITE_EA)
    raise SmbError(NtStatus.EAS_NOT_SUPPORTED)


MINIMUM_SIZES: dict[int, int] = {
    FileInfoClass.BASIC: 40,
    FileInfoClass.RENAME: 20,
    FileInfoClass.LINK: 20,
    FileInfoClass.DISPOSITION: 1,
    FileInfoClass.POSITION: 8,
    FileInfoClass.FULL_EA: 0,
    FileInfoClass.MODE: 4,
    FileInfoClass.ALLOCATION: 8,
    FileInfoClass.END_OF_FILE: 8,
}
"""[MS-FSCC] 2.4: bytes below which a buffer cannot be the class; some clients send a rename without its padding."""

SETTERS: dict[int, Setter] = {
    FileInfoClass.BASIC: _set_basic,
    FileInfoClass.RENAME: rename,
    FileInfoClass.LINK: link,
    FileInfoClass.DISPOSITION: _set_disposition,
    FileInfoClass.POSITION: _set_position,
    FileInfoClass.FULL_EA: _set_full_ea,
    FileInfoClass.MODE: _set_mode,
    FileInfoClass.ALLOCATION: _set_allocation,
    FileInfoClass.END_OF_FILE: _set_end_of_file,
}
