"""Storms of simulated clients break no rule; each failure can be run again by its seed (`--seed N`)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from smbd_uring.engine.opens import File
from tests.storms.operations import Plan
from tests.storms.planning import plan_of
from tests.storms.planted import PLANTED
from tests.storms.planting import Planted, replaced
from tests.storms.shrink import Shrinker, describe, explain
from tests.storms.storm import Outcome, run

PROJECT = Path(__file__).resolve().parents[2]
SEEDS = int(os.environ.get("STORM_SEEDS", "40"))
SEEDS_UNTIL_FOUND = 300


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", metafunc.config.getoption("--seed") or range(1, SEEDS + 1))


def test_a_storm_breaks_no_rule(seed: int) -> None:
    outcome = run(plan_of(seed))
    if outcome.violations:
        pytest.fail(explain(outcome), pytrace=False)


def test_a_storm_is_the_same_each_time() -> None:
    first, second = run(plan_of(5), traced=True), run(plan_of(5), traced=True)
    assert first.history.trace == second.history.trace


SHOW_A_STORM = """
from tests.storms.planning import plan_of
from tests.storms.storm import run
for seed in (5, 26):
    print(*run(plan_of(seed), traced=True).history.trace, sep=chr(10))
"""


def test_a_storm_is_the_same_in_another_process() -> None:
    shown = [
        subprocess.run(
            [sys.executable, "-c", SHOW_A_STORM], cwd=PROJECT, env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True, check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]  # fmt: skip
    assert shown[0] == shown[1] != b""


def run_planted(planted: Planted, plan: Plan) -> Outcome:
    """A storm over an engine with a bug."""
    with planted.plant():
        return run(plan)


def first_broken(planted: Planted) -> Outcome | None:
    """The first storm in which a planted bug breaks its rule."""
    for seed in range(1, SEEDS_UNTIL_FOUND):
        outcome = run_planted(planted, plan_of(seed))
        if any(violation.rule == planted.rule for violation in outcome.violations):
            return outcome
    return None


@pytest.mark.parametrize("planted", PLANTED, ids=[planted.name for planted in PLANTED])
def test_a_planted_bug_is_found(planted: Planted) -> None:
    assert first_broken(planted) is not None


def test_a_storm_is_shrunk_to_what_matters() -> None:
    blind = Planted(
        "share modes do not exist", "sharing",
        lambda: replaced(File, "refuses", lambda refuses: lambda *masks, **besides: False),
    )  # fmt: skip
    outcome = first_broken(blind)
    assert outcome is not None
    shrunk = Shrinker(outcome, lambda plan: run_planted(blind, plan)).shrink()
    assert any(violation.rule == "sharing" for violation in shrunk.violations)
    assert len(shrunk.plan.operations) <= 3
    assert all(str(operation) in describe(shrunk) for operation in shrunk.plan.operations)
