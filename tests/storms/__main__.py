"""Runs many storms: `python -m tests.storms --seeds 10000`.  The first that breaks a rule is shrunk and shown.

Knows: seeds, processes, time.  Must not know: what a storm is made of.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.storms.planning import plan_of
from tests.storms.shrink import describe, explain
from tests.storms.storm import run

SEEDS_AT_ONCE = 100


def broken(first: int, last: int) -> list[tuple[int, str]]:
    """The seeds from `first` up to `last` that break a rule, and the first rule they break."""
    found: list[tuple[int, str]] = []
    for seed in range(first, last):
        violations = run(plan_of(seed)).violations
        if violations:
            found.append((seed, violations[0].rule))
    return found


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.storms", description=__doc__)
    parser.add_argument("--seeds", type=int, default=int(os.environ.get("STORM_SEEDS", "10000")), metavar="N")
    parser.add_argument("--first", type=int, default=1, metavar="SEED")
    parser.add_argument("--seed", type=int, metavar="SEED", help="only this one, with all that happened in it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--no-shrink", action="store_true", help="show what is broken as it is")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        outcome = run(plan_of(arguments.seed), traced=True)
        print(explain(outcome) if outcome.violations and not arguments.no_shrink else describe(outcome))
        return 1 if outcome.violations else 0
    began = time.monotonic()
    end = arguments.first + arguments.seeds
    parts = range(arguments.first, end, SEEDS_AT_ONCE)
    found: list[tuple[int, str]] = []
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for part in pool.map(broken, parts, [min(first + SEEDS_AT_ONCE, end) for first in parts]):
            for seed, rule in part:
                print(f"seed {seed} breaks the rule of {rule}", flush=True)
            found += part
    took = time.monotonic() - began
    each_ms = took * 1000 / arguments.seeds
    print(f"{arguments.seeds} storms in {took:.0f} s ({each_ms:.1f} ms each), {len(found)} broken")
    if found:
        outcome = run(plan_of(found[0][0]), traced=True)
        print(describe(outcome) if arguments.no_shrink else explain(outcome))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
