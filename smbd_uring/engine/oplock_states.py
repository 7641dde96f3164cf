"""What the holder of an oplock or lease may keep, and when: the rules of caching as tables over plain values.

Knows: [MS-FSA] 2.1.4.12 (check for a break), 2.1.5.18 (request), 2.1.5.19 (acknowledgment); [MS-SMB2] 3.3.1.4,
3.3.4.6, 3.3.4.7, 3.3.5.9.8, 3.3.5.9.11, 3.3.5.22.  Must not know: opens, files, messages, time.

A client may cache what a *holder* of it says: READ (what it read stays true), WRITE (what it wrote need not be sent
yet), HANDLE (a handle that its user closed may stay open).  A holder is a lease, which several opens of one client
share by its key, or an oplock, which belongs to one open.  Both are the same three bits here:

    oplock   II = R    EXCLUSIVE = RW    BATCH = RWH          lease   any of  -  R  RH  RW  RWH  (directory: -  R  RH)

An operation of somebody else makes a holder come down first: OPERATIONS says from where to where.  A holder that had
nothing but READ is told and has come down; what it might still show its user is old, but was true.  One that had WRITE
or HANDLE has something to do before (send what was written, close what it kept open) and acknowledges; until then it
is *breaking*:

    held      what it still has, and what the answer to an open of its own says it has
    told      what the last notification said is left; None when it is not breaking
    required  what everybody who came since leaves it; never more than `told`
    began_at  what it had when the break began

An operation waits for a holder when the break began with something that it waits for; one that only takes READ away
from a holder of RH does not wait, although the holder acknowledges.  Whoever comes while a holder is breaking makes
`required` smaller and sends nothing.  When the acknowledgment comes and more is required, it is told again, and once
more if need be: RWH to RH, RH to R, R to nothing ("in steps": whoever has WRITE or HANDLE keeps READ for one step).
The steps of one break are one change of state to the epoch of a lease.  Without an acknowledgment in time everything
is lost.

What a holder gets is another table of few lines: nobody gets WRITE beside others who use the data, nobody HANDLE
beside an oplock (an oplock cannot give it back), no oplock stands beside a HANDLE of others, nothing beside a WRITE of
others, READ alone is not given where byte-range locks are.  A lease is promoted only as a whole, and never lowered by
its own client's opens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from smbd_uring.wire.const import AccessMask, OplockLevel
from smbd_uring.wire.ntstatus import NtStatus

NONE, R, H, W = 0, 1, 2, 4
"""As leases have them on the wire ([MS-SMB2] 2.2.13.2.8)."""

RH, RW, RWH = R | H, R | W, R | W | H
HELD_VALID = (NONE, R, RH, RW, RWH)


def letters_of(bits: int) -> str:
    """As people write them: RWH, "nothing"."""
    return "".join(letter for letter, bit in (("R", R), ("W", W), ("H", H)) if bits & bit) or "nothing"


class Kind(Enum):
    """What the bits belong to."""

    OPLOCK = "oplock"
    LEASE = "lease"
    DIRECTORY_LEASE = "directory lease"


class Operation(Enum):
    """What somebody else is about to do ([MS-FSA] 2.1.4.12); an open that only looks at attributes is none."""

    OPEN = "open"
    OVERWRITE = "overwrite"
    """An open that empties the file."""
    VIOLATE_SHARING = "violate sharing"
    """An open that cannot stand beside the holder's: it may have closed them but for the cache."""
    READ = "read"
    """FLUSH, too."""
    CHANGE_DATA = "change data"
    """WRITE, LOCK, another size, zeros."""
    RENAME = "rename"
    """Another name, or one more; a parent that gets another name."""
    DELETE = "delete"
    """Marking it for deletion."""
    CHANGE_SECURITY = "change security"
    CHANGE_ENTRIES = "change entries"
    """Of a directory: something in it came, went, or shows other attributes."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What one operation does to a holder: what is left by what it had, and which bits it waits for."""

    lease: Mapping[int, int]
    oplock: Mapping[int, int]
    waits_for: int


KEEPS_ALL = {held: held for held in HELD_VALID}
LOSES_ALL = dict.fromkeys(HELD_VALID, NONE)
LOSES_WRITE = {NONE: NONE, R: R, RH: RH, RW: R, RWH: RH}
LOSES_HANDLE = {NONE: NONE, R: R, RH: R, RW: RW, RWH: RW}
TO_LEVEL_II = {NONE: NONE, R: R, RW: R, RWH: R}
BATCH_LOSES_ALL = {NONE: NONE, R: R, RW: RW, RWH: NONE}

OPERATIONS: dict[Operation, Rule] = {
    #                                       lease         oplock           waits for
    Operation.OPEN:            Rule(LOSES_WRITE,  TO_LEVEL_II,     W),
    Operation.OVERWRITE:       Rule(LOSES_ALL,    LOSES_ALL,       W),
    Operation.VIOLATE_SHARING: Rule(LOSES_HANDLE, KEEPS_ALL,       H),
    Operation.READ:            Rule(LOSES_WRITE,  TO_LEVEL_II,     W),
    Operation.CHANGE_DATA:     Rule(LOSES_ALL,    LOSES_ALL,       W),
    Operation.RENAME:          Rule(LOSES_HANDLE, BATCH_LOSES_ALL, H),
    Operation.DELETE:          Rule(LOSES_HANDLE, KEEPS_ALL,       H),
    Operation.CHANGE_SECURITY: Rule(LOSES_HANDLE, KEEPS_ALL,       H),
    Operation.CHANGE_ENTRIES:  Rule(LOSES_ALL,    KEEPS_ALL,       NONE),
}  # fmt: skip

BREAKS_ITS_OWN = (Operation.CHANGE_DATA,)
"""Operations that end even the level II oplock of the open that asks for them, as [MS-FSA] has it."""


@dataclass(frozen=True, slots=True)
class State:
    """Where a holder is; see the module's text."""

    held: int
    told: int | None = None
    required: int = NONE
    began_at: int = NONE

    @property
    def is_breaking(self) -> bool:
        """Whether an acknowledgment is awaited."""
        return self.told is not None


@dataclass(frozen=True, slots=True)
class Notice:
    """A break notification to send: from what to what; `begins` when it is not one more step of a break under way."""

    current: int
    new: int
    needs_acknowledgment: bool
    begins: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """What an event comes to: the new state, what to tell the holder, whether the operation waits."""

    state: State
    notice: Notice | None = None
    waits: bool = False


def take(kind: Kind, state: State, operation: Operation) -> Step:
    """Somebody else is about to do `operation`."""
    rule = OPERATIONS[operation]
    left = rule.oplock if kind is Kind.OPLOCK else rule.lease
    if state.told is not None:
        return Step(replace(state, required=left[state.required]), None, bool(state.began_at & rule.waits_for))
    held = state.held
    kept = left[held]
    if kept == held:
        return Step(state)
    if held == R:
        return Step(State(kept), Notice(held, kept, needs_acknowledgment=False))
    notice = Notice(held, kept, needs_acknowledgment=True)
    return Step(State(held, kept, kept, held), notice, bool(held & rule.waits_for))


def acknowledge_lease(state: State, answer: int) -> tuple[NtStatus, Step]:
    """[MS-SMB2] 3.3.5.22.2: the client has come down to `answer`.  A failing status changes nothing."""
    if state.told is None:
        return NtStatus.UNSUCCESSFUL, Step(state)
    if answer & ~state.told:
        return NtStatus.REQUEST_NOT_ACCEPTED, Step(state)
    return NtStatus.SUCCESS, _came_down(state, answer if answer & R else NONE)


def acknowledge_oplock(state: State, answer: int) -> tuple[NtStatus, Step]:
    """[MS-SMB2] 3.3.5.22.1: `answer` is an OplockLevel.  A wrong one loses everything."""
    if state.told is None:
        return NtStatus.INVALID_OPLOCK_PROTOCOL, Step(state)
    if answer == OplockLevel.II:
        return NtStatus.SUCCESS, _came_down(state, R & state.told)
    if answer == OplockLevel.NONE or (answer == OplockLevel.EXCLUSIVE and state.held == RWH):
        return NtStatus.SUCCESS, Step(State(NONE))
    if answer == OplockLevel.LEASE:
        return NtStatus.INVALID_PARAMETER, Step(State(NONE))
    return NtStatus.INVALID_OPLOCK_PROTOCOL, Step(State(NONE))


def _came_down(state: State, held: int) -> Step:
    """The holder has `held` left; more may have become required since it was told."""
    if not held & ~state.required:
        return Step(State(held))
    if held == R:
        return Step(State(NONE), Notice(R, NONE, needs_acknowledgment=False, begins=False))
    told = state.required | R
    return Step(
        State(held, told, state.required, state.began_at),
        Notice(held, told, needs_acknowledgment=True, begins=False),
    )


def run_out_of_time(state: State) -> State:
    """No acknowledgment came, or none can: everything is lost."""
    return State(NONE) if state.told is not None else state


# --- whom an open concerns -----------------------------------------------------------------------------------------

LOOKS_ONLY = int(AccessMask.FILE_READ_ATTRIBUTES | AccessMask.FILE_WRITE_ATTRIBUTES | AccessMask.SYNCHRONIZE)
"""An open with no more than these breaks no oplock and keeps nobody from WRITE."""

LOOKS_ONLY_TO_A_LEASE = LOOKS_ONLY | int(AccessMask.READ_CONTROL)


class Concerned(Enum):
    """Which holders one check of an open is about, its own lease aside."""

    EVERYBODY = "everybody"
    OPLOCKS = "oplocks"
    BATCH_OPLOCKS = "batch oplocks"

    def takes_in(self, kind: Kind, state: State) -> bool:
        """Whether a holder is one of them."""
        if self is Concerned.EVERYBODY:
            return True
        return kind is Kind.OPLOCK and (self is Concerned.OPLOCKS or state.held == RWH)


def checks_of_open(access: int, truncates: bool, violates_sharing: bool) -> list[tuple[Operation, Concerned]]:
    """[MS-FSA] 2.1.5.1.2: what an open checks, in order; whoever has to wait begins again afterwards.

    `access` is what it gets, the right to write included when it `truncates`; `violates_sharing`: as the opens are, it
    cannot stand beside them, which is its answer when nobody has to be waited for.
    """
    if not access & ~LOOKS_ONLY:
        return []
    operation = Operation.OVERWRITE if truncates else Operation.OPEN
    checks = [(operation, Concerned.BATCH_OPLOCKS)]
    if violates_sharing:
        return [*checks, (Operation.VIOLATE_SHARING, Concerned.EVERYBODY)]
    looks_to_a_lease = not access & ~LOOKS_ONLY_TO_A_LEASE
    return [*checks, (operation, Concerned.OPLOCKS if looks_to_a_lease else Concerned.EVERYBODY)]


# --- what is granted -----------------------------------------------------------------------------------------------

LEASE_GRANTABLE = {NONE: NONE, R: R, H: NONE, RH: RH, W: NONE, RW: RW, W | H: NONE, RWH: RWH}
"""What of a lease's bits means anything: without READ nothing does."""

BITS_OF_LEVEL: dict[int, int] = {
    OplockLevel.NONE: NONE, OplockLevel.II: R, OplockLevel.EXCLUSIVE: RW, OplockLevel.BATCH: RWH,
}  # fmt: skip
LEVEL_OF_BITS = {bits: level for level, bits in BITS_OF_LEVEL.items()}
LEASE_BITS = RWH


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands beside a request: other opens of the file, those of the same lease aside."""

    others_use_data: bool = False
    """Somebody may read or write, or holds an oplock or lease, be it broken to nothing."""
    others_hold_oplock: bool = False
    others_hold_handle: bool = False
    """A lease of another has HANDLE."""
    others_hold_write: bool = False
    """Another may have written what the file does not say yet; only an open that looks at attributes gets so far."""
    has_byte_range_locks: bool = False
    is_being_deleted: bool = False
    is_used_locally: bool = False
    """By programs of this machine, which cannot be told what somebody caches."""


def surroundings(
    others: Iterable[tuple[int, Kind | None, State | None]], has_byte_range_locks: bool, is_being_deleted: bool,
    is_used_locally: bool = False,
) -> Surroundings:
    """What stands beside a request, from each other open's access and what holds its cache, if something does."""
    uses_data = holds_oplock = holds_handle = holds_write = False
    for access, kind, state in others:
        uses_data = uses_data or kind is not None or bool(access & ~LOOKS_ONLY)
        holds_oplock = holds_oplock or kind is Kind.OPLOCK
        if state is not None:
            holds_handle = holds_handle or (kind is not Kind.OPLOCK and bool(state.held & H))
            holds_write = holds_write or bool(state.held & W)
    return Surroundings(
        uses_data, holds_oplock, holds_handle, holds_write, has_byte_range_locks, is_being_deleted, is_used_locally
    )


def grantable_oplock(level: int, around: Surroundings) -> int:
    """The bits that a request for an oplock gets ([MS-FSA] 2.1.5.18): all, level II, or nothing."""
    asked = BITS_OF_LEVEL.get(level, NONE)
    if asked == NONE or around.others_hold_handle or around.others_hold_write or around.is_used_locally:
        return NONE
    if asked & W and not around.others_use_data:
        return asked
    return NONE if around.has_byte_range_locks else R


def grantable_lease(kind: Kind, asked: int, around: Surroundings) -> int:
    """The bits that a request for a new lease gets: as many of those asked for as go with what is there."""
    granted = NONE if around.is_used_locally else _meant(kind, asked)
    if around.others_use_data:
        granted &= ~W
    if around.others_hold_oplock or around.is_being_deleted:
        granted &= ~H
    if around.others_hold_write or (around.has_byte_range_locks and not granted & W):
        return NONE
    return granted


def promoted(kind: Kind, state: State, asked: int, around: Surroundings) -> State:
    """An open under a lease that is there asks for more ([MS-SMB2] 3.3.5.9.8): it gets all of it, or stays."""
    meant = _meant(kind, asked)
    if state.told is not None or state.held & ~meant or meant != grantable_lease(kind, asked, around):
        return state
    return State(meant)


def _meant(kind: Kind, asked: int) -> int:
    bits = LEASE_GRANTABLE[asked & LEASE_BITS]
    return bits & ~W if kind is Kind.DIRECTORY_LEASE else bits
