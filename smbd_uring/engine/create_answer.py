"""The answer to a CREATE that leaves the client with a handle, however it came by it.

Knows: [MS-SMB2] 2.2.14.  Must not know: how the file was opened.
"""

from __future__ import annotations

from collections.abc import Sequence

from smbd_uring.engine.information import times_of
from smbd_uring.engine.opens import Open
from smbd_uring.engine.request import Request, Response
from smbd_uring.wire.const import CreateAction, FileAttributes
from smbd_uring.wire.create import Context, CreateResponse

NORMAL = int(FileAttributes.NORMAL)


def answer_create(
    request: Request, opened: Open, action: CreateAction, contexts: Sequence[Context], oplock_level: int = 0
) -> Response:
    """Tell the client of its handle, from what is known of the file.  `oplock_level` as in [MS-SMB2] 2.2.14."""
    request.chain.opened = request.chain.known = opened
    facts = opened.facts
    creation, access, write, change = times_of(facts)
    is_directory = opened.is_directory
    answer = CreateResponse(
        oplock_level, 0, action, creation, access, write, change,
        0 if is_directory else facts.status.allocated, 0 if is_directory else facts.status.size,
        facts.attributes or NORMAL, opened.file_id, contexts,
    )  # fmt: skip
    return Response(answer.encode())
