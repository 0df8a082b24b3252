"""Two campaigns on two days: whether their difference is more than two days of one version differ by.

Blocks of one campaign share their day, so their spread says nothing of the next day's: an unpaired test of two
campaigns is wrong far more often than it says (Kalibera and Jones, Rigorous Benchmarking in Reasonable Time, ISMM 2013:
variation at the highest level decides). Here earlier campaigns of the same plan, code and hosts say how far days lie
apart, and the difference of two new days is held against a prediction interval from their spread.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from analysis.judge.thresholds import THRESHOLDS as T

LEAST_DAYS = 3
"""Days of history below which nothing is claimed: two days give a spread that may be next to nothing by chance."""

DayCall = Literal["more", "less", "undetermined", "no history"]


@dataclass(frozen=True)
class DayMean:
    """One campaign's figure of one model at one step: mean and squared standard error of the blocks' logarithms."""

    day: str
    """The date it began on, as 2027-01-15. Campaigns of one date say nothing of how dates differ: they are joined."""
    mean: float
    error2: float


@dataclass(frozen=True)
class DayRatio:
    """`second` campaign over `first`, as observed, and what a history of days allows to say of it."""

    ratio: float
    low: float | None
    """Where the ratio of two days of one version lies in 95 of 100 pairs: a ratio outside is more than the days."""
    high: float | None
    p: float | None
    """Of a difference as large between two days of one version; None without enough history."""
    days: int


def day_mean(day: str, values: Sequence[float]) -> DayMean:
    """A campaign's blocks as one value; raises ValueError of none, or of one that isn't positive."""
    if not values or min(values) <= 0:
        raise ValueError("a day needs at least one figure, and figures above zero")
    logs = np.log(np.asarray(values, dtype=float))
    return DayMean(day, float(logs.mean()), float(logs.var(ddof=1)) / len(logs) if len(logs) > 1 else 0.0)


def day_ratio(first: DayMean, second: DayMean, history: Sequence[DayMean]) -> DayRatio:
    """The ratio of two campaigns against the spread of earlier ones.

    `history` are campaigns of one version on that machine; neither `first` nor `second` may be among them. With the
    variance S^2 of K days' means, which has the days' and the blocks' own spread in it, the difference of two more days
    has variance 2 S^2, and d / (S sqrt(2)) Student's t with K - 1 degrees of freedom. Where the two campaigns are
    less exact than those of the history (fewer blocks, noisier), what they have more is added.
    """
    difference = second.mean - first.mean
    days = _joined(history)
    if len(days) < LEAST_DAYS:
        return DayRatio(math.exp(difference), None, None, None, len(days))
    means = np.array([day.mean for day in days])
    within = float(np.mean([day.error2 for day in days]))
    extra = max(0.0, first.error2 + second.error2 - 2 * within)
    error = math.sqrt(2 * float(means.var(ddof=1)) + extra)
    half = error * float(special.stdtrit(len(days) - 1, (1 + T.confidence) / 2))
    p = 2 * float(special.stdtr(len(days) - 1, -abs(difference) / error)) if error > 0 else float(difference == 0)
    return DayRatio(math.exp(difference), math.exp(-half), math.exp(half), p, len(days))


def day_calls(ratios: Mapping[str, DayRatio]) -> dict[str, DayCall]:
    """What may be said of each of the ratios that one comparison makes, with Holm's correction over all of them."""
    corrected = day_holm(ratios)
    return {
        name: "no history"
        if ratio.p is None
        else "undetermined"
        if corrected[name] > 1 - T.confidence
        else "more"
        if ratio.ratio > 1
        else "less"
        for name, ratio in ratios.items()
    }


def day_holm(ratios: Mapping[str, DayRatio]) -> dict[str, float]:
    """Holm's p of each ratio that is tested, over all of them."""
    tested = sorted((ratio.p, name) for name, ratio in ratios.items() if ratio.p is not None)
    corrected: dict[str, float] = {}
    largest = 0.0
    for rank, (p, name) in enumerate(tested):
        largest = max(largest, min(1.0, p * (len(tested) - rank)))
        corrected[name] = largest
    return corrected


def _joined(history: Sequence[DayMean]) -> list[DayMean]:
    """One value for each date."""
    dates: dict[str, list[DayMean]] = {}
    for campaign in history:
        dates.setdefault(campaign.day, []).append(campaign)
    return [
        DayMean(
            date,
            float(np.mean([campaign.mean for campaign in campaigns])),
            sum(campaign.error2 for campaign in campaigns) / len(campaigns) ** 2,
        )
        for date, campaigns in sorted(dates.items())
    ]
