"""The ledger's histograms of times: decode them, add them bin by bin, compute quantiles.

HdrHistogram V2, 1 µs to 5 minutes, three significant digits. A decoded one has 20,000 counters of which a few hundred
are used, so only those are kept. Quantiles are never averaged: histograms are added, and the sum has the quantile.
"""

from __future__ import annotations

import binascii
import math
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
from hdrh.codec import HdrCookieException, HdrLengthException
from hdrh.histogram import HdrHistogram

Ints = npt.NDArray[np.int64]

_SIGNIFICANT_DIGITS = 3
_LOWEST_US = 1
SURE_TEXT = 4_000  # characters: zlib unpacks these to 3 MB at most
MOST_UNPACKED = 2**20  # 20,000 counters of at most 9 bytes
COOKIE_BYTES = 8  # of the compressed form, before zlib's data
_HALF_BITS = 10  # three digits need 2048 sub-buckets; each bucket after the first uses the upper half, 2 ** 10


class HistogramError(ValueError):
    """The text isn't an HdrHistogram with the ledger's parameters."""


def lowest_us(index: Ints) -> Ints:
    """The smallest time in µs that falls into a bin, by HdrHistogram's layout of bins."""
    half = 1 << _HALF_BITS
    bucket = (index >> _HALF_BITS) - 1
    sub_bucket = np.where(bucket < 0, index, (index & (half - 1)) + half)
    return np.asarray(sub_bucket << np.maximum(bucket, 0), dtype=np.int64)


def highest_us(index: Ints) -> Ints:
    """The largest time in µs that falls into a bin."""
    return np.asarray(lowest_us(index) + (1 << np.maximum((index >> _HALF_BITS) - 1, 0)) - 1, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Histogram:
    """Indices of the bins in use, ascending, and the number of times in each."""

    index: Ints
    counts: Ints

    @cached_property
    def total(self) -> int:
        """Number of times."""
        return int(self.counts.sum())

    @property
    def max_ms(self) -> float | None:
        """The upper edge of the highest bin; None if it is empty."""
        return float(highest_us(self.index[-1:])[0]) / 1000 if self.total else None

    @property
    def sum_s(self) -> float:
        """Sum of the times in s, each taken in the middle of its bin: within 0.05 %."""
        return float((lowest_us(self.index) + highest_us(self.index)) @ self.counts) / 2e6

    @property
    def sd_s(self) -> float:
        """Standard deviation of the times in s, each taken in the middle of its bin; 0 of fewer than two."""
        if self.total < 2:
            return 0.0
        middle = (lowest_us(self.index) + highest_us(self.index)) / 2e6
        mean = float(middle @ self.counts) / self.total
        return math.sqrt(float(((middle - mean) ** 2) @ self.counts) / (self.total - 1))

    def quantile_ms(self, q: float) -> float | None:
        """The time in ms that a share `q` of the times doesn't exceed (upper edge of its bin); None if it is empty."""
        if not self.total:
            return None
        rank = max(1, math.ceil(q * self.total - 1e-9))
        at = int(np.searchsorted(np.cumsum(self.counts), rank))
        return float(highest_us(self.index[at : at + 1])[0]) / 1000

    def above(self, limit_ms: float) -> Histogram:
        """The times whose whole bin is above the limit (ms)."""
        kept = lowest_us(self.index) > limit_ms * 1000
        return Histogram(self.index[kept], self.counts[kept])

    def longest(self, count: int) -> Histogram:
        """The `count` longest times; all where there are fewer."""
        above = self.total - np.cumsum(self.counts)
        counts = np.clip(count - above, 0, self.counts)
        return Histogram(self.index[counts > 0], counts[counts > 0])


EMPTY = Histogram(np.empty(0, np.int64), np.empty(0, np.int64))


@lru_cache(maxsize=32)
def decode(text: str) -> Histogram:
    """Decode one histogram of the ledger. Raises HistogramError for anything else.

    The last ones are kept, since many are the same: those without any time.
    """
    try:
        _check_size(text)
        decoded = HdrHistogram.decode(text)
    except (
        binascii.Error,
        struct.error,
        zlib.error,
        HdrCookieException,
        HdrLengthException,
        ValueError,
        TypeError,
        LookupError,
        ArithmeticError,
    ) as error:
        raise HistogramError(f"not a histogram: {error}") from None
    if (decoded.lowest_trackable_value, decoded.significant_figures) != (_LOWEST_US, _SIGNIFICANT_DIGITS):
        raise HistogramError("not a histogram from 1 µs with three significant digits")
    counts = np.frombuffer(decoded.counts, dtype=np.uint64)
    index = np.flatnonzero(counts)
    return Histogram(index.astype(np.int64), counts[index].astype(np.int64))


def _check_size(text: str) -> None:
    """Raise ValueError where a histogram would unpack to more than any of the ledger's can have."""
    if len(text) > SURE_TEXT:
        unpacked = zlib.decompressobj().decompress(binascii.a2b_base64(text)[COOKIE_BYTES:], MOST_UNPACKED + 1)
        if len(unpacked) > MOST_UNPACKED:
            raise ValueError(f"unpacks to more than {MOST_UNPACKED:,} bytes")


def merge(histograms: Iterable[Histogram]) -> Histogram:
    """Add histograms bin by bin."""
    parts = list(histograms)
    if not parts:
        return EMPTY
    index, inverse = np.unique(np.concatenate([part.index for part in parts]), return_inverse=True)
    counts = np.zeros(len(index), np.int64)
    np.add.at(counts, inverse, np.concatenate([part.counts for part in parts]))
    return Histogram(index, counts)
