"""Times into HdrHistograms, many at once: recording one value takes longer than all else that a request costs here.

And into bins of equal width on a log scale, which are small enough to be sent once a second and can be added.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from hdrh.histogram import HdrHistogram

LOWEST_US, HIGHEST_US, SIGNIFICANT_DIGITS = 1, 300_000_000, 3
MICRO = 1_000_000
LEAST_S = 1e-6  # shorter times are in the first bin
GROWTH = 1.02  # from the middle of one bin to the next, so that a time is known to 1 %
Bins = tuple[tuple[int, int], ...]
"""Numbers of bins, ascending, each with how many times are in it."""


def histogram() -> HdrHistogram:
    """An empty histogram of times in µs, of the kind that the ledger has."""
    return HdrHistogram(LOWEST_US, HIGHEST_US, SIGNIFICANT_DIGITS)


def text(values: HdrHistogram) -> str:
    """HdrHistogram's V2 encoding: base64 of the compressed form."""
    encoded: bytes = values.encode()
    return encoded.decode("ascii")


def microseconds(seconds: float) -> int:
    """Seconds in µs, clamped to the histogram's range: it would refuse a value outside."""
    return min(max(int(seconds * MICRO), LOWEST_US), HIGHEST_US)


def record_all(into: HdrHistogram, seconds: npt.NDArray[np.float64]) -> None:
    """Do `record_value(microseconds(value))` for each value, with the same bins as a result."""
    if not len(seconds):
        return
    values = np.clip((seconds * MICRO).astype(np.int64), LOWEST_US, HIGHEST_US)
    # frexp's exponent of an integer is its bit length. Or-ing the mask puts all small values into the first bucket.
    bits = np.frexp((values | into.sub_bucket_mask).astype(np.float64))[1]
    bucket = bits - (into.sub_bucket_half_count_magnitude + 1)
    index = ((bucket + 1) << into.sub_bucket_half_count_magnitude) + (values >> bucket) - into.sub_bucket_half_count
    counts = np.frombuffer(into.counts, dtype=np.uint64)
    counts += np.bincount(index, minlength=len(counts)).astype(np.uint64)
    into.total_count += len(values)
    into.min_value = min(into.min_value, int(values.min()))
    into.max_value = max(into.max_value, int(values.max()))


def binned(parts: Sequence[npt.NDArray[np.float64]]) -> Bins:
    """The times (s) of all parts."""
    times = np.concatenate(parts) if parts else np.empty(0)
    numbers = np.rint(np.log(np.maximum(times, LEAST_S) / LEAST_S) / math.log(GROWTH)).astype(np.int64)
    bins, counts = np.unique(numbers, return_counts=True)
    return tuple(zip(bins.tolist(), counts.tolist(), strict=True))


def quantile_s(workers: Iterable[Bins], share: float) -> float | None:
    """The time (s) up to which this share of all times lies; None of no times."""
    counts: Counter[int] = Counter()
    for bins in workers:
        counts.update(dict(bins))
    wanted = max(1, math.ceil(share * counts.total() - 1e-9))
    passed = 0
    for number in sorted(counts):
        passed += counts[number]
        if passed >= wanted:
            return float(LEAST_S * GROWTH**number)
    return None
