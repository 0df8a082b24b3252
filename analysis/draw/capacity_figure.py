"""The figure of capacities: each model's users on a log axis, with its interval; an arrow where it is a bound."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle

from analysis.draw.style import (
    INK,
    LEFT,
    QUIET,
    RIGHT,
    Style,
    canvas,
    formula,
    legend,
    log_axis,
    row_note,
    sign,
    styles,
)
from analysis.judge.judging import RunResult
from analysis.judge.quantiles import quantile
from analysis.judge.window import Window
from analysis.rank.load_outcomes import final_outcome
from study.plan import Slo

ROW_IN, MARGIN_IN = 0.42, 1.0
MARKS = {"passed": ("+", "a trial that passed"), "failed": ("x", "a trial that failed")}
"""Marker of a trial by its outcome, and its words in the legend."""
SIGNS = {"+": "+", "x": r"\times"}
"""The same markers as mathematical text, which the name of a figure can follow."""
FORMULA_LEGEND_PT = 18
SLO_FIGURE = "p99"
FIGURES = {SLO_FIGURE: 0.99, "p95": 0.95, "p90": 0.9, "p50": 0.5}
"""Percentiles that a trial may be drawn at: those that need more answers first."""


def capacity_frame(summary: pd.DataFrame) -> pd.DataFrame:
    """A row for each model: users, ends of the interval, and why it ended; no row where nothing is known of any.

    Of a model that carried no load `capacity_users` is empty, of one that was not measured `capacity_ended` too.
    """
    frame = summary[["model", "capacity_users", "capacity_low", "capacity_high", "capacity_ended"]]
    known = frame[["capacity_users", "capacity_high"]].notna().to_numpy().any()
    return (frame if known else frame.iloc[:0]).reset_index(drop=True)


def unknown_text(row: Mapping[Hashable, Any]) -> str:
    """What a row of `capacity_frame` has instead of users where it is not even known what the model doesn't carry."""
    return "not measured" if pd.isna(row["capacity_ended"]) else "not known"


def capacities(frame: pd.DataFrame, labels: Sequence[str]) -> Figure:
    """A row for each model of `capacity_frame`, in the plan's order from the top."""
    figure, (axes,) = canvas(MARGIN_IN + ROW_IN * max(len(frame), 1))
    looks = styles(labels)
    values = frame.astype({"capacity_users": float})
    for model in frame["model"]:
        sns.stripplot(
            data=values[values["model"] == model], x="capacity_users", y="model", ax=axes, jitter=False, size=8,
            color=looks[model].colour, marker=looks[model].marker, order=list(frame["model"]),
        )  # fmt: skip
    ends = pd.concat([frame["capacity_users"], frame["capacity_high"]]).dropna().astype(float)
    left = ends.min() / 1.3
    for at, row in enumerate(frame.to_dict("records")):
        colour, high = looks[row["model"]].colour, row["capacity_high"]
        if pd.isna(row["capacity_users"]) and pd.isna(high):
            row_note(axes, at, unknown_text(row))
            continue
        if pd.isna(row["capacity_users"]):
            arrow = {"arrowstyle": "->", "color": colour, "lw": 1.8}
            axes.annotate("", xy=(left, at), xytext=(float(high), at), arrowprops=arrow)
            users, text = float(high), f"< {high:,.0f}"
        elif pd.isna(high):
            users = float(row["capacity_users"])
            axes.annotate(
                "",
                xy=(users * 1.5, at),
                xytext=(users, at),
                arrowprops={"arrowstyle": "->", "color": colour, "lw": 1.8},
            )
            text = f"≥ {users:,.0f}"
        else:
            users = float(row["capacity_users"])
            low = left if pd.isna(row["capacity_low"]) else float(row["capacity_low"])  # none: below what was tried
            axes.hlines(at, low, float(high), color=colour, lw=2.2)
            text = f"{users:,.0f}"
        axes.annotate(text, (users, at), xytext=(0, 8), textcoords="offset points", ha="center", color=INK, fontsize=9)
    if len(frame):
        log_axis(axes, "x", left, ends.max() * 1.6)
    axes.set(xlabel="users carried within the SLO", ylabel="", ylim=(len(frame) - 0.5, -0.7))
    legend(figure, _signs(frame))
    return figure


def _signs(frame: pd.DataFrame) -> list[Line2D]:
    """The legend's entries of what occurs: points with intervals, and arrows where a capacity is only a bound."""
    carried, high = frame["capacity_users"].notna(), frame["capacity_high"].notna()
    bar = Line2D([], [], color=QUIET, marker="o", lw=2.2, label="capacity and its interval")
    least = sign("at least", RIGHT)
    most = sign("fewer than", LEFT)
    shown = ((bar, carried & high), (least, carried & ~high), (most, ~carried & high))
    return [entry for entry, rows in shown if rows.any()]


def trials_frame(results: Iterable[RunResult], slo: Slo) -> pd.DataFrame:
    """A row for each trial of a search with any answer: `model`, `users`, `outcome`, and `ms`, the time of `figure`.

    That is the largest of FIGURES of which enough answers came, else the mean.
    """
    rows = [
        (result.data.run.label, step.step.users, final_outcome(step, slo), *_time(step.window))
        for result in results
        for step in result.steps
        if step.step.kind in ("trial", "confirm") and step.window is not None and step.window.response.total
    ]
    return pd.DataFrame(rows, columns=["model", "users", "outcome", "figure", "ms"])


def _time(window: Window) -> tuple[str, float]:
    """The name of the largest percentile that may be printed, else `mean`, and its value in ms."""
    for name, q in FIGURES.items():
        if (known := quantile(window.response, window.ages, q, window.timed_out)) is not None:
            return name, known.ms
    return "mean", 1000 * window.response.sum_s / window.response.total


def mark_trials(axes: Axes, trials: pd.DataFrame, looks: Mapping[str, Style]) -> list[Line2D]:
    """A mark for each trial that passed or failed, with the name of its figure where that isn't the 99th percentile.

    Returns the legend's entries of those that occur.
    """
    entries = []
    for outcome, (plain, words) in MARKS.items():
        for figure in (*FIGURES, "mean"):
            at = (trials["outcome"] == outcome) & (trials["figure"] == figure) & trials["model"].isin(list(looks))
            shown = trials[at]
            if shown.empty:
                continue
            usual = figure == SLO_FIGURE
            marker, size = (MarkerStyle(plain), 60) if usual else (formula(f"{SIGNS[plain]}_{{{figure}}}"), 190)
            axes.scatter(
                shown["users"], shown["ms"], marker=marker, s=size, c=[looks[model].colour for model in shown["model"]],
                lw=1.3 if usual else 0.4, zorder=4, label=f"_{outcome} {figure}",
            )  # fmt: skip
            name = words if usual else f"{figure} of {words}, of too few answers for p99"
            entries.append(sign(name, marker, size=None if usual else FORMULA_LEGEND_PT))
    return entries
