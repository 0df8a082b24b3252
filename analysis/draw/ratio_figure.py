"""The figure of ratios: each pair of models with its interval; an arrow where only a bound is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.draw.style import GRID, INK, LEFT, PAPER, QUIET, RIGHT, canvas, legend, log_axis, note, row_note, sign
from analysis.judge.thresholds import THRESHOLDS as T

ROW_IN = 0.27  # height of a row, in a figure with a row for each pair of models
LONG_PAIR = 32  # letters: beyond it the two names stand one below the other
RATIO_BOUNDS = {"at least": (RIGHT, 1), "at most": (LEFT, -1)}
"""Bounds of a ratio: the sign in the legend, and which way the arrow goes."""
ARROW_PT = 26


def ratio_forest(ratios: pd.DataFrame) -> Figure:
    """Ratios of pairs of models with their intervals, and the band in which they tie (`frames.ratios_frame`).

    A ratio that is a bound has an arrow and no interval; where both models have bounds there is no point.
    """
    if ratios["pair"].str.len().max() > LONG_PAIR:
        ratios = ratios.assign(pair=ratios["pair"].str.replace(" / ", "\n/ "))
    row_in = ROW_IN * (1 + ratios["pair"].str.contains("\n").any() / 2)
    groups = [(str(name), rows) for name, rows in ratios.groupby("figure", sort=False)] or [("two models", ratios)]
    figure, panels = canvas(*(0.8 + row_in * max(1, len(rows)) for _, rows in groups), share_x=False)
    for axes, (name, rows) in zip(panels, groups, strict=True):
        _forest(axes, rows)
        axes.set_xlabel(f"ratio of {name}", loc="right")
    legend(
        figure,
        [
            Patch(color=GRID, label=f"within {T.tie:.0%}: a tie"),
            sign("a tie, or a difference that holds", "o"),
            sign("nothing is claimed", "o", hollow=True),
            *(sign(name, arrow) for name, (arrow, _) in RATIO_BOUNDS.items() if (ratios["bound"] == name).any()),
        ],
    )
    return figure


def _forest(axes: Axes, rows: pd.DataFrame) -> None:
    axes.axvspan(1 - T.tie, 1 + T.tie, color=GRID, zorder=0)
    axes.axvline(1, color=QUIET, lw=1, zorder=1)
    for at, row in enumerate(rows.to_dict("records")):
        if row["bound"] == "unknown":
            row_note(axes, at, "only bounds are known")
            continue
        axes.plot([row["low"], row["high"]], [at, at], color=INK, lw=1.4, zorder=2, label=f"_{row['pair']}")
        if row["bound"]:
            tip = (ARROW_PT * RATIO_BOUNDS[row["bound"]][1], 0)
            shaft = {"arrowstyle": "<-", "color": INK, "lw": 1.4}
            axes.annotate("", (row["value"], at), tip, textcoords="offset points", arrowprops=shaft)
        face = INK if row["call"] in ("more", "less", "tie") else PAPER
        axes.scatter([row["value"]], [at], s=36, zorder=3, edgecolor=INK, facecolor=face, lw=1.3)
    axes.set_yticks(range(len(rows)), list(rows["pair"]))
    axes.set_ylim(max(1, len(rows)) - 0.4, -0.6)
    axes.grid(False, axis="y")
    if rows.empty:
        note(axes, "there is no pair of models to compare")
    else:
        ends = np.append(rows[["value", "low", "high"]].to_numpy(dtype=float), 1.0)
        log_axis(axes, "x", np.nanmin(ends), np.nanmax(ends))
