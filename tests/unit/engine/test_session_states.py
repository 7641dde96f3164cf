"""Every event in every state: where it leads, or that it cannot happen."""

from __future__ import annotations

from itertools import product

import pytest

from smbd_uring.engine.session_states import TRANSITIONS, SessionEvent, SessionState, next_state

IN_PROGRESS, VALID, EXPIRED, CLOSED = SessionState
AUTHENTICATED, FAILED, EXPIRE, CLOSE = SessionEvent
IMPOSSIBLE = {(IN_PROGRESS, EXPIRE), (EXPIRED, EXPIRE), (CLOSED, EXPIRE), (CLOSED, AUTHENTICATED)}
"""Only a valid session expires; a closed one never comes back."""


def expected(state: SessionState, event: SessionEvent) -> SessionState:
    """[MS-SMB2] 3.3.5.5.3 and 3.3.5.6 in one breath."""
    if event in (FAILED, CLOSE):
        return CLOSED
    return VALID if event is AUTHENTICATED else EXPIRED


@pytest.mark.parametrize(("state", "event"), list(product(SessionState, SessionEvent)))
def test_every_pair_leads_where_the_specification_says_or_cannot_happen(
    state: SessionState, event: SessionEvent
) -> None:
    if (state, event) in IMPOSSIBLE:
        with pytest.raises(AssertionError, match=event.name):
            next_state(state, event)
    else:
        assert next_state(state, event) is expected(state, event)


def test_the_table_has_no_pair_but_the_possible_ones() -> None:
    assert set(TRANSITIONS) == set(product(SessionState, SessionEvent)) - IMPOSSIBLE


def test_nothing_leads_out_of_closed() -> None:
    assert {after for (before, _), after in TRANSITIONS.items() if before is CLOSED} == {CLOSED}
