"""Successes into Locust's statistics, many at once: one by one they cost more than all else that a request costs here.

The statistics are the same to the digit, but for the sum of the response times, which floating-point numbers round by
the order of their addition, and but for the moment at which a request counts: the arrival of its response, not when it
was read.
"""

from __future__ import annotations

from collections import Counter

import locust.stats
import numpy as np
import numpy.typing as npt
from locust.stats import RequestStats, StatsEntry

EXACT_MS = 100  # below it Locust rounds to whole milliseconds


def rounded(milliseconds: npt.NDArray[np.float64]) -> Counter[int]:
    """How often each response time occurs, rounded as Locust does."""
    is_exact = milliseconds < EXACT_MS
    counts = np.bincount(np.rint(milliseconds[is_exact]).astype(np.int64)).tolist()
    times = Counter({time: count for time, count in enumerate(counts) if count})
    times.update(map(locust.stats.bucket_response_time, milliseconds[~is_exact].tolist()))
    return times


class LocustCounts:
    """The successes that Locust's statistics have yet to count, all under one name."""

    def __init__(self, stats: RequestStats, method: str, name: str) -> None:
        self._stats = stats
        self._method, self._name = method, name
        self._times: list[float] = []
        self._ends: list[float] = []
        self._size = 0

    def add(self, elapsed: float, at: float, size: int) -> None:
        """A success took `elapsed` s until `at`, a value of `now`, and had `size` bytes of body."""
        self._times.append(elapsed)
        self._ends.append(at)
        self._size += size

    def flush(self, ahead_s: float) -> None:
        """Have them counted. `ahead_s` is how far the wall clock, by which Locust counts, is ahead of `now`."""
        if not self._times:
            return
        milliseconds, ends = np.array(self._times) * 1000, np.array(self._ends) + ahead_s
        batch = StatsEntry(self._stats, self._name, self._method)
        batch.start_time = ends.min().item()
        batch.num_requests = len(milliseconds)
        batch.total_response_time = milliseconds.sum().item()
        batch.min_response_time = milliseconds.min().item()
        batch.max_response_time = milliseconds.max().item()
        batch.response_times = rounded(milliseconds)
        seconds, counts = np.unique(ends.astype(np.int64), return_counts=True)
        batch.num_reqs_per_sec = dict(zip(seconds.tolist(), counts.tolist(), strict=True))
        batch.last_request_timestamp = ends.max().item()
        batch.total_content_length = self._size
        self._stats.total.extend(batch)
        self._stats.get(self._name, self._method).extend(batch)
        self._times.clear()
        self._ends.clear()
        self._size = 0
