"""Which quantile of a response time may be printed, and whether it is a value or only a lower bound (METHOD.md)."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.judge.thresholds import THRESHOLDS
from analysis.read.histograms import Histogram, merge


@dataclass(frozen=True)
class Quantile:
    ms: float
    at_least: bool
    """Only a lower bound is known, since the quantile reaches into the ages of those in flight."""


def quantile(response: Histogram, ages: Histogram, q: float) -> Quantile | None:
    """A quantile of the successes' times, with those in flight at the window's end counted where they reach it.

    None where fewer than ten times lie above it. A request in flight matters once it is older than the quantile of
    those that were answered: younger ones are as likely to end below it as the answered were. A few of them in a
    long tail are usual at any instant; more than a tenth of the tail means that the answered alone would flatter.
    """
    known = response.quantile_ms(q)
    older = ages if known is None else ages.above(known)
    total = response.total + older.total
    if total * (1 - q) < THRESHOLDS.least_above_quantile - 1e-9:
        return None
    pooled = merge((response, older)).quantile_ms(q)
    if known is not None and older.total <= THRESHOLDS.tail_in_flight * (1 - q) * response.total:
        return Quantile(known, at_least=False)
    if pooled is None:
        return None
    return Quantile(pooled, at_least=known is None or pooled > known)
