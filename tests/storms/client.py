"""A client of a storm: its connection, its handles, its caches, and how it takes breaks.

Knows: what a client has to do so that nobody sees stale data.  Must not know: which operations a storm consists of.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from random import Random

from smbd_uring.wire.breaks import LeaseBreakAcknowledgment, LeaseBreakNotification, OplockBreak
from smbd_uring.wire.const import Command, Dialect
from smbd_uring.wire.create import CloseResponse
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from tests.sim.driver import SimulatedDriver
from tests.storms.caching import OPLOCK_STATES, Cache, ClientOpen, H, R, W
from tests.storms.coroutines import Arrival, start
from tests.storms.history import BLOCK_STRIDE, HeldCache, History
from tests.storms.line import Line, LineLost
from tests.support.client import message
from tests.support.client_messages import Message, Reply
from tests.support.file_client import Messages

ACKNOWLEDGED_IN_TIME_S = 30.0
"""A server waits 35 s ([MS-SMB2] 3.3.2.5); what comes before this is not late."""
LEASE_STRUCTURE_SIZE = 44
ACK_REQUIRED = 1
ENDED = (NtStatus.FILE_CLOSED, NtStatus.USER_SESSION_DELETED, NtStatus.NETWORK_NAME_DELETED)
"""Answers to a request whose handle another one ended meanwhile."""
BEHAVIOURS = ("prompt",) * 8 + ("slow", "slow", "less", "late", "never", "close")


class StormClient:
    """One client with a mind of its own, from a seed."""

    def __init__(self, world: SimulatedDriver, history: History, number: int, seed: int, dialect: Dialect) -> None:
        self.world = world
        self.history = history
        self.number = number
        self.who = f"client {number}"
        self.guid = bytes([number + 1]) * 16
        self.chance = Random(f"{seed} {number}")
        self.dialect = dialect
        self.line: Line | None = None
        self.slots: dict[int, ClientOpen] = {}
        self.suspended: list[ClientOpen] = []
        self.caches: dict[bytes, Cache] = {}
        self.background: list[Arrival[None]] = []
        self.breaks_on_the_way: dict[bytes, list[float]] = {}
        """When the server sent breaks that are not here yet, by lease key or FileId."""
        self.breaks_of_nothing: dict[bytes, int] = {}
        """What leases were broken to that the client had no open of any more, by key."""
        self.key_numbers: Counter[str] = Counter()
        """Moves when a name leads to another file: that has a lease key of its own."""
        self.logons = 0
        """Moves when a session ends: what was asked for in it is gone, whatever the answers say."""
        self.session_id = 0
        """The last session, which a new one may put in its place."""

    # --- the connection ---

    @property
    def now(self) -> float:
        """The world's clock."""
        return self.world.now

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        arrival: Arrival[None] = Arrival()
        self.world.call_later(seconds, lambda: arrival.arrive(None))
        await arrival

    def note(self, line: str) -> None:
        """For whoever reads the storm."""
        self.history.note(self.now, f"{self.who}: {line}")

    async def ask(self, *messages: Message) -> list[Reply]:
        """Send one frame and wait for its final answers.  LineLost without a connection."""
        line = self.line
        if line is None or line.is_lost or line.session is None:
            raise LineLost
        replies = [await arrival for arrival in line.begin(*messages)]
        for sent, reply in zip(messages, replies, strict=True):
            self.note(f"{Command(sent.command).name} #{sent.message_id} -> {reply.status!r}")
            if reply.status == NtStatus.INTERNAL_ERROR:
                self.history.unexpected.append(f"{self.who}: {Command(sent.command).name}: INTERNAL_ERROR")
        return replies

    def connect(self) -> Line:
        """A new connection."""
        line = Line(self.world, self.history, self.guid, self.dialect)
        line.on_break = self._broken
        line.on_loss = self._line_lost
        return line

    def leave(self) -> None:
        """Pull the cable."""
        if self.line is not None:
            self.note("cuts its connection")
            self.line.cut()

    def give_up(self) -> None:
        """It will not come back for what it had open."""
        for opened in self.suspended:
            assert opened.suspended_at is not None
            opened.end(opened.suspended_at)
        self.drop_useless_caches()

    def _line_lost(self) -> None:
        self.note("has lost its connection")
        for opened in self.opens():
            if opened.suspended_at is not None:
                continue
            if opened.durable and not opened.is_gone:
                opened.suspended_at = self.now
                cache = opened.cache
                may_last = cache is not None and cache.state & H and self.coherent_since(cache) == self.now
                opened.was_undisturbed = bool(may_last)
                self.suspended.append(opened)
            else:
                opened.end(self.now)
        for cache in self.caches.values():
            if cache.held is not None and self.coherent_since(cache) < self.now:
                cache.held.end = self.now  # what was being taken is gone, who could not be asked was not
                cache.held = None
        self.breaks_on_the_way.clear()
        self.breaks_of_nothing.clear()
        self.slots = {slot: opened for slot, opened in self.slots.items() if not opened.is_gone}
        self.drop_useless_caches()

    def opens(self) -> list[ClientOpen]:
        """All handles there are: in use or kept."""
        kept = [opened for cache in self.caches.values() for opened in cache.kept]
        return [*self.slots.values(), *kept]

    # --- caches ---

    def drop_useless_caches(self) -> None:
        """A cache without an open is nothing; what it was broken to may still be asked for."""
        for cache in self.caches.values():
            if not cache.is_of_use and cache.version and cache.unsettled_since is not None:
                self.breaks_of_nothing[cache.key] = cache.last_break_to
        self.caches = {key: cache for key, cache in self.caches.items() if cache.is_of_use}

    def settle_state(self, cache: Cache, inode: int) -> None:
        """What may be kept has changed: from now on this is what the client holds."""
        if cache.held is not None:
            cache.held.end = min(cache.held.end, self.now)
            cache.held = None
        if cache.state and cache.opens:
            state = cache.state
            cache.held = HeldCache(
                inode, self.who, self.now, lease=cache.name, reads=bool(state & R),
                writes=bool(state & W), handles=bool(state & H),
            )  # fmt: skip
            self.history.caches.append(cache.held)

    def coherent_since(self, cache: Cache) -> float:
        """From when on what is cached may be stale: until a break is received nobody can know better, and until it is
        acknowledged a server says nothing of what is taken on top ([MS-FSA] 2.1.4.12)."""
        on_the_way = self.breaks_on_the_way.get(cache.key, ())
        return min(*on_the_way, self.now, cache.unsettled_since or self.now)

    async def flush(self, cache: Cache) -> None:
        """Write what was delayed.  LineLost when the connection goes; then what was delayed still is, if the handle
        lives on."""
        while cache.flushing is not None:
            await cache.flushing
        if not cache.delayed:
            return
        cache.flushing = Arrival()
        try:
            while cache.delayed:
                block = next(iter(cache.delayed))
                await self._flush_block(cache, block)
        finally:
            done, cache.flushing = cache.flushing, None
            done.arrive(None)

    async def flush_if_possible(self, cache: Cache) -> None:
        """As `flush`, without a complaint when the connection goes."""
        with suppress(LineLost):
            await self.flush(cache)

    async def _flush_block(self, cache: Cache, block: int) -> None:
        writes, opened = cache.delayed.pop(block), cache.delayed_by.pop(block)
        if opened.is_gone:
            cache.lose_delayed(block, writes)
            return
        cache.writing[block] += 1
        try:
            [reply] = await self.ask(Messages.write(opened.file_id, block * BLOCK_STRIDE, writes[-1].value))
        except LineLost:
            if opened.is_gone:
                cache.lose_delayed(block, writes)
            else:  # the handle may be reclaimed; what was written since is newer
                cache.delayed[block] = writes + cache.delayed.get(block, [])
                cache.delayed_by.setdefault(block, opened)
            raise
        finally:
            cache.writing[block] -= 1
        if reply.status == NtStatus.SUCCESS:
            if block not in cache.delayed:
                cache.observers.pop(block, None)
            return
        cache.lose_delayed(block, writes)
        if block not in cache.delayed:
            cache.blocks.pop(block, None)
            cache.versions[block] += 1
        if reply.status not in (*ENDED, NtStatus.FILE_LOCK_CONFLICT, NtStatus.CANCELLED):
            self.history.unexpected.append(f"{self.who}: a delayed write was answered {reply.status!r}")

    # --- breaks ---

    def server_breaks(self, key: bytes) -> None:
        """The server has just sent a break."""
        self.breaks_on_the_way.setdefault(key, []).append(self.now)

    def _broken(self, received: memoryview) -> None:
        if received[64] == LEASE_STRUCTURE_SIZE:
            lease = LeaseBreakNotification.decode(received)
            key, state, must_answer = lease.lease_key, lease.new_lease_state, bool(lease.flags & ACK_REQUIRED)
        else:
            oplock = OplockBreak.decode(received)
            key, state = bytes_of(oplock.file_id), OPLOCK_STATES[oplock.oplock_level]
            known = self.caches.get(key)
            must_answer = known is not None and known.state != R
        sent_at = self.now
        on_the_way = self.breaks_on_the_way.get(key)
        if on_the_way:
            sent_at = on_the_way.pop(0)
            if not on_the_way:
                del self.breaks_on_the_way[key]
        cache = self.caches.get(key)
        self.note(f"is broken: {key.hex()} to {state}{'' if cache else ', which it does not hold'}")
        if cache is not None:
            self.breaks_of_nothing.pop(key, None)
            self.background.append(start(self.take_break(cache, state, must_answer, sent_at)))
        elif must_answer:
            self.breaks_of_nothing[key] = state

    async def take_break(self, cache: Cache, state: int, must_answer: bool, sent_at: float) -> None:
        """Give up what has to be given up: data first, then handles, then the right itself."""
        behaviour = self.chance.choice(BEHAVIOURS) if must_answer else "prompt"
        if behaviour in ("late", "never", "less"):
            state = 0
        cache.last_break_to, cache.breaks_taken = state, (taken := cache.breaks_taken + 1)
        inode, settled = cache.opens[0].inode if cache.opens else 0, cache.settled
        if must_answer:
            cache.unsettled_since = min(sent_at, cache.unsettled_since or sent_at)
        lost, cache.state = cache.state & ~state, cache.state & state
        if lost and cache.held is not None:  # after that the server may think that no answer will come
            cache.held.end = min(cache.held.end, sent_at + ACKNOWLEDGED_IN_TIME_S)
        if lost & R:
            cache.forget()
        done: Arrival[None] = Arrival()
        before, cache.breaking = cache.breaking, done

        def overtaken() -> bool:
            """What is late must not be taken for the answer to a later break, nor what is about a lease that went with
            its last open for one about the next of its key."""
            return cache.settled != settled or (
                behaviour == "late" and (cache.state != 0 or cache.breaks_taken != taken)
            )

        try:
            if before is not None:
                await before
            if behaviour == "slow":
                await self.sleep(self.chance.choice((0.01, 5.0)))
            await self.flush(cache)
            if lost & R:
                cache.forget()
            if lost & H:
                for opened in list(cache.kept):
                    await self.close(opened)
            if cache.held is not None:
                self.settle_state(cache, inode)
            if behaviour == "late":
                await self.sleep(self.chance.uniform(34.0, 45.0))
            if behaviour == "close":
                for opened in list(cache.opens):
                    await self.close(opened)
            elif must_answer and behaviour != "never" and cache.is_of_use and not overtaken():
                await self._acknowledge(cache, state, sent_at)
        except LineLost:
            pass
        finally:
            done.arrive(None)

    async def _acknowledge(self, cache: Cache, state: int, sent_at: float) -> None:
        in_time = self.now - sent_at < ACKNOWLEDGED_IN_TIME_S
        handles = list(cache.opens)
        if cache.version:
            body = LeaseBreakAcknowledgment(cache.key, state).encode()
        elif cache.opens:
            level = next(level for level, means in OPLOCK_STATES.items() if means == state)
            body = OplockBreak(level, cache.opens[0].file_id).encode()
        else:
            return
        [reply] = await self.ask(message(Command.OPLOCK_BREAK, body, {}))
        on_the_way = self.breaks_on_the_way.get(cache.key)
        if on_the_way and cache.unsettled_since is not None:
            on_the_way[0] = min(on_the_way[0], cache.unsettled_since)  # what was taken on top meanwhile
        cache.unsettled_since = None
        untouched = handles and handles == cache.opens and not cache.opening
        if reply.status != NtStatus.SUCCESS:
            cache.state = 0
            cache.forget()
            self.settle_state(cache, 0)
            if untouched and in_time:
                self.history.unexpected.append(f"{self.who}: an acknowledgment was answered {reply.status!r}")

    # --- handles ---

    async def close(self, opened: ClientOpen) -> None:
        """CLOSE, after what was delayed is written."""
        cache = opened.cache
        if cache is not None:
            await self.flush(cache)
        if opened.is_gone:
            return
        opened.end(self.now)
        self.slots = {slot: other for slot, other in self.slots.items() if other is not opened}
        self.drop_useless_caches()
        [reply] = await self.ask(Messages.close(opened.file_id))
        if reply.status == NtStatus.SUCCESS:
            reply.expect(CloseResponse)
        elif reply.status not in ENDED:
            self.history.unexpected.append(f"{self.who}: CLOSE was answered {reply.status!r}")


def bytes_of(file_id: FileId) -> bytes:
    """A FileId as a key."""
    return b"%016x%016x" % file_id
