"""`regress` on made-up rounds: it sees a slowdown, it does not see one in noise, and it says when it saw nothing."""

from __future__ import annotations

import random

import pytest

from smbd_uring.perf.verdict import Verdict, judge, judge_counts, judge_stored

JOB = "read-4k, plain, same"
ROUNDS = 7


def rounds(random_source: random.Random, cost: float, noise: float) -> list[float]:
    """Costs of one contender, scattered by `noise`."""
    return [cost * (1 + random_source.gauss(0, noise)) for _ in range(ROUNDS)]


def verdict(change: float, noise: float, seed: int = 1) -> Verdict:
    """What is said of a program whose cost has changed by the factor `change`."""
    source = random.Random(seed)
    new, again, old = rounds(source, 5 * change, noise), rounds(source, 5 * change, noise), rounds(source, 5, noise)
    (found,) = judge({JOB: new}, {JOB: again}, {JOB: old})
    return found


def test_ten_percent_more_is_slower_on_a_quiet_machine() -> None:
    found = verdict(1.10, noise=0.005)
    assert found.slower and found.ratio is not None
    assert 1.08 < found.ratio.median < 1.12
    assert found.allowed < 1.05


def test_the_same_program_is_not_slower_on_a_noisy_one() -> None:
    source = random.Random(1)
    for _ in range(50):
        new, again, old = ({f"job {n}": rounds(source, 5, noise=0.10) for n in range(10)} for _ in range(3))
        assert [one.job for one in judge(new, again, old) if one.slower] == []


def test_twice_the_cost_is_slower_even_there() -> None:
    found = [verdict(2.0, noise=0.05, seed=seed).slower for seed in range(50)]
    assert all(found)


def test_faster_is_not_slower() -> None:
    found = verdict(0.5, noise=0.01)
    assert not found.slower


def test_each_workload_is_judged_for_itself() -> None:
    new = {"a": [10.0] * 5, "b": [11.0] * 5}
    same = {"a": [10.0] * 5, "b": [10.0] * 5}
    assert [one.slower for one in judge(new, new, same)] == [False, True]


def test_what_the_other_revision_cannot_do_is_said_and_not_judged() -> None:
    failed_there = judge({JOB: [10.0, 10.0]}, {JOB: [10.0, 10.0]}, {JOB: [0.0, 0.0]})
    unknown_there = judge({JOB: [10.0, 10.0]}, {JOB: [10.0, 10.0]}, {})
    for found in (*failed_there, *unknown_there):
        assert found.ratio is None and not found.slower


def test_a_stored_run_may_have_another_number_of_rounds() -> None:
    (found,) = judge_stored({JOB: [12.0] * 5}, {JOB: [12.0] * 5}, {JOB: [10.0] * 9})
    assert found.slower and found.ratio is not None and found.ratio.median == 1.2


def test_what_the_stored_run_scattered_counts_as_noise() -> None:
    scattered = [8.0, 9.0, 10.0, 11.0, 12.0]
    (found,) = judge_stored({JOB: [11.5] * 5}, {JOB: [11.5] * 5}, {JOB: scattered})
    assert not found.slower
    assert found.noise == pytest.approx(0.1)


def test_instructions_need_no_allowance_for_neighbours() -> None:
    (found,) = judge_counts({JOB: [10_400.0, 10_410.0]}, {JOB: [10_000.0, 10_005.0]})
    assert found.slower
    (found,) = judge_counts({JOB: [10_200.0, 10_210.0]}, {JOB: [10_000.0, 10_005.0]})
    assert not found.slower
