"""Medians, ratios and noise of interleaved rounds: pure arithmetic.

Knows: lists of figures, one a round.  Must not know: what they are figures of, how they were measured.

Round i of one server and round i of the other were measured one after the other, so whatever slowed the machine then
slowed both: the ratio is taken in each round, and the median of those ratios is what counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

ALLOWED_MIN = 0.03
"""A slowdown below this is never reported: nobody would act on it."""
NOISE_FACTOR = 3.0
"""How many times the noise a slowdown has to be.  The noise is the median distance from 1, about two thirds of a
standard deviation, and a median of seven rounds scatters by half of one.  In runs of ten workloads and seven rounds
that differ by nothing but chance, one workload in some thousands is above; in a run of one workload, one in two
hundred, because the noise itself is then known from few figures."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """The median of per-round ratios, the smallest and the largest of them, and how many there are."""

    median: float
    lowest: float
    highest: float
    rounds: int


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio | None:
    """Compare figures of the same rounds, in order; a round in which one of them is not above 0 has no ratio.

    Result: None when no round has one.  Raises ValueError for different numbers of rounds.
    """
    each = [our / their for our, their in zip(ours, theirs, strict=True) if our > 0 and their > 0]
    if not each:
        return None
    return Ratio(median(each), min(each), max(each), len(each))


def noise(first: Sequence[float], second: Sequence[float]) -> float:
    """How much two measurements of the *same* program differ: the median of |ratio - 1| over the rounds.

    Raises ValueError for different numbers of rounds, and when no round can be compared.
    """
    return median(abs(one / other - 1) for one, other in zip(first, second, strict=True) if one > 0 and other > 0)


def allowed(own_noise: float, all_noise: Sequence[float]) -> float:
    """The largest ratio that is not called a slowdown.

    Arguments: the noise of this workload; that of every workload of the run.  Their median counts where it is larger,
    because five rounds can agree by chance.
    """
    return 1 + max(ALLOWED_MIN, NOISE_FACTOR * max(own_noise, median(all_noise)))


def is_slower(compared: Ratio, allowed_ratio: float) -> bool:
    """Whether a ratio of costs (new to old) shows a slowdown beyond what is allowed."""
    return compared.median > allowed_ratio
