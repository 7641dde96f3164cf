"""Makes a storm that breaks a rule shorter, until nothing can be left out: what remains can be read.

Knows: that operations can be taken away.  Must not know: what they are.

Halves, quarters and so on down to single operations are taken out for as long as the same rule still breaks (delta
debugging; Zeller and Hildebrandt, Simplifying and isolating failure-inducing input, 2002).  Since delays follow from
how often the seed's random source was asked, a shorter storm is another one; a few seeds of its weather are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.storms.operations import Operation, Plan
from tests.storms.storm import Outcome, run

SEEDS_TRIED = 3
RUNS_MAX = 2000


class Shrinker:
    """One storm on its way to a shorter one."""

    def __init__(self, outcome: Outcome, run: Callable[[Plan], Outcome] = run) -> None:
        """`run` is what makes a storm of a plan."""
        self._run = run
        self._outcome = outcome
        self._rule = outcome.violations[0].rule
        self._runs = 0

    def shrink(self) -> Outcome:
        """The shortest storm found."""
        while self._pass():
            pass
        return self._outcome

    def _pass(self) -> bool:
        """Take out what can be taken out, large pieces first.  Result: whether it became shorter."""
        before = len(self._outcome.plan.operations)
        size = before // 2
        while size:
            start = 0
            while start < len(self._outcome.plan.operations):
                operations = self._outcome.plan.operations
                if not self._try(operations[:start] + operations[start + size :]):
                    start += size
            size //= 2
        return len(self._outcome.plan.operations) < before

    def _try(self, operations: tuple[Operation, ...]) -> bool:
        for plan in self._variants(replace(self._outcome.plan, operations=operations)):
            if self._runs >= RUNS_MAX:
                return False
            self._runs += 1
            outcome = self._run(plan)
            if any(violation.rule == self._rule for violation in outcome.violations):
                self._outcome = outcome
                return True
        return False

    def _variants(self, plan: Plan) -> Iterator[Plan]:
        yield from (replace(plan, seed=plan.seed + step * 1_000_003) for step in range(SEEDS_TRIED))


def explain(outcome: Outcome) -> str:
    """A storm that breaks a rule, shrunk and told."""
    shrunk = Shrinker(outcome).shrink()
    return describe(run(shrunk.plan, traced=True))


def describe(outcome: Outcome) -> str:
    """A storm and what went wrong in it, for a person."""
    plan = outcome.plan
    lines = [f"storm of seed {plan.seed}: {len(plan.operations)} operations of {len(plan.dialects)} clients"]
    lines += [f"  {operation}" for operation in plan.operations]
    if outcome.history.trace:
        lines += ["what happened:", *outcome.history.trace]
    lines += ["what is wrong:", *(f"  {rule}: {what}" for rule, what in outcome.violations)]
    return "\n".join(lines)
