"""One storm from beginning to end: a server, its clients, what they do, and whether a rule was broken.

Knows: how the parts are put together.  Must not know: any operation, any rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from smbd_uring.config import EngineConfig
from smbd_uring.ports import Buffer, ShareFlags
from smbd_uring.wire.breaks import LeaseBreakNotification, OplockBreak
from smbd_uring.wire.const import Command
from smbd_uring.wire.framing import PREFIX_SIZE
from tests.engine.companions import WRITABLE, share
from tests.engine.servers import SERVER_GUID, SimulatedServer
from tests.storms import leaks
from tests.storms.actions import end_session, perform
from tests.storms.checkers import Violation, check
from tests.storms.client import LEASE_STRUCTURE_SIZE, StormClient, bytes_of
from tests.storms.coroutines import Arrival, start
from tests.storms.history import History
from tests.storms.line import UNASKED, LineLost
from tests.storms.opening import SHARE, ensure_connected
from tests.storms.operations import Plan

STORM_S_MAX = 4000.0
"""Simulated seconds in which all clients must be through; with every break timed out it takes less."""
QUIET_S = 1200.0
"""Simulated seconds after which nothing of a client that vanished may be left."""
CANCEL_AGAIN_S = 0.5
WAITING = (Command.LOCK, Command.CHANGE_NOTIFY)
_COMMAND = slice(12, 14)
_MESSAGE_ID = slice(24, 32)


@dataclass(slots=True)
class Outcome:
    """What came of a storm."""

    plan: Plan
    history: History
    violations: list[Violation]


def run(plan: Plan, traced: bool = False) -> Outcome:
    """Let a storm happen.  With `traced` its history has lines to read."""
    history = History()
    if traced:
        history.trace = []
    server = SimulatedServer(EngineConfig(SERVER_GUID), plan.seed, plan.weather, plan.has_planes)
    server.world.add_directory("d", 0o777)
    server.companion.shares[SHARE] = share(SHARE, server.world.top(), WRITABLE | ShareFlags.OPLOCKS)
    before = leaks.sizes(server)
    clients = [
        StormClient(server.driver, history, number, plan.seed, dialect) for number, dialect in enumerate(plan.dialects)
    ]
    server.driver.on_send = lambda connection_id, segments: _notice_break(clients, connection_id, segments)
    violations: list[Violation] = []
    try:
        here = [start(ensure_connected(client)) for client in clients]
        server.driver.run_until(lambda: all(each.is_there for each in here), STORM_S_MAX)
        done = [start(_live(client, plan)) for client in clients]
        server.driver.run_until(lambda: all(each.is_there for each in done), STORM_S_MAX)
        failed = [each for each in done if not each.is_there]
        for each in done:
            if each.is_there:
                each.result()
        if not failed:
            server.driver.advance(QUIET_S)
            violations += [Violation("leaks", what) for what in leaks.check(server, before)]
            _look_at_files(server, history)
    except AssertionError as failure:
        violations.append(Violation("assertions", str(failure) or repr(failure)))
    finally:
        server.end()
    violations += [Violation("faults", fault) for fault in server.mistakes]
    violations += check(history)
    return Outcome(plan, history, violations)


def _look_at_files(server: SimulatedServer, history: History) -> None:
    history.ended_at = server.now
    pending = [server.world.kernel.node(server.world.top())]
    while pending:
        node = pending.pop()
        pending += node.entries.values()
        if node.is_file:
            history.left_over[node.inode] = node.read(0, node.size)


async def _live(client: StormClient, plan: Plan) -> None:
    """All of a client's operations, then its end."""
    under_way: list[Arrival[None]] = []
    for operation in plan.operations:
        if operation.client != client.number:
            continue
        if operation.delay:
            await client.sleep(operation.delay)
        await ensure_connected(client)
        done = start(perform(client, operation))
        if operation.waits:
            await done
        else:
            under_way.append(done)
    await _finish(client, under_way)
    with suppress(LineLost):
        await _leave(client, plan.endings[client.number])
    client.leave()
    await _finish(client, [])
    client.give_up()


async def _finish(client: StormClient, under_way: list[Arrival[None]]) -> None:
    """See everything to its end that was begun; what waits for others is cancelled."""
    while True:
        left = [each for each in (*under_way, *client.background) if not each.is_there]
        if not left:
            break
        line = client.line
        if line is not None and not line.is_lost:
            for message_id in line.unanswered_of(WAITING):
                line.cancel_request(message_id)
        await client.sleep(CANCEL_AGAIN_S)
    for each in (*under_way, *client.background):
        each.result()


async def _leave(client: StormClient, ending: str) -> None:
    client.note(f"ends: {ending}")
    if ending == "vanish" or client.line is None or client.line.is_lost:
        return
    for cache in list(client.caches.values()):
        await client.flush(cache)
    if ending == "log off":
        await end_session(client)
        return
    for opened in client.opens():
        await client.close(opened)


def _notice_break(clients: list[StormClient], connection_id: int, segments: Sequence[Buffer]) -> None:
    """Note when the server sends a break: until it arrives its client cannot know."""
    frame = b"".join(segments) if len(segments) > 1 else segments[0]
    message = memoryview(frame)[PREFIX_SIZE:]
    if int.from_bytes(message[_COMMAND], "little") != Command.OPLOCK_BREAK:
        return
    if int.from_bytes(message[_MESSAGE_ID], "little") != UNASKED:
        return
    if message[64] == LEASE_STRUCTURE_SIZE:
        key = LeaseBreakNotification.decode(message).lease_key
    else:
        key = bytes_of(OplockBreak.decode(message).file_id)
    for client in clients:
        if client.line is not None and client.line.socket.connection_id == connection_id:
            client.server_breaks(key)
