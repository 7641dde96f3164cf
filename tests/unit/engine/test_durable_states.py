"""Every event in every state of a handle: where it leads, or that it cannot happen."""

from __future__ import annotations

from itertools import product

import pytest

from smbd_uring.engine.durable_states import TRANSITIONS, DurableEvent, DurableState, next_state

PLAIN, DURABLE, RESILIENT, PERSISTENT, DURABLE_AWAY, RESILIENT_AWAY, PERSISTENT_AWAY, CLOSED = DurableState
(
    PROMISE_DURABLE, PROMISE_RESILIENT, PROMISE_PERSISTENT, LOST_HOLDING, LOST_BARE, RECONNECT, CONFLICT, EXPIRE,
    RESTORE, CLOSE,
) = DurableEvent  # fmt: skip

CONNECTED = (PLAIN, DURABLE, RESILIENT, PERSISTENT)
AWAY = {DURABLE: DURABLE_AWAY, RESILIENT: RESILIENT_AWAY, PERSISTENT: PERSISTENT_AWAY}
BACK = {away: connected for connected, away in AWAY.items()}


def expected(state: DurableState, event: DurableEvent) -> DurableState | None:
    """The rules in one breath; None for what cannot happen."""
    if event is CLOSE:
        return CLOSED
    if event in (PROMISE_DURABLE, PROMISE_PERSISTENT):  # at CREATE only
        return {PROMISE_DURABLE: DURABLE, PROMISE_PERSISTENT: PERSISTENT}[event] if state is PLAIN else None
    if event is RESTORE:  # what is just being made
        return PERSISTENT_AWAY if state is PLAIN else None
    if event is PROMISE_RESILIENT:  # by a request on the handle
        if state not in CONNECTED:
            return None
        return PERSISTENT if state is PERSISTENT else RESILIENT
    if state is CLOSED:
        return None if event is RECONNECT else CLOSED
    if event in (LOST_HOLDING, LOST_BARE):
        if state not in CONNECTED:
            return None
        if state is PLAIN or (state is DURABLE and event is LOST_BARE):
            return CLOSED
        return AWAY[state]
    if state not in BACK:  # nobody reconnects to, gives way for, or gives up what is in use
        return None
    if event is RECONNECT:
        return BACK[state]
    if event is EXPIRE or state is DURABLE_AWAY:
        return CLOSED
    return state


@pytest.mark.parametrize(("state", "event"), list(product(DurableState, DurableEvent)))
def test_every_pair_leads_where_the_specification_says_or_cannot_happen(
    state: DurableState, event: DurableEvent
) -> None:
    following = expected(state, event)
    if following is None:
        with pytest.raises(AssertionError, match=event.name):
            next_state(state, event)
    else:
        assert next_state(state, event) is following


def test_the_table_has_no_pair_but_the_possible_ones() -> None:
    possible = {pair for pair in product(DurableState, DurableEvent) if expected(*pair) is not None}
    assert set(TRANSITIONS) == possible


def test_nothing_leads_out_of_closed() -> None:
    assert {after for (before, _), after in TRANSITIONS.items() if before is CLOSED} == {CLOSED}


@pytest.mark.parametrize("state", list(DurableState))
def test_a_handle_is_away_exactly_when_its_client_may_come_back(state: DurableState) -> None:
    assert state.is_away == ((state, RECONNECT) in TRANSITIONS)
