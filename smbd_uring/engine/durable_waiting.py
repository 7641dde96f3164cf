"""A handle waits for its client, and is given up when nobody comes.

Knows: [MS-SMB2] 3.3.6.2, 3.3.6.4.  Must not know: why the client is away, how it comes back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smbd_uring.engine.durable_states import DurableEvent
from smbd_uring.engine.teardown import close_open

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.opens import Open


def wait_for_client(engine: Engine, opened: Open) -> None:
    """The open is away: start its timer, and give up the oldest when too many are."""
    durability = opened.durability
    assert durability is not None
    when = engine.scheduler.now + durability.timeout_s
    durability.timer = engine.scheduler.call_at(when, lambda: engine.scheduler.start(_expire(engine, opened)))
    excess = engine.handles.went_away(opened)
    if excess is not None:
        engine.scheduler.start(_expire(engine, excess))


async def _expire(engine: Engine, opened: Open) -> None:
    durability = opened.durability
    if durability is None or not durability.is_away:
        return
    durability.advance(DurableEvent.EXPIRE)
    await close_open(engine, opened)
