"""The figure of capacities: each model's users on a log axis, with its interval; an arrow where it is a lower bound."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.draw.style import INK, Style, canvas, log_axis, sign, styles
from analysis.judge.judging import RunResult
from analysis.judge.quantiles import quantile
from analysis.rank.capacity import final_outcome
from study.plan import Slo

ROW_IN, MARGIN_IN = 0.42, 1.0
MARKS = {"passed": ("+", "a trial that passed"), "failed": ("x", "a trial that failed")}
"""Marker of a trial by its outcome, and its words in the legend."""


def capacity_frame(summary: pd.DataFrame) -> pd.DataFrame:
    """The rows of the models' summary that have a capacity: users, ends of the interval, and why it ended."""
    frame = summary[["model", "capacity_users", "capacity_low", "capacity_high", "capacity_ended"]]
    return frame[frame["capacity_users"].notna()].reset_index(drop=True)


def capacities(frame: pd.DataFrame, labels: Sequence[str]) -> Figure:
    """A row for each model of `capacity_frame`, in the plan's order from the top."""
    figure, (axes,) = canvas(MARGIN_IN + ROW_IN * max(len(frame), 1))
    looks = styles(labels)
    sns.stripplot(
        data=frame.astype({"capacity_users": float}), x="capacity_users", y="model", hue="model", ax=axes, jitter=False,
        size=8, palette={label: look.colour for label, look in looks.items()}, legend=False,
    )  # fmt: skip
    ends = pd.concat([frame["capacity_users"], frame["capacity_high"]]).dropna().astype(float)
    left = ends.min() / 1.3
    for at, row in enumerate(frame.to_dict("records")):
        colour, users = looks[row["model"]].colour, float(row["capacity_users"])
        if pd.isna(row["capacity_high"]):
            axes.annotate(
                "",
                xy=(users * 1.5, at),
                xytext=(users, at),
                arrowprops={"arrowstyle": "->", "color": colour, "lw": 1.8},
            )
            text = f"≥ {users:,.0f}"
        else:
            low = left if pd.isna(row["capacity_low"]) else float(row["capacity_low"])  # none: below what was tried
            axes.hlines(at, low, float(row["capacity_high"]), color=colour, lw=2.2)
            text = f"{users:,.0f}"
        axes.annotate(text, (users, at), xytext=(0, 8), textcoords="offset points", ha="center", color=INK, fontsize=9)
    if len(frame):
        log_axis(axes, "x", left, ends.max() * 1.6)
    axes.set(xlabel="users carried within the SLO", ylabel="", ylim=(len(frame) - 0.5, -0.7))
    return figure


def trials_frame(results: Iterable[RunResult], slo: Slo) -> pd.DataFrame:
    """A row for each trial of a search whose 99th percentile is known: `model`, `users`, `p99_ms`, `outcome`."""
    rows = [
        (result.data.run.label, step.step.users, p99.ms, final_outcome(step, slo))
        for result in results
        for step in result.steps
        if step.step.kind in ("trial", "confirm") and step.window is not None
        if (p99 := quantile(step.window.response, step.window.ages, 0.99)) is not None
    ]
    return pd.DataFrame(rows, columns=["model", "users", "p99_ms", "outcome"])


def mark_trials(axes: Axes, trials: pd.DataFrame, looks: Mapping[str, Style]) -> list[Line2D]:
    """A mark for each trial that passed or failed; returns the legend's entries of those that occur."""
    entries = []
    for outcome, (marker, words) in MARKS.items():
        shown = trials[(trials["outcome"] == outcome) & trials["model"].isin(list(looks))]
        if len(shown):
            colours = [looks[model].colour for model in shown["model"]]
            axes.scatter(
                shown["users"], shown["p99_ms"], marker=marker, s=60, c=colours, lw=1.3, zorder=4, label=f"_{outcome}"
            )
            entries.append(sign(words, marker))
    return entries
