"""Which storm a seed stands for.

Knows: how to make clients meet.  Must not know: how operations are done.

Two of five storms have a bit of everything.  The others are about something: locks; cables that are pulled; or a crowd
that reads and writes one block, where what is quick is very quick and what is slow takes long, so that something can
happen in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from smbd_uring.wire.const import AccessMask, CreateDisposition, Dialect, ShareAccess
from tests.sim.driver import Weather
from tests.storms.history import BLOCKS
from tests.storms.operations import (
    ALL,
    BOTH,
    DELETE_ON_CLOSE,
    FOLDERS,
    NAMES,
    OPEN_IF,
    READ,
    SHARE_ALL,
    SLOTS,
    WRITE,
    Kind,
    Operation,
    Plan,
)

ACCESSES = (ALL, ALL, BOTH, BOTH, BOTH, BOTH, READ, WRITE, int(AccessMask.FILE_READ_ATTRIBUTES))
PEACEFUL = (ALL, BOTH, BOTH, BOTH, READ)
"""What clients ask for that mean no harm: they meet in the data and not at the door."""
SHARES = (SHARE_ALL, SHARE_ALL, SHARE_ALL, SHARE_ALL, int(ShareAccess.READ), 0)
DISPOSITIONS = (OPEN_IF,) * 12 + (int(CreateDisposition.OPEN), int(CreateDisposition.OVERWRITE_IF),
                                  int(CreateDisposition.SUPERSEDE), int(CreateDisposition.CREATE))  # fmt: skip
CACHINGS = ("RWH", "RWH", "RH", "RW", "R", "batch", "exclusive", "level II", "")
DURABLE = (0, 1, 1, 2, 2)
DIALECTS = (Dialect.SMB_3_1_1, Dialect.SMB_3_0_2, Dialect.SMB_3_0)
ENDINGS = ("close", "close", "vanish", "log off")
SHORT_DELAYS = (0.0, 0.0, 0.001, 0.005)
LONG_DELAYS = (0.05, 1.0, 40.0)
WEIGHTS = {
    Kind.OPEN: 12, Kind.CLOSE: 7, Kind.READ: 36, Kind.WRITE: 30, Kind.FLUSH: 2, Kind.TRUNCATE: 1, Kind.LOCK: 9,
    Kind.UNLOCK: 5, Kind.RENAME: 2, Kind.DISPOSE: 2, Kind.QUERY: 2, Kind.COMPOUND: 6, Kind.WATCH: 2, Kind.LIST: 1,
    Kind.CANCEL: 2, Kind.CUT: 3, Kind.LOGOFF: 1,
}  # fmt: skip
ON_SLOTS = frozenset((Kind.CLOSE, Kind.READ, Kind.WRITE, Kind.FLUSH, Kind.TRUNCATE, Kind.LOCK, Kind.UNLOCK, Kind.RENAME,
                      Kind.DISPOSE, Kind.QUERY))  # fmt: skip
"""What needs a handle."""
BEHIND = (Kind.LOCK, Kind.WATCH)
"""What may take until another client does something: nobody waits for it."""


@dataclass(frozen=True, slots=True)
class Flavour:
    """What a storm is mostly about."""

    weights: dict[Kind, int]
    cachings: tuple[str, ...] = CACHINGS
    is_crowd: bool = False


CROWD = Flavour({Kind.OPEN: 12, Kind.CLOSE: 6, Kind.READ: 60, Kind.WRITE: 25}, ("RH", "R", "level II", "RH"), True)
FLAVOURS = (
    Flavour(WEIGHTS),
    Flavour(WEIGHTS),
    Flavour(WEIGHTS | {Kind.LOCK: 40, Kind.UNLOCK: 20, Kind.CUT: 8}, ("RH", "RH", "R", "batch", "")),
    Flavour(WEIGHTS | {Kind.CUT: 10, Kind.WRITE: 45}, ("RWH", "RWH", "RH", "batch")),
    CROWD,
)
SLOW_DATA = Weather(
    effect_delay_max_s=0.001, effect_now_probability=0.5, data_delay_max_s=0.1, late_completion_probability=0.8,
    network_delay_max_s=0.0005, small_chunk_probability=0.0,
)  # fmt: skip


def plan_of(seed: int) -> Plan:
    """The storm of a seed."""
    chance = Random(seed)
    flavour = chance.choice(FLAVOURS)
    clients = chance.choice((3, 4)) if flavour.is_crowd else chance.choice((2, 2, 3, 3, 4))
    weather = SLOW_DATA if flavour.is_crowd else _weather(chance)
    count = chance.choice((15, 40, 60, 80))
    maker = _Maker(chance, flavour, clients)
    return Plan(
        seed, tuple(maker.next_operation() for _ in range(count)),
        tuple(chance.choice(DIALECTS) for _ in range(clients)),
        tuple(chance.choice(ENDINGS) for _ in range(clients)), weather, chance.random() < 0.5,
    )  # fmt: skip


def _weather(chance: Random) -> Weather:
    return Weather(
        effect_delay_max_s=chance.choice((0.0005, 0.005, 0.05)),
        effect_now_probability=chance.choice((0.0, 0.3, 0.7)),
        data_delay_max_s=chance.choice((None, 0.01, 0.1)),
        late_completion_probability=chance.choice((0.0, 0.5)),
        network_delay_max_s=chance.choice((0.0005, 0.0005, 0.002, 0.02)),
        small_chunk_probability=chance.choice((0.0, 0.0, 0.1)),
        loss_probability=chance.choice((0.0, 0.0, 0.0, 0.001)),
    )


class _Maker:
    """Makes operations that mostly find something to work on: a client without handles opens first."""

    def __init__(self, chance: Random, flavour: Flavour, clients: int) -> None:
        self._chance = chance
        self._flavour = flavour
        is_peaceful = flavour.is_crowd or chance.random() < 0.6
        # Few names and few ways to open them bring clients together; one storm in three has room for all.
        self._names = NAMES if chance.random() < 0.33 and not flavour.is_crowd else NAMES[:1]
        self._accesses = PEACEFUL if is_peaceful else ACCESSES
        self._shares = (SHARE_ALL,) if is_peaceful else SHARES
        self._dispositions = (OPEN_IF,) if flavour.is_crowd else DISPOSITIONS
        self._blocks = 1 if flavour.is_crowd else chance.choice((1, BLOCKS)) if is_peaceful else BLOCKS
        self._waits = chance.choice((0.5, 0.9))
        self._number = 100
        self._opened: list[set[int]] = [set() for _ in range(clients)]

    def next_operation(self) -> Operation:
        """One more."""
        chance, weights = self._chance, self._flavour.weights
        client = chance.randrange(len(self._opened))
        opened = self._opened[client]
        [kind] = chance.choices(tuple(weights), tuple(weights.values()))
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
            number, client, kind, delay, waits, slot, name, chance.randrange(self._blocks), chance.randint(1, BLOCKS),
            chance.random() < 0.6, chance.choice(self._accesses), chance.choice(self._shares),
            chance.choice(self._dispositions), DELETE_ON_CLOSE if chance.random() < 0.05 else 0,
            chance.choice(self._flavour.cachings), chance.choice(DURABLE),
        )  # fmt: skip
