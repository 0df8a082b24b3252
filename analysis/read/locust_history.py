"""The history of a Locust run in time: seconds without the clock's steps, stretches to count in, idle times."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import pandas as pd

from analysis.read.locust_dialects import PERCENTILES, SLOWEST, Dialect
from analysis.read.locust_rows import Gap, GapKind, Part

WINDOW_S = 10.0
"""Requests/s are of ten seconds, which end two seconds before the last request; percentiles of 2 to 18 seconds."""
HOLE_S = 60.0
"""After so long without a row the clock may have been set or the machine have slept, which the files don't tell."""
KEY = ["type", "name", "total"]
COLUMNS = (
    "seconds", "users", "type", "name", "rps", "failures_per_s", "p50_ms", "p95_ms", "p99_ms", "slowest_ms",
    "requests", "failures", "mean_ms", "line", "total", "stretch", "lap",
)  # fmt: skip


class Span(StrEnum):
    """What the percentiles of a history are of."""

    NONE = "none"
    """There are none."""
    SINCE_START = "since-start"
    LAST_TEN_SECONDS = "last-ten-seconds"
    SEEM_SINCE_START = "seem-since-start"
    """It has names, as with --csv-full-history, and the slowest response time never falls: Locust 1.2 to 2.2.1."""
    UNTOLD = "untold"
    """It has names and is too short to tell."""


def empty_history() -> pd.DataFrame:
    """A history without rows."""
    kinds = {"type": "str", "name": "str", "line": "int64", "total": "bool", "stretch": "int64", "lap": "int64"}
    return pd.DataFrame(columns=list(COLUMNS)).astype({name: kinds.get(name, "float64") for name in COLUMNS})


def timed(part: Part | None, file: str) -> tuple[pd.DataFrame, Span, list[Gap]]:
    """The rows of a history, what their percentiles are of, and where it can't be counted across.

    `seconds` run from the first row; where the clock was set back they go on by the usual distance of two rows. `lap`
    changes where the counts begin again, `stretch` there too, where the clock was set back, and after HOLE_S without a
    row. After ten seconds without a request `rps` is 0 (Locust repeats the rate before them), and percentiles of the
    last ten seconds, which Locust writes as 0, are NaN.
    """
    if part is None or part.rows.empty:
        return empty_history(), Span.NONE, []
    totals = np.flatnonzero(part.rows["total"])
    if not totals.size:
        return empty_history(), Span.NONE, [Gap(GapKind.NO_TOTAL, file)]
    rows = part.rows.iloc[: totals[-1] + 1].reindex(columns=list(COLUMNS))
    rows = rows.astype({"total": "bool", "line": "int64"})
    clock, counts = rows["seconds"].to_numpy()[totals], rows["requests"].to_numpy()[totals]
    steps = np.diff(clock)
    back, hole, again = steps < 0, steps > HOLE_S, np.diff(counts) < 0
    lines = rows["line"].to_numpy()[totals][1:]
    gaps = [Gap(GapKind.CLOCK_BACK, file, int(lines[at]), seconds=float(-steps[at])) for at in np.flatnonzero(back)]
    gaps += [Gap(GapKind.NO_ROWS_FOR, file, int(lines[at]), seconds=float(steps[at])) for at in np.flatnonzero(hole)]
    gaps += [Gap(GapKind.COUNTS_AGAIN, file, int(lines[at])) for at in np.flatnonzero(again)]
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 1.0
    written = np.searchsorted(totals, np.arange(len(rows)))  # names stand before the total that was written with them
    for name, values in (
        ("seconds", np.r_[0.0, np.where(back, usual, steps)].cumsum()),
        ("stretch", np.r_[0, back | hole | again].cumsum()),
        ("lap", np.r_[0, again].cumsum()),
    ):
        rows[name] = values[written]
    span = percentile_span(rows, part.dialect)
    idle = _idle(rows)
    rows.loc[idle, ["rps", "failures_per_s"]] = 0.0
    if span != Span.SINCE_START:
        windowed = list(PERCENTILES.values())
        rows.loc[idle, windowed] = rows.loc[idle, windowed].where(rows.loc[idle, windowed] > 0)
    return rows, span, gaps


def percentile_span(rows: pd.DataFrame, dialect: Dialect) -> Span:
    """What the percentiles of a history are of, by its version and by what they do.

    The largest response time since the start never falls; that of ten seconds does, sooner or later.
    """
    if rows[list(PERCENTILES.values())].isna().all(axis=None):
        return Span.NONE
    slowest = rows.groupby([*KEY, "lap"], sort=False)[SLOWEST["100%"]]
    if dialect.whole_means or (slowest.diff() < 0).any():
        return Span.LAST_TEN_SECONDS
    if rows["total"].all():
        return Span.SINCE_START
    if rows["seconds"].iloc[-1] < 2 * WINDOW_S or rows[SLOWEST["100%"]].isna().all():
        return Span.UNTOLD
    return Span.SEEM_SINCE_START


def holds(totals: pd.DataFrame) -> tuple[tuple[int, int], ...]:
    """Index of the first and the last row of each time with the most users, of the rows of all requests together."""
    most = totals["users"].max()
    if not most > 0:
        return ()
    at_most = totals["users"] == most
    begins = at_most & (~at_most.shift(fill_value=False) | (totals["stretch"] != totals["stretch"].shift()))
    groups = [group for _, group in totals[at_most].groupby(begins.cumsum()[at_most])]
    long = [group for group in groups if group["seconds"].iloc[-1] > group["seconds"].iloc[0]]
    return tuple((int(group.index[0]), int(group.index[-1])) for group in long)


def _idle(rows: pd.DataFrame) -> pd.Series:
    """Whether a row has the count of one that is ten seconds older."""
    idle = pd.Series(False, index=rows.index)
    for _, mine in rows.groupby(KEY, sort=False):
        seconds, counts, stretch = (mine[name].to_numpy() for name in ("seconds", "requests", "stretch"))
        before = np.searchsorted(seconds, seconds - WINDOW_S, side="right") - 1
        same = (counts[before] == counts) & (stretch[before] == stretch)
        idle[mine.index] = (before >= 0) & same
    return idle
