"""Given any order of requests and grants, the native window of message ids says what the engine's says."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smbd_uring._native._window import MessageWindow
from smbd_uring.engine.credits import CreditWindow

LARGEST = (1 << 64) - 1
CHARGES = st.one_of(st.integers(0, 20), st.integers(0, 0xFFFF), st.integers(0, LARGEST))
# Counted from the lowest id that the model has not used, so that most of them mean something.
IDS = st.one_of(st.integers(-3, 3), st.integers(-70, 300), st.integers(-LARGEST, LARGEST))
STEPS = st.one_of(
    st.tuples(st.just("take"), IDS, CHARGES), st.tuples(st.just("grant"), CHARGES, st.integers(0, 8192))
)


def low(window: CreditWindow) -> int:
    """The lowest unused id."""
    return window._low


def assert_same(native: MessageWindow, model: CreditWindow) -> None:
    assert (native.available, native.span) == (model.available, model.span)


@settings(max_examples=300, deadline=None)
@given(span_max=st.sampled_from([1, 2, 63, 64, 65, 100, 512, 8192]), steps=st.lists(STEPS, max_size=60))
def test_both_windows_agree(span_max: int, steps: list[tuple[str, int, int]]) -> None:
    native, model = MessageWindow(span_max), CreditWindow()
    for kind, first, second in steps:
        if kind == "take":
            message_id = min(max(low(model) + first, 0), LARGEST)
            assert native.take(message_id, second) == model.take(message_id, second)
        else:
            wanted = min(second, span_max)
            assert native.grant(first, wanted) == model.grant(first, wanted)
        assert_same(native, model)


@pytest.mark.parametrize("span_max", [1, 7, 64, 8192])
def test_both_windows_agree_after_a_long_life(span_max: int) -> None:
    """A client that uses its ids out of order and never stops: the bitmap goes round many times."""
    chance = random.Random(span_max)
    native, model = MessageWindow(span_max), CreditWindow()
    for _ in range(60_000 if span_max > 1000 else 20_000):
        asked = chance.choice((0, 1, 3, 100, 0xFFFF))
        assert native.grant(asked, span_max) == model.grant(asked, span_max)
        message_id = low(model) + chance.randrange(max(1, min(model.span, 10)))
        charge = chance.choice((1, 1, 1, 2, 16, 129))
        assert native.take(message_id, charge) == model.take(message_id, charge)
        assert_same(native, model)
    assert low(model) > 2 * span_max, "the bitmap never went round"
