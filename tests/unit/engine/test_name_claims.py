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


def test_who_wants_something_in_a_folder_on_its_way_waits_and_looks_again(scheduler: Scheduler) -> None:
    claims, folder = NameClaims(scheduler), key_of("/srv", ("Folder",))
    story: list[tuple[str, bool]] = []

    async def want(*components: str) -> None:
        story.append(("/".join(components), await claims.wait_for_moves(key_of("/srv", components))))

    assert claims.begin_move(folder) and not claims.begin_move(folder)
    for components in (("folder", "below"), ("folder",), ("other",), ("folders",)):
        scheduler.start(want(*components))
    assert story == [("other", False), ("folders", False)]
    claims.end_move(folder)
    scheduler.run_ready()
    assert story[2:] == [("folder/below", True), ("folder", True)]
    assert not claims.moving


def test_a_name_that_is_being_made_is_known_to_who_would_move_its_folder(scheduler: Scheduler) -> None:
    claims = NameClaims(scheduler)
    scheduler.start(claims.claim(key_of("/srv", ("folder", "new"))))  # type: ignore[arg-type]
    assert claims.is_used_below(key_of("/srv", ("FOLDER",)))
    assert not claims.is_used_below(key_of("/srv", ("folder", "new")))
    claims.release(key_of("/srv", ("folder", "new")))
    assert not claims.is_used_below(key_of("/srv", ("FOLDER",)))
