"""The figures that the history of plain Locust runs allows, one function each, callable on the frame of `timeline`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.draw.style import (
    PANEL_IN,
    canvas,
    legend,
    line_of,
    log_axis,
    note,
    plain_ticks,
    save,
    sign,
    styles_in_order,
)
from analysis.read.locust_csv import LocustRun

PERCENTILES = {"p50_ms": "p50 (median)", "p95_ms": "p95", "p99_ms": "p99"}
ABSENT = "not in these files"
STEADY_S = 16.0
"""How far a row's requests/s may look back: ten seconds that end two before the last request, which a master knows
three seconds late, and a clock of whole seconds."""


def timeline(runs: Sequence[LocustRun]) -> pd.DataFrame:
    """All requests together: the columns of each run's history, and the run's name as `run`."""
    frames = [run.totals.assign(run=run.name) for run in runs if not run.history.empty]
    return pd.concat(frames, ignore_index=True) if frames else runs[0].history.assign(run="")


def rps_over_time(rows: pd.DataFrame) -> Figure:
    """Requests/s of the last ten seconds, failures included, and the users that ran, in a panel below."""
    figure, panels = canvas(2.6, 1.7)
    for axes, column, name in zip(panels, ("rps", "users"), ("requests per second", "users"), strict=True):
        _lines(axes, rows, column)
        axes.set(ylabel=name, xlabel="seconds since the first row" if axes is panels[-1] else "")
        if rows[column].isna().all():
            note(axes, ABSENT)
        axes.set_ylim(bottom=0)
        plain_ticks(axes.yaxis)
    _entries(figure, rows)
    return figure


def response_over_time(rows: pd.DataFrame) -> Figure:
    """p50, p95 and p99 over time on one log scale, broken where there was no request or Locust rounded to 0 ms."""
    figure, panels = canvas(*[2.0] * len(PERCENTILES))
    columns = list(PERCENTILES)
    above = rows[columns].where(rows[columns] > 0)
    for axes, column in zip(panels, columns, strict=True):
        _lines(axes, rows.assign(**{column: above[column]}), column)
        axes.set(
            ylabel=f"{PERCENTILES[column]} in ms", xlabel="seconds since the first row" if axes is panels[-1] else ""
        )
        if above[column].isna().all():
            note(axes, "0 ms throughout" if rows[column].notna().any() else ABSENT)
    if above.notna().to_numpy().any():
        for axes in panels:
            log_axis(axes, "y", above.min().min(), above.max().max())
    _entries(figure, rows)
    return figure


def rps_against_users(rows: pd.DataFrame) -> Figure:
    """Requests/s against users, of those rows alone that `held` keeps."""
    figure, (axes,) = canvas(PANEL_IN)
    steady = held(rows)
    for name, look in styles_in_order(list(rows["run"].unique())).items():
        mine = steady[steady["run"] == name]
        axes.scatter(mine["users"], mine["rps"], marker=look.marker, s=36, facecolor="none", edgecolor=look.colour,
                     linewidth=1.3, label=name)  # fmt: skip
    if steady.empty:
        note(axes, f"no number of users was held for {STEADY_S:g} s")
    axes.set(xlabel="users", ylabel="requests per second")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    for axis in (axes.xaxis, axes.yaxis):
        plain_ticks(axis)
    _entries(figure, rows)
    return figure


def held(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows before which the users had not changed for as long as the row's rate looks back."""
    changed = (rows[["run", "stretch", "users"]] != rows[["run", "stretch", "users"]].shift()).any(axis=1)
    since = rows["seconds"].where(changed).ffill()
    return rows[(rows["seconds"] - since >= STEADY_S) & (rows["users"] > 0)]


FIGURES: Mapping[str, Callable[[pd.DataFrame], Figure]] = {
    "rps-over-time": rps_over_time,
    "response-over-time": response_over_time,
    "rps-against-users": rps_against_users,
}


def draw_all(runs: Sequence[LocustRun], directory: Path) -> tuple[Path, ...]:
    """Every figure as PNG and SVG; none where no run has a history."""
    rows = timeline(runs)
    if rows.empty:
        return ()
    return tuple(path for name, draw in FIGURES.items() for path in save(draw(rows), directory, name))


def _lines(axes: Axes, rows: pd.DataFrame, column: str) -> None:
    """A line for each stretch of each run, broken where the column is empty; a lone point between breaks is a dot."""
    for name, look in styles_in_order(list(rows["run"].unique())).items():
        for _, mine in rows[rows["run"] == name].groupby("stretch"):
            known = mine[column].notna()
            alone = known & ~known.shift(fill_value=False) & ~known.shift(-1, fill_value=False)
            axes.plot(mine["seconds"], mine[column], color=look.colour, linestyle=look.dash, linewidth=1.6)
            axes.plot(mine["seconds"][alone], mine[column][alone], color=look.colour, marker=".", linestyle="none")


def _entries(figure: Figure, rows: pd.DataFrame) -> None:
    entries = [line_of(name, look) for name, look in styles_in_order(list(rows["run"].unique())).items()]
    for entry in entries:
        entry.set_marker("" if len(figure.axes) > 1 else entry.get_marker())
    if any(line.get_marker() == "." and np.size(line.get_xdata()) for axes in figure.axes for line in axes.get_lines()):
        entries.append(sign("a row between two without a figure", "."))
    legend(figure, entries)
