"""The message-id window against a model that keeps every id in a set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from smbd_uring.engine.credits import PAYLOAD_BYTES_PER_CREDIT, CreditWindow, charge_needed

IDS_TRIED_MAX = 80


class WindowAgainstSets(RuleBasedStateMachine):
    """Ids granted and not used yet, as a set; the window says the same, whatever the order."""

    def __init__(self) -> None:
        super().__init__()
        self.window = CreditWindow()
        self.usable = {0}
        self.granted_up_to = 1

    @rule(message_id=st.integers(0, IDS_TRIED_MAX), charge=st.integers(0, 6))
    def take(self, message_id: int, charge: int) -> None:
        wanted = set(range(message_id, message_id + charge))
        allowed = bool(wanted) and wanted <= self.usable
        assert self.window.take(message_id, charge) == allowed
        if allowed:
            self.usable -= wanted

    @rule(charge=st.integers(1, 3))
    def take_the_lowest(self, charge: int) -> None:
        if self.usable:
            self.take(min(self.usable), charge)

    @rule(requested=st.integers(0, 12), span_max=st.integers(1, 24))
    def grant(self, requested: int, span_max: int) -> None:
        lowest = min(self.usable, default=self.granted_up_to)
        room = span_max - (self.granted_up_to - lowest)
        expected = max(min(max(requested, 1), room), 0)
        if not expected and not self.usable:
            expected = 1
        assert self.window.grant(requested, span_max) == expected
        self.usable |= set(range(self.granted_up_to, self.granted_up_to + expected))
        self.granted_up_to += expected

    @invariant()
    def counts_agree(self) -> None:
        assert self.window.available == len(self.usable)
        assert self.window.span == self.granted_up_to - min(self.usable, default=self.granted_up_to)


TestWindowAgainstSets = WindowAgainstSets.TestCase


def test_a_new_window_has_the_id_of_negotiate_and_no_other() -> None:
    window = CreditWindow()
    assert not window.take(1, 1)
    assert window.take(0, 1)
    assert not window.take(0, 1)
    assert window.available == 0


@pytest.mark.parametrize("message_id", [-1, 1 << 63, (1 << 64) - 1])
def test_an_id_far_outside_costs_nothing(message_id: int) -> None:
    window = CreditWindow()
    assert not window.take(message_id, 1)
    assert not window.take(message_id, 65535)
    assert window.available == 1


def test_an_id_that_is_never_used_does_not_let_the_window_grow_without_bound() -> None:
    window = CreditWindow()
    window.grant(8, 8)
    for message_id in range(1, 8):
        assert window.take(message_id, 1)
        window.grant(1, 8)
    assert window.span == 8, "id 0 holds the low end"
    assert window.take(0, 1)
    assert window.grant(100, 8) == 8


def test_a_client_without_any_id_is_given_one_whatever_the_maximum() -> None:
    window = CreditWindow()
    assert window.take(0, 1)
    assert window.grant(0, 0) == 1


@given(st.integers(0, 1 << 32))
def test_a_payload_costs_one_credit_for_each_64_kib_begun(payload_bytes: int) -> None:
    charge = charge_needed(payload_bytes)
    assert charge >= 1
    assert charge * PAYLOAD_BYTES_PER_CREDIT >= payload_bytes
    assert charge == 1 or (charge - 1) * PAYLOAD_BYTES_PER_CREDIT < payload_bytes
