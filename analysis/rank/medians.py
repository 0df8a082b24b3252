"""The median over blocks with its interval: the run is the unit, never the request.

Source: Le Boudec, Performance Evaluation, for the order-statistic interval of a median. The interval is about the
blocks' own campaign: how far another day's campaign lies away is not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import special

from analysis.judge.thresholds import THRESHOLDS as T


@dataclass(frozen=True)
class Median:
    """Median of runs with the interval between two order statistics, and the interval's coverage, 0 to 1."""

    value: float
    low: float
    high: float
    coverage: float
    runs: int


def median_interval(values: Sequence[float]) -> Median:
    """Median with the narrowest pair of order statistics that holds it with 95 %; least and most where none does."""
    ordered, runs = sorted(values), len(values)
    rank = interval_rank(runs)
    return Median(float(np.median(ordered)), ordered[rank - 1], ordered[runs - rank], interval_coverage(runs), runs)


@cache
def interval_rank(runs: int) -> int:
    """The order statistics, counted from either end, between which the median of so many runs lies with 95 %."""
    rank = 1
    while rank < (runs + 1) // 2 and _coverage(rank + 1, runs) >= T.confidence:
        rank += 1
    return rank


def interval_coverage(runs: int) -> float:
    """How often such an interval of so many runs holds the median, 0 to 1: 50 to 88 % with 2 to 4 runs."""
    return _coverage(interval_rank(runs), runs)


def _coverage(rank: int, runs: int) -> float:
    """Probability that the median lies between the rank-th smallest and the rank-th largest."""
    return max(0.0, 1 - 2 * float(special.bdtr(rank - 1, runs, 0.5)))
