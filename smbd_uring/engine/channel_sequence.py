"""Requests that were sent again on another channel, and those they overtake.

Knows: [MS-SMB2] 3.3.5.2.10.  Must not know: what any command does.

A client that lost a channel sends what was not answered again on another one, with a higher ChannelSequence.  What it
sent before may still be under way here, or arrive late.  So each open remembers the highest ChannelSequence that it has
seen, and how many requests with a lower one are still under way:

* a request with a lower one comes too late: the client has given it up and may have sent it again;
* a request with SMB2_FLAGS_REPLAY_OPERATION must not be done while the original may still be: it would be done twice,
  in whichever order.

Both are refused with FILE_NOT_AVAILABLE, where the command changes something.  Numbers go round: those within 0x7FFF
ahead are higher.

What a data plane has under way belongs to the requests before, too: it serves the sequence that it was granted for and
no other, and moving on takes the grant back and waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smbd_uring.engine import grants
from smbd_uring.engine.errors import SmbError
from smbd_uring.wire.const import Command, HeaderFlags
from smbd_uring.wire.ntstatus import NtStatus

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.opens import Open
    from smbd_uring.engine.request import Request

REPLAY_OPERATION = int(HeaderFlags.REPLAY_OPERATION)
AHEAD_MAX = 0x7FFF
CHANGING = (int(Command.WRITE), int(Command.SET_INFO), int(Command.IOCTL))


def verify(request: Request, opened: Open) -> None:
    """Check a request of 3.x against the open that it is about to use, before it counts as a user of it.

    SmbError(FILE_NOT_AVAILABLE) when it must not be done.
    """
    header = request.header
    ahead = (header.channel_sequence - opened.channel_sequence) & 0xFFFF
    if ahead > AHEAD_MAX:
        if header.command in CHANGING:
            raise SmbError(NtStatus.FILE_NOT_AVAILABLE)
        return
    if ahead:
        opened.channel_sequence = header.channel_sequence
        opened.sequence_moves += 1
        opened.older_requests = opened.busy
        if opened.is_granted or opened.is_draining:
            opened.older_requests += 1
            request.engine.scheduler.start(_drain(request.engine, opened))
    if header.flags & REPLAY_OPERATION and opened.older_requests and header.command in CHANGING:
        raise SmbError(NtStatus.FILE_NOT_AVAILABLE)


def released(request: Request, opened: Open) -> None:
    """A request that used the open is answered."""
    if request.sequence_moves != opened.sequence_moves and opened.older_requests:
        opened.older_requests -= 1


async def _drain(engine: Engine, opened: Open) -> None:
    """Wait for what a data plane does for requests of an earlier sequence, then let it serve this one."""
    moves = opened.sequence_moves
    await grants.revoke(opened)
    if opened.older_requests and opened.sequence_moves == moves:
        opened.older_requests -= 1
    if not opened.is_granted:
        grants.grant(engine, opened)
