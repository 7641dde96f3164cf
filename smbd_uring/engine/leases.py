"""Who caches what: the holders of oplocks and leases, by file and by client, and how an open comes by one.

Knows: [MS-SMB2] 3.3.1.11, 3.3.1.12, 3.3.5.9.8, 3.3.5.9.11; opens and files.  Must not know: what breaks a holder
(`breaks`), the rules of what may stand beside what (`oplock_states`).

A file that nobody caches has no `Caching`, so that it costs nothing.  A lease belongs to one file, whatever its name,
and is found by its client's GUID and key; it lives as long as one of its opens does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from smbd_uring import limits
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.oplock_states import (
    BITS_OF_LEVEL,
    LEVEL_OF_BITS,
    NONE,
    H,
    Kind,
    R,
    State,
    Surroundings,
    W,
    grantable_lease,
    grantable_oplock,
    letters_of,
    promoted,
    surroundings,
)
from smbd_uring.engine.ordered_set import OrderedSet
from smbd_uring.ports import ShareFlags
from smbd_uring.wire import create_contexts
from smbd_uring.wire.const import Dialect, OplockLevel
from smbd_uring.wire.create import Context
from smbd_uring.wire.create_contexts import LeaseRequest
from smbd_uring.wire.fscc import fold_name
from smbd_uring.wire.ntstatus import NtStatus

if TYPE_CHECKING:
    from smbd_uring.engine.create_plan import CreatePlan
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.opens import File, Identity, Open
    from smbd_uring.engine.request import Request
    from smbd_uring.engine.scheduler import Parking, Timer
    from smbd_uring.engine.session import Tree

LeaseId = tuple[bytes, bytes]
"""A client's GUID and the key it gave."""

NO_KEY = bytes(16)
BREAK_IN_PROGRESS = 0x02
PARENT_LEASE_KEY_SET = 0x04
EPOCH_MASK = 0xFFFF

class Holder:
    """An oplock or a lease of one file, and who waits for it to come down."""

    __slots__ = ("file", "kind", "opens", "state", "timer", "waiting")

    def __init__(self, file: File, kind: Kind, state: State) -> None:
        self.file = file
        self.kind = kind
        self.state = state
        self.opens: OrderedSet[Open] = OrderedSet()
        self.timer: Timer | None = None
        self.waiting: OrderedSet[Parking] = OrderedSet()

    @property
    def keeps_handles(self) -> bool:
        """Whether its client keeps handles open for itself, and nobody wants it to stop that."""
        return bool(self.state.held & H) and not self.state.is_breaking

    def wake(self) -> None:
        """Whoever waits looks again."""
        waiting, self.waiting = self.waiting, OrderedSet()
        for parking in waiting:
            parking.wake()

    def stop_timer(self) -> None:
        """No acknowledgment is awaited any longer."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Lease(Holder):
    """[MS-SMB2] 3.3.1.12.  `epoch` counts changes of state, for a lease of version 2; `parent_key` is what its first
    open gave as its directory's; `path` is where a directory's is entered."""

    __slots__ = ("epoch", "lease_id", "parent_key", "path", "version")

    def __init__(self, file: File, kind: Kind, state: State, lease_id: LeaseId, asked: LeaseRequest) -> None:
        super().__init__(file, kind, state)
        self.lease_id = lease_id
        self.version = asked.version
        self.parent_key = parent_key_of(asked)
        self.epoch = asked.epoch + 1 & EPOCH_MASK if state.held else asked.epoch
        self.path: tuple[str, ...] | None = None

    def move_epoch(self) -> int:
        """The state changes."""
        self.epoch = self.epoch + 1 & EPOCH_MASK
        return self.epoch


class Oplock(Holder):
    """The oplock of one open."""

    __slots__ = ()

    @property
    def opened(self) -> Open:
        """The open it was granted to."""
        (opened,) = self.opens
        return opened


class Caching:
    """All holders of one file, in the order in which they came."""

    __slots__ = ("holders",)

    def __init__(self) -> None:
        self.holders: list[Holder] = []

    def others_read(self, opened: Open) -> bool:
        """Whether a change of the data by `opened` would break somebody, its own level II oplock included."""
        own = opened.holder
        return any(
            holder.state.held & R and (holder is not own or (holder.kind is Kind.OPLOCK and holder.state.held == R))
            for holder in self.holders
        )

    def others_write(self, opened: Open) -> bool:
        """Whether what `opened` would read may wait with somebody else to be written."""
        return any(holder.state.held & W and holder is not opened.holder for holder in self.holders)


class LeaseTable:
    """Every lease of the server."""

    __slots__ = ("_by_directory", "_by_id", "_count_of", "give_way", "oplock_count")

    def __init__(self, give_way: Callable[[Engine, Open], Awaitable[object]]) -> None:
        self.give_way = give_way
        """What becomes of an open whose client is not there to be asked for what it holds."""
        self._by_id: dict[LeaseId, Lease] = {}
        self._count_of: Counter[bytes] = Counter()
        self._by_directory: dict[tuple[str, ...], OrderedSet[Lease]] = {}
        """Leases of directories by their absolute path, in one case of its letters."""
        self.oplock_count = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def find(self, lease_id: LeaseId) -> Lease | None:
        """The lease of a client by its key."""
        return self._by_id.get(lease_id)

    def has_room(self, client_guid: bytes) -> bool:
        """Whether a client may hold one more."""
        return self._count_of[client_guid] < limits.LEASES_PER_CLIENT_MAX

    def add(self, lease: Lease) -> None:
        """Enter a lease; one of a file that is being deleted gives its key up."""
        guid = lease.lease_id[0]
        if lease.lease_id not in self._by_id:
            self._count_of[guid] += 1
        self._by_id[lease.lease_id] = lease

    def enter_path(self, lease: Lease, path: tuple[str, ...] | None) -> None:
        """A directory's lease is found by `path` from now on, or by none."""
        if lease.path is not None:
            there = self._by_directory[lease.path]
            there.discard(lease)
            if not there:
                del self._by_directory[lease.path]
        lease.path = None if path is None else tuple(map(fold_name, path))
        if lease.path is not None:
            self._by_directory.setdefault(lease.path, OrderedSet()).add(lease)

    @property
    def has_directories(self) -> bool:
        """Whether anybody has a lease of a directory."""
        return bool(self._by_directory)

    def of_directory(self, path: tuple[str, ...]) -> list[Lease]:
        """The leases of the directory at an absolute path, in whatever case."""
        if not self._by_directory:
            return []
        return list(self._by_directory.get(tuple(map(fold_name, path)), ()))

    def remove(self, lease: Lease) -> None:
        """Its last open is closed."""
        self.enter_path(lease, None)
        if self._by_id.get(lease.lease_id) is not lease:
            return
        del self._by_id[lease.lease_id]
        guid = lease.lease_id[0]
        self._count_of[guid] -= 1
        if not self._count_of[guid]:
            del self._count_of[guid]


# --- asking for one ------------------------------------------------------------------------------------------------


def lease_asked(request: Request, plan: CreatePlan) -> LeaseRequest | None:
    """The lease that a CREATE asks for, if this connection and share give any."""
    asked, connection = plan.lease, request.connection
    if asked is None or plan.oplock_level != OplockLevel.LEASE or not _gives(request.tree_of()):
        return None
    if not request.engine.config.leases or connection.dialect is None or connection.dialect < Dialect.SMB_2_1:
        return None
    return asked if asked.version == 1 or connection.is_smb3 else None


def _gives(tree: Tree) -> bool:
    return bool(tree.share.flags & ShareFlags.OPLOCKS)


def lease_id_of(request: Request, asked: LeaseRequest) -> LeaseId:
    """The client's GUID and the key it asks with."""
    return request.connection.client_guid, asked.lease_key


def parent_key_of(asked: LeaseRequest) -> bytes | None:
    """The key of the directory's lease that a client gave, if it did."""
    return asked.parent_lease_key if asked.lease_flags & PARENT_LEASE_KEY_SET else None


def own_lease(request: Request, plan: CreatePlan, file: File) -> Lease | None:
    """The lease of `file` that a CREATE comes with, if it is there."""
    asked = lease_asked(request, plan) if plan.lease is not None else None
    if asked is None:
        return None
    lease = request.engine.leases.find(lease_id_of(request, asked))
    return lease if lease is not None and lease.file is file else None


def check_key(request: Request, plan: CreatePlan, identity: Identity | None) -> None:
    """INVALID_PARAMETER when the lease key of a CREATE stands for another file; None is one that is not there yet."""
    asked = lease_asked(request, plan) if plan.lease is not None else None
    if asked is None:
        return
    lease = request.engine.leases.find(lease_id_of(request, asked))
    if lease is not None and lease.file.identity != identity and not lease.file.delete_pending:
        raise SmbError(NtStatus.INVALID_PARAMETER)


def wants_writes(plan: CreatePlan) -> bool:
    """Whether a CREATE asks to keep back what its client writes."""
    if plan.oplock_level == OplockLevel.LEASE:
        return plan.lease is not None and bool(plan.lease.lease_state & W)
    return bool(BITS_OF_LEVEL.get(plan.oplock_level, NONE) & W)


def acquire(request: Request, plan: CreatePlan, opened: Open, used_locally: bool) -> None:
    """The open succeeded: give it the oplock or lease that it asked for, as far as that goes.

    `used_locally`: programs of this machine use the file.  No data plane may be writing to the file for another open.
    """
    asked = lease_asked(request, plan) if plan.lease is not None else None
    if asked is not None:
        _acquire_lease(request, asked, opened, used_locally)
    elif plan.oplock_level != OplockLevel.LEASE and not opened.is_directory:
        _acquire_oplock(request.engine, plan.oplock_level, opened, used_locally)


def _is_being_written(opened: Open) -> bool:
    """Whether a WRITE of another open is under way.  Who read now would keep what others may see gone already, until
    the WRITE has ended and breaks him."""
    return any(write.opened is not opened for write in opened.file.writes)


def _acquire_oplock(engine: Engine, level: int, opened: Open, used_locally: bool) -> None:
    if not _gives(opened.tree) or _is_being_written(opened):
        return
    bits = grantable_oplock(level, _surroundings(opened, None, used_locally))
    if bits == NONE:
        return
    oplock = Oplock(opened.file, Kind.OPLOCK, State(bits))
    engine.leases.oplock_count += 1
    _join(oplock, opened)


def _acquire_lease(request: Request, asked: LeaseRequest, opened: Open, used_locally: bool) -> None:
    engine, file = request.engine, opened.file
    if opened.is_directory and asked.version == 1:
        return
    kind = Kind.DIRECTORY_LEASE if opened.is_directory else Kind.LEASE
    lease_id = lease_id_of(request, asked)
    lease = engine.leases.find(lease_id)
    if lease is not None and lease.file is not file:
        if not lease.file.delete_pending:  # it came while this open was on its way
            return
        lease = None
    parent_key = parent_key_of(asked)
    opened.parent_lease = None if parent_key is None else (lease_id[0], parent_key)
    around = _surroundings(opened, lease, used_locally)
    wanted = NONE if _is_being_written(opened) else asked.lease_state
    if lease is None:
        if not engine.leases.has_room(lease_id[0]):
            return
        lease = Lease(file, kind, State(grantable_lease(kind, wanted, around)), lease_id, asked)
        engine.leases.add(lease)
        if kind is Kind.DIRECTORY_LEASE:
            engine.leases.enter_path(lease, opened.absolute_path)
    else:
        state = promoted(kind, lease.state, wanted, around)
        if state is not lease.state:
            if state.held != lease.state.held:
                lease.move_epoch()
            lease.state = state
    _join(lease, opened)


def restore_oplock(engine: Engine, opened: Open, held: int) -> None:
    """An open that is there again after a restart of the server gets the oplock it had."""
    if held != NONE:
        engine.leases.oplock_count += 1
        _join(Oplock(opened.file, Kind.OPLOCK, State(held)), opened)


def restore_lease(engine: Engine, opened: Open, client_guid: bytes, had: LeaseRequest) -> None:
    """The same for a lease: `had` has its key, state and epoch."""
    lease_id = client_guid, had.lease_key
    lease = engine.leases.find(lease_id)
    if lease is None:
        kind = Kind.DIRECTORY_LEASE if opened.is_directory else Kind.LEASE
        lease = Lease(opened.file, kind, State(had.lease_state), lease_id, had)
        lease.epoch = had.epoch
        engine.leases.add(lease)
        if kind is Kind.DIRECTORY_LEASE:
            engine.leases.enter_path(lease, opened.absolute_path)
    if lease.file is opened.file:
        _join(lease, opened)


def _join(holder: Holder, opened: Open) -> None:
    file = opened.file
    holder.opens.add(opened)
    opened.holder = holder
    if file.caching is None:
        file.caching = Caching()
    if holder not in file.caching.holders:
        file.caching.holders.append(holder)


def _surroundings(opened: Open, lease: Lease | None, used_locally: bool) -> Surroundings:
    """What stands beside an open that asks, those of its own lease aside."""
    file = opened.file
    others = (
        (other.granted_access, None, None)
        if other.holder is None
        else (other.granted_access, other.holder.kind, other.holder.state)
        for other in file.opens
        if other is not opened and (other.holder is None or other.holder is not lease)
    )
    status = opened.facts.status
    has_locks = file.locks is not None and file.locks.begins_below(max(status.size, status.allocated))
    return surroundings(others, has_locks, file.delete_pending, used_locally)


# --- what an open says of it ---------------------------------------------------------------------------------------


def level_of(opened: Open) -> int:
    """The OplockLevel of a CREATE response."""
    holder = opened.holder
    if holder is None:
        return OplockLevel.NONE
    return OplockLevel.LEASE if isinstance(holder, Lease) else LEVEL_OF_BITS[holder.state.held]


def contexts_of(opened: Open) -> list[Context]:
    """The lease's context of a CREATE response ([MS-SMB2] 2.2.14.2.10, .11), in the lease's own version."""
    lease = opened.holder
    if not isinstance(lease, Lease):
        return []
    flags = BREAK_IN_PROGRESS if lease.state.is_breaking else 0
    parent_key = NO_KEY
    if lease.version == 2 and lease.parent_key is not None:
        flags, parent_key = flags | PARENT_LEASE_KEY_SET, lease.parent_key
    answer = LeaseRequest(lease.lease_id[1], lease.state.held, flags, lease.version, parent_key, lease.epoch)
    return [(create_contexts.LEASE, answer.encode())]


def description_of(opened: Open) -> str | None:
    """What an open caches, for people: "RWH by lease KEY", "R by oplock", with what is left when it is breaking."""
    holder = opened.holder
    if holder is None:
        return None
    state = holder.state
    name = f"lease {holder.lease_id[1].hex()}" if isinstance(holder, Lease) else "oplock"
    left = "" if state.told is None else f", told to keep {letters_of(state.told)}"
    return f"{letters_of(state.held)} by {name}{left}"


# --- letting go ----------------------------------------------------------------------------------------------------


def drop(engine: Engine, holder: Holder) -> None:
    """A holder that no open has any longer, or an oplock that is broken to nothing."""
    holder.stop_timer()
    file = holder.file
    for opened in holder.opens:
        opened.holder = None
    holder.opens.clear()
    if file.caching is not None and holder in file.caching.holders:
        file.caching.holders.remove(holder)
        if not file.caching.holders:
            file.caching = None
        if isinstance(holder, Lease):
            engine.leases.remove(holder)
        else:
            engine.leases.oplock_count -= 1
    holder.wake()


def release(engine: Engine, opened: Open) -> None:
    """An open is closed: what only it held is gone."""
    holder = opened.holder
    if holder is None:
        return
    opened.holder = None
    holder.opens.discard(opened)
    if not holder.opens:
        drop(engine, holder)


def renamed(engine: Engine, file: File) -> None:
    """The opens of a directory have another name: its leases are found by that."""
    if file.caching is None:
        return
    for holder in file.caching.holders:
        if isinstance(holder, Lease) and holder.path is not None:
            opened = next(iter(holder.opens))
            engine.leases.enter_path(holder, opened.absolute_path)
