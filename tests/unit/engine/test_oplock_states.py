"""Every state of a holder under every event, against what the specification says of it in other words.

The states are all that the rules can reach, found by trying everything; the expectation is computed from the bits, not
looked up in the same tables.
"""

from __future__ import annotations

from itertools import product

import pytest

from smbd_uring.engine.oplock_states import (
    HELD_VALID,
    LEASE_GRANTABLE,
    NONE,
    OPERATIONS,
    RH,
    RW,
    RWH,
    H,
    Kind,
    Notice,
    Operation,
    R,
    State,
    Step,
    Surroundings,
    W,
    acknowledge_lease,
    acknowledge_oplock,
    grantable_lease,
    grantable_oplock,
    promoted,
    run_out_of_time,
    take,
)
from smbd_uring.wire.const import OplockLevel
from smbd_uring.wire.ntstatus import NtStatus

OPLOCK, LEASE, DIRECTORY_LEASE = Kind
STARTS = {OPLOCK: (R, RW, RWH), LEASE: HELD_VALID, DIRECTORY_LEASE: (NONE, R, RH)}
ANSWERS = {OPLOCK: tuple(OplockLevel), LEASE: tuple(range(8)), DIRECTORY_LEASE: tuple(range(8))}

TAKEN_FROM_A_LEASE = {
    Operation.OPEN: W, Operation.OVERWRITE: RWH, Operation.VIOLATE_SHARING: H, Operation.READ: W,
    Operation.CHANGE_DATA: RWH, Operation.RENAME: H, Operation.DELETE: H, Operation.CHANGE_SECURITY: H,
    Operation.CHANGE_ENTRIES: RWH,
}  # fmt: skip
"""[MS-FSA] 2.1.4.12: BreakCacheState, HANDLE included where nothing is left to stand on."""

WAITED_FOR = {
    Operation.OPEN: W, Operation.OVERWRITE: W, Operation.VIOLATE_SHARING: H, Operation.READ: W,
    Operation.CHANGE_DATA: W, Operation.RENAME: H, Operation.DELETE: H, Operation.CHANGE_SECURITY: H,
    Operation.CHANGE_ENTRIES: NONE,
}  # fmt: skip


def left(kind: Kind, held: int, operation: Operation) -> int:
    """What an operation leaves of what is held."""
    if kind is not OPLOCK:
        return held & ~TAKEN_FROM_A_LEASE[operation]
    if operation in (Operation.OVERWRITE, Operation.CHANGE_DATA):
        return NONE
    if operation in (Operation.OPEN, Operation.READ):
        return held & R
    return NONE if operation is Operation.RENAME and held == RWH else held


def acknowledged(kind: Kind, state: State, answer: int) -> tuple[NtStatus, Step]:
    return acknowledge_oplock(state, answer) if kind is OPLOCK else acknowledge_lease(state, answer)


def reachable(kind: Kind) -> set[State]:
    """Every state that some row of events leads to."""
    found: set[State] = set()
    new = {State(held) for held in STARTS[kind]}
    while new:
        found |= new
        new = {
            after
            for state in new
            for after in (
                *(take(kind, state, operation).state for operation in Operation),
                *(acknowledged(kind, state, answer)[1].state for answer in ANSWERS[kind]),
                run_out_of_time(state),
            )
        } - found
    return found


EVERY_STATE = [(kind, state) for kind in Kind for state in sorted(reachable(kind), key=repr)]
IDS = [
    f"{kind.value} {state.held} {state.told} {state.required} {state.began_at}" for kind, state in EVERY_STATE
]


def test_what_can_be_reached_is_what_the_text_describes() -> None:
    assert {kind: len(reachable(kind)) for kind in Kind} == {OPLOCK: 10, LEASE: 22, DIRECTORY_LEASE: 6}
    for kind, state in EVERY_STATE:
        assert state.held in HELD_VALID
        if kind is DIRECTORY_LEASE:
            assert not state.held & W
        if state.told is None:
            assert (state.required, state.began_at) == (NONE, NONE)
        else:
            assert state.held & (W | H), "who has only READ has nothing to do before"
            assert state.told & ~state.held == 0 and state.told != state.held
            assert state.required & ~state.told == 0
            assert state.held & ~state.began_at == 0


@pytest.mark.parametrize(("kind", "state"), EVERY_STATE, ids=IDS)
@pytest.mark.parametrize("operation", list(Operation), ids=lambda operation: operation.value)
def test_an_operation_takes_what_it_must_and_waits_for_what_it_must(
    kind: Kind, state: State, operation: Operation
) -> None:
    step = take(kind, state, operation)
    waits_for = WAITED_FOR[operation]
    if state.told is not None:
        assert step.notice is None, "nobody is told again before he has answered"
        assert step.state == State(state.held, state.told, left(kind, state.required, operation), state.began_at)
        assert step.waits == bool(state.began_at & waits_for)
        return
    kept = left(kind, state.held, operation)
    if kept == state.held:
        assert step == Step(state)
    elif state.held == R:
        assert step == Step(State(NONE), Notice(R, NONE, needs_acknowledgment=False))
    else:
        assert step.state == State(state.held, kept, kept, state.held)
        assert step.notice == Notice(state.held, kept, needs_acknowledgment=True)
        assert step.waits == bool(state.held & waits_for)


@pytest.mark.parametrize(("kind", "state"), [pair for pair in EVERY_STATE if pair[0] is not OPLOCK])
def test_a_lease_comes_down_to_what_it_was_told_or_less_and_in_steps(kind: Kind, state: State) -> None:
    for answer in range(8):
        status, step = acknowledge_lease(state, answer)
        if state.told is None:
            assert (status, step) == (NtStatus.UNSUCCESSFUL, Step(state))
        elif answer & ~state.told:
            assert (status, step) == (NtStatus.REQUEST_NOT_ACCEPTED, Step(state))
        else:
            assert status == NtStatus.SUCCESS
            held = answer if answer & R else NONE
            check_comedown(state, held, step)


def check_comedown(state: State, held: int, step: Step) -> None:
    """The rest of the way, from `held`."""
    if held & ~state.required == 0:
        assert step == Step(State(held))
    elif held == R:
        assert step == Step(State(NONE), Notice(R, NONE, needs_acknowledgment=False, begins=False))
    else:
        assert step.notice == Notice(held, state.required | R, needs_acknowledgment=True, begins=False)
        assert step.state == State(held, state.required | R, state.required, state.began_at)


@pytest.mark.parametrize("state", [state for kind, state in EVERY_STATE if kind is OPLOCK], ids=repr)
def test_an_oplock_is_level_ii_or_nothing_after_its_acknowledgment(state: State) -> None:
    for answer in OplockLevel:
        status, step = acknowledge_oplock(state, answer)
        if state.told is None:
            assert (status, step) == (NtStatus.INVALID_OPLOCK_PROTOCOL, Step(state))
        elif answer == OplockLevel.II:
            assert status == NtStatus.SUCCESS
            check_comedown(state, R & state.told, step)
        else:
            assert step == Step(State(NONE))
            is_right = answer == OplockLevel.NONE or (answer == OplockLevel.EXCLUSIVE and state.held == RWH)
            wrong = NtStatus.INVALID_PARAMETER if answer == OplockLevel.LEASE else NtStatus.INVALID_OPLOCK_PROTOCOL
            assert status == (NtStatus.SUCCESS if is_right else wrong)


@pytest.mark.parametrize(("kind", "state"), EVERY_STATE, ids=IDS)
def test_every_break_ends_in_three_answers_at_most(kind: Kind, state: State) -> None:
    for _ in range(3):
        if state.told is None:
            return
        level = OplockLevel.II if kind is OPLOCK else state.told
        state = acknowledged(kind, state, level)[1].state
    assert state.told is None


@pytest.mark.parametrize(("kind", "state"), EVERY_STATE, ids=IDS)
def test_who_does_not_answer_loses_everything(kind: Kind, state: State) -> None:
    assert run_out_of_time(state) == (state if state.told is None else State(NONE))


def test_every_operation_has_its_rule() -> None:
    assert set(OPERATIONS) == set(Operation)


# --- granting ---

EVERYWHERE = [Surroundings(*values) for values in product((False, True), repeat=6)]


@pytest.mark.parametrize("around", EVERYWHERE, ids=repr)
def test_a_new_lease_gets_what_goes_with_the_others(around: Surroundings) -> None:
    for kind, asked in product((LEASE, DIRECTORY_LEASE), range(8)):
        granted = grantable_lease(kind, asked, around)
        meant = LEASE_GRANTABLE[asked] & (RH if kind is DIRECTORY_LEASE else RWH)
        assert granted & ~meant == 0 and granted in HELD_VALID
        assert not (granted & W and around.others_use_data)
        assert not (granted & H and (around.others_hold_oplock or around.is_being_deleted))
        assert not (granted and around.others_hold_write)
        if around.has_byte_range_locks:
            assert granted in (NONE, RW, RWH)
        if around == Surroundings():
            assert granted == meant


@pytest.mark.parametrize("around", EVERYWHERE, ids=repr)
def test_an_oplock_is_granted_whole_or_as_level_ii(around: Surroundings) -> None:
    for level, bits in ((OplockLevel.II, R), (OplockLevel.EXCLUSIVE, RW), (OplockLevel.BATCH, RWH)):
        granted = grantable_oplock(level, around)
        assert granted in (NONE, R, bits)
        if around.others_hold_handle or around.others_hold_write:
            assert granted == NONE
        elif bits & W and not around.others_use_data:
            assert granted == bits
        else:
            assert granted == (NONE if around.has_byte_range_locks else R)
    assert grantable_oplock(OplockLevel.NONE, around) == NONE


@pytest.mark.parametrize("around", EVERYWHERE, ids=repr)
def test_a_lease_is_promoted_as_a_whole_or_stays(around: Surroundings) -> None:
    for (kind, state), asked in product(EVERY_STATE, range(8)):
        if kind is OPLOCK:
            continue
        after = promoted(kind, state, asked, around)
        if after != state:
            meant = LEASE_GRANTABLE[asked] & (RH if kind is DIRECTORY_LEASE else RWH)
            assert state.told is None and after == State(meant)
            assert state.held & ~meant == 0
            assert grantable_lease(kind, asked, around) == meant


UPGRADES = {
    ("", "R"): "R", ("", "RH"): "RH", ("", "RW"): "RW", ("", "RWH"): "RWH",
    ("R", ""): "R", ("R", "RH"): "RH", ("R", "RW"): "RW", ("R", "RWH"): "RWH",
    ("RH", "R"): "RH", ("RH", "RW"): "RH", ("RH", "RWH"): "RWH",
    ("RW", "R"): "RW", ("RW", "RH"): "RW", ("RW", "RWH"): "RWH",
    ("RWH", "R"): "RWH", ("RWH", "RH"): "RWH", ("RWH", "RW"): "RWH",
}  # fmt: skip
"""Of an open that is alone: held, asked for, and then."""


def bits_of(letters: str) -> int:
    return sum({"R": R, "W": W, "H": H}[letter] for letter in letters)


@pytest.mark.parametrize(("held", "asked"), UPGRADES)
def test_an_upgrade_adds_and_never_takes(held: str, asked: str) -> None:
    after = promoted(LEASE, State(bits_of(held)), bits_of(asked), Surroundings())
    assert after == State(bits_of(UPGRADES[held, asked]))


def test_a_directory_has_no_write_caching_to_give() -> None:
    assert grantable_lease(DIRECTORY_LEASE, RWH, Surroundings()) == RH
    assert grantable_lease(DIRECTORY_LEASE, RW, Surroundings()) == R
