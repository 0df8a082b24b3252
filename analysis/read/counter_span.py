"""How far a counter moved in a window, where the ends of the window lie between two of its readings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.read.sample_rows import SampleRows

EDGE_S = 0.02
"""A reading this far from an end of the window counts as one at it."""
HOLE_S = 0.5
"""Readings are about 1 s apart: where more than this is missing between them, one of them is."""


@dataclass(frozen=True)
class CounterSpan:
    """The two bounds that the readings give."""

    least: float
    """Between the first reading in the window and the last one."""
    most: float | None
    """Between the last reading before the window and the first one after it; None where one of the two is missing."""


def spans_of(rows: SampleRows, columns: Sequence[str], start: float, end: float) -> dict[str, CounterSpan]:
    """The bounds of each counter in a window (Unix time, s), without those that were never recorded.

    `rows` are the intervals between readings: `time` is the end of each, `seconds` its length, `columns` differences.
    """
    ended, seconds = rows["time"], rows["seconds"]
    began = ended - seconds
    inside = (began >= start - EDGE_S) & (ended <= end + EDGE_S)
    touching = inside | ((ended > start + EDGE_S) & (began < end - EDGE_S))
    whole = False
    if touching.any():
        first, last = began[touching].min(), ended[touching].max()
        holes = last - first - seconds[touching].sum() > HOLE_S
        whole = first <= start + EDGE_S and last >= end - EDGE_S and not holes
    spans = {}
    for name in columns:
        column = rows[name]
        if not np.isnan(column).all():
            known = whole and not np.isnan(column[touching]).any()
            spans[name] = CounterSpan(
                float(np.nansum(column[inside])), float(column[touching].sum()) if known else None
            )
    return spans
