"""What a storm consists of: a list of operations, and that a shrinker may take out of one by one.

Knows: what clients can be told to do.  Must not know: how they do it, what comes of it.

An operation stands for itself: it names a slot of its client, not what was opened there.  Whichever others are taken
away, the rest can still be done; one whose slot is empty does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from smbd_uring.wire.const import AccessMask, CreateDisposition, CreateOptions, Dialect, ShareAccess
from tests.sim.driver import Weather

SLOTS = 3
NAMES = ("a", "b", r"d\c")
FOLDERS = ("d", "")
READ = int(AccessMask.FILE_READ_DATA | AccessMask.FILE_READ_ATTRIBUTES)
WRITE = int(AccessMask.FILE_WRITE_DATA | AccessMask.FILE_READ_ATTRIBUTES)
BOTH = READ | WRITE
ALL = BOTH | int(AccessMask.DELETE)
SHARE_ALL = int(ShareAccess.READ | ShareAccess.WRITE | ShareAccess.DELETE)
OPEN_IF = int(CreateDisposition.OPEN_IF)
DELETE_ON_CLOSE = int(CreateOptions.FILE_DELETE_ON_CLOSE)


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
