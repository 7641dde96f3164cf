"""Each checker on small histories: what breaks its rule, and what only looks as if it did."""

from __future__ import annotations

from smbd_uring.wire.const import Command
from smbd_uring.wire.ntstatus import NtStatus
from tests.storms.checkers import answers, caches, contents, locks, sharing
from tests.storms.history import (
    EMPTY,
    FOREVER,
    Asked,
    BlockAccess,
    DataRequest,
    HeldCache,
    HeldLock,
    HeldOpen,
    History,
)

OLD, NEW = b"old data", b"new data"


def asked(*statuses: int, lost_at: float = FOREVER) -> History:
    answers_at = [(2.0, int(status)) for status in statuses]
    return History(asked=[Asked(1, 7, Command.READ, 1.0, answers_at, lost_at)])


def test_a_request_has_one_final_answer() -> None:
    assert not list(answers.check(asked(NtStatus.SUCCESS)))
    assert not list(answers.check(asked(NtStatus.PENDING, NtStatus.CANCELLED)))
    assert not list(answers.check(asked(NtStatus.PENDING, lost_at=3.0)))
    assert list(answers.check(asked(NtStatus.PENDING)))
    assert list(answers.check(asked(NtStatus.SUCCESS, NtStatus.SUCCESS)))
    assert list(answers.check(asked(NtStatus.CANCELLED, NtStatus.PENDING)))
    assert list(answers.check(asked(NtStatus.PENDING, NtStatus.PENDING, NtStatus.SUCCESS)))
    assert list(answers.check(asked()))


def wrote(value: bytes, begin: float, end: float, certain: bool = True) -> BlockAccess:
    return BlockAccess(5, 0, value, True, begin, end, "anna", certain)


def read(value: bytes, begin: float, end: float) -> BlockAccess:
    return BlockAccess(5, 0, value, False, begin, end, "bert")


def explained(*accesses: BlockAccess, at_the_end: bytes | None = None) -> bool:
    left_over = {} if at_the_end is None else {5: at_the_end}
    history = History(accesses=list(accesses), left_over=left_over, ended_at=100.0)
    return not list(contents.check(history))


def test_what_was_written_is_read() -> None:
    assert explained(wrote(OLD, 1, 2), read(OLD, 3, 4), at_the_end=OLD)
    assert not explained(wrote(OLD, 1, 2), read(EMPTY, 3, 4))
    assert not explained(wrote(OLD, 1, 2), at_the_end=b"")
    assert not explained(read(NEW, 1, 2))


def test_nobody_goes_back_in_time() -> None:
    assert explained(wrote(OLD, 1, 2), wrote(NEW, 3, 6), read(NEW, 4, 5), at_the_end=NEW)
    assert explained(wrote(OLD, 1, 2), wrote(NEW, 3, 6), read(OLD, 4, 5), at_the_end=NEW)
    assert not explained(wrote(OLD, 1, 2), wrote(NEW, 3, 9), read(NEW, 4, 5), read(OLD, 6, 7))


def test_a_write_that_was_never_answered_may_come_late_or_never() -> None:
    perhaps = wrote(NEW, 1, 1, certain=False)
    assert explained(perhaps, wrote(OLD, 2, 3), read(NEW, 4, 5), at_the_end=NEW)
    assert explained(perhaps, wrote(OLD, 2, 3), at_the_end=OLD)
    assert not explained(read(NEW, 0.2, 0.5), perhaps)


def test_writes_at_the_same_time_have_some_order() -> None:
    both = (wrote(OLD, 1, 4), wrote(NEW, 2, 3))
    assert explained(*both, at_the_end=OLD) and explained(*both, at_the_end=NEW)
    assert not explained(*both, read(OLD, 5, 6), at_the_end=NEW)


def test_share_modes_count_while_both_opens_stand() -> None:
    alone = HeldOpen(5, "anna", 1, 3, access=0x1, share=0)
    assert list(sharing.check(History(opens=[alone, HeldOpen(5, "bert", 2, 4, access=0x1, share=7)])))
    assert not list(sharing.check(History(opens=[alone, HeldOpen(5, "bert", 3, 4, access=0x1, share=7)])))
    assert not list(sharing.check(History(opens=[alone, HeldOpen(5, "bert", 2, 4, access=0x80, share=7)])))
    assert not list(sharing.check(History(opens=[alone, HeldOpen(6, "bert", 2, 4, access=0x1, share=7)])))


def test_two_locks_that_conflict_never_stand() -> None:
    anna, bert = HeldOpen(5, "anna", 0), HeldOpen(5, "bert", 0)
    mine = HeldLock(5, "anna", 1, 5, start=0, stop=16, exclusive=True, opened=anna)
    for begin, start, is_wrong in ((2, 8, True), (5, 8, False), (2, 16, False)):
        other = HeldLock(5, "bert", begin, 9, start=start, stop=32, opened=bert)
        assert bool(list(locks.check(History(locks=[mine, other])))) == is_wrong


def test_nothing_goes_through_a_lock() -> None:
    anna, bert = HeldOpen(5, "anna", 0), HeldOpen(5, "bert", 0)
    for exclusive, writes, by, begin, is_wrong in (
        (True, False, bert, 2, True), (True, True, bert, 2, True), (False, True, bert, 2, True),
        (False, False, bert, 2, False), (True, True, anna, 2, False), (True, True, bert, 0.5, False),
        (True, True, None, 2, True),
    ):  # fmt: skip
        lock = HeldLock(5, "anna", 1, 5, start=0, stop=16, exclusive=exclusive, opened=anna)
        request = DataRequest(5, 8, 24, writes, begin, 3, "bert", by)
        assert bool(list(locks.check(History(locks=[lock], data_requests=[request])))) == is_wrong


def test_who_delays_writes_is_alone() -> None:
    cache = HeldCache(5, "anna", 1, 3, lease="hers", reads=True, writes=True)
    own = HeldOpen(5, "anna", 1, 9, access=3, share=7, lease="hers")
    for begin, access, is_wrong in ((2, 1, True), (3, 1, False), (2, 0x80, False)):
        other = HeldOpen(5, "bert", begin, 4, access=access, share=7)
        assert bool(list(caches.check(History(opens=[own, other], caches=[cache])))) == is_wrong
    assert list(caches.check(History(caches=[HeldCache(5, "anna", 1, 3, lease="hers", handles=True)])))
