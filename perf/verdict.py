"""Whether something got slower: costs of two revisions and of one revision measured twice, to a verdict a workload.

Knows: ratios and noise.  Must not know: how anything was measured, what is printed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from smbd_uring.perf.ratios import Ratio, allowed, is_slower, noise, ratio

Costs = Mapping[str, Sequence[float]]
"""Cost (CPU us or instructions per operation) by job, one figure a round."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One job: the new cost over the old, the noise, the ratio above which it is called slower, and whether it is."""

    job: str
    ratio: Ratio | None
    """None: there was nothing to compare."""
    noise: float
    allowed: float
    slower: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def judge(new: Costs, again: Costs, old: Costs) -> list[Verdict]:
    """Judge every job of `new`.

    Arguments: the costs of this revision; of this revision once more, measured in the same rounds; of the other one,
    in the same rounds.
    """
    noises = {job: _noise(costs, again.get(job, ())) for job, costs in new.items()}
    return [
        _verdict(job, _paired(costs, old.get(job, ())), noises[job], list(noises.values()))
        for job, costs in new.items()
    ]


def judge_stored(new: Costs, again: Costs, old: Costs) -> list[Verdict]:
    """The same against costs of an earlier run: no rounds belong together, so the medians are compared.

    What an earlier run scattered is noise too: the median distance of its rounds from their median counts where it
    is more than the noise measured now.
    """
    noises = {
        job: max(_noise(costs, again.get(job, ())), _scatter(old.get(job, ()))) for job, costs in new.items()
    }
    return [
        _verdict(job, _unpaired(costs, old.get(job, ())), noises[job], list(noises.values()))
        for job, costs in new.items()
    ]


def judge_counts(new: Costs, old: Costs) -> list[Verdict]:
    """The same of instruction counts, which depend on nobody else: the two counts of each revision are its noise."""
    noises = {job: max(_scatter(counts), _scatter(old.get(job, ()))) for job, counts in new.items()}
    return [_verdict(job, _paired(counts, old.get(job, ())), noises[job], [0.0]) for job, counts in new.items()]


def _verdict(job: str, compared: Ratio | None, own_noise: float, noises: Sequence[float]) -> Verdict:
    limit = allowed(own_noise, noises)
    return Verdict(job, compared, own_noise, limit, compared is not None and is_slower(compared, limit))


def _paired(new: Sequence[float], old: Sequence[float]) -> Ratio | None:
    return ratio(new, old) if len(new) == len(old) else None


def _unpaired(new: Sequence[float], old: Sequence[float]) -> Ratio | None:
    before = [cost for cost in old if cost > 0]
    return ratio(new, [median(before)] * len(new)) if before else None


def _noise(new: Sequence[float], again: Sequence[float]) -> float:
    """0 where nothing was measured twice; that job has no ratio either."""
    pairs = [(one, other) for one, other in zip(new, again, strict=False) if one > 0 and other > 0]
    return noise([one for one, _ in pairs], [other for _, other in pairs]) if pairs else 0.0


def _scatter(costs: Sequence[float]) -> float:
    measured = [cost for cost in costs if cost > 0]
    return median(abs(cost / median(measured) - 1) for cost in measured) if measured else 0.0
