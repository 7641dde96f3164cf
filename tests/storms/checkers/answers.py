"""Every request is answered exactly once.

A request gets one final answer, and before it at most one that says STATUS_PENDING; after the final one, a CANCEL's
included, there is none.  Only a connection that ended excuses a missing answer.  And no answer says something that a
client which behaves cannot have deserved.
"""

from __future__ import annotations

from collections.abc import Iterator

from smbd_uring.wire.const import Command
from smbd_uring.wire.ntstatus import NtStatus
from tests.storms.history import FOREVER, Asked, History


def check(history: History) -> Iterator[str]:
    """What is wrong."""
    yield from history.unexpected
    for asked in history.asked:
        problem = _problem(asked)
        if problem:
            name = Command(asked.command).name
            yield f"connection {asked.connection}: {name} #{asked.message_id}, sent at {asked.sent_at:.6f}, {problem}"


def _problem(asked: Asked) -> str:
    statuses = [status for _, status in asked.answers]
    finals = [status for status in statuses if status != NtStatus.PENDING]
    if len(finals) > 1:
        return f"was answered {len(finals)} times"
    if not finals and asked.lost_at == FOREVER:
        return "was never answered"
    if len(statuses) - len(finals) > 1:
        return "was told twice to wait"
    if finals and statuses[-1] == NtStatus.PENDING:
        return "was told to wait after its answer"
    return ""
