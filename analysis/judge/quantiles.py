"""Which quantile of a response time may be printed, and whether it is a value or only a lower bound (METHOD.md)."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.judge.thresholds import THRESHOLDS
from analysis.read.histograms import Histogram, merge


@dataclass(frozen=True)
class Quantile:
    """A quantile of response times in ms."""

    ms: float
    at_least: bool
    """Only a lower bound is known: requests still in flight at the end of the window were already older."""


def quantile(response: Histogram, ages: Histogram, q: float) -> Quantile | None:
    """A quantile of the successes' times, with those in flight at the window's end counted where they reach it.

    None where fewer than ten times lie above it. Only requests in flight that are older than the quantile of the
    answered ones count: a younger one may still end below it. A few of them are usual at any instant in a long tail;
    where they are more than a tenth of the tail, the answered requests alone would give too low a quantile.
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
