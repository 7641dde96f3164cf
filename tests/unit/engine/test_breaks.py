"""Waiting for holders to come down: what is over already is not waited for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from smbd_uring.engine import breaks
from smbd_uring.engine.leases import Holder
from smbd_uring.engine.opens import File
from smbd_uring.engine.oplock_states import RWH, Kind, R, State
from smbd_uring.engine.scheduler import Parking


def a_request() -> Any:
    tree = SimpleNamespace(closing=False, parked=set())
    return SimpleNamespace(
        tree_of=lambda: tree, connection=SimpleNamespace(async_requests={}), is_given_up=False, cancel=None,
        is_last_of_chain=False, async_id=0, header=SimpleNamespace(command=0), engine=SimpleNamespace(scheduler=None),
    )  # fmt: skip


def a_holder(state: State, *opens: Any) -> Holder:
    holder = Holder(File((1, 2)), Kind.LEASE, state)
    for opened in opens:
        holder.opens.add(opened)
    return holder


def begin_to_wait(holder: Holder) -> Any:
    """What the wait for a holder stops at; None when it does not stop."""
    try:
        return breaks.wait(a_request(), [holder]).send(None)
    except StopIteration:
        return None


@pytest.mark.parametrize(
    "holder",
    [a_holder(State(R), "an open"), a_holder(State(RWH, told=R, required=R, began_at=RWH))],
    ids=["has acknowledged", "was closed"],
)
def test_a_holder_that_came_down_before_the_wait_begins_is_not_waited_for(holder: Holder) -> None:
    assert begin_to_wait(holder) is None


def test_a_holder_that_is_breaking_is_waited_for() -> None:
    assert isinstance(begin_to_wait(a_holder(State(RWH, told=R, required=R, began_at=RWH), "an open")), Parking)
