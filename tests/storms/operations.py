"""What a storm consists of: a list of operations that a seed decides, and that a shrinker may take out of one by one.

Knows: what clients can be told to do.  Must not know: how they do it, what comes of it.

An operation stands for itself: it names a slot of its client, not what was opened there.  Whichever others are taken
away, the rest can still be done; one whose slot is empty does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random

from smbd_uring.wire.const import AccessMask, CreateDisposition, CreateOptions, Dialect, ShareAccess
from tests.sim.driver import Weather
from tests.storms.history import BLOCKS

SLOTS = 3
NAMES = ("a", "b", r"d\c")
FOLDERS = ("d", "")
READ = int(AccessMask.FILE_READ_DATA | AccessMask.FILE_READ_ATTRIBUTES)
WRITE = int(AccessMask.FILE_WRITE_DATA | AccessMask.FILE_READ_ATTRIBUTES)
BOTH = READ | WRITE
ALL = BOTH | int(AccessMask.DELETE)
ACCESSES = (ALL, ALL, BOTH, BOTH, BOTH, BOTH, READ, WRITE, int(AccessMask.FILE_READ_ATTRIBUTES))
PEACEFUL = (ALL, BOTH, BOTH, BOTH, READ)
"""What clients ask for that mean no harm: they meet in the data and not at the door."""
SHARE_ALL = int(ShareAccess.READ | ShareAccess.WRITE | ShareAccess.DELETE)
SHARES = (SHARE_ALL, SHARE_ALL, SHARE_ALL, SHARE_ALL, int(ShareAccess.READ), 0)
OPEN_IF = int(CreateDisposition.OPEN_IF)
DISPOSITIONS = (OPEN_IF,) * 12 + (int(CreateDisposition.OPEN), int(CreateDisposition.OVERWRITE_IF),
                                  int(CreateDisposition.SUPERSEDE), int(CreateDisposition.CREATE))  # fmt: skip
DELETE_ON_CLOSE = int(CreateOptions.FILE_DELETE_ON_CLOSE)
CACHINGS = ("RWH", "RWH", "RH", "RW", "R", "batch", "exclusive", "level II", "")
DIALECTS = (Dialect.SMB_3_1_1, Dialect.SMB_3_0_2, Dialect.SMB_3_0)
SHORT_DELAYS = (0.0, 0.0, 0.001, 0.005)
LONG_DELAYS = (0.05, 1.0, 40.0)


class Kind(StrEnum):
    """What a client does."""

    OPEN = "open"
    CLOSE = "close"
    READ = "read"
    WRITE = "write"
    FLUSH = "flush"
    TRUNCATE = "truncate"
    LOCK = "lock"
    UNLOCK = "unlock"
    RENAME = "rename"
    DISPOSE = "dispose"
    QUERY = "query"
    COMPOUND = "compound"
    WATCH = "watch"
    LIST = "list"
    CANCEL = "cancel"
    CUT = "cut"
    LOGOFF = "logoff"


WEIGHTS = {
    Kind.OPEN: 12, Kind.CLOSE: 7, Kind.READ: 36, Kind.WRITE: 30, Kind.FLUSH: 2, Kind.TRUNCATE: 1, Kind.LOCK: 9,
    Kind.UNLOCK: 5, Kind.RENAME: 2, Kind.DISPOSE: 2, Kind.QUERY: 2, Kind.COMPOUND: 6, Kind.WATCH: 2, Kind.LIST: 1,
    Kind.CANCEL: 2, Kind.CUT: 3, Kind.LOGOFF: 1,
}  # fmt: skip
FLAVOURS: tuple[tuple[dict[Kind, int], tuple[str, ...]], ...] = (
    (WEIGHTS, CACHINGS),
    (WEIGHTS, CACHINGS),
    (WEIGHTS | {Kind.LOCK: 40, Kind.UNLOCK: 20, Kind.CUT: 8}, ("RH", "RH", "R", "batch", "")),
    (WEIGHTS | {Kind.CUT: 10, Kind.WRITE: 45}, ("RWH", "RWH", "RH", "batch")),
)
"""What storms are mostly about: everything, twice; locks; cables that are pulled.  And what is asked to be cached."""

ON_SLOTS = frozenset((Kind.CLOSE, Kind.READ, Kind.WRITE, Kind.FLUSH, Kind.TRUNCATE, Kind.LOCK, Kind.UNLOCK, Kind.RENAME,
                      Kind.DISPOSE, Kind.QUERY))  # fmt: skip
"""What needs a handle."""
BEHIND = (Kind.LOCK, Kind.WATCH)
"""What may take until another client does something: nobody waits for it."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing for one client to do.  Fields that its kind has no use for mean nothing.

    `number` is unique in the storm; `delay` passes before it, in simulated seconds; the client's next operation waits
    for its end if `waits`.
    """

    number: int
    client: int
    kind: Kind
    delay: float
    waits: bool
    slot: int
    name: str
    block: int
    span: int
    flag: bool
    access: int
    share: int
    disposition: int
    options: int
    caching: str
    durable: int

    @property
    def value(self) -> bytes:
        """What it writes: nobody else writes the same."""
        return b"%08d" % self.number

    def __str__(self) -> str:
        means: list[object] = [self.kind.value, f"slot {self.slot}"]
        if self.kind in (Kind.OPEN, Kind.COMPOUND):
            means += [repr(self.name), f"access {self.access:#x}", f"share {self.share}", f"how {self.disposition}"]
            means += [self.caching or "no caching", f"durable v{self.durable}" if self.durable else ""]
            means += ["delete on close" if self.options & DELETE_ON_CLOSE else ""]
        elif self.kind in (Kind.READ, Kind.WRITE, Kind.TRUNCATE):
            means += [f"block {self.block}"]
        elif self.kind == Kind.LOCK:
            means += [f"blocks {self.block}+{self.span}", "exclusive" if self.flag else "shared"]
        elif self.kind == Kind.RENAME:
            means += [repr(self.name)]
        when = f"after {self.delay} s" if self.delay else ""
        return f"{self.number:3} client {self.client}: {' '.join(str(each) for each in means if each)} {when}".rstrip()


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole storm.  `endings` says how each client leaves; the same plan always makes the same storm."""

    seed: int
    operations: tuple[Operation, ...]
    dialects: tuple[Dialect, ...]
    endings: tuple[str, ...]
    weather: Weather
    has_planes: bool
    """Whether data planes serve what the engine grants them."""


ENDINGS = ("close", "close", "vanish", "log off")


def plan_of(seed: int) -> Plan:
    """The storm of a seed."""
    chance = Random(seed)
    clients = chance.choice((2, 2, 3, 3, 4))
    weather = Weather(
        effect_delay_max_s=chance.choice((0.0005, 0.005, 0.05)),
        effect_now_probability=chance.choice((0.0, 0.3, 0.7)),
        data_delay_max_s=chance.choice((None, 0.01, 0.1)),
        late_completion_probability=chance.choice((0.0, 0.5)),
        network_delay_max_s=chance.choice((0.0005, 0.0005, 0.002, 0.02)),
        small_chunk_probability=chance.choice((0.0, 0.0, 0.1)),
        loss_probability=chance.choice((0.0, 0.0, 0.0, 0.001)),
    )
    # Few names and few ways to open them bring clients together; one storm in three has room for all.
    names = NAMES if chance.random() < 0.33 else NAMES[:1]
    count = chance.choice((15, 40, 60, 80))
    is_peaceful = chance.random() < 0.6
    maker = _Maker(chance, clients, names, is_peaceful)
    return Plan(
        seed, tuple(maker.next_operation() for _ in range(count)),
        tuple(chance.choice(DIALECTS) for _ in range(clients)),
        tuple(chance.choice(ENDINGS) for _ in range(clients)), weather, chance.random() < 0.5,
    )  # fmt: skip


class _Maker:
    """Makes operations that mostly find something to work on: a client without handles opens first."""

    def __init__(self, chance: Random, clients: int, names: tuple[str, ...], is_peaceful: bool) -> None:
        self._chance = chance
        self._names = names
        self._weights, self._cachings = chance.choice(FLAVOURS)
        self._accesses = PEACEFUL if is_peaceful else ACCESSES
        self._shares = (SHARE_ALL,) if is_peaceful else SHARES
        self._blocks = chance.choice((1, BLOCKS)) if is_peaceful else BLOCKS
        self._waits = chance.choice((0.5, 0.9))
        self._number = 100
        self._opened: list[set[int]] = [set() for _ in range(clients)]

    def next_operation(self) -> Operation:
        chance = self._chance
        client = chance.randrange(len(self._opened))
        opened = self._opened[client]
        [kind] = chance.choices(tuple(self._weights), tuple(self._weights.values()))
        if not opened and kind in ON_SLOTS:
            kind = Kind.OPEN
        slot = chance.choice(sorted(opened)) if kind in ON_SLOTS else chance.randrange(SLOTS)
        if kind == Kind.OPEN:
            opened.add(slot)
        elif kind == Kind.CLOSE:
            opened.discard(slot)
        elif kind == Kind.LOGOFF:
            opened.clear()
        self._number += 1
        return self._operation(self._number, client, kind, slot)

    def _operation(self, number: int, client: int, kind: Kind, slot: int) -> Operation:
        chance = self._chance
        delay = chance.choice(LONG_DELAYS) if chance.random() < 0.03 else chance.choice(SHORT_DELAYS)
        name = chance.choice(self._names)
        if kind in (Kind.WATCH, Kind.LIST):
            name = chance.choice(FOLDERS)
        elif kind == Kind.RENAME:
            name = chance.choice(NAMES)
        waits = kind == Kind.LOGOFF or (kind not in BEHIND and chance.random() < self._waits)
        return Operation(
            number, client, kind, delay, waits, slot, name,
            chance.randrange(self._blocks), chance.randint(1, BLOCKS), chance.random() < 0.6,
            chance.choice(self._accesses),
            chance.choice(self._shares), chance.choice(DISPOSITIONS), DELETE_ON_CLOSE if chance.random() < 0.05 else 0,
            chance.choice(self._cachings), chance.choice((0, 1, 1, 2, 2)),
        )  # fmt: skip
