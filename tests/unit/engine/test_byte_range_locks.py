"""The locks of one file against a naive lock manager, which asks of every single byte and of every gap who holds it."""

from __future__ import annotations

from itertools import product
from typing import cast

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from smbd_uring.engine.byte_range_locks import OFFSETS, ByteRange, FileLocks, Lock, LockAllowance, Waiting
from smbd_uring.engine.opens import Open
from smbd_uring.engine.scheduler import Parking, Scheduler, Turns

SCHEDULER = cast(Scheduler, None)
BYTES = 6
RANGES = [ByteRange(offset, length) for offset in range(BYTES) for length in range(BYTES - offset)]
OWNERS = [cast(Open, name) for name in ("one", "other", "third")]


def table() -> FileLocks:
    return FileLocks(Turns(SCHEDULER))


def lock(owner: Open, wanted: ByteRange, is_exclusive: bool) -> Lock:
    return Lock(owner, wanted, is_exclusive, LockAllowance())


def places(wanted: ByteRange) -> set[float]:
    """The bytes of a range, and the borders inside it or, of an empty one, under it: where two ranges can meet."""
    inside = {float(at) for at in range(wanted.offset, wanted.offset + wanted.length)}
    if wanted.length:
        return inside | {at + 0.5 for at in inside if at + 1 in inside}
    return {wanted.offset - 0.5} if wanted.offset else set()


def test_ranges_meet_where_they_have_a_byte_or_a_gap_in_common() -> None:
    for one, other in product(RANGES, RANGES):
        if one.length or other.length:
            assert one.overlaps(other) == bool(places(one) & places(other)), (one, other)
        else:  # two gaps: [MS-FSA] 2.1.4.10 compares the last byte of one with the first of the other
            assert not one.overlaps(other), (one, other)


@pytest.mark.parametrize(
    ("offset", "length", "is_valid"),
    [
        (0, 0, True), (OFFSETS - 1, 0, True), (OFFSETS - 1, 1, True), (OFFSETS - 1, 2, False), (0, OFFSETS - 1, True),
        (1, OFFSETS - 1, True), (2, OFFSETS - 1, False), (OFFSETS - 1, OFFSETS - 1, False),
    ],
)  # fmt: skip
def test_a_range_ends_with_the_last_offset(offset: int, length: int, is_valid: bool) -> None:
    assert ByteRange(offset, length).is_valid == is_valid


@pytest.mark.parametrize("held_exclusive", [False, True])
@pytest.mark.parametrize("by_the_same", [False, True])
def test_the_table_of_conflicts(held_exclusive: bool, by_the_same: bool) -> None:
    locks, there = table(), ByteRange(2, 2)
    holder, asker = OWNERS[0], OWNERS[0] if by_the_same else OWNERS[1]
    locks.enter(lock(holder, there, held_exclusive))
    foreign_exclusive = held_exclusive and not by_the_same
    own_exclusive = held_exclusive and by_the_same
    for wanted in RANGES:
        meets = wanted.overlaps(there)
        assert locks.conflicts(lock(asker, wanted, True)) == meets
        assert locks.conflicts(lock(asker, wanted, False)) == (meets and foreign_exclusive)
        assert locks.refuses_read(asker, wanted) == (meets and foreign_exclusive)
        assert locks.refuses_write(asker, wanted) == (meets and not own_exclusive)
    assert locks.may_refuse_reads(asker) == foreign_exclusive
    assert locks.may_refuse_writes(asker) == (not own_exclusive)


def test_those_who_wait_are_let_in_as_they_came_as_far_as_they_do_not_conflict() -> None:
    locks = table()
    barrier = lock(OWNERS[0], ByteRange(0, 10), True)
    locks.enter(barrier)
    wishes = {
        "writer": lock(OWNERS[1], ByteRange(0, 5), True),
        "reader behind it": lock(OWNERS[2], ByteRange(0, 5), False),
        "reader elsewhere": lock(OWNERS[2], ByteRange(6, 2), False),
        "second reader elsewhere": lock(OWNERS[1], ByteRange(6, 2), False),
    }
    places = {name: Parking(SCHEDULER) for name in wishes}
    for name, wish in wishes.items():
        assert locks.conflicts(wish)
        waiting = Waiting(wish)
        waiting.entered = places[name]
        locks.waiting.append(waiting)

    def let_in() -> list[str]:
        before = {name for name, place in places.items() if place.woken}
        locks.let_in()
        return [name for name, place in places.items() if place.woken and name not in before]

    assert let_in() == []
    locks.remove(barrier)
    assert let_in() == ["writer", "reader elsewhere", "second reader elsewhere"]
    assert [held for held in locks.held if held in wishes.values()] == locks.held
    locks.remove(wishes["writer"])
    assert let_in() == ["reader behind it"] and not locks.waiting


def test_who_rests_is_not_let_in_before_the_rest_is_over() -> None:
    locks, waiting = table(), Waiting(lock(OWNERS[0], ByteRange(0, 1), True))
    waiting.entered, waiting.rests = Parking(SCHEDULER), True
    locks.waiting.append(waiting)
    locks.let_in()
    assert not waiting.entered.woken and not locks.held
    waiting.rests = False
    locks.let_in()
    assert waiting.entered.woken and locks.held == [waiting.lock]


class AgainstModel(RuleBasedStateMachine):
    """Locks and unlocks in any order; the model is a plain list of (owner, range, exclusive)."""

    def __init__(self) -> None:
        super().__init__()
        self.locks = table()
        self.allowance = LockAllowance()
        self.model: list[tuple[Open, ByteRange, bool]] = []

    @rule(owner=st.sampled_from(OWNERS), wanted=st.sampled_from(RANGES), is_exclusive=st.booleans())
    def take(self, owner: Open, wanted: ByteRange, is_exclusive: bool) -> None:
        free = not any(
            wanted.overlaps(held) and not (not is_exclusive and (not exclusive or holder is owner))
            for holder, held, exclusive in self.model
        )
        wish = Lock(owner, wanted, is_exclusive, self.allowance)
        assert self.locks.conflicts(wish) != free
        if free:
            self.locks.enter(wish)
            self.model.append((owner, wanted, is_exclusive))

    @rule(owner=st.sampled_from(OWNERS), wanted=st.sampled_from(RANGES))
    def unlock(self, owner: Open, wanted: ByteRange) -> None:
        own = [exclusive for holder, held, exclusive in self.model if holder is owner and held == wanted]
        found = self.locks.find(owner, wanted)
        assert (found is not None) == bool(own)
        if found is not None:
            assert found.is_exclusive == (True in own)
            self.locks.remove(found)
            self.model.remove((owner, wanted, found.is_exclusive))

    @rule(owner=st.sampled_from(OWNERS))
    def close(self, owner: Open) -> None:
        self.locks.remove_all_of(owner)
        self.model = [entry for entry in self.model if entry[0] is not owner]

    @invariant()
    def agrees(self) -> None:
        assert self.locks.is_empty == (not self.model)
        assert self.allowance.used == len(self.model)
        for owner in OWNERS:
            others = [entry for entry in self.model if entry[0] is not owner]
            assert self.locks.count_of(owner) == len(self.model) - len(others)
            reads = [any(exclusive and wanted.overlaps(held) for _, held, exclusive in others) for wanted in RANGES]
            writes = [
                any(not (exclusive and holder is owner) and wanted.overlaps(held)
                    for holder, held, exclusive in self.model)
                for wanted in RANGES
            ]  # fmt: skip
            assert [self.locks.refuses_read(owner, wanted) for wanted in RANGES] == reads
            assert [self.locks.refuses_write(owner, wanted) for wanted in RANGES] == writes
            assert self.locks.may_refuse_reads(owner) or not any(reads)
            assert self.locks.may_refuse_writes(owner) or not any(writes)


TestAgainstModel = AgainstModel.TestCase
