"""Percentiles out of buckets are those of the sorted values, within one percent and never too low."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbd_uring.perf._histogram import Histogram

LONGEST_NS = 2**41 - 1


def filled(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


@given(
    st.lists(st.integers(0, LONGEST_NS), min_size=1, max_size=200),
    st.sampled_from([0.0, 1.0, 50.0, 95.0, 99.0, 99.9, 100.0]),
)
def test_a_percentile_is_that_of_the_sorted_values(values: list[int], percent: float) -> None:
    exact = sorted(values)[max(ceil(len(values) * percent / 100), 1) - 1]
    assert exact <= filled(values).percentile(percent) <= max(exact * 1.01, exact)


@given(st.lists(st.integers(0, 2**63), max_size=50))
def test_the_maximum_is_exact_and_every_value_counts(values: list[int]) -> None:
    histogram = filled(values)
    assert histogram.maximum == max(values, default=0)
    assert histogram.total == len(values)


def test_what_is_longer_than_any_bucket_counts_in_the_last_one() -> None:
    histogram = filled([1000, 2**50])
    assert histogram.percentile(50) in range(1000, 1011)
    assert histogram.percentile(99) >= LONGEST_NS


def test_nothing_measured_is_zero_and_clearing_forgets() -> None:
    histogram = filled([5, 6])
    histogram.clear()
    assert (histogram.total, histogram.maximum, histogram.percentile(99)) == (0, 0, 0)


def test_negative_values_are_refused() -> None:
    with pytest.raises(OverflowError):
        Histogram().add(-1)
