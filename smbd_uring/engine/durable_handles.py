"""The table of handles that may outlive their connection, and what is remembered of each.

Knows: [MS-SMB2] 3.3.1.10 (IsDurable, DurableOwner, CreateGuid, IsReplayEligible, AppInstanceId, ...), and the bounds on
handles whose clients are away.  Must not know: create contexts, how a handle is closed or taken up again.

Every open that was promised something, or whose CREATE may be replayed, has a `Durability` and is entered here; all
others cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from smbd_uring import limits
from smbd_uring.engine import grants
from smbd_uring.engine.durable_states import DurableEvent, DurableState, next_state
from smbd_uring.wire.const import CreateAction

if TYPE_CHECKING:
    from smbd_uring.engine.opens import File, Open
    from smbd_uring.engine.scheduler import Parking, Timer
    from smbd_uring.engine.session import Session

Ordered = dict["Open", None]
"""Opens in the order in which they came, each to be taken out at once."""

Key = TypeVar("Key")
CLOSED, PERSISTENT, PERSISTENT_AWAY = DurableState.CLOSED, DurableState.PERSISTENT, DurableState.PERSISTENT_AWAY


class Owner(NamedTuple):
    """Who opened a handle, and nobody else gets it back."""

    account: str
    uid: int


def owner_of(session: Session) -> Owner | None:
    """A session's user as owner; None for guests and anonymous users: they proved nothing, so nobody can prove to be
    the same."""
    if session.is_guest or session.is_anonymous:
        return None
    return Owner(session.account, session.credentials.uid)


class Durability:
    """What one open was promised."""

    __slots__ = (
        "app_instance_id", "app_instance_version", "asked", "client_guid", "create_action", "create_guid", "departures",
        "is_replay_eligible", "next_name", "owner", "state", "timeout_s", "timer",
    )  # fmt: skip

    def __init__(self, client_guid: bytes, owner: Owner | None) -> None:
        self.state = DurableState.PLAIN
        self.client_guid = client_guid
        self.owner = owner
        self.create_guid: bytes | None = None
        self.create_action = CreateAction.OPENED
        """What the CREATE that made it answered, for the one that repeats it."""
        self.timeout_s = 0.0
        self.timer: Timer | None = None
        self.is_replay_eligible = False
        self.asked = (0, 0, 0)
        """CreateOptions, DesiredAccess and ShareAccess of its CREATE."""
        self.app_instance_id: bytes | None = None
        self.app_instance_version: tuple[int, int] | None = None
        self.next_name: tuple[str, ...] | None = None
        """The name that the file is about to get."""
        self.departures: list[Parking] = []
        """Who waits to hear what became of it when its session ended."""

    def advance(self, event: DurableEvent) -> None:
        """Move along the table of `durable_states`."""
        self.state = next_state(self.state, event)

    @property
    def is_away(self) -> bool:
        """Whether it waits for its client."""
        return self.state.is_away

    @property
    def is_persistent(self) -> bool:
        """Whether it survives the server."""
        return self.state is PERSISTENT or self.state is PERSISTENT_AWAY

    def settled(self) -> None:
        """What became of it is decided: tell who waited."""
        waiting, self.departures = self.departures, []
        for parking in waiting:
            parking.wake()


class HandleTable:
    """All opens with a `Durability`, found by what clients know of them.

    `pending` has the (client GUID, CreateGuid) of CREATEs that are not answered yet.
    """

    __slots__ = (
        "_away", "_away_max", "_away_of", "_by_app_instance", "_by_create", "_by_persistent", "_persistent_by_guid",
        "pending",
    )  # fmt: skip

    def __init__(self, away_max: int) -> None:
        """`away_max` handles may wait for their clients."""
        self._away_max = min(limits.HANDLES_AWAY_MAX, away_max)
        self._by_persistent: dict[int, Open] = {}
        self._by_create: dict[tuple[bytes, bytes], Open] = {}
        """Of several that a client made with the same CreateGuid the last: it uses one before it makes another."""
        self._persistent_by_guid: dict[bytes, Ordered] = {}
        self._by_app_instance: dict[bytes, Ordered] = {}
        self._away: Ordered = {}
        self._away_of: dict[Owner | None, Ordered] = {}
        self.pending: set[tuple[bytes, bytes]] = set()

    def __len__(self) -> int:
        return len(self._by_persistent)

    def __iter__(self) -> Iterator[Open]:
        return iter(self._by_persistent.values())

    @property
    def away_count(self) -> int:
        """How many wait for their clients."""
        return len(self._away)

    def enter(self, opened: Open) -> None:
        """Make an open with a `Durability` findable."""
        durability = _of(opened)
        self._by_persistent[opened.file_id.persistent] = opened
        if durability.create_guid is not None:
            self._by_create[durability.client_guid, durability.create_guid] = opened
            if durability.is_persistent:
                self._persistent_by_guid.setdefault(durability.create_guid, {})[opened] = None
        if durability.app_instance_id is not None:
            of_application = self._by_app_instance.setdefault(durability.app_instance_id, {})
            if len(of_application) < limits.APP_INSTANCE_OPENS_MAX:
                of_application[opened] = None

    def leave(self, opened: Open) -> None:
        """Nobody finds the open any more; harmless for one that was never entered."""
        durability = _of(opened)
        if self._by_persistent.get(opened.file_id.persistent) is not opened:
            return
        del self._by_persistent[opened.file_id.persistent]
        if durability.create_guid is not None:
            key = durability.client_guid, durability.create_guid
            if self._by_create.get(key) is opened:
                del self._by_create[key]
            _take_out(self._persistent_by_guid, durability.create_guid, opened)
        if durability.app_instance_id is not None:
            _take_out(self._by_app_instance, durability.app_instance_id, opened)

    def remove(self, opened: Open) -> None:
        """The open is being closed."""
        durability = opened.durability
        if durability is not None:
            self.came_back(opened)
            self.leave(opened)
            durability.state = CLOSED
            durability.settled()

    def find(self, persistent: int) -> Open | None:
        """The open with this persistent id, unless it is being closed."""
        opened = self._by_persistent.get(persistent)
        return None if opened is None or opened.closing else opened

    def find_persistent(self, create_guid: bytes) -> Open | None:
        """The open that survives the server and was made by this CREATE."""
        return next((each for each in self._persistent_by_guid.get(create_guid, ()) if not each.closing), None)

    def find_replayed(self, client_guid: bytes, create_guid: bytes) -> Open | None:
        """The open that this client made by this CREATE and has not used since: a CREATE may be repeated as long as the
        client cannot have seen its answer."""
        opened = self._by_create.get((client_guid, create_guid))
        if opened is None or opened.closing or not _of(opened).is_replay_eligible:
            return None
        is_used = grants.position_of(opened) or grants.written_ns_of(opened)
        return None if is_used else opened  # nor has a data plane served it

    def of_application(self, app_instance_id: bytes) -> list[Open]:
        """Opens of one instance of an application."""
        return [opened for opened in self._by_app_instance.get(app_instance_id, ()) if not opened.closing]

    def went_away(self, opened: Open) -> Open | None:
        """The open waits for its client from now on.  Result: the one that has to go because there are too many: the
        same owner's oldest, or the oldest of all."""
        of_owner = self._away_of.setdefault(_of(opened).owner, {})
        self._away[opened] = of_owner[opened] = None
        if len(of_owner) > limits.HANDLES_AWAY_PER_OWNER_MAX:
            return next(iter(of_owner))
        return next(iter(self._away)) if len(self._away) > self._away_max else None

    def came_back(self, opened: Open) -> None:
        """The open waits no more, for whatever reason; harmless for one that did not."""
        durability = _of(opened)
        if durability.timer is not None:
            durability.timer.cancel()
            durability.timer = None
        if opened in self._away:
            del self._away[opened]
            _take_out(self._away_of, durability.owner, opened)


def is_fenced(file: File, client_guid: bytes) -> bool:
    """[MS-SMB2] 3.3.5.9 and <301>: whether a client may not open the file now, because another one's persistent handle
    waits for it.  The same client may: it is on its way back."""
    return any(
        opened.session is None
        and opened.durability is not None
        and opened.durability.is_persistent
        and opened.durability.client_guid != client_guid
        for opened in file.opens
    )


def _of(opened: Open) -> Durability:
    assert opened.durability is not None
    return opened.durability


def _take_out(table: dict[Key, Ordered], key: Key, opened: Open) -> None:
    there = table.get(key)
    if there is not None and opened in there:
        del there[opened]
        if not there:
            del table[key]
