"""Making holders of oplocks and leases give up what an operation does not go with, and waiting until they have.

Knows: [MS-FSA] 2.1.4.12 (who is broken by what), [MS-SMB2] 3.3.4.6, 3.3.4.7, 3.3.6.1, 3.3.6.5; holders and requests.
Must not know: the rules themselves (`oplock_states`), what a command does.

A command says what it is about to do: `make_room` for a CREATE, `before` for everything else.  Both send what has to
be sent at once.  A CREATE that has to wait has entered nothing yet; it is told so by `MustWait`, waits, and looks again
at everything from its name on, since all of it may have changed.  Who waits is woken by the acknowledgment, the close
of the holder's last open, the end of its time, a CANCEL, or the end of its own tree, session or connection.

After an operation that changed data `after` breaks those who came meanwhile and may have read what was there before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from smbd_uring import limits
from smbd_uring.engine import grants
from smbd_uring.engine.channels import is_reachable, send_to_client, send_unsolicited
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.handle_recording import remember_all
from smbd_uring.engine.leases import Holder, Lease, Oplock, description_of, drop, own_lease
from smbd_uring.engine.oplock_states import (
    BREAKS_ITS_OWN,
    LEVEL_OF_BITS,
    NONE,
    Kind,
    Notice,
    Operation,
    R,
    Step,
    checks_of_open,
    letters_of,
    run_out_of_time,
    take,
)
from smbd_uring.engine.scheduler import Parking
from smbd_uring.wire.breaks import LeaseBreakNotification, OplockBreak
from smbd_uring.wire.const import Command
from smbd_uring.wire.ntstatus import NtStatus

if TYPE_CHECKING:
    from smbd_uring.engine.create_plan import CreatePlan
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.leases import LeaseId
    from smbd_uring.engine.opens import File, Identity, Open
    from smbd_uring.engine.request import Request

log = logging.getLogger("smbd.engine")

ACKNOWLEDGMENT_REQUIRED = 0x01
CREATE = int(Command.CREATE)


class MustWait(Exception):  # noqa: N818 - a state of the world, not a mistake
    """A CREATE cannot go on before these holders have come down, and then looks again from the start.  Without any it
    looks again at once."""

    def __init__(self, holders: list[Holder]) -> None:
        super().__init__("holders of the file have not come down yet")
        self.holders = holders


# --- who is broken -------------------------------------------------------------------------------------------------


def make_room(request: Request, plan: CreatePlan, file: File, access: int) -> None:
    """A CREATE that asks for `access` (WRITE_DATA included when it empties the file) is about to be entered.

    MustWait when it cannot be yet.  Share modes are the caller's to check, right after.
    """
    assert file.caching is not None
    own = own_lease(request, plan, file)
    violates_sharing = file.refuses(access, plan.share_access)
    for operation, concerned in checks_of_open(access, plan.truncates, violates_sharing):
        slow = [
            holder
            for holder in list(file.caching.holders)
            if holder is not own
            and concerned.takes_in(holder.kind, holder.state)
            and _break(request.engine, holder, operation)
        ]
        if slow:
            raise MustWait(slow)
        if file.caching is None:
            return


def break_others(engine: Engine, file: File, own: Holder | None, operation: Operation) -> list[Holder]:
    """Somebody with the lease or oplock `own`, or none, is about to do `operation`.  Result: whom it waits for."""
    if file.caching is None:
        return []
    return [
        holder
        for holder in list(file.caching.holders)
        if (holder is not own or _breaks_itself(holder, operation)) and _break(engine, holder, operation)
    ]


def _breaks_itself(own: Holder, operation: Operation) -> bool:
    return own.kind is Kind.OPLOCK and own.state.held == R and operation in BREAKS_ITS_OWN


def _break(engine: Engine, holder: Holder, operation: Operation) -> bool:
    """Take from a holder what `operation` does not go with.  Result: whether the operation waits for it."""
    step = take(holder.kind, holder.state, operation)
    advance(engine, holder, step)
    return step.waits and holder.state.is_breaking


def advance(engine: Engine, holder: Holder, step: Step, answering: bool = False) -> None:
    """A holder goes on to another state, and is told what it has to be told: after the answer, when it is its
    acknowledgment that is being answered."""
    was_breaking, before = holder.state.is_breaking, holder.state.held
    if holder.state != step.state:
        holder.state = step.state
        _log_state(holder, before)
    if step.notice is not None:
        _notify(engine, holder, step.notice, answering)
    if was_breaking and not holder.state.is_breaking:
        holder.stop_timer()
        holder.wake()
    if isinstance(holder, Oplock) and holder.state.held == NONE and holder.opens:
        drop(engine, holder)
    if engine.journal:
        engine.scheduler.start(remember_all(engine, holder.file))
    if holder.state.held != before and (holder.kind is Kind.OPLOCK or len(holder.file.opens) > 1):
        engine.scheduler.start(grants.reconsider(engine, holder.file))


def _log_state(holder: Holder, before: int) -> None:
    if holder.opens and log.isEnabledFor(logging.DEBUG):
        opened = next(iter(holder.opens))
        log.debug("%s: %s, it had %s", "\\".join(opened.components), description_of(opened), letters_of(before))


# --- waiting -------------------------------------------------------------------------------------------------------


async def before(request: Request, opened: Open, operation: Operation) -> None:
    """Wait until nobody's cache is in the way of what `opened` is about to do.  SmbError when the wait is ended."""
    while slow := break_others(request.engine, opened.file, opened.holder, operation):
        await wait(request, slow)
    await remember_all(request.engine, opened.file)


async def before_below(request: Request, opened: Open) -> None:
    """The same of everything open below the directory `opened`, which is about to get another name ([MS-FSA]
    2.1.4.2)."""
    engine, tree = request.engine, request.tree_of()
    while slow := [
        holder
        for file in engine.opens.files_below(tree.share.path, opened.components)
        for holder in break_others(engine, file, None, Operation.RENAME)
    ]:
        await wait(request, slow)


async def before_replacing(request: Request, identity: Identity) -> None:
    """The same of the file whose name another one is about to take: who only keeps it open for itself closes it."""
    while (file := request.engine.opens.file(identity)) is not None and (
        slow := break_others(request.engine, file, None, Operation.RENAME)
    ):
        await wait(request, slow)


def after(engine: Engine, opened: Open, operation: Operation) -> None:
    """`opened` has done it: whoever got READ meanwhile may have read what was there before."""
    break_others(engine, opened.file, opened.holder, operation)


async def wait(request: Request, holders: list[Holder]) -> None:
    """Wait until one of the holders has come down or is gone; STATUS_PENDING says so to the client where that can be.

    SmbError: CANCELLED by the client, or since its tree, session or connection ended.
    """
    tree, connection = request.tree_of(), request.connection
    if tree.closing or request.is_given_up:
        raise SmbError(NtStatus.CANCELLED)
    if any(not holder.state.is_breaking or not holder.opens for holder in holders):
        return  # it came down since the caller looked
    parking = Parking(request.engine.scheduler)

    def give_up() -> None:
        parking.wake(NtStatus.CANCELLED)

    for holder in holders:
        holder.waiting.add(parking)
    request.cancel = give_up
    tree.parked.add(parking)
    if (
        (request.is_last_of_chain or request.header.command == CREATE)
        and not request.async_id
        and len(connection.async_requests) < limits.ASYNC_REQUESTS_MAX
    ):
        request.chain.go_async(request)
    status = await parking
    request.cancel = None
    tree.parked.discard(parking)
    for holder in holders:
        holder.waiting.discard(parking)
    if status is not None:
        raise SmbError(status)


# --- telling -------------------------------------------------------------------------------------------------------


def _notify(engine: Engine, holder: Holder, notice: Notice, answering: bool) -> None:
    holder.stop_timer()
    if notice.needs_acknowledgment:
        holder.timer = engine.scheduler.call_at(
            engine.scheduler.now + engine.config.break_timeout_s, lambda: _expire(engine, holder)
        )
    teller = _lease_teller if isinstance(holder, Lease) else _oplock_teller
    tell = teller(engine, holder, notice)

    def send() -> None:
        if not tell() and notice.needs_acknowledgment:
            engine.scheduler.start(_give_way(engine, holder))

    if answering:
        _after_the_answer(engine, send)
    else:
        send()


def _lease_teller(engine: Engine, lease: Holder, notice: Notice) -> Callable[[], bool]:
    """[MS-SMB2] 3.3.4.7: on any connection of the client, as long as it has one of those that hold the lease."""
    assert isinstance(lease, Lease)
    if notice.begins:
        lease.move_epoch()
    flags = ACKNOWLEDGMENT_REQUIRED if notice.needs_acknowledgment else 0
    epoch = lease.epoch if lease.version == 2 else 0
    client_guid, key = lease.lease_id
    body = LeaseBreakNotification(epoch, flags, key, notice.current, notice.new).encode()
    is_answered = _answered(lease) if notice.needs_acknowledgment else None
    sessions = [opened.session for opened in lease.opens]
    seal = any(opened.tree.encrypt_data for opened in lease.opens)

    def tell() -> bool:
        return any(map(is_reachable, sessions)) and send_to_client(engine, client_guid, body, seal, is_answered)

    return tell


def _oplock_teller(engine: Engine, oplock: Holder, notice: Notice) -> Callable[[], bool]:
    """[MS-SMB2] 3.3.4.6: to the session that holds it."""
    (opened,) = oplock.opens
    session, seal = opened.session, opened.tree.encrypt_data
    body = OplockBreak(LEVEL_OF_BITS[notice.new], opened.file_id).encode()
    is_answered = _answered(oplock) if notice.needs_acknowledgment else None
    return lambda: send_unsolicited(engine, session, body, seal, is_answered)


def _answered(holder: Holder) -> Callable[[], bool]:
    """Whether a holder has left the state in which its client is told."""
    told_in = holder.state
    return lambda: holder.state is not told_in or not holder.opens


def _expire(engine: Engine, holder: Holder) -> None:
    holder.timer = None
    engine.complain(log, "a client did not acknowledge a break of its %s in time", holder.kind.value)
    _give_up(engine, holder)


def _give_up(engine: Engine, holder: Holder) -> None:
    """No acknowledgment will come."""
    if holder.state.is_breaking:
        advance(engine, holder, Step(run_out_of_time(holder.state)))


def _after_the_answer(engine: Engine, action: Callable[[], None]) -> None:
    """Do something once the request that is being handled is answered."""
    parking = Parking(engine.scheduler)

    async def act() -> None:
        await parking
        action()

    engine.scheduler.start(act())
    parking.wake()


async def _give_way(engine: Engine, holder: Holder) -> None:
    """[MS-SMB2] 3.3.4.6, 3.3.4.7: its client is not there to be asked."""
    for opened in list(holder.opens):
        await engine.leases.give_way(engine, opened)
    _give_up(engine, holder)


# --- directories ---------------------------------------------------------------------------------------------------


def entry_changed(engine: Engine, path: tuple[str, ...], parent_lease: LeaseId | None) -> None:
    """What is at an absolute path came, went, or shows other attributes; its directory's leases are broken but for
    `parent_lease`, whose client knows.

    A lease that is broken, or breaking, is not told again: of a storm of changes its client hears once, until it has
    opened the directory anew.
    """
    for lease in engine.leases.of_directory(path[:-1]):
        if lease.lease_id != parent_lease:
            _break(engine, lease, Operation.CHANGE_ENTRIES)


def entry_of(engine: Engine, opened: Open) -> None:
    """`entry_changed` for what is open, by a change that its own client made with it."""
    if engine.leases.has_directories:
        entry_changed(engine, opened.absolute_path, opened.parent_lease)


def is_watched(engine: Engine, opened: Open) -> bool:
    """Whether somebody has a lease of the directory that the open is in."""
    return engine.leases.has_directories and bool(engine.leases.of_directory(opened.absolute_path[:-1]))
