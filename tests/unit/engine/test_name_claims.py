"""Names are made one at a time, whatever the case of their letters."""

from __future__ import annotations

import pytest

from smbd_uring.engine.name_claims import NameClaims, key_of
from smbd_uring.engine.scheduler import Scheduler
from tests.sim.driver import SimulatedDriver


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler(SimulatedDriver(1))


def test_names_that_differ_in_case_only_have_one_key() -> None:
    assert key_of("/srv", ("Folder", "ÄÖ")) == key_of("/srv", ("fOLDER", "äö"))
    assert key_of("/srv", ("a", "b")) != key_of("/srv", ("a",))
    assert key_of("/srv", ("a",)) != key_of("/other", ("a",))


def test_the_first_takes_the_name_the_others_follow_in_their_order_and_look_again(scheduler: Scheduler) -> None:
    claims = NameClaims(scheduler)
    key = key_of("/srv", ("a",))
    story: list[tuple[str, bool]] = []

    async def make(who: str) -> None:
        story.append((who, await claims.claim(key)))

    for who in ("first", "second", "third"):
        scheduler.start(make(who))
    assert story == [("first", True)]
    for expected in (["first", "second"], ["first", "second", "third"]):
        claims.release(key)
        scheduler.run_ready()
        assert [who for who, _ in story] == expected
    assert [fresh for _, fresh in story] == [True, False, False]
    claims.release(key)
    scheduler.start(make("later"))
    assert story[-1] == ("later", True), "nobody has the name any more"


def test_another_name_does_not_wait(scheduler: Scheduler) -> None:
    claims = NameClaims(scheduler)
    taken: list[bool] = []

    async def make(name: str) -> None:
        taken.append(await claims.claim(key_of("/srv", (name,))))

    scheduler.start(make("a"))
    scheduler.start(make("b"))
    assert taken == [True, True]
