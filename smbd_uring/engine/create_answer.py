"""What CREATE answers: the file's attributes, and contexts for what was asked in contexts.

Knows: [MS-SMB2] 2.2.14.  Must not know: how the open came about.
"""

from __future__ import annotations

from collections.abc import Sequence

from smbd_uring.engine import leases
from smbd_uring.engine.access import maximal_access
from smbd_uring.engine.create_plan import CreatePlan
from smbd_uring.engine.information import allocation_of, times_of
from smbd_uring.engine.opens import Open
from smbd_uring.engine.request import Request, Response
from smbd_uring.wire import create_contexts
from smbd_uring.wire.const import CreateAction, FileAttributes
from smbd_uring.wire.create import Context, CreateResponse
from smbd_uring.wire.names import filetime_from_ns
from smbd_uring.wire.ntstatus import NtStatus

NORMAL = int(FileAttributes.NORMAL)


async def answer_contexts(request: Request, plan: CreatePlan, opened: Open) -> list[Context]:
    """[MS-SMB2] 2.2.14.2: the answers to what the client asked for in contexts."""
    contexts: list[Context] = []
    if plan.wants_maximal_access:
        contexts.append((create_contexts.QUERY_MAXIMAL_ACCESS, await _maximal_access(request, plan, opened)))
    if plan.wants_disk_id:
        status = opened.facts.status
        contexts.append((create_contexts.QUERY_ON_DISK_ID, create_contexts.encode_disk_id(status.inode, status.device)))
    return contexts


def answer_create(
    request: Request, opened: Open, action: CreateAction, contexts: Sequence[Context], oplock_level: int | None = None
) -> Response:
    """Tell the client of its handle, from what is known of the file, and what it may cache; `oplock_level` where that
    is to be less than it is."""
    request.chain.opened = request.chain.known = opened
    facts = opened.facts
    creation, access, write, change = times_of(facts)
    size, allocated = facts.status.size, max(opened.reserved, allocation_of(facts.status))
    if opened.is_directory:
        size = allocated = 0
    if opened.holder is not None:
        contexts = [*contexts, *leases.contexts_of(opened)]
    answer = CreateResponse(
        leases.level_of(opened) if oplock_level is None else oplock_level, 0, action, creation, access, write, change,
        allocated, size,
        facts.attributes or NORMAL, opened.file_id, contexts,
    )  # fmt: skip
    return Response(answer.encode())


async def _maximal_access(request: Request, plan: CreatePlan, opened: Open) -> bytes:
    """[MS-SMB2] 3.3.5.9.5: not computed again for a client whose copy is still good."""
    unchanged = filetime_from_ns(opened.facts.status.modified_ns)
    if plan.maximal_access_timestamp and plan.maximal_access_timestamp == unchanged:
        return create_contexts.encode_maximal_access(NtStatus.NONE_MAPPED, 0)
    assert opened.handle is not None
    mask = await maximal_access(request.engine, opened.tree, opened.components, opened.handle, opened.facts)
    return create_contexts.encode_maximal_access(NtStatus.SUCCESS, mask)
