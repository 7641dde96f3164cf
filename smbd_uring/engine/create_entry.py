"""The one moment at which an open begins to count: checked against all others and entered, without waiting in between.

Knows: [MS-FSA] 2.1.5.1.2 (delete pending, share modes), the tables of opens.  Must not know: how the file came to be.
"""

from __future__ import annotations

from stat import S_IFDIR

from smbd_uring import limits
from smbd_uring.engine import breaks, write_times
from smbd_uring.engine.access import WRITE_DATA
from smbd_uring.engine.create_plan import MODE_OPTIONS, CreatePlan
from smbd_uring.engine.durable_handles import is_fenced
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.opens import Open
from smbd_uring.engine.request import Request
from smbd_uring.engine.session_states import SessionState
from smbd_uring.engine.teardown import close_open
from smbd_uring.ports import FileFacts
from smbd_uring.wire.const import AccessMask
from smbd_uring.wire.ntstatus import NtStatus

FILE_READ_ATTRIBUTES = int(AccessMask.FILE_READ_ATTRIBUTES)
S_IFMT = 0o170000


def check_room(request: Request) -> None:
    session = request.session_of()
    if len(session.opens) >= limits.OPENS_PER_SESSION_MAX:
        raise SmbError(NtStatus.TOO_MANY_OPENED_FILES)
    engine = request.engine
    if engine.opens.count + engine.tree_count >= engine.config.opens_max:
        raise SmbError(NtStatus.INSUFFICIENT_RESOURCES)


def enter(
    request: Request, plan: CreatePlan, components: tuple[str, ...], facts: FileFacts, granted: int
) -> Open:
    """Check what others do with the file and enter the open, without waiting in between.  `breaks.MustWait` when
    somebody has to give up something cached before."""
    session, tree, opens = request.session_of(), request.tree_of(), request.engine.opens
    if session.state is SessionState.CLOSED or tree.closing:
        raise SmbError(NtStatus.USER_SESSION_DELETED)
    check_room(request)
    file = opens.file_for(facts.status.identity)
    if file.opens and is_fenced(file, request.connection.client_guid):
        raise SmbError(NtStatus.FILE_NOT_AVAILABLE)
    if file.delete_pending:
        raise SmbError(NtStatus.DELETE_PENDING)
    access = granted | (WRITE_DATA if plan.truncates else 0)
    if file.caching is not None:
        generation = opens.unlinked_generation
        breaks.make_room(request, plan, file, access)
        if opens.unlinked_generation != generation:
            raise breaks.MustWait([])  # a handle that gave way may have taken the file with it
    if file.opens and file.refuses(access, plan.share_access):
        raise SmbError(NtStatus.SHARING_VIOLATION)
    volatile = opens.fresh_volatile(session.opens)
    is_directory = facts.status.mode & S_IFMT == S_IFDIR
    if is_directory:  # whoever reached it may look at it
        granted |= FILE_READ_ATTRIBUTES
    opened = Open(
        session, tree, file, opens.next_file_id(volatile), components, granted, plan.share_access, plan.options,
        write_times.shown(request.engine, file, facts), is_directory,
    )  # fmt: skip
    opened.mode = plan.options & MODE_OPTIONS
    opened.channel_sequence = request.header.channel_sequence
    opened.delete_on_close = plan.delete_on_close
    opens.add(opened, volatile)
    opened.busy += 1
    request.opened = opened
    return opened


async def abandon(request: Request, opened: Open) -> None:
    """The open came to nothing: take it back, without deleting what it was to delete."""
    opened.delete_on_close = False
    await close_open(request.engine, opened, by=request)
