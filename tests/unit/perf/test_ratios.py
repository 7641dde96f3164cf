"""Medians, ratios and noise: what five rounds say, whatever one of them was disturbed by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbd_uring.perf.ratios import ALLOWED_MIN, NOISE_FACTOR, Ratio, allowed, is_slower, noise, ratio

COSTS = st.floats(0.1, 1000)


def test_the_ratio_is_taken_in_each_round() -> None:
    # The machine was twice as slow in the second round, for both.
    assert ratio([4.0, 8.0, 4.4], [8.0, 16.0, 8.0]) == Ratio(0.5, 0.5, pytest.approx(0.55), 3)


def test_one_disturbed_round_moves_the_spread_and_not_the_median() -> None:
    compared = ratio([4.0, 4.0, 40.0, 4.0, 4.0], [8.0] * 5)
    assert compared == Ratio(0.5, 0.5, 5.0, 5)


def test_a_round_without_a_figure_has_no_ratio_and_is_missed_in_the_count() -> None:
    assert ratio([4.0, 0.0, 4.0], [8.0, 8.0, 0.0]) == Ratio(0.5, 0.5, 0.5, 1)
    assert ratio([0.0], [8.0]) is None


def test_rounds_that_do_not_belong_together_are_not_compared() -> None:
    with pytest.raises(ValueError):
        ratio([1.0, 2.0], [1.0])


@given(st.lists(st.tuples(COSTS, COSTS), min_size=1, max_size=9), st.floats(0.1, 10))
def test_a_machine_that_is_slower_for_both_changes_no_ratio(rounds: list[tuple[float, float]], factor: float) -> None:
    ours, theirs = [one for one, _ in rounds], [other for _, other in rounds]
    plain = ratio(ours, theirs)
    slowed = ratio([one * factor for one in ours], [one * factor for one in theirs])
    assert plain is not None and slowed is not None
    assert slowed.median == pytest.approx(plain.median)
    assert plain.lowest <= plain.median <= plain.highest


def test_the_noise_is_how_far_two_runs_of_the_same_are_apart() -> None:
    assert noise([10.0, 10.0, 10.0], [10.0, 10.0, 10.0]) == 0
    assert noise([10.1, 9.8, 10.5], [10.0, 10.0, 10.0]) == pytest.approx(0.02)


def test_a_quiet_machine_still_allows_what_nobody_would_act_on() -> None:
    assert allowed(0.0, [0.0]) == 1 + ALLOWED_MIN


def test_a_noisy_machine_allows_more() -> None:
    assert allowed(0.05, [0.05, 0.01, 0.01]) == pytest.approx(1 + NOISE_FACTOR * 0.05)


def test_a_workload_that_agreed_by_chance_is_given_the_noise_of_the_others() -> None:
    assert allowed(0.0, [0.0, 0.04, 0.05]) == pytest.approx(1 + NOISE_FACTOR * 0.04)


def test_slower_is_above_what_is_allowed_and_not_at_it() -> None:
    assert not is_slower(Ratio(1.03, 1.0, 1.1, 5), 1.03)
    assert is_slower(Ratio(1.04, 1.0, 1.1, 5), 1.03)
