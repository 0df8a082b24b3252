"""Statistics across blocks: the run is the unit, never the request.

Sources: Jain, The Art of Computer Systems Performance Analysis; Holm (1979); Le Boudec, Performance Evaluation, for the
order-statistic interval of a median.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
from scipy import stats as scipy_stats
from statsmodels.stats.multitest import multipletests

from analysis.judge.thresholds import THRESHOLDS as T

EXACT_FLIPS = 16  # up to so many blocks every assignment of signs is tried, beyond it a random sample of them
SAMPLED_FLIPS = 20_000

Call = Literal["difference", "tie", "undetermined"]


@dataclass(frozen=True)
class Median:
    """Median of runs with the interval between two order statistics, and the interval's coverage, 0 to 1."""

    value: float
    low: float
    high: float
    coverage: float
    runs: int


@dataclass(frozen=True)
class Ratio:
    """`first` over `second`, with a 95 % interval. Interval and p are None of a single run."""

    first: str
    second: str
    value: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    p_flips: float | None
    """Sign-flip permutation test, where the runs are paired."""
    blocks: int
    """Runs of each; the fewer of the two where they aren't paired."""

    @property
    def call(self) -> Call:
        """A tie lies within 3 % with its whole interval; a difference holds after Holm's correction."""
        if self.low is None or self.high is None or self.p_holm is None:
            return "undetermined"
        if 1 - T.tie <= self.low and self.high <= 1 + T.tie:
            return "tie"
        excludes_one = self.low > 1 or self.high < 1
        return "difference" if excludes_one and self.p_holm <= 1 - T.confidence else "undetermined"


def median_interval(values: Sequence[float]) -> Median:
    """Median with the narrowest pair of order statistics that holds it with 95 %; least and most where none does."""
    ordered, runs = sorted(values), len(values)
    rank = interval_rank(runs)
    return Median(float(np.median(ordered)), ordered[rank - 1], ordered[runs - rank], _coverage(rank, runs), runs)


@cache
def interval_rank(runs: int) -> int:
    """The order statistics, counted from either end, between which the median of so many runs lies with 95 %."""
    rank = 1
    while rank < (runs + 1) // 2 and _coverage(rank + 1, runs) >= T.confidence:
        rank += 1
    return rank


def _coverage(rank: int, runs: int) -> float:
    """Probability that the median lies between the rank-th smallest and the rank-th largest."""
    return max(0.0, 1 - 2 * float(scipy_stats.binom.cdf(rank - 1, runs, 0.5)))


def paired_ratio(first: str, second: str, figures: Mapping[str, Mapping[int, float]]) -> Ratio | None:
    """Ratio over the blocks that both labels have: t interval of the mean log ratio. None without such a block."""
    mine, theirs = figures.get(first, {}), figures.get(second, {})
    blocks = sorted(block for block in mine if block in theirs and mine[block] > 0 and theirs[block] > 0)
    if not blocks:
        return None
    logs = np.log([mine[block] / theirs[block] for block in blocks])
    mean, runs = float(logs.mean()), len(blocks)
    if runs < 2:
        return Ratio(first, second, math.exp(mean), None, None, None, None, None, runs)
    error = float(logs.std(ddof=1)) / math.sqrt(runs)
    if error > 0:
        half = error * float(scipy_stats.t.ppf((1 + T.confidence) / 2, runs - 1))
        p = 2 * float(scipy_stats.t.sf(abs(mean) / error, runs - 1))
    else:
        half, p = 0.0, 1.0 if mean == 0 else 0.0
    return Ratio(
        first, second, math.exp(mean), math.exp(mean - half), math.exp(mean + half), p, p, sign_flip(list(logs)), runs
    )


def welch_ratio(first: str, second: str, mine: Sequence[float], theirs: Sequence[float]) -> Ratio | None:
    """Ratio of two campaigns' runs, unpaired: Welch's t interval of the difference of mean logs. None without any.

    Welch, The generalization of "Student's" problem when several different population variances are involved, 1947.
    """
    logs = [np.log([value for value in values if value > 0]) for values in (mine, theirs)]
    runs = min(len(each) for each in logs)
    if runs < 1:
        return None
    apart = float(logs[0].mean() - logs[1].mean())
    if runs < 2:
        return Ratio(first, second, math.exp(apart), None, None, None, None, None, runs)
    if all(float(each.std()) == 0 for each in logs):  # no spread, no test: the runs are alike to the last digit
        half, p = 0.0, 1.0 if apart == 0 else 0.0
    else:
        test = scipy_stats.ttest_ind(*logs, equal_var=False)
        half, p = apart - float(test.confidence_interval(T.confidence).low), float(test.pvalue)
    return Ratio(first, second, math.exp(apart), math.exp(apart - half), math.exp(apart + half), p, p, None, runs)


def sign_flip(logs: Sequence[float]) -> float:
    """Two-sided p that the mean of paired log ratios is zero: how often random signs give one at least as far away."""
    observed = np.abs(np.asarray(logs, dtype=float))
    target = abs(float(np.sum(logs))) * (1 - 1e-12)
    if len(observed) <= EXACT_FLIPS:
        patterns = np.arange(2 ** len(observed))[:, None] >> np.arange(len(observed)) & 1
    else:
        patterns = np.random.default_rng(1).integers(0, 2, size=(SAMPLED_FLIPS, len(observed)))
    sums = np.abs((1 - 2 * patterns) @ observed)
    return float(np.mean(sums >= target))


def blocks_for_flips(comparisons: int) -> int:
    """Blocks below which the sign-flip test can't reach 5 % after Holm: log2(2 m / 0.05)."""
    return math.ceil(math.log2(2 * max(1, comparisons) / (1 - T.confidence)))


def compare_all(labels: Sequence[str], figures: Mapping[str, Mapping[int, float]]) -> tuple[Ratio, ...]:
    """Every pair of labels, with Holm's correction over the comparisons made."""
    pairs = [(first, second) for at, first in enumerate(labels) for second in labels[at + 1 :]]
    return corrected([ratio for pair in pairs if (ratio := paired_ratio(*pair, figures)) is not None])


def corrected(ratios: Sequence[Ratio]) -> tuple[Ratio, ...]:
    """The same ratios with Holm's correction over all of them that were tested."""
    tested = [ratio.p for ratio in ratios if ratio.p is not None]
    holm = iter(multipletests(tested, alpha=1 - T.confidence, method="holm")[1] if tested else ())
    return tuple(replace(ratio, p_holm=float(next(holm))) if ratio.p is not None else ratio for ratio in ratios)


def tiers(labels: Sequence[str], ratios: Sequence[Ratio], more_is_better: bool) -> dict[str, int]:
    """Rank = 1 + the number of labels that are reliably better."""
    better = dict.fromkeys(labels, 0)
    for ratio in ratios:
        if ratio.call == "difference":
            first_wins = (ratio.value > 1) == more_is_better
            better[ratio.second if first_wins else ratio.first] += 1
    return {label: 1 + count for label, count in better.items()}


def tied(first: float, second: float) -> bool:
    """Two figures of too few blocks to test: alike within 3 %."""
    return max(first, second) <= (1 + T.tie) * min(first, second)
