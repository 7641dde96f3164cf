"""The journal on a simulated disk: killed before any effect, or refused any, it keeps what it said it had."""

from __future__ import annotations

import errno
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from smbd_uring import limits
from smbd_uring.engine.handle_journal import HandleJournal
from smbd_uring.engine.scheduler import Scheduler
from smbd_uring.ports import CloseHandle
from tests.sim.driver import SimulatedDriver
from tests.sim.kernel import Kernel, run_effects

STATE = "/state"


class Killed(Exception):  # noqa: N818 - what happens to the process
    """There is no next effect."""


class Story:
    """A life of a journal: what it was asked to record, and what it said is on disk."""

    def __init__(self, kernel: Kernel, killed_before: int = -1, refused: int = -1) -> None:
        self.kernel = kernel
        self.killed_before, self.refused = killed_before, refused
        self.effects = 0
        self.is_dead = False
        self.asked: dict[int, list[bytes | None]] = {}
        """By id everything that was asked for since the last time that it was said to be on disk; None is gone."""
        self.journal = HandleJournal(Scheduler(SimulatedDriver(1, kernel)), STATE)

    def perform(self, effect: Any) -> Any:
        self.effects += 1
        self.is_dead = self.is_dead or self.effects - 1 == self.killed_before
        if self.is_dead:  # nothing is done any more, and what is left of the coroutine comes to its end
            raise OSError(errno.EIO, "Input/output error")
        if self.effects - 1 == self.refused and not isinstance(effect, CloseHandle):
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.kernel.perform(effect)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        result = run_effects(coroutine, self.perform)
        if self.is_dead:
            raise Killed
        return result

    def begin(self) -> dict[int, bytes]:
        records: dict[int, bytes] = self.run(self.journal.open())
        self.run(self.journal.restored(records))
        for number, payload in records.items():
            self.asked[number] = [payload]
        return records

    def live(self) -> None:
        """Puts, changes and drops, enough for a journal that is written anew several times."""
        for step in range(30):
            number = step % 4
            if step % 7 == 5:
                self.asked.setdefault(number, [None]).append(None)
                self.run(self.journal.drop(number))
            else:
                payload = bytes([step]) * 40
                self.asked.setdefault(number, [None]).append(payload)
                if self.run(self.journal.put(number, payload)):
                    self.asked[number] = [payload]


@pytest.fixture(autouse=True)
def short_journals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOURNAL_BYTES_MIN", 400)


def kernel() -> Kernel:
    made = Kernel()
    made.add_directory(STATE)
    return made


def effects_of_a_life() -> int:
    story = Story(kernel())
    story.begin()
    story.live()
    return story.effects


def moments() -> Iterator[int]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "JOURNAL_BYTES_MIN", 400)
        yield from range(effects_of_a_life())


def check(story: Story) -> None:
    """The next run of the server finds of each handle something that it may find."""
    found = Story(story.kernel).begin()
    for number, asked in story.asked.items():
        assert found.get(number) in asked, f"handle {number}"


def test_a_life_without_trouble() -> None:
    story = Story(kernel())
    assert story.begin() == {}
    story.live()
    assert all(len(asked) == 1 or None in asked for asked in story.asked.values())
    check(story)
    node = story.kernel.node(f"{STATE}/handles.journal")
    assert node.size <= 4 * limits.JOURNAL_BYTES_MIN


def test_killed_at_any_moment_it_keeps_what_it_said_it_had() -> None:
    for moment in moments():
        story = Story(kernel(), killed_before=moment)
        with pytest.raises((Killed, OSError)):
            story.begin()
            story.live()
        check(story)


def test_refused_anything_it_claims_nothing_that_is_not_there() -> None:
    for moment in moments():
        story = Story(kernel(), refused=moment)
        try:
            story.begin()
        except OSError:
            continue
        story.live()
        check(story)


def test_a_refusal_is_the_end_of_recording() -> None:
    story = Story(kernel())
    story.begin()
    story.refused = story.effects
    assert not story.run(story.journal.put(1, b"one"))
    assert not story.journal.is_writable
    assert not story.run(story.journal.put(2, b"two"))


def test_a_record_that_is_too_long_is_none() -> None:
    story = Story(kernel())
    story.begin()
    assert story.run(story.journal.put(1, b"short"))
    assert not story.run(story.journal.put(1, bytes(limits.JOURNAL_ENTRY_BYTES_MAX + 1)))
    assert Story(story.kernel).begin() == {}


def test_the_same_again_costs_nothing() -> None:
    story = Story(kernel())
    story.begin()
    assert story.run(story.journal.put(1, b"one"))
    before = story.effects
    assert story.run(story.journal.put(1, b"one"))
    assert story.effects == before
