"""Which quantile of a response time may be printed, and whether it is a value or only a lower bound (METHOD.md)."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.judge.thresholds import THRESHOLDS
from analysis.read.histograms import EMPTY, Histogram, lowest_us, merge


@dataclass(frozen=True)
class Quantile:
    """A quantile of response times in ms."""

    ms: float
    at_least: bool
    """Only a lower bound is known: it is the time of requests that had no answer yet, in flight or given up."""


def quantile(response: Histogram, ages: Histogram, q: float, timed_out: Histogram = EMPTY) -> Quantile | None:
    """A quantile of all requests whose time is known, or is known to be at least so long.

    These are the successes' times, the times after which requests were given up, and the ages of those in flight at the
    window's end where they reach the quantile: a younger one may still end below it. A few older ones are usual at any
    instant in a long tail; they count where they are more than a tenth of the tail. None where fewer than ten times lie
    above the quantile.
    """
    known = response.quantile_ms(q)
    older, given_up = (each if known is None else each.above(known) for each in (ages, timed_out))
    ended = response.total + given_up.total
    if (ended + older.total) * (1 - q) < THRESHOLDS.least_above_quantile - 1e-9:
        return None
    few = known is not None and older.total <= THRESHOLDS.tail_in_flight * (1 - q) * ended
    longer = given_up if few else merge((older, given_up))
    ms = merge((response, longer)).quantile_ms(q)
    if ms is None:
        return None
    return Quantile(ms, at_least=longer.total > 0 and float(lowest_us(longer.index[:1])[0]) / 1000 <= ms)
